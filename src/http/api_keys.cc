#include "http/api_keys.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>

#include "base/log.h"

namespace reprise {
namespace {

using Parts = std::vector<std::string_view>;

bool IsPrintable(char c) { return c > ' ' && c <= '~'; }

Parts SplitLine(std::string_view line) {
  constexpr std::string_view kSpace = " \t\r";
  Parts parts;
  for (size_t begin = line.find_first_not_of(kSpace); begin != line.npos && line[begin] != '#';
       begin = line.find_first_not_of(kSpace, begin)) {
    const size_t end = std::min(line.find_first_of(kSpace, begin), line.size());
    parts.push_back(line.substr(begin, end - begin));
    begin = end;
  }
  return parts;
}

// What is wrong with the name of a tenant; empty when nothing is.
std::string FaultOfTenant(std::string_view tenant) {
  if (tenant.size() > limits::kMaxTenantBytes) {
    return fmt::format("the tenant is longer than {} bytes", limits::kMaxTenantBytes);
  }
  if (!std::ranges::all_of(tenant, IsPrintable)) {
    return "the tenant holds a byte that is not printable ASCII";
  }
  const size_t slash = tenant.find('/');
  if (slash == tenant.npos || slash == 0 || slash + 1 == tenant.size() ||
      tenant.find('/', slash + 1) != tenant.npos) {
    return "the second part is not ORGANISATION/WORKSPACE";
  }
  return {};
}

// What is wrong with a line that holds something.
std::string FaultOfLine(const Parts& parts) {
  if (parts.size() < 2 || parts.size() > 3) {
    return fmt::format("a line is KEY ORGANISATION/WORKSPACE [admin], but this one has {} part{}",
                       parts.size(), parts.size() == 1 ? "" : "s");
  }
  if (parts[0].size() > limits::kMaxApiKeyBytes) {
    return fmt::format("the key is longer than {} bytes", limits::kMaxApiKeyBytes);
  }
  if (!std::ranges::all_of(parts[0], IsPrintable)) {
    return "the key holds a byte that is not printable ASCII";
  }
  if (std::string fault = FaultOfTenant(parts[1]); !fault.empty()) return fault;
  if (parts.size() == 3 && parts[2] != "admin") {
    return "the third part can only be the word admin";
  }
  return {};
}

std::unexpected<Error> SystemFault(const std::string& file, int error) {
  return Fail(error == ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo,
              fmt::format("cannot read the keys in {}: {}", file, std::strerror(error)));
}

}  // namespace

ApiKeys::Bytes ApiKeys::Padded(std::string_view key) {
  Bytes bytes = {};
  std::ranges::copy(key, bytes.begin());
  return bytes;
}

Result<ApiKeys> ApiKeys::Parse(std::string_view text, std::string_view file) {
  ApiKeys keys;
  size_t number = 0;
  const auto fail = [&](std::string_view fault) {
    return Fail(ErrorCode::kInvalidArgument, fmt::format("{}:{}: {}", file, number, fault));
  };
  while (!text.empty()) {
    ++number;
    const size_t end = text.find('\n');
    const Parts parts = SplitLine(text.substr(0, end));
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
    if (parts.empty()) continue;
    if (const std::string fault = FaultOfLine(parts); !fault.empty()) return fail(fault);
    if (const Entry* same = keys.FindEntry(parts[0])) {
      return fail(fmt::format("the key is that of line {} again", same->line));
    }
    if (keys.size() == limits::kMaxApiKeys) {
      return fail(fmt::format("this is one more than {} keys", limits::kMaxApiKeys));
    }
    keys.entries_.push_back({Padded(parts[0]), {std::string(parts[1]), parts.size() == 3}, number});
  }
  if (keys.size() == 0) {
    return Fail(ErrorCode::kInvalidArgument,
                fmt::format("{}: there is no key in it, so nobody could be answered", file));
  }
  return keys;
}

Result<ApiKeys> ApiKeys::Read(const std::string& file) {
  struct stat status = {};
  if (stat(file.c_str(), &status) != 0) return SystemFault(file, errno);
  if (S_ISDIR(status.st_mode)) return SystemFault(file, EISDIR);
  std::ifstream stream(file, std::ios::binary);
  if (!stream) return SystemFault(file, errno);
  std::string text(limits::kMaxApiKeyFileBytes + 1, '\0');
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (stream.bad()) return SystemFault(file, EIO);
  text.resize(static_cast<size_t>(stream.gcount()));
  if (text.size() > limits::kMaxApiKeyFileBytes) {
    return Fail(ErrorCode::kTooLarge, fmt::format("{}: a file of keys is {} bytes at most", file,
                                                  limits::kMaxApiKeyFileBytes));
  }
  Result<ApiKeys> keys = Parse(text, file);
  if (keys && (status.st_mode & S_IROTH) != 0) {
    LogWarning("every user of this machine can read the keys in {}; chmod o-r mends that", file);
  }
  return keys;
}

const ApiKeys::Entry* ApiKeys::FindEntry(std::string_view key) const {
  // No key is empty, holds a NUL or is longer, so these are nobody's.
  if (key.empty() || key.size() > limits::kMaxApiKeyBytes || key.find('\0') != key.npos) {
    return nullptr;
  }
  const Bytes wanted = Padded(key);
  const Entry* found = nullptr;
  for (const Entry& entry : entries_) {
    int difference = 0;
    for (size_t i = 0; i < wanted.size(); ++i) difference |= wanted[i] ^ entry.key[i];
    found = difference == 0 ? &entry : found;
  }
  return found;
}

std::optional<Identity> ApiKeys::Find(std::string_view key) const {
  const Entry* entry = FindEntry(key);
  if (entry == nullptr) return std::nullopt;
  return entry->identity;
}

}  // namespace reprise
