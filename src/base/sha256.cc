#include "base/sha256.h"

#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/check.h"

namespace reprise {

struct Sha256Hasher::Context {
  EVP_MD_CTX* of = EVP_MD_CTX_new();
  ~Context() { EVP_MD_CTX_free(of); }
};

Sha256Hasher::Sha256Hasher() : context_(std::make_unique<Context>()) {
  CHECK(EVP_DigestInit_ex(context_->of, EVP_sha256(), nullptr) == 1, "OpenSSL has SHA-256");
}

Sha256Hasher::~Sha256Hasher() = default;

Sha256Hasher& Sha256Hasher::Add(std::span<const std::byte> bytes) {
  EVP_DigestUpdate(context_->of, bytes.data(), bytes.size());
  return *this;
}

Sha256Hasher& Sha256Hasher::Add(std::string_view text) {
  return Add(uint64_t{text.size()}).Add(std::as_bytes(std::span(text)));
}

Sha256Hasher& Sha256Hasher::Add(uint64_t value) {
  std::array<std::byte, 8> bytes;
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(value >> (8 * i));
  return Add(std::span<const std::byte>(bytes));
}

Sha256 Sha256Hasher::Finish() {
  Sha256 hash;
  EVP_DigestFinal_ex(context_->of, reinterpret_cast<unsigned char*>(hash.bytes.data()), nullptr);
  return hash;
}

Sha256 HmacSha256(std::string_view secret, std::span<const std::byte> message) {
  Sha256 code;
  unsigned size = 0;
  const bool done = HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
                         reinterpret_cast<const unsigned char*>(message.data()), message.size(),
                         reinterpret_cast<unsigned char*>(code.bytes.data()), &size) != nullptr;
  CHECK(done && size == code.bytes.size(), "OpenSSL has HMAC");
  return code;
}

bool SameInConstantTime(const Sha256& a, const Sha256& b) {
  return CRYPTO_memcmp(a.bytes.data(), b.bytes.data(), a.bytes.size()) == 0;
}

std::string Sha256::Hex() const {
  std::string text;
  for (const std::byte byte : bytes) text += fmt::format("{:02x}", static_cast<unsigned>(byte));
  return text;
}

}  // namespace reprise
