// One turn of "Try it" as it is shown: the question, the reply as it comes, the prompt as a strip,
// and the first token's time beside what it would have been cold.

import { copyable, errorNote, h, replace, swatch, tokenBar } from "../dom.js";
import { count, milliseconds } from "../format.js";
import { kVendors } from "./try_requests.js";

const kKinds = ["read", "computed", "generated"];

export class TurnView {
  #turn;
  #reply = h("p", { class: "try-reply", "aria-live": "polite" });
  #strip = h("div", { class: "try-strip" });
  #times = h("div", { class: "try-times" });
  #notes = h("div", {});
  #why = h("p", { class: "small-text" });

  // turn: {number, question, change, vendor, conversation, state, past, reply}, and what is known by
  // then of {tokens, entry, id, warning, error}. After a change of it, show().
  constructor(turn) {
    this.#turn = turn;
    this.element = h("article", { class: "panel try-turn", "aria-label": `Request ${turn.number}` },
      h("h2", { class: "try-question" }, h("b", {}, `${turn.number}. `), turn.question),
      turn.change && h("p", { class: "small-text quiet-text" }, turn.change),
      this.#reply, this.#strip, this.#times, this.#notes, this.#requests(), this.#why);
    this.show();
  }

  show() {
    const turn = this.#turn;
    const running = turn.state === "running";
    this.element.dataset.state = turn.state;
    this.element.dataset.past = turn.past; // no longer in the conversation
    this.#reply.setAttribute("aria-busy", String(running));
    replace(this.#reply, turn.reply || (running ? "…" : h("i", { class: "quiet-text" }, "no text")));
    this.#reply.hidden = turn.state === "failed" && !turn.reply;
    replace(this.#strip, turn.tokens && [tokenBar(turn.tokens), legend(turn.tokens)]);
    replace(this.#times, !running && times(turn));
    replace(this.#notes,
      turn.state === "stopped" && h("p", { class: "small-text quiet-text" }, "Stopped."),
      turn.warning && h("p", { class: "note small-text" }, turn.warning),
      turn.error && errorNote(turn.error));
    replace(this.#why, turn.id && !running &&
      h("a", { href: `#/requests/${encodeURIComponent(turn.id)}` }, "Why this much was read",
        h("span", { class: "visually-hidden" }, ` by request ${turn.number}`)));
  }

  #requests() {
    const details = h("details", {
      ontoggle: () => {
        if (!details.open || details.childElementCount > 1) return;
        details.append(...Object.values(kVendors).map((vendor) => h("div", { class: "try-json" },
          h("h3", {}, `${vendor.title}: POST ${vendor.path}`),
          copyable(JSON.stringify(vendor.body(this.#turn.conversation), null, 2),
            `Request ${this.#turn.number} for ${vendor.title}`))));
      },
    }, h("summary", {}, "This request as JSON"));
    return details;
  }
}

function legend(tokens) {
  return h("ul", { class: "legend" }, kKinds.map((kind) => h("li", {},
    swatch(kind), " ", h("b", { "data-tokens": kind }, count(tokens[kind])), ` ${kind}`)));
}

function times({ entry }) {
  if (typeof entry?.first_token_ms !== "number") return null;
  const warm = entry.first_token_ms;
  const cold = warm + (entry.saved_ms ?? 0);
  const row = (label, kind, value) => h("div", {},
    h("dt", {}, label),
    h("dd", {}, h("span", { class: "bar", "aria-hidden": "true" },
      h("i", { class: kind, style: { width: `${(100 * value) / Math.max(cold, 0.001)}%` } })),
    h("span", { class: "value", "data-time": kind }, milliseconds(value))));
  return h("dl", {
    title: "Cold: with the time that computing what was read takes at this server's measured pace.",
  }, row("First token", "read", warm), row("Cold, it would be", "computed", cold));
}
