// What happens in the server as it happens: one connection to GET /cache/watch for the whole page,
// open while its tab is visible. It comes back by itself: after one second, then two, four, up to 15.
//
//   live.subscribe(event, fn)   calls fn(data) for each "sample", "request" or "tree"; returns the
//                               function that ends it. More events: "state" (the state below), and
//                               "return" when a connection stands again after one was lost or the
//                               tab was hidden: what was missed is asked anew then.
//   live.sample                 the newest sample, or null
//   live.state                  "connecting", "live", "reconnecting", "paused" (hidden) or "stopped"
//   live.reason                 a sentence that says why it is not live, or null
//   live.start(), stop(why)     by the frame: anew, with the key that there is; not at all

import { stream } from "./api.js";

const kLongestPause = 15_000; // ms
// Replies after which asking again would be answered the same: no key, not allowed, no such page.
const kFinal = [401, 403, 404];

class Live {
  sample = null;
  state = "connecting";
  reason = null;
  #listeners = new Map(); // event → Set of functions
  #connection = null; // AbortController of the one that is open or being opened
  #timer = null;
  #failures = 0;
  #wanted = false;
  #lost = false; // something may have been missed

  constructor() {
    document.addEventListener("visibilitychange", () => this.#follow());
    window.addEventListener("online", () => this.#follow());
  }

  start() {
    this.#wanted = true;
    this.#close();
    this.sample = null;
    this.#follow();
  }

  stop(why) {
    this.#wanted = false;
    this.#close();
    this.sample = null;
    this.#enter("stopped", why);
  }

  subscribe(event, listener) {
    const listeners = this.#listeners.get(event) ?? new Set();
    this.#listeners.set(event, listeners.add(listener));
    return () => listeners.delete(listener);
  }

  // Opens or closes, as the tab is visible or not.
  #follow() {
    if (!this.#wanted) return;
    if (document.hidden) {
      this.#close();
      this.#enter("paused");
    } else if (this.#connection === null) {
      clearTimeout(this.#timer);
      this.#failures = 0;
      this.#open();
    }
  }

  #close() {
    clearTimeout(this.#timer);
    this.#lost ||= this.state === "live";
    this.#connection?.abort();
    this.#connection = null;
  }

  async #open() {
    const connection = new AbortController();
    this.#connection = connection;
    this.#enter(this.#lost ? "reconnecting" : "connecting", this.reason);
    let failure = "The server ended the connection.";
    let final = false;
    try {
      await stream("/cache/watch", {
        signal: connection.signal,
        onOpen: () => this.#opened(),
        onEvent: ({ event, data }) => {
          if (event === "sample") this.sample = data;
          this.#emit(event, data);
        },
      });
    } catch (error) {
      failure = error.message;
      final = kFinal.includes(error.status);
    }
    if (this.#connection !== connection) return; // closed by us
    this.#connection = null;
    this.#lost = true;
    if (final) {
      this.#enter("stopped", failure);
      return;
    }
    this.#enter("reconnecting", failure);
    const pause = Math.min(1000 * 2 ** this.#failures++, kLongestPause);
    this.#timer = setTimeout(() => this.#open(), pause);
  }

  #opened() {
    this.#failures = 0;
    this.#enter("live");
    if (this.#lost) this.#emit("return");
    this.#lost = false;
  }

  #enter(state, reason = null) {
    this.state = state;
    this.reason = reason;
    this.#emit("state", state);
  }

  // One listener's fault is not another's.
  #emit(event, data) {
    for (const listener of [...(this.#listeners.get(event) ?? [])]) {
      try {
        listener(data);
      } catch (error) {
        console.error(error);
      }
    }
  }
}

export const live = new Live();
