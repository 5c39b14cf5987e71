#pragma once

#include <map>

#include "kernels/thread_pool.h"

namespace reprise {

// One for all tests that want as many threads.
inline ThreadPool& PoolOf(int threads) {
  static std::map<int, ThreadPool> pools;
  return pools.try_emplace(threads, threads).first->second;
}

}  // namespace reprise
