// libFuzzer over the HTTP reader: the first byte says in what steps the rest arrives. Whatever it
// is, it ends in a request or an error, the same request in every step size, and what is kept
// meanwhile is bounded.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/limits.h"
#include "http/request_parser.h"

namespace {

// The request that comes of `bytes`, as a text to be compared; empty where none does. (Of half a
// header an error may be known or not yet, with the steps.)
std::string Outcome(std::string_view bytes, size_t step) {
  std::string inbox;
  reprise::RequestParser parser;
  for (;;) {
    const size_t used = parser.Put(inbox);
    if (used > inbox.size()) abort();
    inbox.erase(0, used);
    if (inbox.size() >= reprise::limits::kMaxHeaderBytes + step && !parser.error()) abort();
    if (parser.error()) {
      if (parser.error()->message.empty()) abort();
      return "";
    }
    if (parser.done()) {
      const reprise::HttpRequest request = parser.Take();
      return request.method + " " + request.host + " " + request.path + "?" + request.query + " " +
             request.body;
    }
    if (used > 0 && !inbox.empty()) continue;
    if (bytes.empty()) return "";
    inbox += bytes.substr(0, step);
    bytes.remove_prefix(std::min(step, bytes.size()));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::string whole = Outcome(bytes, bytes.size() + 1);
  if (Outcome(bytes, data[0] % 64 + 1) != whole) abort();
  return 0;
}
