// A chart over time: uPlot with this page's colours, axes with units, a legend of buttons that show
// the values and switch series, and its values as a table for those who do not see it.
//
//   const chart = new Chart({title, note, format, series, stacked, top, increments})
//     series: [{label, kind, points}]  kind: a colour of theme.css ("read" is --read); points: dots,
//             joined over gaps, for what is measured now and then
//     format(value)                    what stands in the legend, at the axis and in the table
//     axisFormat(value)                at the axis, where it is to be shorter
//     stacked                          series lie on each other, the first at the bottom
//     top                              the axis ends there (1 of a share); without it at the largest
//     least                            seconds that the axis of time shows at least
//     increments                       steps that the axis may have (powers of two of bytes)
//   chart.element                      to be put on the page
//   chart.set(times, columns)          Unix seconds, and one list of values or null for each series
//   chart.stop()                       when it goes
//
// All charts of the page are drawn together in one animation frame; those off the screen once only,
// until they are seen.
// The cursors of all charts go together.

import { h, replace, swatch } from "./dom.js";
import uPlot from "./uplot.js";

const kHeight = 208; // px
const kTableRows = 24;
const kNarrow = "11px system-ui, sans-serif";

const clock = (time) =>
  new Date(1000 * time).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
const clockWithSeconds = (time) => new Date(1000 * time).toLocaleTimeString("en-GB");

// Colours by name, read once for each scheme.
const colours = new Map();
const charts = new Set();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  colours.clear();
  for (const chart of charts) chart.recolour();
});

function colour(name) {
  if (!colours.has(name)) {
    const style = getComputedStyle(document.documentElement);
    colours.set(name, style.getPropertyValue(`--${name}`).trim());
  }
  return colours.get(name);
}

const waiting = new Set(); // charts to be drawn in the next frame

function schedule(chart) {
  if (waiting.size === 0) {
    requestAnimationFrame(() => {
      const all = [...waiting];
      waiting.clear();
      for (const each of all) each.drawNow();
    });
  }
  waiting.add(chart);
}

export class Chart {
  #options;
  #shown; // of each series
  #times = [];
  #columns = [];
  #plot = null; // uPlot
  #place; // its element
  #values; // of the legend
  #body; // of the table
  #details;
  #visible = false;
  #resizes;
  #sights;

  constructor(options) {
    this.#options = { axisFormat: (value) => withoutZeros(options.format(value)), ...options };
    this.#shown = options.series.map(() => true);
    this.#columns = options.series.map(() => []);
    this.#place = h("div", { class: "chart-plot", role: "img" });
    this.element = h("section", { class: "panel chart" },
      h("div", { class: "chart-head" },
        h("h2", {}, options.title),
        options.note && h("p", { class: "quiet-text small-text" }, options.note)),
      this.#legend(), this.#place, this.#table());
    this.#resizes = new ResizeObserver(() => this.#resize());
    this.#resizes.observe(this.#place);
    this.#sights = new IntersectionObserver(([entry]) => {
      this.#visible = entry.isIntersecting;
      if (this.#visible) this.draw();
    });
    this.#sights.observe(this.#place);
    charts.add(this);
  }

  set(times, columns) {
    this.#times = times;
    this.#columns = columns;
    this.draw();
  }

  draw() {
    schedule(this);
  }

  recolour() {
    this.#plot?.redraw(false, false);
  }

  stop() {
    charts.delete(this);
    waiting.delete(this);
    this.#resizes.disconnect();
    this.#sights.disconnect();
    this.#plot?.destroy();
    this.#plot = null;
  }

  drawNow() {
    if (!charts.has(this)) return;
    this.#showValues();
    if (this.#details.open) this.#fillTable();
    if (this.#place.clientWidth === 0 || this.#times.length === 0) return;
    if (this.#plot === null) this.#plot = this.#make();
    else if (this.#visible) this.#plot.setData([this.#times, ...this.#drawn()]);
  }

  // What uPlot draws: series that lie on each other are drawn from the top, each down to zero.
  #drawn() {
    if (!this.#options.stacked) {
      return this.#columns.map((column, i) => (this.#shown[i] ? column : column.map(() => null)));
    }
    let below = this.#times.map(() => 0);
    const sums = this.#columns.map((column, i) => {
      if (this.#shown[i]) below = below.map((sum, t) => sum + (column[t] ?? 0));
      return this.#shown[i] ? below : below.map(() => null);
    });
    return sums.reverse();
  }

  #make() {
    const { series, stacked, top, least = 0, axisFormat, increments } = this.#options;
    const lines = series.map(({ kind, points }) => ({
      stroke: () => colour(kind),
      fill: stacked ? () => colour(kind) : undefined,
      width: stacked ? 0 : points ? 1 : 1.75,
      spanGaps: Boolean(points),
      points: { show: stacked ? false : points, size: 4, fill: () => colour(kind) },
    }));
    const axis = {
      stroke: () => colour("quiet"), font: kNarrow,
      grid: { stroke: () => colour("line"), width: 1 }, ticks: { show: false },
    };
    return new uPlot({
      width: this.#place.clientWidth, height: kHeight,
      padding: [8, 8, 0, 0],
      legend: { show: false },
      cursor: {
        y: false, drag: { x: false, y: false }, sync: { key: "page" },
        points: { show: !stacked, size: 7 },
      },
      hooks: { setCursor: [() => this.#showValues()] },
      scales: {
        x: { range: (_, min, max) => [Math.min(min, max - least), max] },
        y: { range: (_, __, max) => [0, top ?? (max > 0 ? 1.08 * max : 1)] },
      },
      axes: [
        { ...axis, space: 64, size: 24, values: clockLabels },
        {
          ...axis, space: 36, size: axisWidth, incrs: increments,
          values: (_, splits) => splits.map((value) => axisFormat(value)),
        },
      ],
      series: [{}, ...(stacked ? lines.reverse() : lines)],
    }, [this.#times, ...this.#drawn()], this.#place);
  }

  #resize() {
    if (this.#plot === null) this.draw();
    else if (this.#place.clientWidth > 0) {
      this.#plot.setSize({ width: this.#place.clientWidth, height: kHeight });
    }
  }

  #legend() {
    this.#values = this.#options.series.map(() => h("span", { class: "value" }));
    return h("div", { class: "chart-legend", role: "group", "aria-label": "Series" },
      this.#options.series.map(({ label, kind }, i) => h("button", {
        type: "button", "aria-pressed": "true",
        onclick: (event) => {
          this.#shown[i] = !this.#shown[i];
          event.currentTarget.setAttribute("aria-pressed", String(this.#shown[i]));
          this.draw();
        },
      }, swatch(kind), label, this.#values[i])));
  }

  // Of the moment under the cursor, else the newest; of what is measured now and then the last one.
  #showValues() {
    const at = this.#plot?.cursor.idx ?? null;
    this.#columns.forEach((column, i) => {
      const known = this.#options.series[i].points && at === null
        ? column.findLast((value) => value !== null) : column[at ?? column.length - 1];
      const text = this.#options.format(known ?? null);
      if (this.#values[i].textContent !== text) this.#values[i].textContent = text;
    });
    this.#place.setAttribute("aria-label", this.#summary());
  }

  #summary() {
    const { title, series, format } = this.#options;
    const parts = series.map(({ label }, i) => {
      const known = this.#columns[i].filter((value) => value !== null);
      if (known.length === 0) return `${label}: none`;
      const highest = known.reduce((most, value) => Math.max(most, value));
      return `${label}: ${format(known.at(-1))} last, ${format(highest)} at most`;
    });
    return `${title}. ${parts.join("; ")}.`;
  }

  #table() {
    this.#body = h("tbody", {});
    this.#details = h("details", { ontoggle: () => this.#fillTable() },
      h("summary", {}, "As a table", h("span", { class: "visually-hidden" },
        `: ${this.#options.title}`)),
      h("div", {
        class: "scroll", tabindex: "0", role: "region",
        "aria-label": `${this.#options.title}, as a table`,
      }, h("table", { class: "data" },
        h("caption", { class: "visually-hidden" }, this.#options.title),
        h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Time"),
          this.#options.series.map(({ label }) =>
            h("th", { scope: "col", class: "number" }, label)))),
        this.#body)));
    return this.#details;
  }

  // Moments at equal distances over all of it, the newest first.
  #fillTable() {
    const { length } = this.#times;
    const step = Math.max(1, Math.floor(length / kTableRows));
    const rows = [];
    for (let t = length - 1; t >= 0; t -= step) {
      rows.push(h("tr", {}, h("th", { scope: "row" }, clockWithSeconds(this.#times[t])),
        this.#columns.map((column) =>
          h("td", { class: "number" }, this.#options.format(column[t] ?? null)))));
    }
    replace(this.#body, rows);
  }
}

// "1 s" of "1.00 s".
function withoutZeros(text) {
  return text.replace(/\.0+(?=\D)/, "");
}

function clockLabels(_, splits) {
  return splits.map(splits.length > 1 && splits[1] - splits[0] < 60 ? clockWithSeconds : clock);
}

function axisWidth(_, values) {
  const longest = Math.max(2, ...(values ?? []).map((value) => value.length));
  return Math.ceil(6.4 * longest) + 12;
}
