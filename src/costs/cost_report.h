#pragma once

// What traffic would have cost by each sheet, with all ways of caching side by side. Tenants share
// nothing at any vendor, so each is played by itself and the sums are added.

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "costs/placing.h"
#include "costs/price_sheet.h"
#include "costs/traffic.h"

namespace reprise {

struct SheetCosts {
  const PriceSheet* sheet = nullptr;
  PromptTokens automatic;
  std::optional<PromptTokens> marked;  // as clients marked; none where the vendor has no marks
  std::vector<Placing> placings;       // the cheapest; as above

  PromptTokens best() const;  // of the placings
};

// In the order of `sheets`. For a worker: a thousand requests take some tenths of a second.
std::vector<SheetCosts> ReckonCosts(std::span<const Traffic> tenants,
                                    std::span<const PriceSheet> sheets);

}  // namespace reprise
