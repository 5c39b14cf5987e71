#pragma once

// A request's prompt as a replica will compute it: read, rendered and tokenised by the replicas'
// own code (vendor/wire_endpoint.h), and named block by block as they name theirs. What the reader
// cannot know of a replica by the model's file alone, the replica's hello tells (ReplicaTerms).
//
// It equals the replica's prompt token for token, as long as the tenant is known (--api-keys) and
// the replica has written or is told the same replies (prompt/reply_memory.h). Where it does not,
// the request goes to a worse place, and nothing else: no bit of a reply depends on it.
//
// Nothing is checked that only the reply depends on: no grammar is compiled. Read: any thread. The
// rest: one thread.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/block_name.h"
#include "base/error.h"
#include "base/sha256.h"
#include "prompt/reply_memory.h"
#include "vendor/served_model.h"
#include "vendor/wire_endpoint.h"

namespace reprise {

// What of a replica's settings has a say in its prompts.
struct ReplicaTerms {
  int context = 0;  // longest prompt and reply together
  bool cache_key_isolates = false;
  bool drop_billing_line = true;
  size_t cache_minimum_tokens = 0;

  bool operator==(const ReplicaTerms&) const = default;
};

// What, beside a prompt and its scope, a replica's names depend on.
struct ChainBasis {
  Sha256 identity;
  size_t block_tokens = 32;

  bool operator==(const ChainBasis&) const = default;
};

struct RoutedPrompt {
  // What it would be under each of the bases; of several prompts in a body, of the longest.
  struct Chain {
    ChainBasis basis;
    std::vector<BlockName> names;  // of its full blocks; none where the cache is not to be used
  };
  std::string scope;
  std::vector<TokenId> tokens;  // none where only texts are known (--approximate)
  size_t token_count = 0;       // of all prompts in the body; estimated where only texts are known
  std::vector<Chain> chains;
  size_t marked_tokens = 0;                      // up to the last mark
  std::optional<std::string> previous_response;  // it goes on from it: nothing else is known then
};

// How a request names the response that it goes on from (OpenAI's Responses API); none: it doesn't.
std::optional<std::string> PreviousResponseOf(const WireEndpoint& endpoint, std::string_view body);

class PromptReader {
 public:
  // `model`: as DescribeText makes it.
  explicit PromptReader(ServedModel model);

  // As the endpoint refuses a body. A request that goes on from a stored response is read no
  // further than that.
  Result<RoutedPrompt> Read(const WireEndpoint& endpoint, std::string_view body,
                            const std::string& tenant, const std::vector<ChainBasis>& bases) const;

  void SetTerms(const ReplicaTerms& terms);
  // As it reads now; thread-safe.
  std::shared_ptr<const ServedModel> model() const;
  // What replicas have told of replies; thread-safe.
  ReplyMemory& replies() const { return *replies_; }

 private:
  const std::shared_ptr<ReplyMemory> replies_;
  mutable std::mutex mutex_;
  std::shared_ptr<const ServedModel> model_;  // guarded by mutex_; replaced, never changed
};

}  // namespace reprise
