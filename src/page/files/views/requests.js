// Requests, and why: the history as a table, or, with an id in the address, one request opened.

import { get } from "../api.js";
import { errorNote, firstRequest, h, replace, useStyles } from "../dom.js";
import { live } from "../live.js";
import { OpenedRequest } from "./request_opened.js";
import { RequestsTable, noRequests } from "./requests_table.js";

useStyles(import.meta.url, "requests.css");

class Requests extends HTMLElement {
  #ends = []; // of subscriptions
  #shown = null; // what is to be stopped

  connectedCallback() {
    const id = this.getAttribute("argument");
    if (id) this.#open(id);
    else this.#list();
  }

  disconnectedCallback() {
    for (const end of this.#ends) end();
    this.#shown?.stop();
  }

  #open(id) {
    const opened = new OpenedRequest(id);
    this.#shown = opened;
    replace(this, opened.element);
    this.#ends = [
      live.subscribe("request", (entry) => entry.id === opened.id && opened.changed()),
      live.subscribe("return", () => opened.load()),
    ];
    opened.load();
  }

  #list() {
    const table = new RequestsTable();
    this.#shown = table;
    const place = h("div", { "aria-busy": "true" }, h("p", { class: "quiet-text" }, "Loading…"));
    const show = () => replace(place,
      table.size > 0 ? table.element : noRequests(firstRequest("What is a prompt cache?")));
    const load = async () => {
      try {
        const { requests } = await get("/cache/requests");
        table.set(requests);
        show();
      } catch (error) {
        if (error.status === 401) return;
        replace(place, errorNote(error, load));
      } finally {
        place.removeAttribute("aria-busy");
      }
    };
    replace(this, h("div", { class: "view-head" }, h("h1", {}, "Requests, and why"),
      h("p", { class: "quiet-text" }, "What of each prompt was read from the cache. One opened says why no more was.")), place);
    this.#ends = [
      live.subscribe("request", (entry) => {
        const first = table.size === 0;
        table.put(entry);
        if (first) load();
      }),
      live.subscribe("return", load),
    ];
    load();
  }
}

customElements.define("view-requests", Requests);
