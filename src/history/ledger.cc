#include "history/ledger.h"

#include <algorithm>

#include "base/limits.h"

namespace reprise {

void Ledger::Add(const std::string& tenant, int64_t now, const LedgerFigures& figures) {
  total_.Add(now, figures);
  auto account = tenants_.find(tenant);
  if (account == tenants_.end()) {
    if (tenants_.size() == limits::kMaxApiKeys) {
      tenants_.erase(std::ranges::min_element(
          tenants_, {}, [](const auto& each) { return each.second.last_used(); }));
    }
    account = tenants_.emplace(tenant, LedgerAccount(start_)).first;
  }
  account->second.Add(now, figures);
}

void Ledger::NoteGauges(const std::string& tenant, int64_t now, const LedgerGauges& gauges) {
  const auto account = tenants_.find(tenant);
  if (account != tenants_.end()) account->second.NoteGauges(now, gauges);
}

const LedgerAccount& Ledger::Of(const std::string& tenant) const {
  const auto account = tenants_.find(tenant);
  return account == tenants_.end() ? nothing_ : account->second;
}

}  // namespace reprise
