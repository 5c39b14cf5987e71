// The panel of one node of the tree: what it is, its text token by token, how long it stays; for
// administrators, letting it go and keeping it, both only once they are confirmed.

import { get, post, remove } from "../api.js";
import { errorNote, h, replace, swatch } from "../dom.js";
import { count, countdown, relativeTime, seconds, tokens } from "../format.js";
import { stateOf } from "./icicle.js";

const kStateWords = { automatic: "cached by itself", promised: "promised", leased: "held by a running request" };

export class Details {
  element = h("section", { class: "panel tree-details", hidden: true, tabindex: "-1", "aria-label": "A part of the tree" });
  #zoom;
  #changed;
  #id = null;
  #ticket = 0;
  #head = h("div", { class: "view-head" });
  #figures = h("dl", { class: "figures" });
  #actions = h("div", { class: "toolbar" });
  #said = h("div", { role: "status" });
  #rest = h("div", {});

  constructor({ zoom, changed }) {
    this.#zoom = zoom;
    this.#changed = changed;
    replace(this.element, this.#head, this.#figures, this.#actions, this.#said, this.#rest);
  }

  close() {
    this.#id = null;
    this.element.hidden = true;
  }

  async open(node) {
    this.#id = node.id;
    this.element.hidden = false;
    replace(this.#said);
    replace(this.#rest);
    this.#showNode(node);
    this.#offer(node);
    const ticket = ++this.#ticket;
    try {
      const whole = await get(`/cache/tree/${node.id}`);
      if (ticket !== this.#ticket || this.#id !== node.id) return;
      this.#showNode(whole);
      this.#showRest(whole);
    } catch (error) {
      if (ticket === this.#ticket && error.status !== 401) replace(this.#said, errorNote(error));
    }
  }

  // The tree was asked anew.
  update(tree) {
    if (this.#id === null) return;
    const node = tree.byId.get(this.#id);
    if (node) {
      this.#showNode(node);
    } else if (!this.#said.firstChild) {
      replace(this.#actions);
      replace(this.#said, h("p", { class: "note" }, "It is not cached any more."));
    }
  }

  #showNode(node) {
    replace(this.#head, h("h2", {}, node.name),
      h("span", { class: "chip" }, swatch(stateOf(node)), " ", kStateWords[stateOf(node)]),
      h("button", { type: "button", class: "quiet small", onclick: () => this.close() }, "Close"));
    const figure = (name, label, value, detail) => h("div", { "data-figure": name },
      h("dt", {}, label), h("dd", {}, value), detail && h("dd", { class: "detail" }, detail));
    replace(this.#figures,
      figure("tokens", "Holds", tokens(node.tokens),
        `${count(node.begin)} to ${count(node.begin + node.tokens)} of the prompt; ` +
        `${count(node.blocks)} ${node.blocks === 1 ? "block" : "blocks"}`),
      figure("below", "With all below", tokens(node.tokens_below)),
      figure("reads", "Read", `${count(node.reads)}×`, `${count(node.readers)} reading now`),
      figure("used", "Last used", relativeTime(node.last_used)),
      figure("left", "Goes in", node.expires_in === null ? "–" : countdown(node.expires_in),
        node.expires_in === null ? whyNot(node) : "unless it is used again"),
      node.cache_key && figure("key", "Cache key", node.cache_key),
      node.tenant && figure("tenant", "Tenant", node.tenant));
  }

  #showRest(node) {
    const more = node.tokens - node.text.length;
    replace(this.#rest,
      node.promises.length > 0 && h("table", { class: "data" },
        h("caption", {}, "Promises that end here"),
        h("thead", {}, h("tr", {}, ["Up to", "For", "Left"].map((each) => h("th", { scope: "col" }, each)))),
        h("tbody", {}, node.promises.map((promise) => h("tr", {},
          h("td", {}, tokens(promise.tokens)), h("td", {}, seconds(promise.ttl_seconds, { whole: true })),
          h("td", {}, countdown(promise.expires_in)))))),
      h("h3", {}, `Its text (${node.part}), token by token`),
      h("pre", { class: "tree-text", tabindex: "0", role: "region", "aria-label": "Text of this part" },
        node.text.map(({ token, text }) => h("span", { title: `token ${token}` }, text))),
      more > 0 && h("p", { class: "quiet-text" }, `… and ${tokens(more)} more`));
  }

  // Administrators are shown tenants.
  #offer(node) {
    const zoom = h("button", { type: "button", onclick: () => this.#zoom(node) }, "Zoom in");
    if (node.tenant === undefined) return replace(this.#actions, zoom);
    const keep = h("button", {
      type: "button",
      onclick: () => this.#confirm(node, `Keep it and all above it for an hour, for ${node.name}?`, "Keep for an hour",
        "primary", async () => {
          const kept = await post(`/cache/tree/${node.id}/keep`, { ttl: "1h" });
          return `Kept for ${seconds(kept.expires_in, { whole: true })}.`;
        }),
    }, "Keep for an hour");
    const drop = h("button", {
      type: "button", class: "danger",
      onclick: () => this.#confirm(node, `Let go of ${tokens(node.tokens_below)}, with all below and its promises?`,
        "Let it go", "danger", async () => {
          const { freed_blocks: freed, kept_blocks: kept } = await remove(`/cache/tree/${node.id}`);
          const still = kept > 0 ? ` ${count(kept)} are held by running requests and stay.` : "";
          return `${count(freed)} blocks were let go.${still}`;
        }),
    }, "Let it go");
    return replace(this.#actions, zoom, keep, drop);
  }

  #confirm(node, question, yes, kind, act) {
    const no = h("button", { type: "button", onclick: () => this.#offer(node) }, "No");
    const sure = h("button", {
      type: "button", class: kind,
      onclick: async () => {
        sure.disabled = true;
        try {
          replace(this.#said, h("p", { class: "note" }, await act()));
        } catch (error) {
          replace(this.#said, errorNote(error));
        }
        this.#offer(node);
        this.#changed();
      },
    }, yes);
    replace(this.#actions, h("span", {}, question), sure, no);
    no.focus();
  }
}

function whyNot(node) {
  return node.readers > 0 || node.state === "promised" ? "not while a request needs it" : "stays until there is no room";
}
