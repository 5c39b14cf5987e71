#pragma once

// Requests that wait until a replica may take another one: first come, first served. I/O thread
// only; it outlives its places.

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstddef>
#include <list>

#include "base/clock.h"

namespace reprise {

class WaitingLine {
 public:
  // A place at the end. Who leaves lets the next one look.
  class Place {
   public:
    Place(WaitingLine& line, const boost::asio::any_io_executor& io);
    ~Place();
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;

    // Until it may be worth to look again. False: `until` has come.
    boost::asio::awaitable<bool> Wait(TimePoint until);
    bool is_first() const { return line_.places_.front() == this; }

   private:
    friend class WaitingLine;
    WaitingLine& line_;
    boost::asio::steady_timer timer_;
    bool woken_ = false;
    std::list<Place*>::iterator at_;
  };

  size_t size() const { return places_.size(); }
  // Something has changed: the first looks, or all do.
  void WakeFirst();
  void WakeAll();

 private:
  static void Wake(Place& place);

  std::list<Place*> places_;
};

}  // namespace reprise
