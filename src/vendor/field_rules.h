#pragma once

// Fields of a request that are not read where a value is used: those that have no effect on the
// reply, and those that would, were they supported, so that ignoring them would look like success.
// What no table names is ignored, and said in the response (x-reprise-ignored).
// tests/api/test_fields.py holds the tables against the types of the vendors' clients. Values; any
// thread.

#include <span>
#include <string>
#include <string_view>

#include "vendor/json_reader.h"

namespace reprise {

enum class FieldUse {
  kRead,           // where its value is used
  kWithoutEffect,  // tolerated: the reply would be the same
  kRefused,        // kUnsupported, unless its value asks for nothing: null, false, 0, or empty
};

struct FieldRule {
  std::string_view name;
  FieldUse use;
};

// Refuses what is to be refused, and returns the names of the fields that no rule names, "a, b", in
// printable ASCII and no longer than a header can bear.
std::string ApplyFieldRules(std::span<const FieldRule> rules, FieldReader& fields);

}  // namespace reprise
