#include "dialect/gbnf.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <optional>

#include "dialect/literal_values.h"

namespace reprise {
namespace {

bool IsNameByte(char byte) {
  return std::isalnum(static_cast<unsigned char>(byte)) != 0 || byte == '-' || byte == '_';
}

// "root" is where GBNF starts. Lark's names have no hyphens; a prefix keeps them apart from its
// own.
std::string LarkName(std::string_view name) {
  if (name == "root") return "start";
  std::string lark = "g_";
  for (const char byte : name) {
    if (byte == '-') {
      lark += "_m_";
    } else {
      lark += static_cast<char>(std::tolower(static_cast<unsigned char>(byte)));
    }
  }
  return lark;
}

class Translator {
 public:
  explicit Translator(std::string_view text) : text_(text) {}

  Result<std::string> Translate() {
    std::string lark;
    SkipSpace(/*lines=*/true);
    while (at_ < text_.size() && !fault_) {
      const std::string_view name = Name();
      SkipSpace(false);
      if (name.empty() || !Takes("::=")) return Wrong("expected a rule, 'name ::= …'");
      has_root_ = has_root_ || name == "root";
      SkipSpace(true);
      lark += fmt::format("{}: {}\n", LarkName(name), Alternatives(/*nested=*/false));
      SkipSpace(true);
    }
    if (fault_) return Wrong(*fault_);
    if (!has_root_) return Wrong("there is no rule 'root'");
    return lark;
  }

 private:
  std::unexpected<Error> Wrong(std::string_view what) const {
    const auto line = std::ranges::count(text_.substr(0, std::min(at_, text_.size())), '\n') + 1;
    return Fail(ErrorCode::kInvalidArgument, fmt::format("line {}: {}", line, what));
  }

  void Fault(std::string what) {
    if (!fault_) fault_ = std::move(what);
  }

  // Never beyond the end.
  void Step() { at_ = std::min(at_ + 1, text_.size()); }

  char Peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }

  bool Takes(std::string_view words) {
    if (!text_.substr(at_).starts_with(words)) return false;
    at_ += words.size();
    return true;
  }

  void SkipSpace(bool lines) {
    for (; at_ < text_.size(); Step()) {
      if (Peek() == '#') {
        while (at_ < text_.size() && Peek() != '\n') Step();
        if (at_ == text_.size()) return;
      }
      const bool space = Peek() == ' ' || Peek() == '\t' || Peek() == '\r';
      if (!space && !(lines && Peek() == '\n')) return;
    }
  }

  std::string_view Name() {
    const size_t first = at_;
    while (at_ < text_.size() && IsNameByte(text_[at_])) Step();
    return text_.substr(first, at_ - first);
  }

  std::string Alternatives(bool nested) {
    if (++depth_ > 64) Fault("nested too deeply");
    std::string all = Sequence(nested);
    while (!fault_) {
      SkipSpace(nested);
      // An alternative may stand on the next line.
      const size_t before = at_;
      SkipSpace(true);
      if (!Takes("|")) {
        at_ = before;
        break;
      }
      SkipSpace(true);
      all += " | " + Sequence(nested);
    }
    --depth_;
    return all;
  }

  std::string Sequence(bool nested) {
    std::string sequence;
    while (!fault_ && at_ < text_.size()) {
      std::optional<std::string> term = Term();
      if (!term) break;
      sequence += fmt::format("{}{}{}", sequence.empty() ? "" : " ", *term, Repetition());
      SkipSpace(nested);
    }
    return sequence.empty() ? "\"\"" : sequence;
  }

  std::optional<std::string> Term() {
    const char first = Peek();
    if (first == '"') return Literal();
    if (first == '[') return Class();
    if (first == '.') {
      Step();
      return "/(?s:.)/";
    }
    if (first == '(') {
      Step();
      SkipSpace(true);
      std::string inner = Alternatives(/*nested=*/true);
      SkipSpace(true);
      if (!Takes(")")) Fault("a '(' is not closed");
      return "(" + inner + ")";
    }
    if (IsNameByte(first)) return LarkName(Name());
    return std::nullopt;
  }

  std::string Repetition() {
    for (const char* sign : {"?", "*", "+"}) {
      if (Takes(sign)) return sign;
    }
    if (Peek() != '{') return "";
    const size_t end = text_.find('}', at_);
    if (end == text_.npos) {
      Fault("a '{' is not closed");
      return "";
    }
    const std::string_view count = text_.substr(at_, end + 1 - at_);
    at_ = end + 1;
    if (count.find_first_not_of("{}0123456789, ") != count.npos) Fault("not a number of times");
    return std::string(count);
  }

  // Behind a backslash: the character that is meant.
  std::string Escaped() {
    Step();
    const char kind = Peek();
    Step();
    const size_t digits = kind == 'x' ? 2 : kind == 'u' ? 4 : kind == 'U' ? 8 : 0;
    if (digits == 0) {
      switch (kind) {
        case 'n':
          return "\n";
        case 'r':
          return "\r";
        case 't':
          return "\t";
        default:
          return std::string(1, kind);
      }
    }
    uint32_t code = 0;
    for (size_t i = 0; i < digits; ++i, Step()) {
      const char digit = Peek();
      if (std::isxdigit(static_cast<unsigned char>(digit)) == 0) {
        Fault("an escape lacks digits");
        return "";
      }
      const int value = std::isdigit(static_cast<unsigned char>(digit)) != 0
                            ? digit - '0'
                            : std::tolower(static_cast<unsigned char>(digit)) - 'a' + 10;
      code = code * 16 + static_cast<uint32_t>(value);
    }
    return Utf8Of(code);
  }

  std::string Utf8Of(uint32_t code) {
    if (code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) {
      Fault("an escape is no character");
      return "";
    }
    std::string text;
    AppendUtf8(code, text);
    return text;
  }

  std::string Literal() {
    Step();
    std::string text;
    while (!fault_ && Peek() != '"') {
      if (at_ >= text_.size() || Peek() == '\n') {
        Fault("a text is not closed");
      } else if (Peek() == '\\') {
        text += Escaped();
      } else {
        text += text_[at_++];
      }
    }
    Step();
    return QuotedJson(text);
  }

  // [a-z], [^"\\]: the same as a regular expression, all but its signs escaped.
  std::string Class() {
    Step();
    std::string expression = Takes("^") ? "/[^" : "/[";
    while (!fault_ && Peek() != ']') {
      if (at_ >= text_.size()) {
        Fault("a '[' is not closed");
        break;
      }
      const bool escaped = Peek() == '\\';
      const std::string letter = escaped ? Escaped() : std::string(1, text_[at_++]);
      if (letter == "-" && !escaped) {
        expression += '-';
      } else if (letter == "\n") {
        expression += "\\n";
      } else if (letter == "\r") {
        expression += "\\r";
      } else if (letter == "\t") {
        expression += "\\t";
      } else {
        const bool sign = letter.size() == 1 &&
                          std::string_view("\\]^[-/&~").find(letter[0]) != std::string_view::npos;
        expression += fmt::format("{}{}", sign ? "\\" : "", letter);
      }
    }
    Step();
    return expression + "]/";
  }

  const std::string_view text_;
  size_t at_ = 0;
  int depth_ = 0;
  bool has_root_ = false;
  std::optional<std::string> fault_;
};

}  // namespace

bool IsGbnf(std::string_view grammar) { return grammar.find("::=") != grammar.npos; }

Result<std::string> LarkOfGbnf(std::string_view grammar) { return Translator(grammar).Translate(); }

}  // namespace reprise
