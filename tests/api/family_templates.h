#pragma once

// The chat templates of whole families, from tests/text/templates.

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>

#include "test_model.h"

namespace reprise {

// Runs `body` under each, by the file's name; expects all of them to be there.
inline void ForEachFamilysTemplate(
    const std::function<void(const std::string& family, const ServedModel& model)>& body) {
  size_t tried = 0;
  for (const auto& entry : std::filesystem::directory_iterator(REPRISE_TEMPLATES)) {
    SCOPED_TRACE(entry.path().filename().string());
    std::ifstream file(entry.path());
    const std::string source(std::istreambuf_iterator<char>(file), {});
    body(entry.path().stem().string(), TestModel(source.c_str()));
    ++tried;
  }
  EXPECT_GE(tried, 9U);
}

}  // namespace reprise
