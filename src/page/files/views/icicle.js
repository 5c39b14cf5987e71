// The prefix tree as an icicle: each node a cell, as wide as the tokens that it and all below it hold,
// its children in the row below. What would be too narrow to see is one cell together with its
// brothers. Layout and drawing, without anything of the document but the canvas.
//
//   new Tree(nodes)            the nodes of GET /cache/tree, linked: byId, roots, children(node)
//   layout(tree, focus, width) cells: {node, x, width, row, kind}; kind "all", "path", "node" or "few"
//                              (few: no node, but `members`, and the `parent` that they are below)
//   draw(canvas, cells, look)  in at most a frame: measured as "tree: frame" (performance.measure)
//   stateOf(node), freshness(node, age)

export const kRow = 26; // CSS pixels
const kNarrow = 4; // cells below this are drawn together
const kMostRows = 400;
const kGap = 1;
const kOld = 3600; // seconds: from here on a cell is as pale as it gets

export class Tree {
  constructor(nodes) {
    this.nodes = nodes;
    this.byId = new Map(nodes.map((node) => [node.id, node]));
    this.roots = [];
    this.tokens = 0;
    this.#children = new Map();
    for (const node of nodes) {
      const brothers = this.#childrenOf(node.parent);
      brothers.push(node);
      if (node.parent === null) this.tokens += node.tokens_below;
    }
    for (const brothers of this.#children.values()) {
      brothers.sort((a, b) => b.tokens_below - a.tokens_below || (a.id < b.id ? -1 : 1));
    }
    this.roots = this.#children.get(null) ?? [];
  }

  #children;

  #childrenOf(id) {
    const known = this.#children.get(id);
    if (known) return known;
    const none = [];
    this.#children.set(id, none);
    return none;
  }

  children(node) {
    return this.#children.get(node?.id ?? null) ?? [];
  }

  parent(node) {
    return this.byId.get(node.parent) ?? null;
  }

  path(node) {
    const path = [];
    for (let at = node; at; at = this.parent(at)) path.unshift(at);
    return path;
  }
}

// `focus` {node, members}: of the whole tree only what is below that node (null: all), and of its
// children only these (null: all).
export function layout(tree, focus, width) {
  const path = focus.node ? tree.path(focus.node) : [];
  const cells = [{ kind: "all", x: 0, width, row: 0 }];
  path.forEach((node, row) => cells.push({ kind: "path", node, x: 0, width, row: row + 1 }));
  const shown = focus.members ?? tree.children(focus.node);
  const held = shown.reduce((sum, node) => sum + node.tokens_below, 0);
  const own = focus.node && !focus.members ? focus.node.tokens : 0;
  if (held + own === 0) return cells;
  const scale = width / (held + own);
  const next = [{ nodes: shown, parent: focus.node, x: 0, row: path.length + 1 }];
  for (let group = next.pop(); group; group = next.pop()) {
    if (group.row > kMostRows) continue;
    placeBrothers(tree, group, scale, cells, next);
  }
  return cells;
}

function placeBrothers(tree, { nodes, parent, x, row }, scale, cells, next) {
  for (let i = 0; i < nodes.length; ++i) {
    const node = nodes[i];
    const width = node.tokens_below * scale;
    if (width < kNarrow && nodes.length > 1) {
      // The rest is narrower still: they come by size.
      const members = nodes.slice(i);
      const tokens = members.reduce((sum, each) => sum + each.tokens_below, 0);
      cells.push({ kind: "few", members, parent, tokens, x, width: tokens * scale, row });
      return;
    }
    cells.push({ kind: "node", node, x, width, row });
    const children = tree.children(node);
    if (width >= kNarrow && children.length > 0) {
      next.push({ nodes: children, parent: node, x, row: row + 1 });
    }
    x += width;
  }
}

export function stateOf(node) {
  return node.readers > 0 ? "leased" : node.state;
}

// 1: just used; 0: an hour ago or more.
export function freshness(node, age) {
  const seconds = Math.max(0, node.last_used.seconds_ago + age);
  return 1 - Math.min(1, Math.log1p(seconds) / Math.log1p(kOld));
}

// look: {colours: {automatic, promised, leased, surface, ink, sunken, accent, line}, font, age (seconds
// since the nodes came), current (id), hovered (cell), whole (text of the first row), timeLeft(node)}
export function draw(canvas, cells, look) {
  const begin = performance.now();
  const ratio = window.devicePixelRatio || 1;
  const rows = cells.reduce((most, cell) => Math.max(most, cell.row), 0) + 1;
  const width = canvas.clientWidth;
  const height = rows * kRow;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.style.height = `${height}px`;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  context.font = look.font;
  context.textBaseline = "middle";
  for (const cell of cells) drawCell(context, cell, look);
  performance.clearMeasures("tree: frame");
  performance.measure("tree: frame", { start: begin, end: performance.now() });
}

function drawCell(context, cell, look) {
  const { colours } = look;
  const x = cell.x;
  const y = cell.row * kRow;
  const width = Math.max(1, cell.width - kGap);
  const height = kRow - kGap;
  const fill = colourOf(cell, look);
  context.fillStyle = css(fill);
  context.fillRect(x, y, width, height);
  if (cell.kind === "few") {
    context.fillStyle = css(colours.surface);
    for (let at = x + 2; at < x + width - 1; at += 4) context.fillRect(at, y + 2, 1, height - 4);
  }
  if (cell.node?.readers > 0) { // who reads right now: a line along its top
    context.fillStyle = css(colours.ink);
    context.fillRect(x, y, width, 3);
  }
  if (width >= 34) drawWords(context, cell, look, { x, y, width, height, fill });
  const isCurrent = cell.node ? cell.node.id === look.current
    : cell.kind === "all" && look.current === null;
  if (isCurrent || cell === look.hovered) {
    context.strokeStyle = css(isCurrent ? colours.ink : colours.line);
    context.lineWidth = 2;
    context.strokeRect(x + 1, y + 1, Math.max(1, width - 2), height - 2);
  }
}

function colourOf(cell, { colours, age }) {
  if (cell.kind === "all") return colours.sunken;
  if (cell.kind === "few") return mix(colours.surface, colours.automatic, 0.6);
  return mix(colours.surface, colours[stateOf(cell.node)], 0.3 + 0.7 * freshness(cell.node, age));
}

function drawWords(context, cell, look, { x, y, width, height, fill }) {
  context.fillStyle = isLight(fill) ? "#11161b" : "#ffffff";
  const middle = y + height / 2 + 1;
  let room = width - 12;
  const left = cell.node && width >= 190 ? look.timeLeft(cell.node) : "";
  if (left) {
    const taken = context.measureText(left).width;
    context.textAlign = "right";
    context.fillText(left, x + width - 6, middle);
    room -= taken + 10;
  }
  context.textAlign = "left";
  context.fillText(shortened(context, wordsOf(cell, look), room), x + 6, middle);
}

function wordsOf(cell, look) {
  if (cell.kind === "all") return look.whole;
  if (cell.kind === "few") return `${cell.members.length} more`;
  const reads = cell.node.readers > 0 ? ` · ${cell.node.readers} reading` : "";
  const begin = beginningOf(cell.node);
  return `${cell.node.name}${reads}${begin && ` · ${begin}`}`;
}

// Of its text, without the template's control tokens and roles.
function beginningOf(node) {
  return node.excerpt.replace(/<\|[^|]*\|>/g, " ").replace(/\s+/g, " ").trim()
    .replace(/^(system|user|assistant|tool) /, "");
}

// As much of the text as fits, with an ellipsis; about one measurement of it.
function shortened(context, text, room) {
  const whole = context.measureText(text).width;
  if (whole <= room) return text;
  const letters = Math.floor((text.length * room) / whole) - 1;
  return letters < 2 ? "" : `${text.slice(0, letters)}…`;
}

export function cellAt(cells, x, y) {
  const row = Math.floor(y / kRow);
  return cells.find((cell) => cell.row === row && x >= cell.x && x < cell.x + cell.width) ?? null;
}

// Colours are [red, green, blue], 0 to 255.
export function colourFrom(text) {
  const digits = text.trim().slice(1);
  return [0, 2, 4].map((at) => parseInt(digits.slice(at, at + 2), 16));
}

function mix(from, to, share) {
  return from.map((value, i) => value + (to[i] - value) * share);
}

function css([red, green, blue]) {
  return `rgb(${red} ${green} ${blue})`;
}

// By the luminance of WCAG 2: whether black or white stands out more.
function isLight(colour) {
  const [red, green, blue] = colour.map((value) => {
    const part = value / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179;
}
