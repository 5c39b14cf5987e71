#include "dialect/json_scanner.h"

#include <cctype>
#include <string_view>

#include "base/limits.h"

namespace reprise {
namespace {

bool IsDigit(char byte) { return byte >= '0' && byte <= '9'; }

// -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?
bool IsNumber(std::string_view text) {
  size_t at = 0;
  const auto digits = [&] {
    const size_t first = at;
    while (at < text.size() && IsDigit(text[at])) ++at;
    return at - first;
  };
  if (at < text.size() && text[at] == '-') ++at;
  const size_t first = at;
  const size_t whole = digits();
  if (whole == 0 || (whole > 1 && text[first] == '0')) return false;
  if (at < text.size() && text[at] == '.') {
    ++at;
    if (digits() == 0) return false;
  }
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    ++at;
    if (at < text.size() && (text[at] == '+' || text[at] == '-')) ++at;
    if (digits() == 0) return false;
  }
  return at == text.size();
}

}  // namespace

JsonScanner::State JsonScanner::Break() {
  broken_ = true;
  return State::kBroken;
}

JsonScanner::State JsonScanner::EndValue() {
  expects_ = Expects::kCommaOrClose;
  return open_.empty() ? State::kEnd : State::kMore;
}

JsonScanner::State JsonScanner::BeginValue(char byte) {
  if (byte == '"') {
    is_key_ = false;
    expects_ = Expects::kString;
    return State::kMore;
  }
  if (byte == '{' || byte == '[') {
    if (open_.size() == limits::kMaxJsonDepth) return Break();
    open_.push_back(byte == '{' ? '}' : ']');
    expects_ = byte == '{' ? Expects::kKeyOrClose : Expects::kValueOrClose;
    return State::kMore;
  }
  if (open_.empty()) return Break();
  scalar_ = byte;
  expects_ = Expects::kScalar;
  return State::kMore;
}

JsonScanner::State JsonScanner::Close(char byte) {
  if (open_.empty() || open_.back() != byte) return Break();
  open_.pop_back();
  return EndValue();
}

JsonScanner::State JsonScanner::InString(char byte) {
  if (expects_ == Expects::kEscape) {
    if (byte == 'u') {
      hex_digits_ = 4;
      expects_ = Expects::kHex;
      return State::kMore;
    }
    expects_ = Expects::kString;
    return std::string_view("\"\\/bfnrt").find(byte) != std::string_view::npos ? State::kMore
                                                                               : Break();
  }
  if (expects_ == Expects::kHex) {
    if (std::isxdigit(static_cast<unsigned char>(byte)) == 0) return Break();
    if (--hex_digits_ == 0) expects_ = Expects::kString;
    return State::kMore;
  }
  if (static_cast<unsigned char>(byte) < 0x20) return Break();
  if (byte == '\\') {
    expects_ = Expects::kEscape;
  } else if (byte == '"') {
    if (!is_key_) return EndValue();
    expects_ = Expects::kColon;
  }
  return State::kMore;
}

bool JsonScanner::ScalarIsValue() const {
  return scalar_ == "true" || scalar_ == "false" || scalar_ == "null" || IsNumber(scalar_);
}

JsonScanner::State JsonScanner::AfterValue(char byte) {
  if (byte != ',') return Close(byte);
  expects_ = open_.back() == '}' ? Expects::kKey : Expects::kValue;
  return State::kMore;
}

JsonScanner::State JsonScanner::Push(char byte) {
  if (broken_) return State::kBroken;
  switch (expects_) {
    case Expects::kString:
    case Expects::kEscape:
    case Expects::kHex:
      return InString(byte);
    case Expects::kScalar:
      if (std::isalnum(static_cast<unsigned char>(byte)) != 0 || byte == '.' || byte == '-' ||
          byte == '+') {
        scalar_ += byte;
        return scalar_.size() <= limits::kMaxJsonNumberBytes ? State::kMore : Break();
      }
      if (!ScalarIsValue()) return Break();
      expects_ = Expects::kCommaOrClose;
      return IsJsonSpace(byte) ? State::kMore : AfterValue(byte);
    default:
      break;
  }
  // White space before the value would be no part of it.
  if (IsJsonSpace(byte)) return open_.empty() ? Break() : State::kMore;
  switch (expects_) {
    case Expects::kValueOrClose:
      if (byte == ']') return Close(byte);
      return BeginValue(byte);
    case Expects::kValue:
      return BeginValue(byte);
    case Expects::kKeyOrClose:
      if (byte == '}') return Close(byte);
      [[fallthrough]];
    case Expects::kKey:
      if (byte != '"') return Break();
      is_key_ = true;
      expects_ = Expects::kString;
      return State::kMore;
    case Expects::kColon:
      if (byte != ':') return Break();
      expects_ = Expects::kValue;
      return State::kMore;
    default:
      return AfterValue(byte);
  }
}

}  // namespace reprise
