#pragma once

// What other engines than ours probably hold, guessed without a model (--approximate): a request's
// text in the order in which templates write it, cut into pieces of limits::kTextPieceBytes, each
// named by a hash of all text up to its end. A replica that answered a request is taken to hold its
// pieces, until it shows otherwise: when the usage of a reply says that less was read than it was
// thought to hold, what it used no later than the pieces that were gone is gone too, since engines
// drop what was used least recently. Beyond a bound the least recently used is forgotten.
//
// What is held is kept in Holdings as if it were blocks in memory. I/O thread only, but
// ReadTextPrompt: any thread.

#include <cstddef>
#include <cstdint>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/block_name.h"
#include "base/error.h"
#include "base/fleet_limits.h"
#include "fleet/holdings.h"
#include "router/prompt_reader.h"
#include "router/usage_reader.h"

namespace reprise {

// The body as one chain under a basis of its own. kInvalidArgument: it is not a JSON object.
Result<RoutedPrompt> ReadTextPrompt(const WireEndpoint& endpoint, std::string_view body,
                                    const std::string& tenant);

class TextPrefixes {
 public:
  // At most `max_pieces` of one replica. `holdings` outlives it.
  TextPrefixes(Holdings& holdings, size_t max_pieces);

  // The replica has answered: it holds the whole prompt now.
  void NoteAnswered(size_t replica, const std::vector<BlockName>& chain);
  // What the reply said of it, where the replica was thought to hold `reach` pieces before. After
  // NoteAnswered.
  void NoteUsage(size_t replica, const std::vector<BlockName>& chain, size_t reach,
                 const PromptUsage& usage);
  // The replica is gone, or begins anew.
  void Forget(size_t replica);

 private:
  struct Piece {
    BlockName name = 0;
    uint64_t used = 0;    // when last: uses are numbered
    uint64_t before = 0;  // when the time before
  };
  struct Recency {
    std::list<Piece> order;  // least recently used first
    std::unordered_map<BlockName, std::list<Piece>::iterator> at;
  };
  void DropOldest(size_t replica);

  Holdings& holdings_;
  const size_t max_pieces_;
  uint64_t uses_ = 0;
  std::vector<Recency> replicas_;  // by number
};

}  // namespace reprise
