// Making elements, and the few pieces that all views show in the same way. Everything is in the
// light DOM, so that theme.css applies. Text is always set as text: nothing here reads HTML.
//
//   h(tag, {class, href, onclick, …}, ...children)   an element
//   svg(tag, {…}, ...children)                        one of SVG
//   replace(node, ...children)                        its children are these from now on
//   tokenBar({read, computed, generated}, whole)      a strip of tokens by kind
//   swatch(kind)                                      the small square of a legend
//   copyButton(text, label)   copyable(text, label)   a button that copies; a text with one
//   firstRequest(question)                            a curl command that asks it, to copy
//   useStyles(url, name)                              a view's own CSS: useStyles(import.meta.url, "tree.css")
//   emptyNote(title, ...children)                     nothing is there yet: what to do first
//   errorNote(error, retry)                           what is wrong, and a button to try again

import { key, serverAddress } from "./api.js";
import { tokens as formatTokens } from "./format.js";

const kSvg = "http://www.w3.org/2000/svg";

// Attributes by name; `on…` functions listen; `style` is an object of properties (set from script,
// as the Content-Security-Policy wants it); true is an attribute without value; null and false are
// none. Children are nodes, texts, numbers, or lists of them; null, undefined and false are none.
export function h(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes, ...children) {
  return fill(document.createElementNS(kSvg, tag), attributes, children);
}

export function replace(node, ...children) {
  node.replaceChildren(...flat(children));
  return node;
}

// A strip of one line: its parts in the order given, each as wide as its share of `whole` (a number
// of tokens; without it, of their sum). Said in words for those who do not see it.
export function tokenBar(parts, whole) {
  const entries = Object.entries(parts).filter(([, tokens]) => tokens > 0);
  const sum = entries.reduce((total, [, tokens]) => total + tokens, 0);
  const label = entries.map(([kind, tokens]) => `${kind}: ${formatTokens(tokens)}`).join(", ");
  return h("span", { class: "bar", role: "img", "aria-label": label || "no tokens", title: label },
    entries.map(([kind, tokens]) => h("i", {
      class: kind,
      style: { width: `${(100 * tokens) / Math.max(whole ?? sum, 1)}%` },
    })));
}

export function swatch(kind) {
  return h("i", { class: `swatch ${kind}`, "aria-hidden": "true" });
}

export function copyButton(text, label = "Copy") {
  const button = h("button", { type: "button", class: "quiet small" }, label);
  button.addEventListener("click", async () => {
    const copied = await copyText(typeof text === "function" ? text() : text);
    replace(button, copied ? "Copied" : "Not allowed here");
    setTimeout(() => replace(button, label), 1500);
  });
  return button;
}

export function copyable(text, label = "Text to copy") {
  return h("div", { class: "copyable" },
    h("pre", { tabindex: "0", role: "region", "aria-label": label }, h("code", {}, text)),
    copyButton(text));
}

export function firstRequest(question) {
  const body = JSON.stringify({ messages: [{ role: "user", content: question }] });
  return copyable([
    `curl ${serverAddress}/v1/chat/completions`,
    ...(key.value ? ['  -H "Authorization: Bearer $REPRISE_KEY"'] : []),
    "  -H 'Content-Type: application/json'",
    `  -d '${body}'`,
  ].join(" \\\n"), "A first request");
}

// For a module to call once.
export function useStyles(url, name) {
  document.head.append(h("link", { rel: "stylesheet", href: new URL(name, url).href }));
}

export function emptyNote(title, ...children) {
  return h("section", { class: "empty" }, h("h2", {}, title), children);
}

export function errorNote(error, retry) {
  return h("div", { class: "note error", role: "alert" },
    h("p", {}, error?.message ?? String(error)),
    retry && h("button", { type: "button", onclick: retry }, "Try again"));
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) {
      element.addEventListener(name.slice(2), value);
    } else if (name === "style") {
      for (const [property, set] of Object.entries(value)) element.style.setProperty(property, set);
    } else {
      element.setAttribute(name, value === true ? "" : value);
    }
  }
  element.append(...flat(children));
  return element;
}

function flat(children) {
  return children
    .flat(Infinity)
    .filter((child) => child !== null && child !== undefined && child !== false)
    .map((child) => (child instanceof Node ? child : String(child)));
}

// Browsers offer the clipboard to pages of this machine and of https only; elsewhere the old way.
async function copyText(text) {
  if (navigator.clipboard) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      // Refused: the old way may still do.
    }
  }
  const area = h("textarea", { class: "visually-hidden", "aria-hidden": "true" });
  area.value = text;
  const focused = document.activeElement;
  document.body.append(area);
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  focused?.focus();
  return copied;
}
