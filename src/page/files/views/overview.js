// The Overview: what the cache does for the traffic, over time, and what that saved. The series come
// once by GET /cache/series; in the span of ten minutes each live sample is one step more, in that of
// a day they are asked again each minute.

import { get } from "../api.js";
import { emptyNote, errorNote, firstRequest, h, replace } from "../dom.js";
import { live } from "../live.js";
import { makeCharts } from "./overview_charts.js";
import { Savings } from "./overview_savings.js";

const kSpans = [["10m", "10 minutes"], ["24h", "24 hours"]];
const kSteps = 600; // of the span of ten minutes
const kMinute = 60_000; // ms
const kShortest = 5_000; // ms between two questions for what was missed

class Overview extends HTMLElement {
  #span = "10m";
  #series = null;
  #cache = null; // GET /cache
  #charts = [];
  #savings = null;
  #place = h("div", { class: "panels" });
  #error = h("div", { hidden: true });
  #empty = h("div", { hidden: true });
  #asked = 0; // performance.now() of the last question
  #ends = []; // of subscriptions and timers
  #asking = 0; // counts: a reply for a span that is no longer shown is dropped

  connectedCallback() {
    this.#savings = new Savings((isEmpty) => this.#showEmpty(isEmpty));
    replace(this,
      h("div", { class: "view-head" }, h("h1", {}, "Overview"), this.#spans()),
      this.#error, this.#empty, this.#savings.element, this.#place);
    this.#savings.element.hidden = true;
    const minutely = setInterval(() => document.hidden || this.#everyMinute(), kMinute);
    this.#ends = [
      live.subscribe("sample", (sample) => this.#add(sample)),
      live.subscribe("request", () => this.#savings.changed()),
      live.subscribe("return", () => this.#load()),
      () => clearInterval(minutely),
    ];
    this.#load();
  }

  disconnectedCallback() {
    for (const end of this.#ends) end();
    this.#savings.stop();
    this.#removeCharts();
  }

  #spans() {
    return h("fieldset", { class: "segmented" }, h("legend", { class: "visually-hidden" }, "Span"),
      kSpans.map(([span, label]) => h("label", {},
        h("input", {
          type: "radio", name: "span", value: span, checked: span === this.#span,
          onchange: () => {
            this.#span = span;
            this.#load();
          },
        }), label)));
  }

  async #load() {
    const ticket = ++this.#asking;
    this.#asked = performance.now();
    this.ariaBusy = "true";
    try {
      const [series, cache] = await Promise.all(
        [get(`/cache/series?span=${this.#span}`), get("/cache"), this.#savings.load()]);
      if (ticket !== this.#asking || !this.isConnected) return;
      this.#error.hidden = true;
      this.#cache = cache;
      this.#showSeries(series);
    } catch (error) {
      if (ticket !== this.#asking || error.status === 401) return;
      this.#error.hidden = false;
      replace(this.#error, errorNote(error, () => this.#load()));
    } finally {
      if (ticket === this.#asking) this.ariaBusy = "false";
    }
  }

  #showSeries(series) {
    const same = this.#series !== null && this.#series.span === series.span &&
      Object.keys(this.#series.columns).join() === Object.keys(series.columns).join();
    this.#series = series;
    if (!same) {
      this.#removeCharts();
      this.#charts = makeCharts(series);
      replace(this.#place, this.#charts.map(({ chart }) => chart.element));
    }
    this.#draw();
  }

  #removeCharts() {
    for (const { chart } of this.#charts) chart.stop();
    this.#charts = [];
  }

  #draw() {
    for (const { update } of this.#charts) update(this.#series, this.#cache);
  }

  // One step more; a step that was missed is asked for.
  #add(sample) {
    if (this.#series === null || this.#series.step_seconds !== 1) return;
    this.#cache = sample.cache ?? this.#cache;
    const { columns } = this.#series;
    const last = columns.time.at(-1);
    if (sample.time > last + 2) {
      if (performance.now() - this.#asked > kShortest) this.#load();
      return;
    }
    if (sample.time < last) return;
    for (const [name, column] of Object.entries(columns)) {
      if (sample.time === last) column.pop();
      else if (column.length >= kSteps) column.shift();
      column.push(sample[name] ?? null);
    }
    this.#draw();
  }

  #everyMinute() {
    if (this.#series?.step_seconds === 60) this.#load();
    else this.#savings.changed(); // the last hour moves
  }

  #showEmpty(isEmpty) {
    this.#savings.element.hidden = isEmpty;
    this.#empty.hidden = !isEmpty;
    if (isEmpty && this.#empty.firstChild === null) replace(this.#empty, firstSteps());
  }
}

function firstSteps() {
  return emptyNote("No request yet",
    h("p", {}, "Send this twice: the second time, most of its prompt is read from the cache. ",
      "Or talk with the model in ", h("a", { href: "#/try" }, "Try it"), "."),
    firstRequest(kQuestion));
}

const kQuestion = "A prompt cache keeps what a model computed for the beginning of a prompt, so that " +
  "the next request that begins with the same tokens reads it instead of computing it again. " +
  "In one sentence: for whom is that worth the most?";

customElements.define("view-overview", Overview);
