#include "base/trace.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <iterator>
#include <thread>

namespace reprise {
namespace {

using namespace std::chrono_literals;

std::string Written(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(TraceTest, WritesABarForEachStageOnTheRowOfItsThread) {
  const std::string path = testing::TempDir() + "/trace_test.json";
  ASSERT_TRUE(OpenTrace(path));
  TraceBar("first", TimePoint(1500us), TimePoint(2us + 1500us), "3 rows");
  std::thread([] {
    NameTraceThread("other");
    TraceBar("second", TimePoint(1ms), TimePoint(2ms));
  }).join();
  CloseTrace();
  const std::string text = Written(path);
  EXPECT_NE(text.find(R"("name":"first","ts":1500.0,"dur":2.0,"args":{"detail":"3 rows"}})"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find(R"("name":"second","ts":1000.0,"dur":1000.0})"), std::string::npos) << text;
  EXPECT_NE(text.find(R"("name":"thread_name","args":{"name":"other"})"), std::string::npos);
  EXPECT_EQ(text.front(), '[');
  EXPECT_EQ(text.substr(text.size() - 3), "\n]\n");
  std::remove(path.c_str());
}

TEST(TraceTest, WritesNothingUnlessItIsOpen) {
  EXPECT_FALSE(Tracing());
  TraceScope scope("nobody looks");
  TraceBar("nor here", TimePoint(), TimePoint());
}

TEST(TraceTest, AFileThatCannotBeWrittenIsAnError) {
  const Status opened = OpenTrace("/no/such/folder/trace.json");
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::kIo);
  EXPECT_FALSE(Tracing());
}

}  // namespace
}  // namespace reprise
