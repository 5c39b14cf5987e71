#include "http/query.h"

#include <boost/url/parse_query.hpp>

namespace reprise {
namespace urls = boost::urls;

std::optional<std::string> QueryValue(std::string_view query, std::string_view name) {
  const auto parameters = urls::parse_query({query.data(), query.size()});
  if (!parameters) return std::nullopt;
  const urls::encoding_opts plus_is_space(/*space_as_plus=*/true);
  for (const auto& parameter : *parameters) {
    if (parameter.key.decode(plus_is_space) == name) return parameter.value.decode(plus_is_space);
  }
  return std::nullopt;
}

}  // namespace reprise
