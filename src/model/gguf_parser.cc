#include "model/gguf_parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <string>
#include <utility>

#include "base/limits.h"
#include "kernels/operations.h"
#include "model/gguf_cursor.h"

namespace reprise {
namespace {

// The file's numbers for the kinds of metadata values.
enum class ValueKind : uint32_t {
  kUint8 = 0,
  kInt8 = 1,
  kUint16 = 2,
  kInt16 = 3,
  kUint32 = 4,
  kInt32 = 5,
  kFloat32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kUint64 = 10,
  kInt64 = 11,
  kFloat64 = 12,
};

// Fewest bytes that a value of this kind takes; 0 for kinds that do not exist.
size_t SmallestBytes(ValueKind kind) {
  switch (kind) {
    case ValueKind::kUint8:
    case ValueKind::kInt8:
    case ValueKind::kBool:
      return 1;
    case ValueKind::kUint16:
    case ValueKind::kInt16:
      return 2;
    case ValueKind::kUint32:
    case ValueKind::kInt32:
    case ValueKind::kFloat32:
      return 4;
    case ValueKind::kString:
    case ValueKind::kUint64:
    case ValueKind::kInt64:
    case ValueKind::kFloat64:
      return 8;
    case ValueKind::kArray:
      return 12;
  }
  return 0;
}

std::unexpected<Error> Corrupt(std::string message) {
  return Fail(ErrorCode::kCorrupt, std::move(message));
}

// A name from the file, fit to be shown: quoted, ASCII, not endless.
std::string Shown(std::string_view name) {
  constexpr size_t kLongest = 80;
  std::string shown = "'";
  for (char c : name.substr(0, kLongest)) shown += c >= ' ' && c <= '~' ? c : '?';
  shown += name.size() > kLongest ? "…'" : "'";
  return shown;
}

bool MultiplyOverflows(uint64_t a, uint64_t b, uint64_t* product) {
  return __builtin_mul_overflow(a, b, product);
}

class Parser {
 public:
  explicit Parser(std::span<const std::byte> bytes) : bytes_(bytes), cursor_(bytes) {}

  Result<GgufContents> Run() {
    uint64_t tensors = 0, keys = 0;
    if (Status status = ReadHeader(&tensors, &keys); !status)
      return std::unexpected(status.error());
    for (uint64_t i = 0; i < keys; ++i) {
      if (Status status = ReadKey(i); !status) return std::unexpected(status.error());
    }
    std::vector<uint64_t> offsets;
    for (uint64_t i = 0; i < tensors; ++i) {
      if (Status status = ReadTensor(i, &offsets); !status) return std::unexpected(status.error());
    }
    if (Status status = PlaceTensors(offsets); !status) return std::unexpected(status.error());
    return std::move(contents_);
  }

 private:
  Status ReadHeader(uint64_t* tensors, uint64_t* keys) {
    uint32_t magic = 0, version = 0;
    if (!cursor_.Read(&magic) || magic != 0x46554747) {  // "GGUF"
      return Corrupt("this is not a GGUF file: it does not begin with the letters GGUF");
    }
    if (!cursor_.Read(&version) || !cursor_.Read(tensors) || !cursor_.Read(keys)) {
      return Corrupt("the file ends inside its header");
    }
    if (version == __builtin_bswap32(3)) {
      return Fail(ErrorCode::kUnsupported,
                  "the file is big-endian, only little-endian is supported");
    }
    if (version != 3) {
      return Fail(ErrorCode::kUnsupported,
                  fmt::format("the file is GGUF version {}, only version 3 is supported", version));
    }
    if (*tensors > limits::kMaxGgufTensors) {
      return Fail(ErrorCode::kTooLarge,
                  fmt::format("the file claims {} tensors, at most {} are read", *tensors,
                              limits::kMaxGgufTensors));
    }
    if (*keys > limits::kMaxGgufMetadata) {
      return Fail(ErrorCode::kTooLarge,
                  fmt::format("the file claims {} metadata keys, at most {} are read", *keys,
                              limits::kMaxGgufMetadata));
    }
    return {};
  }

  // `what` names what is read, as in "the value of key 'a'".
  template <typename What>
  Status ReadString(uint64_t limit, const What& what, std::string_view* value) {
    switch (cursor_.ReadString(limit, value)) {
      case GgufCursor::StringOutcome::kRead:
        return {};
      case GgufCursor::StringOutcome::kEndOfFile:
        return Corrupt(fmt::format("the file ends inside {}", what()));
      case GgufCursor::StringOutcome::kTooLong:
        break;
    }
    return Fail(ErrorCode::kTooLarge,
                fmt::format("a string in {} is longer than the {} bytes allowed", what(), limit));
  }

  // Names are shown to people, on terminals: nothing may hide in them.
  template <typename What>
  Status ReadName(const What& what, std::string_view* name) {
    if (Status status = ReadString(limits::kMaxGgufNameBytes, what, name); !status) return status;
    for (const char c : *name) {
      if ((c >= 0 && c < ' ') || c == 0x7F) {
        return Corrupt(fmt::format("{}, {}, contains control characters", what(), Shown(*name)));
      }
    }
    return {};
  }

  Status ReadKey(uint64_t number) {
    std::string_view key;
    const auto what = [number] { return fmt::format("the name of metadata key {}", number); };
    if (Status status = ReadName(what, &key); !status) return status;
    uint32_t kind = 0;
    if (!cursor_.Read(&kind)) {
      return Corrupt(fmt::format("the file ends inside the type of key {}", Shown(key)));
    }
    Result<GgufFile::Value> value = ReadValue(key, static_cast<ValueKind>(kind));
    if (!value) return std::unexpected(value.error());
    if (!contents_.metadata.emplace(key, std::move(*value)).second) {
      return Corrupt(fmt::format("the key {} stands in the file twice", Shown(key)));
    }
    return {};
  }

  Result<GgufFile::Value> ReadValue(std::string_view key, ValueKind kind) {
    switch (kind) {
      case ValueKind::kFloat32:
      case ValueKind::kFloat64:
        return Widen(ReadFloat(key, kind));
      case ValueKind::kBool:
        return Widen(ReadBool(key));
      case ValueKind::kString:
        return Widen(ReadText(key));
      case ValueKind::kArray:
        return ReadArray(key);
      default:
        return Widen(ReadInteger(key, kind));
    }
  }

  template <typename T>
  static Result<GgufFile::Value> Widen(Result<T> value) {
    if (!value) return std::unexpected(std::move(value.error()));
    return GgufFile::Value(std::move(*value));
  }

  std::unexpected<Error> EndsInside(std::string_view key) {
    return Corrupt(fmt::format("the file ends inside the value of key {}", Shown(key)));
  }

  template <typename T>
  Result<int64_t> ReadIntegerAs(std::string_view key) {
    T value = 0;
    if (!cursor_.Read(&value)) return EndsInside(key);
    if (!std::in_range<int64_t>(value)) {
      return Corrupt(fmt::format("the key {} holds {}, more than 2^63-1", Shown(key), value));
    }
    return static_cast<int64_t>(value);
  }

  Result<int64_t> ReadInteger(std::string_view key, ValueKind kind) {
    switch (kind) {
      case ValueKind::kUint8:
        return ReadIntegerAs<uint8_t>(key);
      case ValueKind::kInt8:
        return ReadIntegerAs<int8_t>(key);
      case ValueKind::kUint16:
        return ReadIntegerAs<uint16_t>(key);
      case ValueKind::kInt16:
        return ReadIntegerAs<int16_t>(key);
      case ValueKind::kUint32:
        return ReadIntegerAs<uint32_t>(key);
      case ValueKind::kInt32:
        return ReadIntegerAs<int32_t>(key);
      case ValueKind::kUint64:
        return ReadIntegerAs<uint64_t>(key);
      case ValueKind::kInt64:
        return ReadIntegerAs<int64_t>(key);
      default:
        return Corrupt(fmt::format("the key {} has the unknown type {}", Shown(key),
                                   static_cast<uint32_t>(kind)));
    }
  }

  Result<double> ReadFloat(std::string_view key, ValueKind kind) {
    float narrow = 0;
    double wide = 0;
    if (kind == ValueKind::kFloat32 ? !cursor_.Read(&narrow) : !cursor_.Read(&wide)) {
      return EndsInside(key);
    }
    return kind == ValueKind::kFloat32 ? static_cast<double>(narrow) : wide;
  }

  Result<bool> ReadBool(std::string_view key) {
    uint8_t value = 0;
    if (!cursor_.Read(&value)) return EndsInside(key);
    if (value > 1) {
      return Corrupt(fmt::format("the key {} is a boolean of value {}", Shown(key), value));
    }
    return value == 1;
  }

  Result<std::string_view> ReadText(std::string_view key) {
    std::string_view value;
    const auto what = [key] { return fmt::format("the value of key {}", Shown(key)); };
    if (Status status = ReadString(limits::kMaxGgufStringBytes, what, &value); !status) {
      return std::unexpected(status.error());
    }
    return value;
  }

  Result<GgufFile::Value> ReadArray(std::string_view key) {
    uint32_t raw_kind = 0;
    uint64_t count = 0;
    if (!cursor_.Read(&raw_kind) || !cursor_.Read(&count)) return EndsInside(key);
    const auto kind = static_cast<ValueKind>(raw_kind);
    if (kind == ValueKind::kArray) {
      return Fail(ErrorCode::kUnsupported,
                  fmt::format("the key {} holds arrays inside an array", Shown(key)));
    }
    const size_t smallest = SmallestBytes(kind);
    if (smallest == 0) {
      return Corrupt(
          fmt::format("the key {} is an array of the unknown type {}", Shown(key), raw_kind));
    }
    if (count > limits::kMaxGgufArrayElements) {
      return Fail(ErrorCode::kTooLarge,
                  fmt::format("the key {} is an array of {} elements, at most {} are read",
                              Shown(key), count, limits::kMaxGgufArrayElements));
    }
    if (count > cursor_.remaining() / smallest) return EndsInside(key);
    switch (kind) {
      case ValueKind::kFloat32:
      case ValueKind::kFloat64:
        return ReadElements<double>(count, [&] { return ReadFloat(key, kind); });
      case ValueKind::kBool:
        return ReadElements<bool>(count, [&] { return ReadBool(key); });
      case ValueKind::kString:
        return ReadElements<std::string_view>(count, [&] { return ReadText(key); });
      default:
        return ReadElements<int64_t>(count, [&] { return ReadInteger(key, kind); });
    }
  }

  template <typename T, typename ReadOne>
  static Result<GgufFile::Value> ReadElements(uint64_t count, const ReadOne& read_one) {
    std::vector<T> elements;
    elements.reserve(static_cast<size_t>(count));
    for (uint64_t i = 0; i < count; ++i) {
      Result<T> element = read_one();
      if (!element) return std::unexpected(std::move(element.error()));
      elements.push_back(*element);
    }
    return GgufFile::Value(std::move(elements));
  }

  Status ReadTensor(uint64_t number, std::vector<uint64_t>* offsets) {
    GgufTensor tensor;
    const auto what = [number] { return fmt::format("the name of tensor {}", number); };
    if (Status status = ReadName(what, &tensor.name); !status) return status;
    const auto ends = [&] {
      return Corrupt(
          fmt::format("the file ends inside the description of tensor {}", Shown(tensor.name)));
    };
    uint32_t dimensions = 0;
    if (!cursor_.Read(&dimensions)) return ends();
    if (dimensions < 1 || dimensions > 4) {
      return Corrupt(fmt::format("the tensor {} has {} dimensions instead of 1 to 4",
                                 Shown(tensor.name), dimensions));
    }
    tensor.dimensions.resize(dimensions);
    for (uint64_t& dimension : tensor.dimensions) {
      if (!cursor_.Read(&dimension)) return ends();
      if (dimension == 0) {
        return Corrupt(fmt::format("the tensor {} has a dimension of zero", Shown(tensor.name)));
      }
    }
    uint64_t offset = 0;
    if (!cursor_.Read(&tensor.type) || !cursor_.Read(&offset)) return ends();
    if (!contents_.tensor_positions.emplace(tensor.name, contents_.tensors.size()).second) {
      return Corrupt(fmt::format("the tensor {} stands in the file twice", Shown(tensor.name)));
    }
    offsets->push_back(offset);
    contents_.tensors.push_back(std::move(tensor));
    return {};
  }

  Result<uint64_t> Alignment() const {
    const auto found = contents_.metadata.find("general.alignment");
    if (found == contents_.metadata.end()) return 32;
    const int64_t* value = std::get_if<int64_t>(&found->second);
    if (value == nullptr) return Corrupt("the key 'general.alignment' is not an integer");
    // A multiple of 8 by the format's page; a power of two in every program that reads it.
    if (*value < 8 || *value > limits::kMaxGgufAlignment ||
        !std::has_single_bit(static_cast<uint64_t>(*value))) {
      return Corrupt(
          fmt::format("the key 'general.alignment' is {} instead of a power of two from 8 to {}",
                      *value, limits::kMaxGgufAlignment));
    }
    return static_cast<uint64_t>(*value);
  }

  // Bytes of a tensor whose type we can read.
  static Result<uint64_t> BytesOf(const GgufTensor& tensor, const WeightBlock& block) {
    const auto block_elements = static_cast<uint64_t>(block.elements);
    if (tensor.dimensions[0] % block_elements != 0) {
      return Corrupt(fmt::format("the tensor {} has rows of {} elements, not a multiple of {}",
                                 Shown(tensor.name), tensor.dimensions[0], block_elements));
    }
    uint64_t bytes = 0;
    bool overflows = MultiplyOverflows(tensor.dimensions[0] / block_elements,
                                       static_cast<uint64_t>(block.bytes), &bytes);
    for (size_t i = 1; i < tensor.dimensions.size(); ++i) {
      overflows = overflows || MultiplyOverflows(bytes, tensor.dimensions[i], &bytes);
    }
    if (overflows) {
      return Corrupt(
          fmt::format("the size of tensor {} does not fit in 64 bits", Shown(tensor.name)));
    }
    return bytes;
  }

  // Gives every tensor its bytes. Data begins at the next multiple of the alignment after the last
  // description; offsets count from there, so nothing can reach back into the header.
  Status PlaceTensors(const std::vector<uint64_t>& offsets) {
    Result<uint64_t> alignment = Alignment();
    if (!alignment) return std::unexpected(alignment.error());
    const uint64_t data_start = (cursor_.position() + *alignment - 1) / *alignment * *alignment;
    struct Place {
      uint64_t begin, end;
      const GgufTensor* tensor;
    };
    std::vector<Place> places;
    for (size_t i = 0; i < offsets.size(); ++i) {
      GgufTensor& tensor = contents_.tensors[i];
      if (offsets[i] % *alignment != 0) {
        return Corrupt(fmt::format("the tensor {} begins at {}, not at a multiple of {}",
                                   Shown(tensor.name), offsets[i], *alignment));
      }
      if (data_start > bytes_.size() || offsets[i] > bytes_.size() - data_start) {
        return Corrupt(fmt::format("the tensor {} begins after the end of the file, truncated?",
                                   Shown(tensor.name)));
      }
      const Result<WeightBlock> block = WeightBlockOf(tensor.type);
      if (!block) continue;  // a type we do not know has a size we do not know
      const Result<uint64_t> size = BytesOf(tensor, *block);
      if (!size) return std::unexpected(size.error());
      const uint64_t begin = data_start + offsets[i];
      if (*size > bytes_.size() - begin) {
        return Corrupt(fmt::format("the tensor {} reaches past the end of the file, truncated?",
                                   Shown(tensor.name)));
      }
      tensor.data = bytes_.subspan(static_cast<size_t>(begin), static_cast<size_t>(*size));
      places.push_back({begin, begin + *size, &tensor});
    }
    std::ranges::sort(places, {}, &Place::begin);
    for (size_t i = 1; i < places.size(); ++i) {
      if (places[i].begin < places[i - 1].end) {
        return Corrupt(fmt::format("the tensors {} and {} overlap",
                                   Shown(places[i - 1].tensor->name),
                                   Shown(places[i].tensor->name)));
      }
    }
    return {};
  }

  std::span<const std::byte> bytes_;
  GgufCursor cursor_;
  GgufContents contents_;
};

}  // namespace

Result<GgufContents> ParseGguf(std::span<const std::byte> bytes) { return Parser(bytes).Run(); }

}  // namespace reprise
