// The Tree: what is cached, as an icicle (icicle.js), and the node that is looked at (tree_details.js).
// It is asked again when it has changed, every two seconds at most, while one can see it.
//
// By keyboard the icicle is a tree: the arrows lead down, up and aside, Enter opens, + and - go closer
// and back. Who does not see it hears the node that they are at, which is the tree's one item.

import { get } from "../api.js";
import { emptyNote, errorNote, firstRequest, h, replace, swatch, useStyles } from "../dom.js";
import { count, seconds, tokens } from "../format.js";
import { live } from "../live.js";
import { cellAt, colourFrom, draw, layout, stateOf, Tree } from "./icicle.js";
import { Details } from "./tree_details.js";

useStyles(import.meta.url, "tree.css");

const kPause = 2000; // ms between two questions
const kColours = ["automatic", "promised", "leased", "surface", "ink", "sunken", "accent"];
const kStates = [
  ["automatic", "cached by itself"],
  ["promised", "promised"],
  ["leased", "held by a running request"],
];
const kDark = window.matchMedia("(prefers-color-scheme: dark)");

class TreeView extends HTMLElement {
  #tree = null;
  #page = null; // GET /cache/tree
  #focus = { node: null, members: null };
  #current = null; // the node that the keyboard is at; null: all
  #cells = [];
  #hovered = null;
  #came = 0; // performance.now() of the page
  #asked = -kPause;
  #waiting = null; // timer of the next question
  #ticket = 0;
  #frame = 0;
  #ends = [];
  #colours = null;

  #canvas = h("canvas", { class: "icicle-canvas", "aria-hidden": "true" });
  #item = h("div", { class: "visually-hidden" });
  #icicle = h("div", {
    class: "icicle", role: "tree", tabindex: "0", "aria-label": "Cached prefixes",
    "aria-describedby": "tree-keys",
  }, this.#canvas, this.#item);
  #sum = h("p", { class: "quiet-text" });
  #crumbs = h("nav", { class: "tree-crumbs", "aria-label": "Where the picture begins" });
  #hint = h("p", { class: "quiet-text small-text tree-hint", "aria-hidden": "true" });
  #error = h("div", { hidden: true });
  #empty = h("div", { hidden: true });
  #panel = h("section", { class: "panel" });
  #details = new Details({
    zoom: (node) => this.#zoom(node),
    changed: () => this.#load(),
  });

  connectedCallback() {
    replace(this.#panel, this.#crumbs, h("div", { class: "tree-scroll" }, this.#icicle), this.#hint,
      legend(),
      h("p", { id: "tree-keys", class: "quiet-text small-text" },
        "Arrows: to the parts below, above and beside. Enter: what is in it. + and −: closer and back."));
    replace(this,
      h("div", { class: "view-head" }, h("h1", {}, "Tree"), this.#sum),
      this.#error, this.#empty, this.#panel, this.#details.element);
    this.#panel.hidden = true;
    this.#listen();
    this.#load();
  }

  disconnectedCallback() {
    for (const end of this.#ends) end();
    clearTimeout(this.#waiting);
    cancelAnimationFrame(this.#frame);
    this.#waiting = null;
    this.#details.close();
  }

  #listen() {
    const scheme = () => {
      this.#colours = null;
      this.#redraw();
    };
    const sizes = new ResizeObserver(() => this.#place());
    sizes.observe(this.#icicle);
    kDark.addEventListener("change", scheme);
    const second = setInterval(() => document.hidden || this.#redraw(), 1000); // times run down
    this.#icicle.onkeydown = (event) => this.#press(event);
    this.#canvas.onclick = (event) => this.#click(event);
    this.#canvas.ondblclick = (event) => this.#zoomAt(event);
    this.#canvas.onpointermove = (event) => this.#hover(this.#cellOf(event));
    this.#canvas.onpointerleave = () => this.#hover(null);
    this.#ends = [
      live.subscribe("tree", () => this.#soon()),
      live.subscribe("return", () => this.#soon()),
      () => sizes.disconnect(),
      () => kDark.removeEventListener("change", scheme),
      () => clearInterval(second),
    ];
  }

  // ---- what is shown ----------------------------------------------------------------------------

  #soon() {
    if (document.hidden || this.#waiting !== null) return;
    const pause = Math.max(0, this.#asked + kPause - performance.now());
    this.#waiting = setTimeout(() => {
      this.#waiting = null;
      if (!document.hidden) this.#load();
    }, pause);
  }

  async #load() {
    const ticket = ++this.#ticket;
    this.#asked = performance.now();
    try {
      const page = await get("/cache/tree");
      if (ticket !== this.#ticket || !this.isConnected) return;
      this.#error.hidden = true;
      this.show(page);
    } catch (error) {
      if (ticket !== this.#ticket || error.status === 401) return;
      this.#error.hidden = false;
      replace(this.#error, errorNote(error, () => this.#load()));
    }
  }

  // A reply of GET /cache/tree. What was looked at stays, as far as it is there.
  show(page) {
    const before = this.#tree;
    this.#page = page;
    this.#came = performance.now();
    this.#tree = new Tree(page.nodes);
    this.#focus = { node: this.#found(this.#focus.node, before), members: this.#members() };
    this.#current = this.#found(this.#current, before);
    const isEmpty = page.nodes.length === 0;
    this.#panel.hidden = isEmpty;
    this.#empty.hidden = !isEmpty;
    if (isEmpty && this.#empty.firstChild === null) replace(this.#empty, firstSteps());
    const { left_out: leftOut } = page;
    replace(this.#sum, isEmpty ? "" :
      `${tokens(page.tokens)} in ${count(page.nodes.length + leftOut.nodes)} parts` +
      (leftOut.nodes > 0 ? `; ${count(leftOut.nodes)} of them, the deepest, are not shown` : ""));
    this.#details.update(this.#tree);
    this.#place();
    this.#showItem();
  }

  // The same node, or the deepest above that is still there; null: none is.
  #found(node, before) {
    for (let at = node; at; at = before.parent(at)) {
      const found = this.#tree.byId.get(at.id);
      if (found) return found;
    }
    return null;
  }

  #members() {
    const left = this.#focus.members?.map((node) => this.#tree.byId.get(node.id)).filter(Boolean);
    return left?.length > 0 ? left : null;
  }

  #place() {
    if (this.#tree === null || this.#panel.hidden) return;
    this.#cells = layout(this.#tree, this.#focus, this.#icicle.clientWidth);
    this.#hovered = null;
    this.#showCrumbs();
    this.#redraw();
  }

  #redraw() {
    if (this.#frame !== 0 || this.#tree === null || this.#panel.hidden) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      this.#colours ??= colours();
      const age = (performance.now() - this.#came) / 1000;
      draw(this.#canvas, this.#cells, {
        colours: this.#colours,
        font: `13px ${getComputedStyle(this).fontFamily}`,
        age,
        current: this.#current?.id ?? null,
        hovered: this.#hovered,
        whole: `All cached prefixes · ${tokens(this.#page.tokens)}`,
        timeLeft: (node) => timeLeft(node, age),
      });
    });
  }

  #showCrumbs() {
    const crumb = (label, node) => h("button", {
      type: "button", class: "quiet small", onclick: () => this.#zoom(node),
    }, label);
    const path = this.#focus.node ? this.#tree.path(this.#focus.node) : [];
    const steps = [[null, "All"], ...path.map((node) => [node, node.name])];
    const last = this.#focus.members ? `${count(this.#focus.members.length)} small ones` : steps.pop()[1];
    replace(this.#crumbs, steps.map(([node, label]) => [crumb(label, node), " › "]),
      h("span", { "aria-current": "true" }, last));
    this.#crumbs.hidden = steps.length === 0;
  }

  // ---- going about in it ------------------------------------------------------------------------

  #zoom(node, members = null) {
    this.#focus = { node, members };
    if (this.#current === null || (node && !this.#tree.path(this.#current).includes(node))) {
      this.#current = node;
    }
    this.#place();
    this.#showItem();
  }

  // One step further out.
  #back() {
    const { node, members } = this.#focus;
    if (node || members) this.#zoom(members ? node : this.#tree.parent(node));
  }

  #go(node) {
    this.#current = node;
    const isShown = node === null || this.#cells.some((cell) => cell.node?.id === node.id);
    if (!isShown) this.#zoom(this.#tree.parent(node), this.#narrow(node));
    this.#showItem();
    this.#redraw();
    this.#reveal();
  }

  // Where even its parent alone leaves it too narrow: the brothers that are as small.
  #narrow(node) {
    const parent = this.#tree.parent(node);
    const cells = layout(this.#tree, { node: parent, members: null }, this.#icicle.clientWidth);
    const few = cells.find((cell) => cell.kind === "few" && cell.members.includes(node));
    return few?.members ?? null;
  }

  #reveal() {
    const cell = this.#cells.find((each) => each.node && each.node.id === this.#current?.id);
    if (!cell) return;
    const box = this.#icicle.parentElement;
    const top = (cell.row * this.#canvas.clientHeight) /
      (this.#cells.reduce((most, each) => Math.max(most, each.row), 0) + 1);
    if (top < box.scrollTop) box.scrollTop = top;
    else if (top + 30 > box.scrollTop + box.clientHeight) box.scrollTop = top + 30 - box.clientHeight;
  }

  #press(event) {
    const at = this.#current;
    const brothers = at ? this.#tree.children(this.#tree.parent(at)) : [];
    const place = brothers.indexOf(at);
    const keys = {
      ArrowDown: () => this.#go(this.#tree.children(at)[0] ?? at),
      ArrowUp: () => this.#go(at ? this.#tree.parent(at) : null),
      ArrowRight: () => this.#go(brothers[place + 1] ?? at),
      ArrowLeft: () => this.#go(brothers[place - 1] ?? at),
      Home: () => this.#go(null),
      Enter: () => at && this.#details.open(at),
      "+": () => this.#zoom(at),
      "=": () => this.#zoom(at),
      "-": () => this.#back(),
      Escape: () => this.#back(),
    };
    if (event.ctrlKey || event.metaKey || event.altKey || !(event.key in keys)) return;
    event.preventDefault();
    keys[event.key]();
  }

  #cellOf(event) {
    return cellAt(this.#cells, event.offsetX, event.offsetY);
  }

  #click(event) {
    const cell = this.#cellOf(event);
    if (cell === null) return;
    if (cell.kind === "few") this.#zoom(cell.parent, cell.members);
    else if (cell.kind === "all") this.#zoom(null);
    else if (cell.kind === "path" && cell.node !== this.#focus.node) this.#zoom(cell.node);
    if (!cell.node) return;
    this.#current = cell.node;
    this.#showItem();
    this.#redraw();
    this.#details.open(cell.node);
  }

  #zoomAt(event) {
    const cell = this.#cellOf(event);
    if (cell?.kind === "node") this.#zoom(cell.node);
  }

  #hover(cell) {
    if (cell === this.#hovered) return;
    this.#hovered = cell;
    this.#redraw();
    replace(this.#hint, cell?.node ? described(cell.node)
      : cell?.members ? `${count(cell.members.length)} small parts, ${tokens(cell.tokens)}` : "\u00a0");
  }

  // The one item of the tree. Anew each time: so it is read out.
  #showItem() {
    const node = this.#current;
    const brothers = node ? this.#tree.children(this.#tree.parent(node)) : [null];
    const item = h("div", {
      class: "visually-hidden", role: "treeitem", id: `tree-item-${node?.id ?? "all"}`,
      "aria-level": node ? this.#tree.path(node).length + 1 : 1,
      "aria-posinset": brothers.indexOf(node) + 1, "aria-setsize": brothers.length,
      "aria-expanded": this.#tree.children(node).length > 0 ? "true" : null,
      "aria-selected": "true",
    }, node ? described(node) : `All cached prefixes, ${tokens(this.#page.tokens)}`);
    this.#item.replaceWith(item);
    this.#item = item;
    this.#icicle.setAttribute("aria-activedescendant", item.id);
  }
}

function described(node) {
  const words = [node.name, tokens(node.tokens)];
  if (node.tokens_below > node.tokens) words.push(`${tokens(node.tokens_below)} with all below`);
  words.push(kStates.find(([state]) => state === stateOf(node))[1]);
  words.push(`read ${count(node.reads)} ${node.reads === 1 ? "time" : "times"}`);
  if (node.readers > 0) words.push(`${count(node.readers)} reading now`);
  return words.join(", ");
}

function timeLeft(node, age) {
  if (node.expires_in === null) return "";
  const left = Math.max(0, node.expires_in - age);
  return seconds(left, { whole: true });
}

function colours() {
  const style = getComputedStyle(document.documentElement);
  const found = Object.fromEntries(
    kColours.map((name) => [name, colourFrom(style.getPropertyValue(`--${name}`))]));
  found.line = colourFrom(style.getPropertyValue("--line-strong"));
  return found;
}

function legend() {
  return h("ul", { class: "legend" },
    kStates.map(([state, label]) => h("li", {}, swatch(state), " ", label)),
    h("li", { class: "tree-ages" }, h("i", { "aria-hidden": "true" }), " paler: not used for longer"),
    h("li", {}, "a line on top: being read now"));
}

function firstSteps() {
  return emptyNote("Nothing is cached yet",
    h("p", {}, "Ask the model something: each prompt and its reply become a branch of the tree, and prompts " +
      "that begin alike share its stem. Or talk with it in ", h("a", { href: "#/try" }, "Try it"), "."),
    firstRequest("What is a prompt cache?"));
}

customElements.define("view-tree", TreeView);
