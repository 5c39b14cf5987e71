#include "http/body_workers.h"

#include <malloc.h>

#include <algorithm>
#include <thread>

#include "base/log.h"

namespace reprise {
namespace {

// One core is left for everything else, but two tenants' work may always go on beside each other.
size_t LongWorkers() {
  const int cores = static_cast<int>(std::thread::hardware_concurrency());  // 0: unknown
  return static_cast<size_t>(std::clamp(cores - 1, 2, limits::kMaxLongWorkers));
}

}  // namespace

BodyWorkers::BodyWorkers(boost::asio::any_io_executor io)
    : io_(std::move(io)),
      short_work_("short work", 1, 1),
      long_work_("long work", LongWorkers(), LongWorkers() - 1) {}

void BodyWorkers::Post(const WorkOrder& order, std::function<void()> run) {
  const bool is_long = order.bytes > limits::kShortWorkBytes;
  (is_long ? long_work_ : short_work_)
      .Post(order.tenant, [run = std::move(run), is_long]() mutable {
        run();
        run = nullptr;
        if (is_long) malloc_trim(0);
      });
}

void BodyWorkers::InBackground(const WorkOrder& order, std::function<void()> work) {
  Post(order, [work = std::move(work)] {
    try {
      work();
    } catch (const std::exception& failure) {
      LogWarning("work in the background failed: {}", failure.what());
    }
  });
}

void BodyWorkers::Stop() {
  short_work_.Stop();
  long_work_.Stop();
}

}  // namespace reprise
