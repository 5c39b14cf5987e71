#pragma once

// Base64 (RFC 4648, section 4), over OpenSSL. Pure; any thread.

#include <optional>
#include <string>
#include <string_view>

namespace reprise {

std::string EncodeBase64(std::string_view bytes);
// nullopt: it is none.
std::optional<std::string> DecodeBase64(std::string_view text);

}  // namespace reprise
