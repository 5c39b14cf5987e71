#pragma once

// The columns of GET /cache/series, which samples of GET /cache/watch have too. Pure.

#include <boost/json.hpp>
#include <functional>
#include <string_view>

#include "engine/engine.h"
#include "history/ledger_account.h"

namespace reprise {

// Which columns there are: a tenant gets those that tell nothing of others.
struct SeriesColumns {
  bool admin = true;
  bool disk = false, shared = false;  // such a store lies below memory
};

SeriesColumns ColumnsFor(bool admin, const EngineStats& stats);

// Calls visit(name, value) for each column of a step.
void ForEachColumn(const LedgerStep& step, const SeriesColumns& columns,
                   const std::function<void(std::string_view, boost::json::value)>& visit);

// What of the engine is kept over time; of a tenant its blocks alone.
LedgerGauges GaugesOf(const EngineStats& stats);
LedgerGauges GaugesOf(const TenantSizes& sizes);

}  // namespace reprise
