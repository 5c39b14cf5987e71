// Numbers as people read them, everywhere the same way: thousands by commas, a narrow no-break space
// before a unit, a dash for what there is none of (null, undefined, NaN).
//
//   count(n)            1,420
//   tokens(n)           1,420 tokens (1 token)
//   rate(n)             1,420 tokens/s
//   bytes(n)            1.38 GiB
//   milliseconds(ms)    8.4 ms, 312 ms, 1.24 s, then as seconds()
//   seconds(s)          0.42 s, 12.4 s, 2 min 5 s, 3 h 12 min, 2 d 4 h; {whole: true}: 4 s
//   share(x)            83.2 % of 0.832
//   money(x, currency)  $0.0123; 1.25 input prices
//   relativeTime(t)     <time>12 s ago</time> of {time, seconds_ago}, the exact one as its title
//   countdown(s)        <time>4 min 59 s</time> of seconds from now, "now" when it is over
//
// The last two make elements that go on by themselves while they are in the document.

const kThin = "\u202f";
const kNone = "–";
const kUnits = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

const isNumber = (value) => typeof value === "number" && !Number.isNaN(value);

// With `digits` after the point, no more and no fewer.
function decimal(value, digits = 0) {
  return value.toLocaleString("en-US", {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
}

const withUnit = (number, unit) => `${number}${kThin}${unit}`;

export function count(value) {
  return isNumber(value) ? decimal(value) : kNone;
}

export function tokens(value) {
  return isNumber(value) ? withUnit(decimal(value), value === 1 ? "token" : "tokens") : kNone;
}

export function rate(value) {
  if (!isNumber(value)) return kNone;
  return withUnit(decimal(value, value < 10 && !Number.isInteger(value) ? 1 : 0), "tokens/s");
}

export function bytes(value) {
  if (!isNumber(value)) return kNone;
  let unit = 0;
  while (Math.abs(value) >= 1024 && unit + 1 < kUnits.length) {
    value /= 1024;
    ++unit;
  }
  const digits = unit === 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return withUnit(decimal(value, digits), kUnits[unit]);
}

export function milliseconds(value) {
  if (!isNumber(value)) return kNone;
  if (value >= 1000) return seconds(value / 1000);
  return withUnit(decimal(value, value < 10 ? 1 : 0), "ms");
}

export function seconds(value, { whole = false } = {}) {
  if (!isNumber(value)) return kNone;
  if (value < 59.95 && !whole) return withUnit(decimal(value, value < 10 ? 2 : 1), "s");
  const all = Math.round(value);
  if (all < 60) return withUnit(all, "s");
  if (all < 3600) return twoUnits(Math.floor(all / 60), "min", all % 60, "s");
  if (all < 86400) {
    return twoUnits(Math.floor(all / 3600), "h", Math.floor((all % 3600) / 60), "min");
  }
  return twoUnits(Math.floor(all / 86400), "d", Math.floor((all % 86400) / 3600), "h");
}

function twoUnits(large, largeUnit, small, smallUnit) {
  const first = withUnit(decimal(large), largeUnit);
  return small === 0 ? first : `${first} ${withUnit(small, smallUnit)}`;
}

export function share(value) {
  return isNumber(value) ? withUnit(decimal(100 * value, 1), "%") : kNone;
}

// Small sums keep three digits that say something: a request costs millionths.
export function money(value, currency = "USD") {
  if (!isNumber(value)) return kNone;
  const size = Math.abs(value);
  const digits = size >= 1 || size === 0 ? 2 : Math.min(8, 2 - Math.floor(Math.log10(size)));
  const number = decimal(size, digits);
  const sign = value < 0 ? "−" : "";
  return currency === "USD" ? `${sign}$${number}` : `${sign}${number} ${currency}`;
}

const tickers = new WeakMap(); // element → its text at a time of performance.now()

export function relativeTime(moment) {
  if (!moment) return document.createTextNode(kNone);
  const at = performance.now() - 1000 * moment.seconds_ago;
  return ticking(moment.time, (now) => {
    const ago = Math.max(0, (now - at) / 1000);
    return ago < 1 ? "just now" : `${largestUnit(ago)} ago`;
  });
}

export function countdown(left) {
  if (!isNumber(left)) return document.createTextNode(kNone);
  const end = performance.now() + 1000 * left;
  const time = new Date(Date.now() + 1000 * left).toISOString();
  return ticking(time, (now) => (end <= now ? "now" : seconds((end - now) / 1000, { whole: true })));
}

// Called by the frame once a second.
export function refreshTimes(root = document) {
  const now = performance.now();
  for (const element of root.querySelectorAll("time.ticking")) {
    const text = tickers.get(element)?.(now);
    if (text !== undefined && element.textContent !== text) element.textContent = text;
  }
}

function ticking(time, text) {
  const element = document.createElement("time");
  const exact = new Date(time);
  element.dateTime = time;
  element.title = exact.toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "long" });
  element.className = "ticking";
  element.textContent = text(performance.now());
  tickers.set(element, text);
  return element;
}

function largestUnit(value) {
  if (value < 60) return withUnit(Math.floor(value), "s");
  if (value < 3600) return withUnit(Math.floor(value / 60), "min");
  if (value < 86400) return withUnit(Math.floor(value / 3600), "h");
  return withUnit(Math.floor(value / 86400), "d");
}
