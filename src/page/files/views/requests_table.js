// The history as a table: filtered, sorted, one link a row. It is told of entries and shows them;
// where they come from is not its matter.
//
//   const table = new RequestsTable()
//   table.element
//   table.set(entries)   all of GET /cache/requests, newest first
//   table.put(entry)     one that is new or says something new
//   table.stop()

import { emptyNote, h, replace, tokenBar } from "../dom.js";
import { count, milliseconds, relativeTime } from "../format.js";
import { kReasons, readShare, readWords, reasonWords, stateWords } from "./request_words.js";

const kRows = 200; // shown at first, and more by as many
const kPause = 250; // ms between two drawings while requests come in

const kColumns = [
  { name: "time", title: "When", value: (entry) => entry.time },
  { name: "tenant", title: "Tenant", value: (entry) => entry.tenant ?? "" },
  { name: "model", title: "Model", value: (entry) => entry.model },
  { name: "endpoint", title: "Endpoint", value: (entry) => entry.endpoint },
  { name: "tokens", title: "Prompt tokens", number: true, value: (entry) => entry.tokens.total },
  { name: "read", title: "Read from the cache", number: true, value: readShare },
  { name: "first", title: "First token", number: true, value: (entry) => entry.first_token_ms ?? -1 },
  { name: "generated", title: "Generated", number: true, value: (entry) => entry.generated ?? -1 },
  { name: "reason", title: "What became of it", value: reasonWords },
  { name: "state", title: "State", value: (entry) => stateWords(entry.state) },
];

// What was chosen stays while the page does, also when a request is opened and closed again.
const chosen = { text: "", reason: "", tenant: "", column: "time", descending: true, rows: kRows };

export class RequestsTable {
  #entries = new Map(); // id → entry
  #rows = new Map(); // id → {row, said}
  #timer = null;
  #hasTenants = false;
  #head = h("tr", {});
  #body = h("tbody", {});
  #status = h("p", { class: "quiet-text small-text", role: "status" });
  #reasons = h("select", { id: "requests-reason", onchange: (event) => this.#choose({ reason: event.target.value }) });
  #tenants = h("select", { id: "requests-tenant", onchange: (event) => this.#choose({ tenant: event.target.value }) });
  #tenantField = h("div", { class: "field", hidden: true }, h("label", { for: "requests-tenant" }, "Tenant"), this.#tenants);
  #more = h("button", { type: "button", onclick: () => this.#choose({ rows: chosen.rows + kRows }) }, "Show more");
  #empty = h("div", {});

  constructor() {
    const search = h("input", {
      id: "requests-text", type: "search", value: chosen.text, placeholder: "model, endpoint, id, reason",
      oninput: (event) => this.#choose({ text: event.target.value }),
    });
    this.element = h("div", { class: "requests-list" },
      h("form", { class: "toolbar requests-filter", role: "search", onsubmit: (event) => event.preventDefault() },
        h("div", { class: "field" }, h("label", { for: "requests-text" }, "Find"), search),
        h("div", { class: "field" }, h("label", { for: "requests-reason" }, "What became of it"), this.#reasons),
        this.#tenantField, this.#status),
      h("div", { class: "scroll panel", tabindex: "0", role: "region", "aria-label": "Requests" },
        h("table", { class: "data requests-table" },
          h("caption", { class: "visually-hidden" }, "The last requests; each row opens one"),
          h("thead", {}, this.#head), this.#body),
        this.#empty, this.#more));
    this.#body.addEventListener("keydown", (event) => this.#move(event));
  }

  set(entries) {
    this.#entries = new Map(entries.map((entry) => [entry.id, entry]));
    this.#rows.clear();
    this.#draw();
  }

  put(entry) {
    this.#entries.set(entry.id, entry);
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      this.#draw();
    }, kPause);
  }

  get size() {
    return this.#entries.size;
  }

  stop() {
    clearTimeout(this.#timer);
  }

  #choose(change) {
    Object.assign(chosen, change.rows ? change : { ...change, rows: kRows });
    this.#draw();
  }

  #draw() {
    const all = [...this.#entries.values()];
    this.#hasTenants = all.some((entry) => entry.tenant);
    this.#drawFilters(all);
    this.#drawHead();
    const shown = this.#sorted(all.filter((entry) => this.#matches(entry)));
    this.#drawBody(shown.slice(0, chosen.rows));
    this.#more.hidden = shown.length <= chosen.rows;
    replace(this.#status, `${count(shown.length)} of ${count(all.length)} requests`);
    this.#empty.hidden = shown.length > 0;
    if (shown.length === 0) replace(this.#empty, h("p", {}, "No request is like that. Choose less above."));
  }

  #drawFilters(all) {
    const tenants = [...new Set(all.map((entry) => entry.tenant).filter(Boolean))].sort();
    this.#tenantField.hidden = !this.#hasTenants;
    const reasons = [...new Set(all.map((entry) => entry.reason).filter(Boolean))].sort();
    fillSelect(this.#reasons, reasons.map((reason) => [reason, kReasons[reason] ?? reason]), chosen.reason);
    fillSelect(this.#tenants, tenants.map((tenant) => [tenant, tenant]), chosen.tenant);
  }

  #columns() {
    return kColumns.filter(({ name }) => name !== "tenant" || this.#hasTenants);
  }

  #drawHead() {
    const columns = this.#columns();
    if (this.#head.children.length !== columns.length) {
      replace(this.#head, columns.map(({ name, title, number }) =>
        h("th", { scope: "col", "data-column": name, class: number && "number" },
          h("button", { type: "button", class: "sort", onclick: () => this.#sortBy(name) }, title))));
    }
    for (const cell of this.#head.children) {
      const sorted = cell.dataset.column === chosen.column;
      if (sorted) cell.setAttribute("aria-sort", chosen.descending ? "descending" : "ascending");
      else cell.removeAttribute("aria-sort");
    }
  }

  #sortBy(column) {
    const numeric = kColumns.find(({ name }) => name === column).number || column === "time";
    const descending = chosen.column === column ? !chosen.descending : Boolean(numeric);
    this.#choose({ column, descending });
  }

  #matches(entry) {
    if (chosen.reason && entry.reason !== chosen.reason) return false;
    if (chosen.tenant && this.#hasTenants && entry.tenant !== chosen.tenant) return false;
    const text = [entry.model, entry.endpoint, entry.id, entry.reply_id, entry.tenant,
      reasonWords(entry), entry.state, stateWords(entry.state)].join(" ").toLowerCase();
    return chosen.text.toLowerCase().split(/\s+/).every((word) => text.includes(word));
  }

  #sorted(entries) {
    const { value } = kColumns.find(({ name }) => name === chosen.column);
    const sign = chosen.descending ? -1 : 1;
    return entries.sort((a, b) => {
      const [x, y] = [value(a), value(b)];
      if (x !== y) return x < y ? -sign : sign;
      return a.time < b.time ? 1 : -1;
    });
  }

  // Rows that say the same stay as they are, and so does the focus in them.
  #drawBody(entries) {
    const focused = this.#body.contains(document.activeElement) ? document.activeElement.dataset.id : null;
    const rows = entries.map((entry) => {
      const said = JSON.stringify({ ...entry, seconds_ago: 0, tenants: this.#hasTenants });
      const known = this.#rows.get(entry.id);
      if (known?.said === said) return known.row;
      const row = this.#row(entry);
      this.#rows.set(entry.id, { row, said });
      return row;
    });
    const same = rows.length === this.#body.children.length &&
      rows.every((row, i) => row === this.#body.children[i]);
    if (same) return;
    replace(this.#body, rows);
    if (focused) this.#rows.get(focused)?.row.querySelector("a").focus({ preventScroll: true });
  }

  #row(entry) {
    const cells = {
      time: h("a", { href: `#/requests/${encodeURIComponent(entry.id)}`, "data-id": entry.id },
        relativeTime(entry), h("span", { class: "visually-hidden" }, ` ${entry.id}`)),
      tenant: entry.tenant,
      model: entry.model || "–",
      endpoint: h("code", {}, entry.endpoint),
      tokens: count(entry.tokens.total),
      read: h("span", { class: "read-cell" },
        tokenBar({ read: entry.tokens.read, computed: entry.reason ? entry.tokens.computed : 0 }, entry.tokens.total),
        h("span", {}, entry.reason ? readWords(entry) : "–")),
      first: milliseconds(entry.first_token_ms),
      generated: count(entry.generated),
      reason: reasonWords(entry),
      state: h("span", { class: "chip", "data-state": entry.state }, stateWords(entry.state)),
    };
    return h("tr", { "data-id": entry.id }, this.#columns().map(({ name, number }) =>
      h(name === "time" ? "th" : "td",
        { scope: name === "time" && "row", class: number && "number", "data-column": name }, cells[name])));
  }

  // Up and down from row to row, to the first and the last.
  #move(event) {
    const links = [...this.#body.querySelectorAll("a")];
    const at = links.indexOf(document.activeElement);
    if (at < 0) return;
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: links.length - 1 }[event.key];
    if (to === undefined || !links[to]) return;
    event.preventDefault();
    links[to].focus();
  }
}

function fillSelect(select, options, value) {
  const wanted = [["", "all"], ...options];
  if (value && !options.some(([name]) => name === value)) wanted.push([value, value]);
  const now = [...select.options].map((option) => option.value).join("\n");
  if (now !== wanted.map(([name]) => name).join("\n")) {
    replace(select, wanted.map(([name, title]) => h("option", { value: name }, title)));
  }
  select.value = value;
}

export function noRequests(example) {
  return emptyNote("No request yet",
    h("p", {}, "Each request that the server answers is listed here, with what of its prompt was read from the cache and why no more. ",
      "Talk with the model in ", h("a", { href: "#/try" }, "Try it"), ", or send one:"), example);
}
