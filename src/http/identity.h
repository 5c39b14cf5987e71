#pragma once

// Who asks. A value, made from the key of a request before its body is read (authentication.h).

#include <string>

namespace reprise {

struct Identity {
  std::string tenant;  // "organisation/workspace"; empty when no keys are configured
  bool admin = true;   // may see and drop what is everybody's
};

}  // namespace reprise
