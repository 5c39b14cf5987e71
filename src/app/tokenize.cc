#include "app/tokenize.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string_view>
#include <vector>

#include "app/load.h"
#include "text/detokenizer.h"

namespace reprise {

int RunTokenize(const TokenizeOptions& options) {
  auto file = OpenModel(options.model);
  if (!file) return Complain(file.error());
  auto text = LoadText(*file);
  if (!text) return Complain(text.error());

  std::ifstream opened;
  if (options.file != "-") {
    opened.open(options.file, std::ios::binary);
    if (!opened) return Complain({ErrorCode::kNotFound, "cannot read " + options.file, {}});
  }
  std::istream& input = options.file == "-" ? std::cin : opened;
  const std::string content{std::istreambuf_iterator<char>(input), {}};
  if (!IsValidUtf8(content)) {
    return Complain({ErrorCode::kInvalidArgument, options.file + " is not UTF-8", {}});
  }
  const std::vector<TokenId> tokens =
      text->tokenizer->Encode(content, {.parse_special = options.parse_special});
  if (options.ids_only) {
    fmt::print("[{}]\n", fmt::join(tokens, ","));
    return 0;
  }
  for (TokenId token : tokens) fmt::print("{}\t{:?}\n", token, text->tokenizer->Piece(token));
  fmt::print("{} tokens of {} bytes\n", tokens.size(), content.size());
  return 0;
}

}  // namespace reprise
