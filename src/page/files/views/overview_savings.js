// The figures on top of the Overview: what reading from the cache spared, by GET /savings.
//
//   const savings = new Savings(onEmpty)   onEmpty(isEmpty): whether no request was counted yet
//   savings.element
//   await savings.load()                   asks anew; throws what api.js throws
//   savings.changed()                      a request ended: asks anew, a few times a minute at most

import { get } from "../api.js";
import { h, replace } from "../dom.js";
import { count, milliseconds, money, relativeTime, seconds, share, tokens } from "../format.js";

const kShortest = 3000; // ms between two questions
const kPricesName = "reprise-prices"; // the choice, in localStorage

export class Savings {
  element = h("section", { class: "savings panel", "aria-labelledby": "savings-title" });
  #onEmpty;
  #sheets = null; // of GET /prices
  #prices = localStorage.getItem(kPricesName);
  #span = "since_start"; // of the table of tenants
  #reply = null;
  #figures = h("dl", { class: "figures" });
  #tenants = h("div", {});
  #since = h("span", {});
  #choice = h("div", { class: "toolbar" });
  #asked = 0;
  #timer = null;

  constructor(onEmpty) {
    this.#onEmpty = onEmpty;
    replace(this.element,
      h("div", { class: "chart-head" },
        h("h2", { id: "savings-title" }, "What reading from the cache saved"),
        h("p", { class: "quiet-text small-text" }, "since the start, ", this.#since)),
      this.#figures, this.#choice, this.#tenants);
  }

  async load() {
    if (this.#sheets === null) await this.#loadSheets();
    this.#asked = performance.now();
    const query = this.#prices ? `?prices=${encodeURIComponent(this.#prices)}` : "";
    this.#reply = await get(`/savings${query}`);
    this.#show();
  }

  changed() {
    if (this.#timer !== null) return;
    const pause = Math.max(0, this.#asked + kShortest - performance.now());
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.load().catch(() => {}); // the frame says that the server is away
    }, pause);
  }

  stop() {
    clearTimeout(this.#timer);
  }

  async #loadSheets() {
    this.#sheets = (await get("/prices")).sheets;
    const known = this.#sheets.some(({ name }) => name === this.#prices);
    if (!known) this.#prices = this.#sheets[0]?.name ?? null;
    if (this.#sheets.length === 0) return;
    replace(this.#choice,
      h("label", { for: "prices", class: "small-text" }, "Money by the prices of"),
      h("select", { id: "prices", onchange: (event) => this.#choose(event.currentTarget.value) },
        this.#sheets.map(({ name }) =>
          h("option", { value: name, selected: name === this.#prices }, name))));
  }

  #choose(name) {
    this.#prices = name;
    localStorage.setItem(kPricesName, name);
    this.load().catch(() => {});
  }

  #currency() {
    return this.#sheets.find(({ name }) => name === this.#prices)?.currency;
  }

  #show() {
    const { started, total, tenants } = this.#reply;
    const { since_start: all, last_hour: hour } = total;
    this.#onEmpty(all.requests === 0);
    replace(this.#since, "started ", relativeTime(started));
    const currency = this.#currency();
    replace(this.#figures,
      figure("waiting", "Waiting", seconds(all.waiting_seconds), seconds(hour.waiting_seconds)),
      figure("cpu", "CPU time", seconds(all.cpu_seconds), seconds(hour.cpu_seconds)),
      all.money && figure("money", "Money", money(all.money.saved, currency),
        money(hour.money.saved, currency),
        `of ${money(all.money.saved + all.money.spent, currency)} without the cache`),
      figure("share", "Prompt tokens read", share(all.read_share), share(hour.read_share),
        `${tokens(all.tokens.read)} of ${count(all.tokens.prompt)}`),
      firstToken(all.first_token, hour.first_token),
      figure("requests", "Requests", count(all.requests), count(hour.requests),
        `${tokens(all.tokens.generated)} generated`));
    replace(this.#tenants, tenants.length > 1 && this.#table(tenants, currency));
  }

  #table(tenants, currency) {
    const button = (span, label) => h("label", {},
      h("input", {
        type: "radio", name: "tenants-span", checked: this.#span === span,
        onchange: () => {
          this.#span = span;
          this.#show();
          this.#tenants.querySelector("input:checked").focus();
        },
      }), label);
    return [
      h("div", { class: "view-head" }, h("h3", {}, "By tenant"),
        h("fieldset", { class: "segmented" }, h("legend", { class: "visually-hidden" }, "Time"),
          button("since_start", "Since the start"), button("last_hour", "Last hour"))),
      h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Savings by tenant" },
        h("table", { class: "data", id: "tenants" },
          h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Tenant"),
            ["Requests", "Prompt", "Read", "Waiting", "CPU time", currency && "Money"]
              .filter(Boolean)
              .map((name) => h("th", { scope: "col", class: "number" }, name)))),
          h("tbody", {}, tenants.map((each) => tenantRow(each.tenant, each[this.#span], currency))))),
    ];
  }
}

function figure(id, title, all, hour, more) {
  return h("div", { "data-figure": id }, h("dt", {}, title), h("dd", {}, all),
    more && h("dd", { class: "detail" }, more),
    h("dd", { class: "detail" }, h("span", { class: "hour" }, hour), " in the last hour"));
}

function firstToken(all, hour) {
  const cold = ({ cold: { median_ms: median } }) => milliseconds(median);
  return h("div", { "data-figure": "first-token" }, h("dt", {}, "First token, cached"),
    h("dd", {}, milliseconds(all.cached.median_ms)),
    h("dd", { class: "detail" }, `cold ${cold(all)}; medians`),
    h("dd", { class: "detail" },
      h("span", { class: "hour" }, milliseconds(hour.cached.median_ms)), " in the last hour"));
}

function tenantRow(tenant, figures, currency) {
  const cells = [count(figures.requests), count(figures.tokens.prompt), share(figures.read_share),
    seconds(figures.waiting_seconds), seconds(figures.cpu_seconds),
    currency && money(figures.money?.saved, currency)].filter(Boolean);
  return h("tr", {}, h("th", { scope: "row" }, tenant),
    cells.map((text) => h("td", { class: "number" }, text)));
}
