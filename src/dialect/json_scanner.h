#pragma once

// Follows one JSON value (RFC 8259) byte by byte and says where it ends: a tool call's arguments
// are passed on while the model writes them. One a value; not thread-safe.

#include <string>
#include <vector>

namespace reprise {

// Of a byte, or of something that is none.
inline bool IsJsonSpace(int byte) {
  return byte == ' ' || byte == '\n' || byte == '\t' || byte == '\r';
}

class JsonScanner {
 public:
  enum class State : uint8_t {
    kMore,    // a beginning of a value
    kEnd,     // the value ends with this byte
    kBroken,  // no value begins so; stays
  };

  // REQUIRES: the value has not ended. The first byte must begin an object, an array or a string:
  // other values do not say themselves where they end.
  State Push(char byte);

 private:
  enum class Expects : uint8_t {
    kValue,
    kValueOrClose,  // of an array
    kKey,
    kKeyOrClose,  // of an object
    kColon,
    kCommaOrClose,
    kString,
    kEscape,
    kHex,
    kScalar,
  };
  State Break();
  State BeginValue(char byte);
  State EndValue();
  State Close(char byte);
  State InString(char byte);
  State AfterValue(char byte);
  bool ScalarIsValue() const;

  Expects expects_ = Expects::kValue;
  std::vector<char> open_;  // closing bracket of each
  bool is_key_ = false;     // the string
  int hex_digits_ = 0;      // still to come
  std::string scalar_;
  bool broken_ = false;
};

}  // namespace reprise
