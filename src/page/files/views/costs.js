// What the last requests would have cost elsewhere: GET /cache/costs, a sheet at a time with all
// ways of caching side by side, and below all sheets together. Reckoned when it is opened and when a
// button is pressed: it costs the server some work.

import { get } from "../api.js";
import { emptyNote, errorNote, h, replace, swatch } from "../dom.js";
import { count, money, relativeTime, share, tokens } from "../format.js";
import { inWords, rulesInWords } from "./costs_words.js";

const kChoice = "reprise-costs-sheet"; // in sessionStorage
const kKinds = [["read", "read", "read"], ["written", "promised", "written"],
  ["computed", "computed", "computed"]]; // field, colour, word

class Costs extends HTMLElement {
  #reply = null;
  #chosen = sessionStorage.getItem(kChoice);
  #stop = null; // ends the question that is asked
  #place = h("div", { class: "view", "aria-live": "off" });
  #again = h("button", { type: "button", onclick: () => this.#load() }, "Reckon again");

  connectedCallback() {
    replace(this,
      h("div", { class: "view-head" }, h("h1", {}, "What would it cost elsewhere?"), this.#again),
      this.#place);
    this.#load();
  }

  disconnectedCallback() {
    this.#stop?.abort();
  }

  async #load() {
    this.#stop?.abort();
    const stop = (this.#stop = new AbortController());
    this.#again.disabled = true;
    if (!this.#reply) replace(this.#place, h("p", { class: "quiet-text", role: "status" }, "Reckoning…"));
    try {
      this.#reply = await get("/cache/costs", { signal: stop.signal });
      this.#show();
    } catch (error) {
      if (error.name === "AbortError") return;
      replace(this.#place, errorNote(error, () => this.#load()));
    } finally {
      if (this.#stop === stop) this.#again.disabled = false;
    }
  }

  #sheet() {
    const { sheets } = this.#reply;
    return sheets.find(({ name }) => name === this.#chosen) ?? sheets[0];
  }

  #choose(name) {
    this.#chosen = name;
    sessionStorage.setItem(kChoice, name);
    this.#show();
  }

  #show() {
    if (this.#reply.requests === 0) {
      replace(this.#place, emptyNote("No request yet",
        h("p", {}, "The server plays its last requests by the vendors' published rules: when each ",
          "came, what it shared with those before it, and how it was marked. Send some, with any ",
          "client or in ", h("a", { href: "#/try" }, "Try it"), ", then reckon again.")));
      return;
    }
    const sheet = this.#sheet();
    replace(this.#place, this.#head(), this.#ways(sheet),
      h("div", { class: "panels" }, placings(sheet), rules(sheet)), this.#all(), honest());
  }

  #head() {
    const { from, to, requests, left_out: left, tokens: sum, sheets } = this.#reply;
    const vendors = [...new Set(sheets.map(({ vendor }) => vendor))];
    return h("div", { class: "toolbar" },
      h("label", { for: "costs-sheet" }, "Prices and rules of"),
      h("select", { id: "costs-sheet", style: { "max-width": "100%" }, onchange: (event) => {
        this.#choose(event.currentTarget.value);
        this.querySelector("#costs-sheet").focus();
      } }, vendors.map((vendor) => h("optgroup", { label: vendor },
        sheets.filter((each) => each.vendor === vendor).map(({ name }) =>
          h("option", { value: name, selected: name === this.#sheet().name }, name))))),
      h("p", { class: "quiet-text small-text", id: "costs-traffic" },
        `${count(requests)} ${requests === 1 ? "request" : "requests"}, `,
        `${tokens(sum.prompt)} of prompts, `, `${count(sum.generated)} generated; from `,
        relativeTime(from), " to ", relativeTime(to),
        left > 0 && `; ${count(left)} older ones are not reckoned`));
  }

  #ways(sheet) {
    const none = { read: 0, written: 0, computed: this.#reply.tokens.prompt, cost: sheet.without_cache };
    const rows = [
      ["without", "Without a cache", none],
      ["automatic", automaticName(sheet), sheet],
      ["marked", "With the marks as they were sent", sheet.marked],
      ["best", "With the cheapest marks", sheet.best],
      ["here", "What Reprise read, at these prices", sheet.here],
    ].filter(([, , bill]) => bill);
    return h("section", { class: "panel", "aria-labelledby": "costs-ways" },
      h("h2", { id: "costs-ways" }, sheet.name),
      h("ul", { class: "legend" },
        kKinds.map(([, kind, word]) => h("li", {}, swatch(kind), ` ${word}`))),
      h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Costs by way of caching" },
        h("table", { class: "data", id: "costs-table" },
          h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Prompts"),
            h("th", { scope: "col" }, "Tokens"),
            ["Read", "Written", "Computed", "Cost", "Of no cache"].map((name) =>
              h("th", { scope: "col", class: "number" }, name)))),
          h("tbody", {}, rows.map(([id, name, bill]) => wayRow(id, name, bill, sheet))))),
      sheet.replies !== null && h("p", { class: "small-text quiet-text", id: "costs-replies" },
        `The replies cost ${money(sheet.replies, sheet.currency)} besides, with and without a cache.`),
      this.#short(sheet));
  }

  // Why nothing is cached at all, where that is so.
  #short(sheet) {
    if (sheet.read > 0 || sheet.written > 0 || sheet.best?.read > 0) return null;
    return h("p", { class: "note" }, "Nothing of this traffic would be read from this vendor's cache: ",
      `prefixes of less than ${tokens(sheet.rules.minimum)} are not cached there, and no longer one `,
      "comes again within its lifetime.");
  }

  #all() {
    const cell = (sheet, bill) => h("td", { class: "number" },
      bill ? money(bill.cost, sheet.currency) : money(null));
    return h("section", { class: "panel", "aria-labelledby": "costs-all" },
      h("h2", { id: "costs-all" }, "All price lists"),
      h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Costs by price list" },
        h("table", { class: "data", id: "costs-sheets" },
          h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Prompts by the prices of"),
            ["No cache", "Automatic", "Marks as sent", "Cheapest marks"].map((name) =>
              h("th", { scope: "col", class: "number" }, name)))),
          h("tbody", {}, this.#reply.sheets.map((sheet) => h("tr", { "data-sheet": sheet.name },
            h("th", { scope: "row" }, sheet.name),
            cell(sheet, { cost: sheet.without_cache }), cell(sheet, sheet),
            cell(sheet, sheet.marked), cell(sheet, sheet.best)))))));
  }
}

function automaticName({ rules: { automatic } }) {
  if (automatic === "asked mark") return "Automatic, where the request asks for it";
  return "Automatic";
}

function wayRow(id, name, bill, sheet) {
  const whole = bill.read + bill.written + bill.computed;
  const label = kKinds.map(([field, , word]) => `${word}: ${tokens(bill[field])}`).join(", ");
  return h("tr", { "data-way": id }, h("th", { scope: "row" }, name),
    h("td", { style: { "min-width": "8rem" } },
      h("span", { class: "bar", role: "img", "aria-label": label, title: label },
        kKinds.filter(([field]) => bill[field] > 0).map(([field, kind]) =>
          h("i", { class: kind, style: { width: `${(100 * bill[field]) / whole}%` } })))),
    [count(bill.read), count(bill.written), count(bill.computed), money(bill.cost, sheet.currency),
      share(sheet.without_cache > 0 ? bill.cost / sheet.without_cache : null)].map((text) =>
      h("td", { class: "number" }, text)));
}

function placings(sheet) {
  if (!sheet.best) {
    return h("section", { class: "panel" }, h("h2", {}, "Where to set marks"),
      h("p", {}, "These rules have no marks: what is shared is found by itself."));
  }
  return h("section", { class: "panel", "aria-labelledby": "costs-placing" },
    h("h2", { id: "costs-placing" }, "The cheapest marks"),
    h("ul", { id: "costs-placings" }, sheet.best.placings.map((placing) => h("li", {},
      `${count(placing.requests)} ${placing.requests === 1 ? "request" : "requests"} `,
      `(${tokens(placing.prompt)}): `, h("strong", {}, inWords(placing.marks)),
      `. ${money(placing.cost, sheet.currency)} for their prompts.`))),
    h("p", { class: "small-text quiet-text" }, "Requests that share a beginning are marked alike. All ",
      "placings of up to ", String(sheet.rules.marks), " marks behind tools, system text and the first ",
      "and last messages were played, with each lifetime."));
}

function rules(sheet) {
  const { input, read, write, output } = sheet.prices;
  const price = (value) => money(value, sheet.currency);
  return h("section", { class: "panel", "aria-labelledby": "costs-rules" },
    h("h2", { id: "costs-rules" }, "Rules and list prices"),
    h("ul", {}, rulesInWords(sheet.rules).map((said) => h("li", {}, said)),
      h("li", {}, `A million tokens: input ${price(input)}, read ${price(read)}`,
        Object.entries(write).map(([name, value]) => `, written for ${name} ${price(value)}`),
        output === null ? "." : `, output ${price(output)}.`)),
    h("p", { class: "small-text quiet-text" }, `As of ${sheet.date}. `, sheet.note));
}

function honest() {
  return h("p", { class: "small-text quiet-text" }, "List prices, without discounts, and rules as ",
    "published: real caches lose entries early. Tokens are this model's; another tokenizer counts ",
    "the same text otherwise, and texts near a minimum may fall on its other side. A message counts ",
    "as one block. Requests are played at their own times, as they came here.");
}

customElements.define("view-costs", Costs);
