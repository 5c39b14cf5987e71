#pragma once

// CHECK(condition, "invariant, as a sentence"): a broken invariant is a programmer's error and ends
// the process with file and line. Always on. DCHECK only without NDEBUG.

#include <cstdio>
#include <cstdlib>

namespace reprise::internal {

[[noreturn]] inline void CheckFailed(const char* file, int line, const char* condition,
                                     const char* invariant) {
  std::fprintf(stderr, "%s:%d: broken invariant: %s (%s)\n", file, line, invariant, condition);
  std::abort();
}

}  // namespace reprise::internal

#define CHECK(condition, invariant)                                                \
  do {                                                                             \
    if (!(condition)) [[unlikely]]                                                 \
      ::reprise::internal::CheckFailed(__FILE__, __LINE__, #condition, invariant); \
  } while (false)

#ifdef NDEBUG
#define DCHECK(condition, invariant) \
  do {                               \
  } while (false)
#else
#define DCHECK(condition, invariant) CHECK(condition, invariant)
#endif
