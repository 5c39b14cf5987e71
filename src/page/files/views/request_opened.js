// One request: what became of its prompt, in a sentence, what to change, and its text beside the
// closest earlier prompt with the first difference marked on both sides.
//
//   const opened = new OpenedRequest(id)
//   opened.element; opened.id   the request's own id, also where it was asked for by its reply's
//   await opened.load()
//   opened.changed()            it says something new: asks again, soon
//   opened.stop()

import { get } from "../api.js";
import { errorNote, h, replace, tokenBar } from "../dom.js";
import { count, milliseconds, relativeTime, share, tokens } from "../format.js";
import { promptText } from "./prompt_text.js";
import { partName, readShare, reasonWords, stateWords } from "./request_words.js";

const kPause = 500; // ms

const address = (id) => `#/requests/${encodeURIComponent(id)}`;
const path = (id, query = "") => `/cache/requests/${encodeURIComponent(id)}?text=true${query}`;

export class OpenedRequest {
  id;
  #asking = new AbortController();
  #timer = null;
  #said = null; // what is shown, to draw nothing anew without need
  #index = 0; // which prompt
  #place = h("div", { class: "request-opened", "aria-busy": "true" }, h("p", { class: "quiet-text" }, "Loading…"));

  constructor(id) {
    this.id = id;
    this.element = h("div", { class: "view" },
      h("div", { class: "view-head" }, h("h1", {}, "Request"), h("code", { class: "request-id" }, id),
        h("a", { href: "#/requests" }, "All requests")),
      this.#place);
  }

  stop() {
    clearTimeout(this.#timer);
    this.#asking.abort();
  }

  changed() {
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      this.load();
    }, kPause);
  }

  async load() {
    const { signal } = this.#asking;
    try {
      const request = await get(path(this.id), { signal });
      this.id = request.id;
      const said = JSON.stringify(request, (name, value) => (name === "seconds_ago" ? undefined : value));
      if (said === this.#said) return;
      this.#said = said;
      this.#show(request);
    } catch (error) {
      if (error.name === "AbortError" || error.status === 401) return;
      replace(this.#place, error.status === 404 ? gone(this.id) : errorNote(error, () => this.load()));
    } finally {
      this.#place.removeAttribute("aria-busy");
    }
  }

  #show(request) {
    const prompt = request.prompts[this.#index];
    replace(this.#place,
      request.prompts.length > 1 && this.#choice(request),
      explanation(request, prompt),
      figures(request, prompt),
      h("div", { class: "panels prompts" }, this.#own(prompt), this.#closest(prompt)));
  }

  #choice(request) {
    return h("fieldset", { class: "segmented" }, h("legend", { class: "visually-hidden" }, "Prompt"),
      request.prompts.map((_, i) => h("label", {}, h("input", {
        type: "radio", name: "prompt", value: i, checked: i === this.#index,
        onchange: () => {
          this.#index = i;
          this.#show(request);
        },
      }), `Prompt ${i + 1}`)));
  }

  #own(prompt) {
    return textPanel("This prompt", legend(), () => this.#text(this.id, this.#index, prompt,
      { difference: sideOf(prompt.first_difference, "this") }));
  }

  // Asked for when it is shown: the other request's own page has its text.
  #closest(prompt) {
    const { closest, first_difference: difference } = prompt;
    if (closest === null) {
      return h("section", { class: "panel" }, h("h2", {}, "Closest earlier prompt"),
        h("p", { class: "quiet-text" }, prompt.why === null ? "Not looked up yet." : "No earlier request in the history begins like this one."));
    }
    const head = h("p", { class: "small-text" },
      h("a", { href: address(closest.id) }, closest.id), ", ", relativeTime(closest),
      closest.tenant && `, ${closest.tenant}`, `: ${tokens(closest.shared_tokens)} at the beginning are the same.`,
      difference === null && " The two prompts are equal.");
    return textPanel("Closest earlier prompt", head, async () => {
      const other = await get(path(closest.id, `&prompt=${closest.prompt}`), { signal: this.#asking.signal });
      return this.#text(closest.id, closest.prompt, other.prompts[closest.prompt],
        { difference: sideOf(difference, "closest"), shared: true });
    });
  }

  // With a button for what one reply does not hold.
  #text(id, index, prompt, options) {
    const parts = [...prompt.text];
    const place = h("div", {});
    const show = (next) => {
      const more = next !== null && h("button", { type: "button", onclick: () => load(next) },
        `Load the text from token ${count(next)} on`);
      replace(place, promptText(parts, options), more);
    };
    const load = async (from) => {
      try {
        const reply = await get(path(id, `&prompt=${index}&from=${from}`), { signal: this.#asking.signal });
        parts.push(...reply.prompts[index].text);
        show(reply.prompts[index].text_next);
      } catch (error) {
        if (error.name !== "AbortError") place.append(errorNote(error));
      }
    };
    show(prompt.text_next);
    return place;
  }
}

function sideOf(difference, name) {
  return difference && { character: difference.character, length: difference[name].length };
}

function textPanel(title, head, make) {
  const place = h("div", {}, h("p", { class: "quiet-text" }, "Loading…"));
  (async () => {
    try {
      replace(place, await make());
    } catch (error) {
      if (error.name === "AbortError") return;
      replace(place, error.status === 404
        ? h("p", { class: "quiet-text" }, "Its text is no longer in the history.") : errorNote(error));
    }
  })();
  return h("section", { class: "panel prompt-panel" }, h("h2", {}, title), head, place);
}

function explanation(request, prompt) {
  if (prompt.explanation === null) {
    const waits = request.state === "queued";
    return h("section", { class: "panel explanation", "aria-label": "What happened" },
      h("p", { class: "what" }, waits ? "It waits for its turn; its prompt was not looked up yet." : "Its prompt was never looked up."));
  }
  const { what, advice } = prompt.explanation;
  return h("section", { class: "panel explanation", "aria-label": "What happened" },
    h("p", { class: "what" }, what), advice && h("p", { class: "advice" }, advice));
}

function figures(request, prompt) {
  const all = prompt.tokens;
  const cold = request.first_token_ms === null || request.saved_ms === undefined ? null : request.first_token_ms + request.saved_ms;
  const figure = (title, value, detail) => h("div", {}, h("dt", {}, title), h("dd", {}, value),
    detail && h("dd", { class: "detail" }, detail));
  return h("section", { class: "panel", "aria-label": "Figures" },
    tokenBar({ read: all.read, computed: prompt.why === null ? 0 : all.computed }, all.total),
    h("dl", { class: "figures" },
      figure("Prompt", tokens(all.total), all.written > 0 && `${tokens(all.written)} kept by marks`),
      figure("Read from the cache", prompt.why === null ? "–" : tokens(all.read), prompt.why && share(readShare(prompt))),
      figure("Computed", prompt.why === null ? "–" : tokens(all.computed), reasonWords(request)),
      figure("First token", milliseconds(request.first_token_ms), request.saved_ms > 0 && `cold: ${milliseconds(cold)}`),
      figure("Generated", typeof request.generated === "number" ? tokens(request.generated) : "–"),
      figure("When", relativeTime(request), stateWords(request.state))),
    h("p", { class: "quiet-text small-text" }, h("code", {}, request.endpoint), request.model && ` · ${request.model}`,
      request.tenant && ` · ${request.tenant}`, " · reply ", h("code", {}, request.reply_id),
      prompt.first_difference && ` · differs first in ${partName(prompt.first_difference.part)}, at token ${count(prompt.first_difference.token)}`));
}

function legend() {
  return h("ul", { class: "legend" },
    h("li", {}, h("span", { class: "sample t-read" }, "read"), " from the cache"),
    h("li", {}, h("span", { class: "sample t-computed" }, "computed")),
    h("li", {}, h("mark", { class: "difference" }, "first difference")));
}

function gone(id) {
  return h("section", { class: "empty" }, h("h2", {}, "No such request"),
    h("p", {}, `There is no request ${id} in the history: it is forgotten, or it is another tenant's. `,
      h("a", { href: "#/requests" }, "All requests"), " has those that are kept (--history)."));
}
