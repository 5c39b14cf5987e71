#include "app/secret_file.h"

#include <fmt/format.h>

#include <fstream>
#include <sstream>

namespace reprise {

Result<std::string> ReadSecretFile(const std::string& path) {
  constexpr size_t kLeastSecret = 16;
  std::ostringstream content;
  if (std::ifstream file(path, std::ios::binary); !file || !(content << file.rdbuf())) {
    return Fail(ErrorCode::kInvalidArgument, fmt::format("cannot read {}", path));
  }
  Result<std::string> secret = content.str();
  secret->resize(secret->find_last_not_of("\r\n") + 1);
  if (secret->size() >= kLeastSecret) return secret;
  return Fail(ErrorCode::kInvalidArgument,
              fmt::format("the secret in {} is shorter than {} bytes; make one with: openssl rand "
                          "-hex 32 > {}",
                          path, kLeastSecret, path));
}

}  // namespace reprise
