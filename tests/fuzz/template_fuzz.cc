// libFuzzer over chat templates: bytes choose among the productions of a grammar, so that nearly
// every input parses; whatever the template says, rendering it ends in text or an error.

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>

#include "text/chat_template.h"

namespace {

constexpr std::string_view kContext =
    R"({"messages":[{"role":"user","content":"hi %}"},{"role":"assistant","content":null}],)"
    R"("tools":[{"a":{"b":[1,2.5,true]}}],"bos_token":"<s>","x":3})";

// E: an expression, S: statements, N: a name, A: an attribute, F: a filter, O: an operator. What is
// no capital stands for itself.
constexpr std::array<std::string_view, 20> kExpressions = {"N",
                                                           "N.A",
                                                           "1",
                                                           "'s'",
                                                           "[E, E]",
                                                           "{'k': E}",
                                                           "(E, E)",
                                                           "(E O E)",
                                                           "(not E)",
                                                           "(-E)",
                                                           "(E)|F",
                                                           "(E)[E]",
                                                           "(E)[E:E]",
                                                           "(E).A",
                                                           "N(E)",
                                                           "(E).items()",
                                                           "(E).values()",
                                                           "(E if E else E)",
                                                           "namespace(a=E, b=E)",
                                                           "'%9d'|format(E)"};
constexpr std::array<std::string_view, 12> kStatements = {"{{ E }}",
                                                          "text",
                                                          "SS",
                                                          "SSS",
                                                          "{% set N = E %}",
                                                          "{% set N.A = E %}",
                                                          "{% set N.A, N = E, E %}",
                                                          "{%- set N.A -%} S {%- endset %}",
                                                          "{% for N in E %}S{% endfor %}",
                                                          "{% if E %}S{% else %}S{% endif %}",
                                                          "{% macro N(N) %}S{% endmacro %}",
                                                          "{% set N = namespace(a=E) %}"};
constexpr std::array<std::string_view, 7> kNames = {"a",    "b",     "x",   "messages",
                                                    "loop", "range", "dict"};
constexpr std::array<std::string_view, 4> kAttributes = {"a", "b", "content", "items"};
constexpr std::array<std::string_view, 16> kFilters = {
    "length",       "tojson",           "list",     "string",   "trim", "upper",
    "sort",         "unique",           "join",     "first",    "abs",  "items",
    "map('upper')", "default(N, true)", "batch(2)", "indent(E)"};
constexpr std::array<std::string_view, 12> kOperators = {
    "+", "-", "*", "/", "~", "==", "<", "in", "and", "or", "**", "%"};

class Grammar {
 public:
  explicit Grammar(std::span<const uint8_t> choices) : choices_(choices) {}

  void Expand(std::string_view production, std::string& out) {
    for (const char symbol : production) {
      switch (symbol) {
        case 'S':
          Pick(kStatements, 1, out);
          break;
        case 'E':
          Pick(kExpressions, 0, out);
          break;
        case 'N':
          Pick(kNames, 0, out);
          break;
        case 'A':
          Pick(kAttributes, 0, out);
          break;
        case 'F':
          Pick(kFilters, 0, out);
          break;
        case 'O':
          Pick(kOperators, 0, out);
          break;
        default:
          out += symbol;
      }
    }
  }
  bool more() const { return at_ < choices_.size(); }

 private:
  // Without choices left, or nested deeply: the production at `leaf`, which is none of capitals or
  // short.
  template <size_t n>
  void Pick(const std::array<std::string_view, n>& productions, size_t leaf, std::string& out) {
    if (!more() || depth_ > 100) return Expand(productions[leaf], out);
    const std::string_view chosen = productions[choices_[at_++] % n];
    ++depth_;
    Expand(chosen, out);
    --depth_;
  }

  std::span<const uint8_t> choices_;
  size_t at_ = 0;
  int depth_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Grammar grammar({data, size});
  std::string source = "{% set a = namespace(a=1, b=[2]) %}";
  while (grammar.more()) grammar.Expand("S", source);
  const auto compiled = reprise::ChatTemplate::Create(source);
  if (!compiled) return compiled.error().message.empty() ? (abort(), 1) : 0;
  const auto rendered = (*compiled)->Render(kContext);
  if (!rendered && rendered.error().message.empty()) abort();
  return 0;
}
