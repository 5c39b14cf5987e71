// The Overview: what the cache does for the traffic, over time.

import { h, replace } from "../dom.js";

class Overview extends HTMLElement {
  connectedCallback() {
    replace(this, h("h1", {}, "Overview"));
  }
}

customElements.define("view-overview", Overview);
