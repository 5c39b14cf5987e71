#pragma once

// Grammars over a model's tokens, through the crate llguidance (bridge/): a client's JSON schema,
// Lark grammar or regular expression becomes, before each token of a reply, the set of tokens that
// may come. Compiling is bounded in size and work, and so is each step.

#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"
#include "text/token_constraint.h"
#include "text/tokenizer.h"

namespace reprise {

struct GrammarSource {
  enum class Kind : uint8_t {
    kSchema,  // JSON schema, perhaps with llguidance's options in x-guidance
    kLark,    // https://github.com/guidance-ai/llguidance/blob/main/docs/syntax.md
    kRegex,
  };
  Kind kind = Kind::kSchema;
  std::string text;
};

// Compiled; immutable, any thread.
class Grammar {
 public:
  ~Grammar();
  Grammar(const Grammar&) = delete;
  Grammar& operator=(const Grammar&) = delete;

  // For one reply, at its beginning.
  std::unique_ptr<TokenConstraint> Begin() const;
  // What was left out of account; empty: nothing.
  const std::string& ignored() const { return ignored_; }

 private:
  friend class GrammarCompiler;
  struct Handle;
  Grammar(std::unique_ptr<Handle> handle, std::string ignored);

  std::unique_ptr<Handle> handle_;
  std::string ignored_;
};

// One a model; any thread.
class GrammarCompiler {
 public:
  // kUnsupported for a vocabulary without a token that ends a reply.
  static Result<std::unique_ptr<GrammarCompiler>> Create(
      std::shared_ptr<const Tokenizer> tokenizer);
  ~GrammarCompiler();

  // kInvalidArgument with the reason and, where the compiler tells it, the place.
  Result<std::shared_ptr<const Grammar>> Compile(const GrammarSource& source) const;

 private:
  struct Handle;
  explicit GrammarCompiler(std::unique_ptr<Handle> handle);

  std::unique_ptr<Handle> handle_;
};

}  // namespace reprise
