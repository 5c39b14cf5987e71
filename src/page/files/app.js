// The frame of the page: navigation, the view of the address, the key, the state of the connection.
//
// A view is a module that defines the custom element named here. It is made anew whenever its
// address is opened, with what follows its route as attribute `argument` (absent without one), and
// removed when another is opened: it begins in connectedCallback and ends in disconnectedCallback.
// A view that observes `argument` (static observedAttributes) stays, and gets the new one. Each has
// one h1. Nothing else is known of views here.

import { get, key } from "./api.js";
import { errorNote, h, replace } from "./dom.js";
import { refreshTimes } from "./format.js";
import { live } from "./live.js";

const kViews = [
  { route: "", title: "Overview", element: "view-overview", module: "./views/overview.js" },
  { route: "tree", title: "Tree", element: "view-tree", module: "./views/tree.js" },
  { route: "requests", title: "Requests", element: "view-requests", module: "./views/requests.js" },
  { route: "try", title: "Try it", element: "view-try", module: "./views/try.js" },
  { route: "costs", title: "Elsewhere", element: "view-costs", module: "./views/costs.js" },
];

const main = document.getElementById("main");
let asking = null; // why a key is asked for, instead of a view
let opened = 0; // counts openings: a module that comes late is not shown

function address() {
  const [, route = "", ...rest] = location.hash.replace(/^#/, "").split("/");
  const view = kViews.find((each) => each.route === route);
  return { view, argument: rest.length > 0 ? decoded(rest.join("/")) : null };
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // typed by hand
  }
}

async function open({ focus = false } = {}) {
  const ticket = ++opened;
  const { view, argument } = address();
  markNavigation(view);
  document.title = view ? `${view.title} · Reprise` : "Reprise";
  if (asking !== null) {
    showKeyForm();
    return;
  }
  if (!view) {
    replace(main, h("h1", {}, "No such view"),
      h("p", {}, h("a", { href: "#/" }, "To the overview")));
    return;
  }
  try {
    await import(view.module);
  } catch (error) {
    if (ticket === opened) {
      replace(main, h("h1", {}, view.title),
        errorNote({ message: `This view could not be loaded: ${error.message}` }, () => open()));
    }
    return;
  }
  if (ticket !== opened) return;
  show(view, argument);
  if (focus) main.focus({ preventScroll: true });
}

function show(view, argument) {
  const current = main.firstElementChild;
  const stays = current?.localName === view.element &&
    current.constructor.observedAttributes?.includes("argument");
  if (!stays) {
    const element = h(view.element, { class: "view", argument });
    replace(main, element);
    window.scrollTo(0, 0);
  } else if (argument === null) {
    current.removeAttribute("argument");
  } else {
    current.setAttribute("argument", argument);
  }
}

function markNavigation(current) {
  for (const link of document.querySelectorAll("#views a")) {
    if (link.dataset.route === current?.route) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

function showKeyForm() {
  const input = h("input", {
    id: "key", type: "password", required: true, autocomplete: "off", spellcheck: "false",
    "aria-describedby": asking.wrong ? "key-why key-wrong" : "key-why",
    "aria-invalid": asking.wrong ? "true" : null,
  });
  const wrong = asking.wrong &&
    h("p", { id: "key-wrong", class: "note error", role: "alert" }, asking.message);
  const submit = (event) => {
    event.preventDefault();
    const value = input.value.trim();
    if (!/^[\x21-\x7e]+$/.test(value)) {
      ask({ wrong: true, message: "A key has letters, digits and signs of ASCII, and no spaces." });
      return;
    }
    asking = null;
    key.value = value;
  };
  replace(main, h("form", { class: "key-form panel", onsubmit: submit },
    h("h1", {}, "This server asks for a key"),
    h("p", { id: "key-why" },
      "One of the keys of its --api-keys file. It is kept in this tab only, until the tab is closed."),
    h("label", { for: "key" }, "API key"), input, wrong,
    h("button", { type: "submit", class: "primary" }, "Open")));
  input.focus();
}

// Several requests may have been refused at once: what is typed meanwhile stays.
function ask(detail) {
  if (asking !== null && !detail.wrong) return;
  asking = detail;
  live.stop(detail.message);
  open();
  showWho();
}

// With what is in the tab now. Where a key is needed and there is none, nothing is asked that would
// be refused: browsers log each refusal as an error.
async function enter() {
  asking = null;
  replace(main); // nothing of another key stays
  if (key.value === null && await needsKey()) {
    ask({ wrong: false, message: "This server asks for a key." });
    return;
  }
  live.start();
  open();
  showWho();
}

async function needsKey() {
  try {
    return (await get("/")).needs_key;
  } catch {
    return false; // the view says what is wrong
  }
}

// Who looks: the tenant of a key, and the served model.
async function showWho() {
  const who = document.getElementById("who");
  document.getElementById("forget").hidden = key.value === null;
  replace(who);
  if (asking !== null) return;
  try {
    const [models, cache] = await Promise.all([get("/v1/models"), get("/cache")]);
    const tenant = cache.tenant ?? (key.value && "administrator");
    replace(who, h("span", { class: "model", title: "The served model" }, models.data[0].id),
      tenant && h("span", { class: "chip", title: `This tab's key: ${tenant}` }, tenant));
  } catch {
    // The view says what is wrong.
  }
}

function showConnection() {
  const element = document.getElementById("connection");
  element.dataset.state = live.state;
  element.title = live.reason ?? "";
  replace(document.getElementById("connection-text"), live.state);
}

replace(document.getElementById("views"), kViews.map((view) =>
  h("a", { href: `#/${view.route}`, "data-route": view.route }, view.title)));
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // an address of a view it is not
  main.focus();
});
document.getElementById("forget").addEventListener("click", () => {
  key.value = null;
});
key.addEventListener("needed", (event) => ask(event.detail));
key.addEventListener("change", enter);
window.addEventListener("hashchange", () => open({ focus: true }));
setInterval(() => document.hidden || refreshTimes(), 1000);
live.subscribe("state", showConnection);
enter();
