// For test_reference.py: runs a model on token ids and shows its logits, so that another program
// can hold them against its own.
//
//   dump_logits MODEL COMPUTE ISA STEPS OUTPUT  < one prompt of token ids a line
//
// All prompts run side by side; each is continued with its STEPS likeliest tokens. Prints these, a
// line per prompt. OUTPUT gets f32 logits: for each prompt, for each of its tokens and of those it
// was continued with, [vocabulary].

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "model/gguf.h"
#include "model/model.h"
#include "test_sequence.h"

namespace reprise {
namespace {

constexpr int kPrefillRows = 256;

struct Prompt {
  std::vector<TokenId> tokens;  // and the continuation
  size_t prompt_tokens = 0;
  size_t fed = 0;
  TestSequence sequence;
  std::vector<float> logits;
};

template <typename T>
T OrDie(Result<T> result) {
  if (result) return std::move(*result);
  std::fprintf(stderr, "dump_logits: %s\n", result.error().message.c_str());
  std::exit(2);
}

std::vector<std::vector<TokenId>> ReadPrompts(std::istream& input) {
  std::vector<std::vector<TokenId>> prompts;
  for (std::string line; std::getline(input, line);) {
    std::istringstream words(line);
    std::vector<TokenId> tokens;
    for (TokenId token = 0; words >> token;) tokens.push_back(token);
    if (!tokens.empty()) prompts.push_back(std::move(tokens));
  }
  return prompts;
}

// Feeds every prompt's tokens that were not fed yet, at most kPrefillRows of each.
void Step(Model& model, std::vector<Prompt>& prompts) {
  std::vector<TokenId> tokens;
  std::vector<SequenceSpan> spans;
  std::vector<Prompt*> fed;  // of each span
  for (Prompt& prompt : prompts) {
    const size_t count =
        std::min(prompt.tokens.size() - prompt.fed, static_cast<size_t>(kPrefillRows));
    if (count == 0) continue;
    spans.push_back({.first_row = static_cast<int>(tokens.size()),
                     .rows = static_cast<int>(count),
                     .first_position = static_cast<int>(prompt.fed),
                     .blocks = prompt.sequence.blocks(),
                     .state = prompt.sequence.state()});
    const auto first = prompt.tokens.begin() + static_cast<ptrdiff_t>(prompt.fed);
    tokens.insert(tokens.end(), first, first + static_cast<ptrdiff_t>(count));
    prompt.fed += count;
    fed.push_back(&prompt);
  }
  std::vector<int> rows(tokens.size());
  for (size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<int>(i);
  const int64_t vocabulary = model.config().vocabulary;
  std::vector<float> logits(rows.size() * static_cast<size_t>(vocabulary));
  model.Forward({.tokens = tokens, .sequences = spans, .logit_rows = rows}, logits.data());
  for (size_t i = 0; i < spans.size(); ++i) {
    const auto from = logits.begin() + spans[i].first_row * vocabulary;
    fed[i]->logits.insert(fed[i]->logits.end(), from, from + spans[i].rows * vocabulary);
  }
}

// Appends the likeliest next token to each prompt that was fed whole and is not long enough yet.
// False when nothing is left to feed.
bool Choose(const Model& model, size_t steps, std::vector<Prompt>& prompts) {
  bool more = false;
  for (Prompt& prompt : prompts) {
    if (prompt.fed == prompt.tokens.size() && prompt.fed < prompt.prompt_tokens + steps) {
      const auto last = prompt.logits.end() - model.config().vocabulary;
      prompt.tokens.push_back(
          static_cast<TokenId>(std::max_element(last, prompt.logits.end()) - last));
    }
    more = more || prompt.fed < prompt.tokens.size();
  }
  return more;
}

int Main(const std::vector<std::string>& arguments) {
  if (arguments.size() != 5) {
    std::fprintf(stderr, "usage: dump_logits MODEL COMPUTE ISA STEPS OUTPUT\n");
    return 2;
  }
  const size_t steps = std::stoul(arguments[3]);
  const GgufFile file = OrDie(GgufFile::Open(arguments[0]));
  const auto model = OrDie(
      Model::Load(file, {.isa = OrDie(ParseIsa(arguments[2])),
                         .compute = arguments[1] == "exact" ? Compute::kExact : Compute::kFast,
                         .progress = {}}));
  std::vector<Prompt> prompts;
  for (std::vector<TokenId>& tokens : ReadPrompts(std::cin)) {
    const size_t count = tokens.size();
    prompts.push_back(
        {std::move(tokens), count, 0, TestSequence(*model, static_cast<int>(count + steps)), {}});
  }
  do {
    Step(*model, prompts);
  } while (Choose(*model, steps, prompts));

  std::ofstream output(arguments[4], std::ios::binary);
  for (const Prompt& prompt : prompts) {
    output.write(reinterpret_cast<const char*>(prompt.logits.data()),
                 static_cast<std::streamsize>(prompt.logits.size() * sizeof(float)));
    for (size_t i = prompt.prompt_tokens; i < prompt.tokens.size(); ++i) {
      std::printf("%d ", prompt.tokens[i]);
    }
    std::printf("\n");
  }
  return output.good() ? 0 : 2;
}

}  // namespace
}  // namespace reprise

int main(int argc, char** argv) {
  return reprise::Main(std::vector<std::string>(argv + 1, argv + argc));
}
