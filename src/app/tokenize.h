#pragma once

// `reprise tokenize`: token ids of a text, one line each with the piece, or only the ids.

#include <string>

namespace reprise {

struct TokenizeOptions {
  std::string model;
  std::string file = "-";      // "-": standard input
  bool ids_only = false;       // one JSON array
  bool parse_special = false;  // control tokens' text becomes the token
};

int RunTokenize(const TokenizeOptions& options);

}  // namespace reprise
