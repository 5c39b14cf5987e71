#pragma once

// What is said when requests hold all the memory that they may.

#include "base/error.h"

namespace reprise {

inline Error NoRequestMemory() {
  return {ErrorCode::kOverloaded,
          "The server holds as many requests as its memory for them allows (--request-memory).",
          ""};
}

}  // namespace reprise
