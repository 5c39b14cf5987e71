#pragma once

// Limits of what serves many machines: the stream of blocks, the router. As in base/limits.h, with
// what happens at each.

#include <cstddef>

namespace reprise::limits {

inline constexpr size_t kMaxReplicas = 64;  // of one router; more are refused at the start

// -- The router ----------------------------------------------------------------------------------
inline constexpr int kConnectTimeoutMs = 2000;   // to a replica; then another is asked
inline constexpr int kUpstreamProbeSeconds = 5;  // a silent replica's machine is asked so often …
inline constexpr int kUpstreamProbes = 3;        // … and is gone when it misses so many in a row
inline constexpr int kUpstreamIdleSeconds = 60;  // unused connections to replicas are closed
inline constexpr size_t kMaxIdleUpstreams = 64;  // of one replica; the oldest is closed
inline constexpr size_t kMaxRefusalBytes = 1u << 20;       // of a replica's refusal: cut there
inline constexpr int kHealthPauseMs = 1000;                // between two looks at a replica …
inline constexpr int kMaxHealthPauseMs = 4000;             // … and at a dead one, at most
inline constexpr int kHealthTimeoutMs = 3000;              // a look without an answer: missed
inline constexpr int kMissedLooks = 2;                     // so many in a row: it is dead
inline constexpr size_t kMaxPartialEventBytes = 1u << 20;  // of a stream: passed on unfinished

// -- What the router reads -----------------------------------------------------------------------
inline constexpr size_t kMostRoutedBlocks = 1u << 30;  // that --max-blocks may say
inline constexpr int kEventsSilenceMs = 5000;   // of a replica's events: they are begun anew …
inline constexpr int kEventsPauseMs = 500;      // … after a pause, twice as long each time …
inline constexpr int kMaxEventsPauseMs = 4000;  // … up to this
inline constexpr size_t kMaxFleetEventBytes = 64u << 20;  // of one event: begun anew
inline constexpr size_t kMaxRoutedResponses = 1u << 18;   // stored ones whose place is known
inline constexpr int kNamesPauseMs = 5000;                // between two questions to the DNS
inline constexpr int kNamesTimeoutMs = 4000;              // without an answer: it failed
inline constexpr size_t kMaxUsageBytes = 8192;  // of one usage in a reply; longer ones are not read
inline constexpr size_t kTextPieceBytes = 256;  // of text prefixes (--approximate)

// -- What a replica holds, told as it changes ----------------------------------------------------
inline constexpr size_t kMaxToldBlocks = 4096;  // of one event; more come in several
// Of shared stores, 40 MB of names; the earliest are forgotten.
inline constexpr size_t kMaxKnownBlocks = 1u << 20;
inline constexpr size_t kMaxFollowers = 16;  // of GET /cache/events: 429
// What waits for one of them, about seven million blocks' names, and as much again that is being
// sent. One that reads more slowly is cut, and begins anew with a snapshot.
inline constexpr size_t kMaxFollowerBacklogBytes = 64u << 20;
inline constexpr int kLoadPauseMs = 1000;  // between two tellings of the load …
inline constexpr int kLoadDelayMs = 50;    // … and when a request begins or ends

// -- Blocks told over ZeroMQ ---------------------------------------------------------------------
// Blocks of changes that wait to be published; beyond, they are dropped, and the difference is
// found by a snapshot.
inline constexpr size_t kMaxUnpublishedBlocks = 1u << 18;
inline constexpr size_t kMaxReplayBatches = 10'000;   // kept for readers that missed some …
inline constexpr size_t kMaxReplayBytes = 64u << 20;  // … and of at most so many bytes
inline constexpr int kMaxUnsentBatches = 100'000;     // of one slow reader; then it has a gap
inline constexpr int kMaxReaderMessageBytes = 1024;   // longer ones end their connection
inline constexpr int kPublisherLingerMs = 500;        // for what is under way when a server ends
inline constexpr int kMaxReplayRequestsAtOnce = 64;   // answered before changes are looked at again

}  // namespace reprise::limits
