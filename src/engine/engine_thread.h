#pragma once

// The engine's one implementation: a thread, its mailbox, and the steps it runs. Declared apart
// from engine.h because its definition is in two files: engine.cc has the mailbox and what comes
// through it, engine_step.cc a step. Internal to this folder.

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "engine/block_journal.h"
#include "engine/engine.h"
#include "engine/memory_plan.h"
#include "engine/prompt_ends.h"
#include "engine/scheduler.h"

namespace reprise {

class EngineThread final : public Engine {
 public:
  struct Arenas {
    std::unique_ptr<BlockPool> blocks;
    std::unique_ptr<BlockPool> states;  // nullptr: the model has none
  };

  EngineThread(std::unique_ptr<Model> model, std::shared_ptr<const Tokenizer> tokenizer,
               const Clock* clock, EngineOptions options, const MemoryPlan& plan, Arenas arenas,
               EngineTiers below);
  ~EngineThread() override;

  SequenceId Submit(GenerationRequest request, EventSink sink) override;
  void Cancel(SequenceId id) override;
  void Flush(std::function<void(Result<size_t>)> done) override;
  void TakeSnapshot(std::function<void(EngineSnapshot)> done) override;
  void DescribeTree(TreeQuery query, std::function<void(TreeView)> done) override {
    Post(DescribeMessage{std::move(query), std::move(done)});
  }
  void DropTreeNode(TreeNodeId id, std::function<void(std::optional<TreeDrop>)> done) override {
    Post(DropMessage{id, std::move(done)});
  }
  void KeepTreeNode(TreeNodeId id, Duration ttl,
                    std::function<void(std::optional<TreeKeep>)> done) override {
    Post(KeepMessage{id, ttl, std::move(done)});
  }
  void WatchBlocks(BlockView view, BlockSink sink) override {
    Post(WatchMessage{view, std::move(sink)});
  }
  void Wake() override { Post(WakeMessage{}); }
  EngineStats stats() const override;
  const ModelConfig& model_config() const override { return model_->config(); }
  Sha256 block_identity() const override { return journal_.identity(); }
  int max_sequence_tokens() const override { return max_sequence_tokens_; }

 private:
  struct SubmitMessage {
    SequenceId id;
    GenerationRequest request;
    EventSink sink;
    TimePoint submitted;
    std::optional<Error> refused;
  };
  struct CancelMessage {
    SequenceId id;
  };
  struct FlushMessage {
    std::function<void(Result<size_t>)> done;
  };
  struct SnapshotMessage {
    std::function<void(EngineSnapshot)> done;
  };
  struct DescribeMessage {
    TreeQuery query;
    std::function<void(TreeView)> done;
  };
  struct DropMessage {
    TreeNodeId id;
    std::function<void(std::optional<TreeDrop>)> done;
  };
  struct KeepMessage {
    TreeNodeId id;
    Duration ttl;
    std::function<void(std::optional<TreeKeep>)> done;
  };
  struct WatchMessage {
    BlockView view;
    BlockSink sink;
  };
  struct WakeMessage {};
  using Message =
      std::variant<SubmitMessage, CancelMessage, FlushMessage, SnapshotMessage, DescribeMessage,
                   DropMessage, KeepMessage, WatchMessage, WakeMessage>;

  void Post(Message message);
  void Run();
  std::deque<Message> TakeMessages();
  void Receive(SubmitMessage message);
  void Receive(CancelMessage message);
  void Receive(FlushMessage message);
  void Receive(SnapshotMessage message);
  void Receive(DescribeMessage message);
  void Receive(DropMessage message);
  void Receive(KeepMessage message);
  void Receive(WatchMessage message);
  void Receive(WakeMessage) {}  // Run goes on to look at the clock
  std::optional<Error> Refuse(const GenerationRequest& request) const;
  void CountAdmitted(const Sequence& sequence);
  void CountEnded(const GenerationRequest& request);

  void Admit();
  void Step();
  // The embedding of a prompt that came before, if it is remembered.
  bool AnswerEmbedding(SubmitMessage& message);
  // Adds the hidden states of a step to the sums of those that want them.
  void Pool(const std::vector<Scheduler::Share>& plan);
  // The embedding of a sequence whose prompt is computed, of length 1.
  std::vector<float> EmbeddingOf(const Sequence& sequence);
  // Runs the model over the plan; the rows of logits_ are those of the shares that want logits, in
  // order: 1 and one for each guess.
  void ForwardPlan(const std::vector<Scheduler::Share>& plan);
  // Samples one token, with those that follow it in any case, and sets the sequence's ending when
  // one was the last.
  void Continue(Sequence& sequence, std::span<const float> logits);
  // The same behind a share's tokens, and then behind each guess as long as they come true: row i
  // of `logits` is the one behind i guesses.
  void Verify(const Scheduler::Share& share, std::span<const float> logits);
  // nullopt, with the ending set: there is none.
  std::optional<TokenId> ChooseToken(Sequence& sequence, std::span<const float> logits);
  // Adds a token to the reply, and what text it makes certain to `text`.
  void AddToken(Sequence& sequence, TokenId token, std::string& text);
  // Takes an ended sequence out and reports its ending.
  void Finish(SequenceId id);
  void FinishSatisfied();
  void BeginWhollyRead();  // prompts that need no forward pass
  void Count();            // what cache and scheduler say into counters_
  void Publish();          // statistics

  std::unique_ptr<Model> model_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  const Clock* clock_;
  EngineOptions options_;
  std::unique_ptr<BlockPool> pool_;
  std::unique_ptr<BlockPool> states_;
  int max_sequence_tokens_;
  BlockJournal journal_;
  PrefixCache cache_;
  PromptEnds ends_;
  PromptEnds embeddings_;  // in the same way: vectors of prompts, by how they were pooled
  // End with the thread: theirs post to the mailbox.
  std::vector<std::unique_ptr<BlockTier>> tiers_;
  Scheduler scheduler_;

  bool idles_ = false;  // the last step had nothing to compute

  // Scratch of a step.
  std::vector<TokenId> batch_tokens_;
  std::vector<SequenceSpan> batch_spans_;
  std::vector<int> logit_rows_;
  std::vector<float> logits_;
  std::vector<int> hidden_rows_;
  std::vector<float> hidden_;

  EngineStats counters_;
  // One for each tenant that ever asked: as many as the operator ever gave keys to.
  std::map<std::string, TenantStats> tenants_;

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Message> mailbox_;  // guarded by mutex_
  EngineStats snapshot_;         // guarded by mutex_
  bool stopping_ = false;        // guarded by mutex_

  std::atomic<uint64_t> next_id_{1};
  std::atomic<size_t> outstanding_{0};             // submitted and not yet ended
  std::atomic<size_t> outstanding_background_{0};  // of those, in the background
  std::thread thread_;
};

}  // namespace reprise
