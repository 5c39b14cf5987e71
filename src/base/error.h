#pragma once

// What can fail in life returns Result<T>: a value, or an Error with a code for programs and a
// sentence for a person. A broken invariant is not an Error but a CHECK (check.h).
// Values; any thread.

#include <cstdint>
#include <expected>
#include <string>
#include <utility>

namespace reprise {

enum class ErrorCode : uint8_t {
  kInvalidArgument,        // what the caller sent cannot be understood or is out of range
  kContextLengthExceeded,  // the prompt is longer than the context or than the whole cache
  kNotFound,               // no such file, model or path
  kMethodNotAllowed,       // the path is there, but not for this method
  kUnsupported,            // understood, but this build cannot do it
  kTooLarge,               // over a limit of limits.h
  kHeaderTooLarge,         // the same of a request's header
  kUnsupportedMediaType,   // a body in another format or encoding
  kCorrupt,                // a file contradicts itself or its format
  kUnauthorized,           // a key is missing or wrong
  kForbidden,              // the key is right, but not an administrator's
  kForeignOrigin,          // a web page that was not allowed to use this server
  kOverloaded,             // a bounded queue or memory is full
  kCancelled,              // the client went away or the server is stopping
  kIo,                     // the operating system refused
  kInternal,               // our fault
};

struct Error {
  ErrorCode code = ErrorCode::kInternal;
  std::string message;  // one sentence, for a person
  std::string param;    // the field of a request at fault, or empty
};

template <typename T>
using Result = std::expected<T, Error>;
using Status = std::expected<void, Error>;

inline std::unexpected<Error> Fail(ErrorCode code, std::string message, std::string param = {}) {
  return std::unexpected(Error{code, std::move(message), std::move(param)});
}

}  // namespace reprise
