#pragma once

// Price sheets and costs as JSON (docs/api.md). Pure.

#include <boost/json.hpp>

#include "costs/cost_report.h"
#include "costs/price_sheet.h"
#include "history/ledger_account.h"

namespace reprise {

boost::json::object PriceSheetJson(const PriceSheet& sheet);
// The sheet and what the traffic would have cost by it. `here`: what was in fact read, of the same
// prompts.
boost::json::object SheetCostsJson(const SheetCosts& costs, const PromptTokens& here,
                                   size_t generated);
// {"prices", "saved", "spent"} of work that was done here, by the sheet's prices.
boost::json::object MoneyJson(const WorkCounts& work, const PriceSheet& sheet);

}  // namespace reprise
