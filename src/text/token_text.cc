#include "text/token_text.h"

#include <array>
#include <charconv>
#include <optional>

#include "text/utf8.h"

namespace reprise {
namespace {

constexpr std::string_view kSentencePieceSpace = "\xE2\x96\x81";  // U+2581

// GPT-2's alphabet ends at U+0143: 256 bytes, of which 68 are not printable.
constexpr size_t kAlphabetEnd = 0x100 + 68;

constexpr bool IsPrintable(size_t byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

// The byte for each letter of GPT-2's alphabet; -1 for code points that are not in it. Printable
// bytes of Latin-1 are themselves, the others are U+0100, U+0101, … in order.
constexpr std::array<int16_t, kAlphabetEnd> ByteOfLetter() {
  std::array<int16_t, kAlphabetEnd> bytes{};
  bytes.fill(-1);
  size_t next = 0x100;
  for (size_t byte = 0; byte < 256; ++byte) {
    bytes[IsPrintable(byte) ? byte : next++] = static_cast<int16_t>(byte);
  }
  return bytes;
}

constexpr std::array<int16_t, kAlphabetEnd> kByteOfLetter = ByteOfLetter();

// The byte that a character of one or two bytes stands for.
std::optional<char> ByteOf(std::string_view character) {
  size_t code = static_cast<uint8_t>(character[0]);
  if (character.size() == 2) {
    code = (code & 0x1F) << 6 | (static_cast<uint8_t>(character[1]) & 0x3F);
  } else if (character.size() > 2) {
    return std::nullopt;
  }
  if (code >= kAlphabetEnd || kByteOfLetter[code] < 0) return std::nullopt;
  return static_cast<char>(kByteOfLetter[code]);
}

std::string FromLetters(std::string_view token) {
  std::string bytes;
  while (!token.empty()) {
    const std::string_view character = token.substr(0, FirstUtf8Sequence(token).size);
    if (const std::optional<char> byte = ByteOf(character)) {
      bytes += *byte;
    } else {
      bytes += character;
    }
    token.remove_prefix(character.size());
  }
  return bytes;
}

// <0x0A>
std::optional<char> NumberedByte(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return std::nullopt;
  unsigned value = 0;
  const auto [end, error] = std::from_chars(token.data() + 3, token.data() + 5, value, 16);
  if (error != std::errc() || end != token.data() + 5) return std::nullopt;
  return static_cast<char>(value);
}

}  // namespace

std::string WithSpaces(std::string_view text) {
  std::string spaced;
  for (size_t at = text.find(kSentencePieceSpace); at != text.npos;
       at = text.find(kSentencePieceSpace)) {
    spaced.append(text.substr(0, at)).append(" ");
    text.remove_prefix(at + kSentencePieceSpace.size());
  }
  return spaced.append(text);
}

std::string BytesOfToken(TokenWriting writing, TokenType type, std::string_view token) {
  if (writing == TokenWriting::kByteLevel) {
    const bool in_letters = type == TokenType::kNormal || type == TokenType::kUnused;
    return in_letters ? FromLetters(token) : std::string(token);
  }
  if (type == TokenType::kByte) {
    if (const std::optional<char> byte = NumberedByte(token)) return std::string(1, *byte);
  }
  const bool as_written = type == TokenType::kControl || type == TokenType::kUnknown;
  return as_written ? std::string(token) : WithSpaces(token);
}

TokenBytes::TokenBytes(TokenWriting writing, const std::vector<std::string>& tokens,
                       const std::vector<TokenType>& types) {
  begin_.reserve(tokens.size() + 1);
  for (size_t i = 0; i < tokens.size(); ++i) {
    begin_.push_back(bytes_.size());
    bytes_ += BytesOfToken(writing, types.empty() ? TokenType::kNormal : types[i], tokens[i]);
  }
  begin_.push_back(bytes_.size());
}

std::string_view TokenBytes::operator[](TokenId token) const {
  if (token < 0 || static_cast<size_t>(token) + 1 >= begin_.size()) return {};
  const auto i = static_cast<size_t>(token);
  return std::string_view(bytes_).substr(begin_[i], begin_[i + 1] - begin_[i]);
}

}  // namespace reprise
