#include "vendor/anthropic/billing_line.h"

namespace reprise {
namespace {

bool Skip(std::string_view& text, std::string_view expected) {
  if (!text.starts_with(expected)) return false;
  text.remove_prefix(expected.size());
  return true;
}

// "name=value;"
bool SkipField(std::string_view& text, std::string_view name) {
  if (!Skip(text, name) || !Skip(text, "=")) return false;
  const size_t end = text.find_first_of("; \t\r\n");
  if (end == 0 || end == std::string_view::npos || text[end] != ';') return false;
  text.remove_prefix(end + 1);
  return true;
}

}  // namespace

bool IsBillingLine(std::string_view block) {
  return Skip(block, "x-anthropic-billing-header: ") && SkipField(block, "cc_version") &&
         Skip(block, " ") && SkipField(block, "cc_entrypoint") && Skip(block, " ") &&
         SkipField(block, "cch") && block.empty();
}

}  // namespace reprise
