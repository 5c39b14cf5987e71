#pragma once

// A coding agent begins its system blocks with a line for its own accounting, part of which changes
// with every request: nothing behind it could ever be found in the cache again.

#include <string_view>

namespace reprise {

// Whether `block` is that line and nothing else:
//   x-anthropic-billing-header: cc_version=…; cc_entrypoint=…; cch=…;
// where each … is one or more characters, neither white space nor a semicolon. REQUIRES of the
// caller: it is the first system block; the same words anywhere else are the user's.
bool IsBillingLine(std::string_view block);

}  // namespace reprise
