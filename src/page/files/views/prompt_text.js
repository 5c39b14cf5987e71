// A prompt's text as the server's API tells it, part by part: what was read of each and what was
// computed, and the place where it and another prompt part. Said by a label, a border and a pattern,
// not by colour alone. Long parts are folded around what matters in them.
//
//   promptText(parts, {difference, shared})   an element
//     parts        of GET /cache/requests/{id}?text=true: {part, token, tokens, read, read_characters, text}
//     difference   {character, length} in the whole text, or null. Of a long one, where the texts go
//                  apart for good, the first character is marked
//     shared       true: it is the other prompt; nothing is said of reading

import { h, replace } from "../dom.js";
import { count, tokens } from "../format.js";

const kFoldedCharacters = 700;
const kFoldedLines = 12;
const kAround = 240; // shown before and behind the difference in a folded part
const kMarked = 120; // characters
const kChunk = 6000; // characters laid out together; what is not on the screen costs nothing

export function promptText(parts, { difference = null, shared = false } = {}) {
  let character = 0; // of the whole text
  let marked = false;
  const elements = parts.map((part) => {
    const length = countCharacters(part.text);
    let place = null;
    // A place at a part's end belongs to what follows it, unless nothing does.
    const isLast = part === parts.at(-1);
    const at = difference === null ? -1 : difference.character - character;
    if (!marked && at >= 0 && (at < length || (isLast && at === length))) {
      marked = true;
      const begin = indexOf(part.text, at);
      const marks = difference.length > kMarked ? 1 : difference.length;
      place = { begin, end: begin + indexOf(part.text.slice(begin), marks) };
    }
    character += length;
    return partElement(part, place, shared);
  });
  return h("ol", { class: "prompt-text" }, elements);
}

function partElement(part, place, shared) {
  const kind = shared ? "plain" : part.read === part.tokens ? "read" : part.read === 0 ? "computed" : "mixed";
  const words = {
    plain: tokens(part.tokens),
    read: `read, ${tokens(part.tokens)}`,
    computed: `computed, ${tokens(part.tokens)}`,
    mixed: `${count(part.read)} of ${tokens(part.tokens)} read, the rest computed`,
  }[kind];
  const text = h("div", { class: "part-text" });
  const element = h("li", { class: `prompt-part ${kind}`, "data-part": part.part },
    h("p", { class: "part-head" }, h("code", { class: "part-name" }, part.part),
      h("span", { class: "part-state" }, words)),
    text);
  const readEnd = shared ? part.text.length : indexOf(part.text, part.read_characters);
  const cuts = { readEnd, place, shared };
  const folded = foldedRange(part.text, place);
  if (folded === null) {
    replace(text, pieces(part.text, 0, part.text.length, cuts));
    return element;
  }
  const button = h("button", { type: "button", class: "quiet small", "aria-expanded": "false" });
  const show = (open) => {
    const [from, to] = open ? [0, part.text.length] : folded;
    replace(text, from > 0 && skipped(from), pieces(part.text, from, to, cuts),
      to < part.text.length && skipped(part.text.length - to));
    button.setAttribute("aria-expanded", String(open));
    replace(button, open ? `Fold ${part.part}` : `Show all ${count(part.text.length)} characters of ${part.part}`);
  };
  button.addEventListener("click", () => show(button.getAttribute("aria-expanded") === "false"));
  show(false);
  element.append(button);
  return element;
}

function skipped(characters) {
  return h("span", { class: "skipped" }, `… ${count(characters)} characters …`);
}

// [from, to) that is shown of a long part; null: all of it.
function foldedRange(text, place) {
  const lines = endOfLines(text, 0, kFoldedLines);
  if (text.length <= kFoldedCharacters && lines === text.length) return null;
  if (place === null || place.begin < kFoldedCharacters / 2) {
    const end = Math.min(kFoldedCharacters, Math.max(lines, place === null ? 0 : place.begin + kAround));
    return end >= text.length ? null : [0, wholeCharacter(text, end)];
  }
  const end = Math.min(place.end, place.begin + kFoldedCharacters) + kAround;
  return [wholeCharacter(text, place.begin - kAround), wholeCharacter(text, Math.min(end, text.length))];
}

function endOfLines(text, from, lines) {
  let at = from;
  for (let line = 0; line < lines; ++line) {
    const end = text.indexOf("\n", at);
    if (end < 0) return text.length;
    at = end + 1;
  }
  return at;
}

// text[from, to) as elements: read and computed by turns, the difference marked.
function pieces(text, from, to, { readEnd, place, shared }) {
  const cuts = [from, to, readEnd, place?.begin, place?.end]
    .filter((at) => at !== undefined && at >= from && at <= to)
    .sort((a, b) => a - b);
  const elements = [];
  for (let i = 0; i + 1 < cuts.length; ++i) {
    const [begin, end] = [cuts[i], cuts[i + 1]];
    if (begin === readEnd && begin > from && !shared && end > begin) elements.push(boundary());
    if (place && begin === place.begin && place.begin === place.end && !elements.some(isMark)) elements.push(mark(""));
    if (begin === end) continue;
    const piece = text.slice(begin, end);
    if (place && begin >= place.begin && end <= place.end) elements.push(mark(piece));
    else elements.push(...chunks(piece, shared ? "plain" : begin < readEnd ? "read" : "computed"));
  }
  if (place && place.begin === to && place.begin === place.end && !elements.some(isMark)) elements.push(mark(""));
  return elements;
}

const isMark = (element) => element.localName === "mark";

function mark(text) {
  const where = text === "" ? "Here the other prompt has more" : "The first difference";
  return h("mark", { class: text === "" ? "difference nothing" : "difference", title: where }, text);
}

function boundary() {
  return h("span", { class: "boundary", "aria-label": "computed from here on", role: "img", title: "computed from here on" });
}

// Long text in blocks that end with their lines, so that the browser lays out only what it shows.
function chunks(text, kind) {
  if (text.length <= 2 * kChunk) return [h("span", { class: `t-${kind}` }, text)];
  const elements = [];
  for (let at = 0; at < text.length;) {
    const end = text.length - at <= kChunk ? -1 : text.indexOf("\n", at + kChunk);
    const stop = end < 0 ? text.length : end + 1;
    elements.push(h("span", { class: `t-${kind} chunk` }, text.slice(at, stop)));
    at = stop;
  }
  return elements;
}

// -- Characters, as the API counts them, in JavaScript's units of 16 bits --------------------------

function isLow(code) {
  return code >= 0xdc00 && code < 0xe000;
}

function countCharacters(text) {
  let characters = text.length;
  for (let i = 0; i < text.length; ++i) if (isLow(text.charCodeAt(i))) --characters;
  return characters;
}

// Where character `number` begins.
function indexOf(text, number) {
  let at = 0;
  for (; number > 0 && at < text.length; --number) at += isLow(text.charCodeAt(at + 1)) ? 2 : 1;
  return at;
}

function wholeCharacter(text, at) {
  return isLow(text.charCodeAt(at)) ? at - 1 : Math.max(at, 0);
}
