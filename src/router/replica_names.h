#pragma once

// Replicas by a name of the DNS: asked again every limits::kNamesPauseMs, so that they come and go
// as the name's addresses do (a headless Service of Kubernetes). While the name cannot be resolved
// what was known stays, and the log says so once. I/O thread only.

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "router/replica.h"

namespace reprise {

class ReplicaNames : public std::enable_shared_from_this<ReplicaNames> {
 public:
  using Taker = std::function<void(std::vector<ReplicaAddress>)>;
  // Resolves a name, to be replaced in tests: its addresses, or kIo.
  using Asker =
      std::function<boost::asio::awaitable<Result<std::vector<ReplicaAddress>>>(ReplicaAddress)>;

  // `take` gets all addresses whenever others came than before.
  ReplicaNames(boost::asio::any_io_executor io, ReplicaAddress name, Taker take, Asker ask = {});

  // Asks until Stop.
  void Start();
  void Stop();
  // Asks once.
  boost::asio::awaitable<void> AskOnce();

 private:
  boost::asio::awaitable<void> Run();

  const boost::asio::any_io_executor io_;
  const ReplicaAddress name_;
  const Taker take_;
  const Asker ask_;
  boost::asio::steady_timer pause_;
  std::vector<ReplicaAddress> known_;  // in order
  bool failed_ = false;                // said that it cannot be resolved
  bool stopped_ = false;
};

}  // namespace reprise
