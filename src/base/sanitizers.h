#pragma once

// Whether AddressSanitizer watches this build; gcc and clang each have their own way to say so.

#if defined(__SANITIZE_ADDRESS__)
#define REPRISE_ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define REPRISE_ADDRESS_SANITIZER 1
#endif
#endif
#ifndef REPRISE_ADDRESS_SANITIZER
#define REPRISE_ADDRESS_SANITIZER 0
#endif

namespace reprise {

inline constexpr bool kAddressSanitizer = REPRISE_ADDRESS_SANITIZER;

}  // namespace reprise
