#include "engine/row_price.h"

#include <algorithm>
#include <chrono>
#include <cmath>

namespace reprise {
namespace {

// Assumed of each further row until it is known: of small models eight rows take 1.6 of one.
constexpr double kFirstSlope = 0.085;

// Of an observation, in what is believed next: of the speed and of the price. One that is further
// off than kMostSurprise, up or down, is somebody else's doing.
constexpr double kSpeedWeight = 0.2;
constexpr double kPriceWeight = 0.1;
constexpr double kMostSurprise = 1.5;

}  // namespace

RowPrice::RowPrice() {
  for (size_t i = 0; i < kRows.size(); ++i) {
    price_[i] = 1 + kFirstSlope * static_cast<double>(kRows[i] - 1);
  }
}

double RowPrice::Of(size_t rows) const {
  const auto above = std::ranges::lower_bound(kRows, rows);
  size_t i = static_cast<size_t>(above - kRows.begin());
  if (i < kRows.size() && kRows[i] == rows) return price_[i];
  // Beyond the last, the last line goes on.
  i = std::clamp<size_t>(i, 1, kRows.size() - 1);
  const double share = (static_cast<double>(rows) - static_cast<double>(kRows[i - 1])) /
                       static_cast<double>(kRows[i] - kRows[i - 1]);
  return price_[i - 1] + share * (price_[i] - price_[i - 1]);
}

void RowPrice::Observe(size_t rows, Duration took) {
  if (rows == 0 || rows > kRows.back() || took <= Duration::zero()) return;
  const double seen = std::chrono::duration<double>(took).count();
  const double price = Of(rows);
  if (seconds_ == 0) {
    seconds_ = seen / price;
    return;
  }
  const double surprise = std::clamp(seen / (seconds_ * price), 1 / kMostSurprise, kMostSurprise);
  seconds_ *= std::pow(surprise, kSpeedWeight);
  if (rows == 1) return;
  // The nearest place learns; more rows never cost less than fewer.
  const auto above = static_cast<size_t>(std::ranges::lower_bound(kRows, rows) - kRows.begin());
  const bool nearer_below = kRows[above] - rows > rows - kRows[above - 1];
  const size_t nearest = nearer_below ? above - 1 : above;
  if (nearest == 0) return;
  const double learned = std::max(price_[nearest] * std::pow(surprise, kPriceWeight), 1.0);
  price_[nearest] = learned;
  for (size_t i = 0; i < nearest; ++i) price_[i] = std::min(price_[i], learned);
  for (size_t i = nearest + 1; i < kRows.size(); ++i) price_[i] = std::max(price_[i], learned);
}

std::optional<double> RowPrice::seconds() const {
  if (seconds_ == 0) return std::nullopt;
  return seconds_;
}

}  // namespace reprise
