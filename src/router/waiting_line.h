#pragma once

// Requests that wait until a replica may take another one: first come, first served, among those
// that any replica may take. Those that are bound to some replicas wait for these alone, and nobody
// waits for them. I/O thread only; it outlives its places.

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstddef>
#include <list>

#include "base/clock.h"

namespace reprise {

class WaitingLine {
 public:
  // A place at the end. Who leaves lets the next ones look.
  class Place {
   public:
    Place(WaitingLine& line, const boost::asio::any_io_executor& io, bool bound);
    ~Place();
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;

    // Until it may be worth to look again. False: `until` has come.
    boost::asio::awaitable<bool> Wait(TimePoint until);
    // Whether it is its turn, if there is room for it.
    bool may_go() const { return bound_ || line_.FirstUnbound() == this; }

   private:
    friend class WaitingLine;
    WaitingLine& line_;
    boost::asio::steady_timer timer_;
    const bool bound_;
    bool woken_ = false;
    std::list<Place*>::iterator at_;
  };

  size_t size() const { return places_.size(); }
  // Whether somebody waits whom a request that is not bound may not overtake.
  bool has_unbound() const { return FirstUnbound() != nullptr; }
  // Something has changed: those whose turn it is look, or all do.
  void WakeFirst();
  void WakeAll();

 private:
  const Place* FirstUnbound() const;  // nullptr: there is none
  static void Wake(Place& place);

  std::list<Place*> places_;
};

}  // namespace reprise
