#include "base/cpus.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <thread>

namespace reprise {
namespace {

TEST(CpusTest, AListIsReadAsTheKernelWritesIt) {
  EXPECT_EQ(ParseCpus("0"), (std::vector<int>{0}));
  EXPECT_EQ(ParseCpus("0-3,8"), (std::vector<int>{0, 1, 2, 3, 8}));
  EXPECT_EQ(ParseCpus("5,1-2,2"), (std::vector<int>{1, 2, 5}));
}

TEST(CpusTest, WhatIsNoListIsRefused) {
  for (const char* list : {"", ",", "1,", "a", "-1", "1-", "3-1", "1-2-3", "0x1", "1024", " 1"}) {
    const auto cpus = ParseCpus(list);
    ASSERT_FALSE(cpus) << list;
    EXPECT_EQ(cpus.error().code, ErrorCode::kInvalidArgument);
  }
}

TEST(CpusTest, ABoundThreadAndItsOwnKeepToTheirCpu) {
  std::thread([] {
    cpu_set_t before;
    ASSERT_EQ(sched_getaffinity(0, sizeof(before), &before), 0);
    int last = 0;
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (CPU_ISSET(cpu, &before)) last = cpu;
    }
    ASSERT_TRUE(BindToCpus(std::vector<int>{last}));
    EXPECT_EQ(sched_getcpu(), last);
    EXPECT_EQ(DefaultThreads(), 1);
    std::thread([last] { EXPECT_EQ(sched_getcpu(), last); }).join();
  }).join();
}

TEST(CpusTest, CpusThatAreNotThereAreRefused) {
  const Status bound = BindToCpus(std::vector<int>{CPU_SETSIZE - 1});
  ASSERT_FALSE(bound);
  EXPECT_NE(bound.error().message.find("none of the CPUs"), std::string::npos);
}

TEST(CpusTest, ThreadsAreAsManyAsCoresOrFewer) {
  EXPECT_GE(DefaultThreads(), 1);
  EXPECT_LE(DefaultThreads(), static_cast<int>(std::thread::hardware_concurrency()));
}

}  // namespace
}  // namespace reprise
