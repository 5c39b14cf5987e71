#pragma once

// Counts over time of all requests together and of each tenant's (ledger_account.h). Tenants are
// bounded as their keys are: past limits::kMaxApiKeys of them, the one that asked nothing for
// longest is forgotten. I/O thread only.

#include <cstdint>
#include <map>
#include <string>

#include "history/ledger_account.h"

namespace reprise {

class Ledger {
 public:
  // Seconds since 1970, here and below.
  explicit Ledger(int64_t start) : start_(start), total_(start) {}

  // Counts for a tenant and in the total.
  void Add(const std::string& tenant, int64_t now, const LedgerFigures& figures);
  void NoteGauges(int64_t now, const LedgerGauges& gauges) { total_.NoteGauges(now, gauges); }
  // Of a tenant that asked something; of others nothing is kept.
  void NoteGauges(const std::string& tenant, int64_t now, const LedgerGauges& gauges);

  const LedgerAccount& total() const { return total_; }
  // An empty one where the tenant asked nothing. Good until the next Add.
  const LedgerAccount& Of(const std::string& tenant) const;
  const std::map<std::string, LedgerAccount>& tenants() const { return tenants_; }
  int64_t start() const { return start_; }

 private:
  int64_t start_;
  LedgerAccount total_;
  LedgerAccount nothing_{start_};
  std::map<std::string, LedgerAccount> tenants_;
};

}  // namespace reprise
