#pragma once

// Every limit of the server, and what happens there. No other file holds a limit of its own.

#include <cstddef>
#include <cstdint>

namespace reprise::limits {

// -- HTTP ------------------------------------------------------------------------------------
inline constexpr size_t kMaxBodyBytes = 32u << 20;    // 413
inline constexpr size_t kMaxHeaderBytes = 64u << 10;  // also of chunks; 431, connection closed
inline constexpr int kHeaderTimeoutSeconds = 30;      // connection closed (slow or half a request)
inline constexpr int kBodyTimeoutSeconds = 120;       // connection closed …
inline constexpr int kReadTimeoutSeconds = 10;        // … or when so long brings less than a pace
inline constexpr int kIdleTimeoutSeconds = 75;        // keep-alive connection closed
inline constexpr int kWriteTimeoutSeconds = 60;       // client reads less than a pace: cancelled
inline constexpr size_t kPaceBytes = 64u << 10;  // a whole reply: that time and a pace a second
inline constexpr int kLingerSeconds = 5;         // unread input is drained so long, then reset
inline constexpr size_t kMaxLingerBytes = 64u << 20;  // … or so much
inline constexpr int kStopFlushMs = 1000;  // at the end, for the last words to those still there
inline constexpr int kStreamPingSeconds = 10;       // silence on a stream: a comment is sent
inline constexpr int kSendBufferBytes = 256 << 10;  // of the kernel, a connection
inline constexpr size_t kLoggedPathBytes = 200;     // cut there
inline constexpr size_t kMaxConnections = 4096;     // 503 and closed, as without a file for it
inline constexpr size_t kOtherFiles = 256;          // a process may have open besides connections
inline constexpr int kAcceptWarningSeconds = 10;    // of that the log says something so often
inline constexpr size_t kMaxStreamBacklogBytes = 4u << 20;  // client does not read: cancelled

// -- Memory for requests (429 or 529, Retry-After 1) --------------------------------------------
inline constexpr size_t kMinRequestMemory = 256u << 20;  // of the default for --request-memory
inline constexpr size_t kMaxRequestMemory = size_t{4} << 30;
inline constexpr int kKeptMemoryBytes =
    4 << 20;  // free, and not given back, in each of malloc's arenas
inline constexpr size_t kUncountedReplyBytes = 64u << 10;  // of a reply: room for all who read
inline constexpr size_t kWorkBytesPerBodyByte = 5;  // while it is read, rendered and tokenised

// -- Work on bodies -----------------------------------------------------------------------------
inline constexpr size_t kShortWorkBytes = 64u << 10;  // up to here it has a thread of its own
inline constexpr int kMaxLongWorkers = 8;
inline constexpr size_t kMaxTextToolBytes = 4u << 20;    // body of /tokenize and the like: 413
inline constexpr size_t kMaxTextToolContent = 1u << 20;  // its text: 413
inline constexpr size_t kMaxTextToolTokens = 1u << 18;   // 400

// -- Requests (400 naming the field) ----------------------------------------------------------
inline constexpr size_t kMaxJsonDepth = 64;
inline constexpr size_t kMaxJsonNumberBytes = 512;  // in a call that a model writes
inline constexpr size_t kMaxMessages = 100'000;
inline constexpr size_t kMaxStopStrings = 16;  // OpenAI allows 4; agents send more
inline constexpr size_t kMaxStopStringBytes = 1024;
inline constexpr int kMaxTopLogprobs = 20;
inline constexpr int kMaxChoices = 16;  // n
inline constexpr size_t kMaxLogitBias = 4096;
inline constexpr size_t kMaxEmbeddingInputs = 2048;  // of one request, as OpenAI has it

// -- Replies that called tools --------------------------------------------------------------------
inline constexpr size_t kReplyMemoryBytes = 64u << 20;  // as they were written; oldest dropped

inline constexpr size_t kResponseStoreBytes = 64u << 20;  // oldest dropped

// -- Grammars and schemas (400) -----------------------------------------------------------------
inline constexpr size_t kMaxGrammarBytes = 32u << 10;  // of Lark, GBNF or a regular expression
inline constexpr size_t kMaxFormBytes = 512u << 10;    // of schemas, with what forces calls

// -- Keys (a clear error that names the line; at a reload the keys before stay) ----------------
inline constexpr size_t kMaxApiKeys = 1024;
inline constexpr size_t kMaxApiKeyBytes = 256;
inline constexpr size_t kMaxTenantBytes = 128;  // organisation/workspace
inline constexpr size_t kMaxApiKeyFileBytes = 1u << 20;

// -- Engine ------------------------------------------------------------------------------------
inline constexpr size_t kMaxQueuedRequests = 4096;    // 429 / overloaded, Retry-After 1
inline constexpr size_t kMaxQueuedBackground = 64;    // further fills in the background are dropped
inline constexpr size_t kMaxRunningSequences = 256;   // further ones wait
inline constexpr size_t kPromptEndBytes = 32u << 20;  // logits of prompts' ends; oldest dropped
inline constexpr size_t kMaxForcedRows = 64;          // more tokens without a choice: like a prompt
inline constexpr size_t kMaxGuessedRows = 64;         // of a step; guesses end there
inline constexpr size_t kEmbeddingBytes =
    32u << 20;                                // of embeddings, with their prompts; oldest dropped
inline constexpr size_t kMaxStepRows = 1024;  // rows of one batch; further ones wait a step

// -- Cache -------------------------------------------------------------------------------------
// Dropped blocks whose fate is remembered, to explain misses; the oldest are forgotten. With their
// tokens and two entries of an index they take about 260 bytes each: 8 MiB.
inline constexpr size_t kMaxRememberedLosses = 1u << 15;

// -- History of requests, to explain misses ------------------------------------------------------
inline constexpr size_t kMaxHistory = 100'000;         // --history, of one tenant
inline constexpr size_t kMaxHistoryBytes = 64u << 20;  // the oldest of who holds most goes first
inline constexpr size_t kExcerptCharacters = 80;       // shown of each prompt where two part …
inline constexpr size_t kExcerptLead = 24;             // … of those, before the place
inline constexpr size_t kMaxShownParts = 1000;         // of a prompt; further ones are counted
inline constexpr size_t kMaxShownTokens = 131'072;     // as text in a reply; more by asking anew
inline constexpr size_t kMaxShownRequests = 1000;      // of the list, newest first
inline constexpr size_t kMaxCostedRequests = 1000;     // played by vendors' rules: the newest …
inline constexpr size_t kMaxCostedTokens = 4u << 20;   // … as far as their prompts have so many
inline constexpr size_t kMissLogTokens = 256;          // computed: from here on a line says why

// -- Who watches (GET /cache/watch) --------------------------------------------------------------
inline constexpr size_t kMaxWatchers = 64;                    // 429
inline constexpr int kWatchDelayMs = 100;                     // changes within it are told once
inline constexpr size_t kMaxWatchedRequestBytes = 16u << 10;  // a longer entry is not told

// -- Files (exit code 2, a sentence) -----------------------------------------------------------
inline constexpr uint64_t kMaxGgufTensors = 1u << 16;
inline constexpr uint64_t kMaxGgufMetadata = 1u << 16;
inline constexpr uint64_t kMaxGgufStringBytes = 64u << 20;
inline constexpr uint64_t kMaxGgufNameBytes = 65'535;  // names of keys and tensors
inline constexpr int64_t kMaxGgufAlignment = 1 << 20;
inline constexpr int64_t kMaxGgufParts = 1024;  // files of one model
inline constexpr uint64_t kMaxGgufArrayElements = 1u << 24;
inline constexpr int64_t kMaxVocabulary = 1 << 20;
inline constexpr int64_t kMaxContext = 1 << 20;
inline constexpr int64_t kMaxLayers = 1024;
inline constexpr int64_t kMaxHeads = 4096;
inline constexpr int64_t kMaxExperts = 4096;
inline constexpr int64_t kMaxHeadDimension = 1024;
inline constexpr int64_t kMaxFeatures =
    1 << 20;  // of any activation: hidden, feed-forward, all heads

// -- The hub of models (exit code 2, a sentence) -----------------------------------------------
inline constexpr int kHubConnectSeconds = 15;  // tried again …
inline constexpr int kHubStallSeconds = 30;    // … as after so long without a byte …
inline constexpr int kHubAttempts = 5;         // … until so many in a row have brought nothing
inline constexpr int kMaxHubRedirects = 8;
inline constexpr size_t kMaxHubListingBytes = 32u << 20;

// -- Text ---------------------------------------------------------------------------------------
inline constexpr size_t kTokenMemoBytes = 64u << 20;     // remembered segments; oldest dropped
inline constexpr size_t kMaxTemplateBytes = 128u << 10;  // the longest known have about 30 KB
// Work of one rendering: each instruction counts, and each 64 bytes written; so a short prompt's
// may hold 128 MB and the longest 1.3 GB. An agent's 100,000 messages (4 MB) need about 10 million.
inline constexpr uint64_t kTemplateFuel = 2'000'000;
inline constexpr uint64_t kTemplateFuelPerContextByte = 8;
inline constexpr uint64_t kMaxTemplateFuel = 20'000'000;
inline constexpr size_t kTemplateDepth = 200;  // nested calls of macros, nested values
// Of the thread that compiles or renders. Source that nests with each of its bytes takes half of
// it; small stacks are kept by glibc for the next thread, which makes a rendering 0.1 ms shorter.
inline constexpr size_t kTemplateStackBytes = 8u << 20;
inline constexpr size_t kTemplateStackPerSourceByte = 2u << 10;
inline constexpr uint64_t kTemplateSeconds = 20;  // as the last resort; 100,000 messages take 1 s

// -- The cache on disk ----------------------------------------------------------------------------
inline constexpr size_t kTierQueueBytes = 64u << 20;  // that wait to be written: more is dropped
inline constexpr size_t kMaxTierItems = 4096;         // the same of notes that blocks were used
inline constexpr size_t kMaxGoneBlocks = 16384;       // of which it is remembered why they are gone

// -- The pages of the prefix tree -----------------------------------------------------------------
inline constexpr size_t kShownTreeNodes = 5000;       // unless asked otherwise; others are counted
inline constexpr size_t kMaxShownTreeNodes = 20'000;  // in any case
// Copying the largest tree that is shown takes the engine's thread 9 ms (bench/cache).
inline constexpr int kTreePauseMs = 100;     // between two of a tenant
inline constexpr int kTreeWaitSeconds = 10;  // that one waits for its turn at most, then a 429
inline constexpr size_t kMaxShownNodeTokens = 4096;   // of one node's text
inline constexpr size_t kMaxNamedTokens = 1'000'000;  // of prompts, to name nodes: 20 ms

}  // namespace reprise::limits
