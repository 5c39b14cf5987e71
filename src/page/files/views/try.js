// "Try it": a conversation with the model in which each request shows what of its prompt was read,
// and buttons that change one word and ask again. The conversation stays while other views are open,
// and ends with the page or with another key.

import { get, key, stream } from "../api.js";
import { emptyNote, h, replace, useStyles } from "../dom.js";
import { kVendors, readCacheHeader } from "./try_requests.js";
import { changeEnd, changeStart, kDocument, kQuestion, kSystem } from "./try_text.js";
import { TurnView } from "./try_turn.js";

useStyles(import.meta.url, "try.css");

const kMarks = [["", "no mark"], ["5m", "kept 5 minutes"], ["1h", "kept 1 hour"]];

const fresh = () => ({
  vendor: "openai", system: kSystem, document: kDocument, systemMark: "", documentMark: "",
  cachePrompt: true, maxTokens: 48, question: kQuestion, messages: [], turns: [], model: null,
});
let session = fresh();
key.addEventListener("change", () => {
  session = fresh();
});

class Try extends HTMLElement {
  #running = null; // AbortController of the request that is on its way
  #turns = h("div", { class: "try-turns" });
  #fields = {};
  #buttons = {};

  connectedCallback() {
    this.#make();
    this.#showTurns();
  }

  disconnectedCallback() {
    this.#running?.abort();
    this.#running = null;
  }

  #make() {
    replace(this,
      h("div", { class: "view-head" }, h("h1", {}, "Try it"),
        h("button", { type: "button", onclick: () => this.#reset() }, "Reset")),
      h("div", { class: "try-columns" },
        h("section", { class: "panel", "aria-label": "The prompt" },
          this.#textField("system", "System text", 2, "systemMark"),
          this.#textField("document", "Document", 14, "documentMark"),
          this.#switches()),
        h("section", { "aria-label": "The conversation" }, this.#composer(), this.#turns)));
    this.#follow();
  }

  // With `mark`, the session's name for it, beside it how long what ends with this text is to be kept.
  #textField(name, label, rows, mark) {
    const id = `try-${name}`;
    this.#fields[name] = h("textarea", {
      id, rows, oninput: (event) => {
        session[name] = event.target.value;
      },
    }, session[name]);
    return h("div", { class: "try-field" },
      h("div", { class: "try-label" }, h("label", { for: id }, label), mark && h("select", {
        "aria-label": `Mark on: ${label}`,
        onchange: (event) => {
          session[mark] = event.target.value;
        },
      }, kMarks.map(([ttl, text]) =>
        h("option", { value: ttl, selected: ttl === session[mark] }, text)))),
      this.#fields[name]);
  }

  #switches() {
    const cachePrompt = h("input", {
      type: "checkbox", id: "try-cache", checked: session.cachePrompt, onchange: (event) => {
        session.cachePrompt = event.target.checked;
      },
    });
    this.#fields.cachePrompt = cachePrompt;
    return h("div", { class: "try-switches" },
      h("fieldset", { class: "segmented" }, h("legend", { class: "visually-hidden" }, "Vendor"),
        Object.entries(kVendors).map(([name, { title }]) => h("label", {}, h("input", {
          type: "radio", name: "try-vendor", value: name, checked: name === session.vendor,
          onchange: () => {
            session.vendor = name;
            this.#follow();
          },
        }), title))),
      h("span", {
        class: "try-check",
        title: "Off: neither read nor kept. A field of this server, in OpenAI's form only.",
      }, cachePrompt, h("label", { for: "try-cache" }, h("code", {}, "cache_prompt"))),
      h("span", { class: "try-check" },
        h("label", { for: "try-tokens" }, "Longest reply, tokens"),
        h("input", {
          type: "number", id: "try-tokens", min: 1, max: 4096, value: session.maxTokens,
          onchange: (event) => {
            session.maxTokens = Math.max(1, Math.trunc(event.target.valueAsNumber || 48));
            event.target.value = session.maxTokens;
          },
        })));
  }

  #composer() {
    const field = this.#textField("question", "Your question", 2);
    this.#fields.question.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
        event.preventDefault();
        this.#ask();
      }
    });
    this.addEventListener("keydown", (event) => event.key === "Escape" && this.#running?.abort());
    const button = (name, label, press, options) => {
      this.#buttons[name] = h("button", { type: "button", onclick: press, ...options }, label);
      return this.#buttons[name];
    };
    return h("div", { class: "panel" }, field,
      h("div", { class: "toolbar" },
        button("send", "Send", () => this.#ask(), { class: "primary" }),
        button("stop", "Stop", () => this.#running?.abort()),
        h("span", { class: "small-text quiet-text" }, "Enter sends, Escape stops.")),
      h("div", { class: "toolbar", role: "group", "aria-label": "Ask the last question again" },
        button("again", "The same again", () => this.#again(null)),
        button("start", "Change one word at the start", () => this.#again("start")),
        button("end", "Change one word at the end", () => this.#again("end"))));
  }

  // Which buttons do something now. They are not disabled, which would take the focus from the one
  // that was pressed.
  #follow() {
    const running = this.#running !== null;
    const asked = session.messages.length > 0;
    const idle = { send: running, stop: !running };
    for (const name of ["again", "start", "end"]) idle[name] = running || !asked;
    for (const [name, is] of Object.entries(idle)) {
      this.#buttons[name].setAttribute("aria-disabled", String(is));
    }
    this.#fields.cachePrompt.disabled = session.vendor !== "openai";
  }

  #reset() {
    this.#running?.abort();
    this.#running = null;
    session = fresh();
    this.#make();
    this.#showTurns();
    this.#fields.question.focus();
  }

  #showTurns() {
    if (session.turns.length === 0) {
      replace(this.#turns, emptyNote("Nothing asked yet",
        h("p", {}, "Send the question: all of the text is computed. Then send another, or change one " +
          "word, and see how much of the prompt is read from the cache, and how much sooner the first " +
          "token comes.")));
      return;
    }
    replace(this.#turns, session.turns.map((turn) => this.#makeTurn(turn)).reverse());
  }

  #makeTurn(turn) {
    turn.view = new TurnView(turn);
    return turn.view.element;
  }

  #ask() {
    const question = session.question.trim();
    if (this.#running !== null || question === "") return;
    this.#fields.question.value = session.question = "";
    this.#send(question, session.messages, null);
  }

  // The last question once more, with a word changed where `place` says. Its reply is forgotten.
  #again(place) {
    if (this.#running !== null || session.messages.length === 0) return;
    const last = session.messages.findLastIndex(({ role }) => role === "user");
    const before = session.messages.slice(0, last);
    let question = session.messages[last].content;
    let note = "Asked again, unchanged.";
    if (place === "end") {
      const { text, from, to } = changeEnd(question);
      question = text;
      note = `At the end of the question, “${from}” became “${to}”.`;
    } else if (place === "start") {
      const name = session.document ? "document" : "system";
      const { text, from, to } = changeStart(session[name]);
      this.#fields[name].value = session[name] = text;
      const where = name === "system" ? "system text" : name;
      note = `At the start of the ${where}, “${from}” became “${to}”.`;
    }
    const replaced = session.turns.at(-1);
    replaced.past = true;
    replaced.view.show();
    this.#send(question, before, note);
  }

  async #send(question, before, change) {
    const mine = session;
    const { system, document, systemMark, documentMark, maxTokens, vendor } = mine;
    const turn = {
      number: mine.turns.length + 1,
      question, change, vendor, state: "running", reply: "", past: false,
      conversation: {
        model: mine.model, system, document, systemMark, documentMark, maxTokens,
        cachePrompt: mine.cachePrompt || vendor !== "openai",
        messages: [...before, { role: "user", content: question }],
      },
    };
    mine.turns.push(turn);
    const running = new AbortController();
    this.#running = running;
    this.#follow();
    if (turn.number === 1) replace(this.#turns);
    this.#turns.prepend(this.#makeTurn(turn));
    try {
      turn.conversation.model = mine.model ??= (await get("/v1/models")).data[0].id;
      await this.#receive(turn, running.signal);
      turn.state = "finished";
    } catch (error) {
      turn.state = error.name === "AbortError" ? "stopped" : "failed";
      if (turn.state === "failed") turn.error = error;
    }
    if (turn.state === "failed" && turn.reply === "") {
      if (mine.question === "" && change === null) mine.question = question; // nothing is lost
    } else {
      const said = turn.reply === "" ? [] : [{ role: "assistant", content: turn.reply }];
      mine.messages = [...turn.conversation.messages, ...said];
    }
    await this.#learn(turn);
    turn.view.show();
    if (this.#running !== running) return; // another one's by now
    this.#running = null;
    this.#fields.question.value = session.question;
    this.#follow();
  }

  async #receive(turn, signal) {
    const vendor = kVendors[turn.vendor];
    await stream(vendor.path, {
      body: vendor.body(turn.conversation), signal,
      onOpen: (headers) => {
        turn.id = headers.get("x-request-id");
        turn.warning = headers.get("x-reprise-cache-warning");
        turn.tokens = readCacheHeader(headers);
        turn.view.show();
      },
      onEvent: (event) => {
        const { text, usage, error } = vendor.read(event);
        if (error) throw new Error(error);
        if (usage) turn.tokens = usage;
        if (text) turn.reply += text;
        if (text || usage) turn.view.show();
      },
    });
  }

  // What only the history knows: the first token's time, and what it would have been cold.
  async #learn(turn) {
    if (!turn.id) return;
    try {
      turn.entry = await get(`/cache/requests/${encodeURIComponent(turn.id)}`);
    } catch {
      // A server without a history: the strip stays, the times are not known.
    }
  }
}

customElements.define("view-try", Try);
