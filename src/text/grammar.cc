#include "text/grammar.h"

#include <utility>
#include <vector>

#include "base/check.h"
#include "base/trace.h"
#include "text/bridge_call.h"

namespace reprise {
namespace {

class GrammarReply final : public TokenConstraint {
 public:
  explicit GrammarReply(RepriseReply* reply) : reply_(reply) {}
  ~GrammarReply() override { reprise_reply_free(reply_); }
  GrammarReply(const GrammarReply&) = delete;
  GrammarReply& operator=(const GrammarReply&) = delete;

  std::vector<TokenId> TakeForced() override {
    BridgeIds ids;
    BridgeText error;  // shows again in Mask()
    reprise_reply_take_forced(reply_, ids.out(), error.out());
    return {ids.begin(), ids.end()};
  }

  Result<std::span<const uint32_t>> Mask() override {
    TraceScope trace("mask");
    const uint32_t* words = nullptr;
    size_t count = 0;
    BridgeText error;
    if (!reprise_reply_mask(reply_, &words, &count, error.out())) return Failed(error);
    return std::span(words, count);
  }

  Status Accept(TokenId token) override {
    BridgeText error;
    if (!reprise_reply_accept(reply_, token, error.out())) return Failed(error);
    return {};
  }

  bool complete() const override { return reprise_reply_is_complete(reply_); }

 private:
  static std::unexpected<Error> Failed(const BridgeText& error) {
    return Fail(ErrorCode::kUnsupported, "The grammar cannot be followed further: " + error.str());
  }

  RepriseReply* reply_;
};

}  // namespace

struct Grammar::Handle {
  RepriseGrammar* grammar = nullptr;
  ~Handle() { reprise_grammar_free(grammar); }
};

Grammar::Grammar(std::unique_ptr<Handle> handle, std::string ignored)
    : handle_(std::move(handle)), ignored_(std::move(ignored)) {}

Grammar::~Grammar() = default;

std::unique_ptr<TokenConstraint> Grammar::Begin() const {
  BridgeText error;
  RepriseReply* reply = reprise_reply_begin(handle_->grammar, error.out());
  CHECK(reply != nullptr, "a grammar that was compiled can be begun");
  return std::make_unique<GrammarReply>(reply);
}

struct GrammarCompiler::Handle {
  std::shared_ptr<const Tokenizer> tokenizer;
  RepriseGrammarCompiler* compiler = nullptr;
  ~Handle() { reprise_grammar_compiler_free(compiler); }

  static void Encode(const void* tokenizer, RepriseView text, void* to) {
    const std::vector<TokenId> ids =
        static_cast<const Tokenizer*>(tokenizer)->Encode({text.data, text.size}, {});
    reprise_ids_append(to, ids.data(), ids.size());
  }
};

GrammarCompiler::GrammarCompiler(std::unique_ptr<Handle> handle) : handle_(std::move(handle)) {}

GrammarCompiler::~GrammarCompiler() = default;

Result<std::unique_ptr<GrammarCompiler>> GrammarCompiler::Create(
    std::shared_ptr<const Tokenizer> tokenizer) {
  const size_t count = tokenizer->vocabulary().tokens.size();
  std::vector<RepriseView> pieces;
  std::vector<TokenId> ends;
  const auto is_control = std::make_unique<bool[]>(count);
  for (size_t i = 0; i < count; ++i) {
    const auto token = static_cast<TokenId>(i);
    pieces.push_back(ViewOf(tokenizer->Piece(token)));
    is_control[i] = tokenizer->IsControl(token);
    if (tokenizer->IsEndOfGeneration(token)) ends.push_back(token);
  }
  const bool gives_back = tokenizer->vocabulary().model == "gpt2";
  const RepriseTokenConfig config = {
      .tokens = pieces.data(),
      .is_control = is_control.get(),
      .token_count = count,
      .ends = ends.data(),
      .end_count = ends.size(),
      .tokenizer = tokenizer.get(),
      .encode = gives_back ? Handle::Encode : nullptr,
  };
  auto handle = std::make_unique<Handle>();
  handle->tokenizer = std::move(tokenizer);
  BridgeText error;
  handle->compiler = reprise_grammar_compiler_create(&config, error.out());
  if (handle->compiler == nullptr) return Fail(ErrorCode::kUnsupported, error.str());
  return std::unique_ptr<GrammarCompiler>(new GrammarCompiler(std::move(handle)));
}

Result<std::shared_ptr<const Grammar>> GrammarCompiler::Compile(const GrammarSource& source) const {
  TraceScope trace("compile grammar");
  constexpr RepriseGrammarKind kKinds[] = {REPRISE_GRAMMAR_SCHEMA, REPRISE_GRAMMAR_LARK,
                                           REPRISE_GRAMMAR_REGEX};
  BridgeText ignored;
  BridgeText error;
  auto handle = std::make_unique<Grammar::Handle>();
  handle->grammar =
      reprise_grammar_compile(handle_->compiler, kKinds[static_cast<size_t>(source.kind)],
                              ViewOf(source.text), ignored.out(), error.out());
  if (handle->grammar == nullptr) return Fail(ErrorCode::kInvalidArgument, error.str());
  return std::shared_ptr<const Grammar>(new Grammar(std::move(handle), ignored.str()));
}

}  // namespace reprise
