#pragma once

// A decoder-only transformer read from a GGUF file: architecture as data, weights packed for the
// chosen Operations, and one forward pass over a batch of sequences with paged K and V.
// Knows nothing of text, caching or scheduling: blocks are addresses.
//
// Owned by the engine thread after Load; configuration accessors from any thread.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "base/error.h"
#include "base/ids.h"
#include "base/sha256.h"
#include "kernels/kv_layout.h"
#include "kernels/operations.h"
#include "model/gguf.h"
#include "model/model_config.h"

namespace reprise {

// One step's work. rows = tokens.size(); sequences cover the rows in order and without gaps.
struct Batch {
  std::span<const TokenId> tokens;  // [rows]
  std::span<const SequenceSpan> sequences;
  std::span<const int> logit_rows;  // rows whose logits are wanted, ascending
  // Rows whose hidden states behind the last norm are wanted, ascending.
  std::span<const int> hidden_rows = {};
};

// Where the K and V of a model's tokens lie.
KvLayout KvLayoutOf(const ModelConfig& config, int block_tokens, KvEncoding encoding);

class Model {
 public:
  struct Options {
    Isa isa = Isa::kPlain;
    Compute compute = Compute::kFast;
    int threads = 0;  // ≤ 0: DefaultThreads()
    int block_tokens = 32;
    int context = 0;  // that will be served; 0: as many as it was trained for
    std::function<void(double fraction)> progress;  // 0..1, while packing; may be empty
  };

  // What the file's keys say, before any weight is read: `vocabulary` stays 0. Errors as Load's.
  static Result<ModelConfig> ReadConfig(const GgufFile& file);

  // Errors: kUnsupported (architecture, tensor type), kCorrupt (missing tensor, wrong shape).
  static Result<std::unique_ptr<Model>> Load(const GgufFile& file, const Options& options);
  virtual ~Model() = default;

  virtual const ModelConfig& config() const = 0;
  virtual const KvLayout& kv_layout() const = 0;
  virtual size_t weight_bytes() const = 0;  // resident, packed
  // Of one sequence's recurrent layers (SequenceSpan::state), whatever its length; 0: there are
  // none. Bits depend on the tokens before it only, not on how they were cut into batches.
  virtual size_t state_bytes() const { return config().state_bytes; }

  // Computes K and V of every row into the sequences' blocks,
  // logits[logit_rows.size(), vocabulary] and hidden[hidden_rows.size(), hidden]. REQUIRES: tokens
  // within the vocabulary; K and V of all earlier positions of each sequence present in its blocks,
  // and with state_bytes() > 0 each sequence's state the one behind them.
  virtual void Forward(const Batch& batch, float* logits, float* hidden) = 0;
  void Forward(const Batch& batch, float* logits) { Forward(batch, logits, nullptr); }

  // Who its K and V are, given the SHA-256 of its content; see kv_identity.h.
  virtual Sha256 kv_identity(const Sha256& content) const = 0;
};

}  // namespace reprise
