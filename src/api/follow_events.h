#pragma once

// The events of GET /cache/events, each whole, in the form of a stream (docs/api.md). Pure; any
// thread.

#include <cstddef>
#include <cstdint>
#include <string>

#include "engine/engine.h"
#include "prompt/reply_memory.h"
#include "tiers/block_changes.h"

namespace reprise {

class Service;

// `process`: of this run of the server.
std::string HelloEvent(const Service& service, uint64_t process);
std::string BlocksEvent(const BlockChanges& changes, size_t block_tokens);
std::string LoadEvent(const EngineStats& stats);
std::string ReplyEvent(const std::string& tenant, const WrittenReply& reply);
std::string DrainingEvent();

}  // namespace reprise
