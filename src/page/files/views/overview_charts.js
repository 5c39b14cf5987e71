// The charts of the Overview: which columns of GET /cache/series each shows, and how.
//
//   makeCharts(series)               a list of {chart, update(series, cache)}: those whose columns a
//                                    tenant's or an administrator's series has
//   update(series, cache)            series: {step_seconds, columns} of GET /cache/series;
//                                    cache: what GET /cache says
//
// A request's prompt is counted in one step, its work in few: so what is shown of tokens is over a
// window that ends at each moment, named beside the title.

import { Chart } from "../chart.js";
import { bytes, count, milliseconds, rate, share } from "../format.js";

const kBinarySteps = Array.from({ length: 50 }, (_, power) => 2 ** power);

// In steps, by the length of a step in seconds.
const kShareWindow = { 1: 60, 60: 15 };
const kRateWindow = { 1: 10, 60: 1 };
// Seconds that are shown at least, when the server has just begun.
const kLeast = { 1: 60, 60: 3 * 3600 };

const kCharts = [
  {
    needs: ["prompt", "read"],
    options: {
      title: "Prompt tokens read from the cache", format: share, top: 1,
      series: [{ label: "read", kind: "read" }],
    },
    note: (step) => `share of each last ${step === 1 ? "minute" : "15 minutes"}`,
    values: ({ columns, step_seconds: step }) => {
      const read = windowSums(columns.read, kShareWindow[step]);
      const prompt = windowSums(columns.prompt, kShareWindow[step]);
      return [read.map((tokens, t) => (prompt[t] > 0 ? tokens / prompt[t] : null))];
    },
  },
  {
    needs: ["read", "computed", "generated"],
    options: {
      title: "Tokens a second", format: rate, axisFormat: short,
      series: [
        { label: "read", kind: "read" },
        { label: "computed", kind: "computed" },
        { label: "generated", kind: "generated" },
      ],
    },
    note: (step) => `mean of each last ${step === 1 ? "10 seconds" : "minute"}`,
    values: ({ columns, step_seconds: step }) => {
      const seconds = step * kRateWindow[step];
      return ["read", "computed", "generated"].map((name) =>
        windowSums(columns[name], kRateWindow[step]).map((tokens) => tokens / seconds));
    },
  },
  {
    needs: ["first_token_cold_ms", "first_token_cached_ms"],
    options: {
      title: "Time to the first token", format: milliseconds,
      series: [
        { label: "cold", kind: "computed", points: true },
        { label: "cached", kind: "read", points: true },
      ],
    },
    note: (step) => `median of each ${step === 1 ? "second" : "minute"}; cached: half of it read`,
    values: ({ columns }) => [columns.first_token_cold_ms, columns.first_token_cached_ms],
  },
  {
    needs: ["blocks_free"],
    options: memory(["leased", "promised", "automatic", "free"]),
    values: ({ columns }, cache) => blocks(columns, cache, "leased", "promised", "automatic", "free"),
  },
  {
    needs: ["blocks_automatic"],
    unless: "blocks_free",
    options: memory(["promised", "automatic"]),
    values: ({ columns }, cache) => blocks(columns, cache, "promised", "automatic"),
  },
  {
    needs: ["running", "waiting"],
    options: {
      title: "Requests", format: count, axisFormat: short, increments: kBinarySteps,
      series: [{ label: "running", kind: "leased" }, { label: "waiting", kind: "other" }],
    },
    values: ({ columns }) => [columns.running, columns.waiting],
  },
  {
    needs: ["disk_bytes"],
    options: {
      title: "On disk", format: bytes, increments: kBinarySteps,
      series: [{ label: "held", kind: "disk" }],
    },
    values: ({ columns }) => [columns.disk_bytes],
  },
  {
    needs: ["shared_stores"],
    options: {
      title: "Shared stores", format: count, axisFormat: short, increments: kBinarySteps,
      series: [{ label: "reached", kind: "shared" }],
    },
    values: ({ columns }) => [columns.shared_stores],
  },
];

export function makeCharts({ columns, step_seconds: step }) {
  return kCharts
    .filter(({ needs, unless }) => needs.every((name) => name in columns) && !(unless in columns))
    .map(({ options, note, values }) => {
      const chart = new Chart({ ...options, note: note?.(step), least: kLeast[step] });
      return {
        chart,
        update: (series, cache) => chart.set(series.columns.time, values(series, cache)),
      };
    });
}

function memory(states) {
  return {
    title: "Memory of the cache", format: bytes, stacked: true, increments: kBinarySteps,
    series: states.map((state) => ({ label: state, kind: state })),
  };
}

function blocks(columns, cache, ...states) {
  return states.map((state) =>
    columns[`blocks_${state}`].map((number) => number * cache.block_bytes));
}

// Of each `width` steps that end at a step; of fewer where the column begins.
function windowSums(column, width) {
  let sum = 0;
  return column.map((value, t) => {
    sum += value - (t >= width ? column[t - width] : 0);
    return sum;
  });
}

function short(value) {
  return Number.isInteger(value) ? count(value) : value.toFixed(1);
}
