"""Debian's chromium, and a tab of it that notes all that a person would find in the developer's tools."""

import contextlib
import os
import pathlib
import re
import shutil
import urllib.parse

from playwright.sync_api import sync_playwright

ROOT = pathlib.Path(__file__).resolve().parents[2]
AXE = ROOT / "build/npm/axe-core/axe.min.js"
VIEWS = {"overview": "", "tree": "tree", "requests": "requests", "try": "try", "costs": "costs"}
WIDE = {"width": 1280, "height": 900}
PHONE = {"width": 360, "height": 740}

# Each violation of the policy, the browser's own event, also before the page's scripts.
NOTE_VIOLATIONS = """
document.addEventListener('securitypolicyviolation', (event) =>
  console.error(`CSP: ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`));
"""


@contextlib.contextmanager
def chromium():
    program = os.environ.get("REPRISE_CHROMIUM") or shutil.which("chromium")
    # As root there is no sandbox to be had. Elsewhere it stays.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    arguments += ["--disable-dev-shm-usage", "--font-render-hinting=none", "--force-color-profile=srgb"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=arguments)
        yield browser
        browser.close()


class Watch:
    """What a tab said and asked. `check()` fails unless it was nothing to complain of."""

    def __init__(self, context):
        self.complaints = []
        self.urls = []
        self.servers = set()  # where the tab was sent
        self.tolerated = []
        context.add_init_script(NOTE_VIOLATIONS)
        context.on("console", self._said)
        context.on("weberror", lambda error: self.complaints.append(f"uncaught: {error.error}"))
        context.on("request", self._asked)

    def tolerate(self, pattern):
        """A complaint that the test causes itself: a regular expression that finds it."""
        self.tolerated.append(re.compile(pattern))

    def _said(self, message):
        if message.type in ("error", "warning", "assert"):
            where = message.location
            self.complaints.append(f"{message.type}: {message.text} ({where.get('url')}:{where.get('lineNumber')})")

    def _asked(self, request):
        self.urls.append(request.url)
        if request.is_navigation_request() and request.url.startswith("http://127.0.0.1:"):
            self.servers.add(origin(request.url))

    def check(self):
        left = [line for line in self.complaints if not any(each.search(line) for each in self.tolerated)]
        assert not left, "the console says:\n" + "\n".join(left)
        elsewhere = [url for url in self.urls if origin(url) not in self.servers]
        assert not elsewhere, f"asked others than {self.servers}: {elsewhere}"


def origin(url):
    parts = urllib.parse.urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def address(server, view="overview", argument=None):
    route = VIEWS[view] + (f"/{urllib.parse.quote(argument, safe='')}" if argument else "")
    return f"http://127.0.0.1:{server.port}/#/{route}"


def open_view(page, server, view="overview", argument=None, ready=True):
    """Opens a view as a link to it would; with ready, waits until it shows its heading."""
    page.goto(address(server, view, argument))
    if ready:
        page.locator(f"view-{view} h1").first.wait_for()
    return page


def axe(page):
    """What bars people from using the page: [] or a readable list of axe-core's violations."""
    if not page.evaluate("typeof window.axe === 'object'"):
        page.evaluate(AXE.read_text() + "\n;0")
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{each['id']} ({each['impact']}): {node['target']} {node['failureSummary']}"
        for each in found["violations"]
        for node in each["nodes"][:4]
    ]


# Notes the element that has the focus as reached, and says how it is shown.
FOCUSED = """() => {
  const element = document.activeElement;
  if (!element || element === document.body) return null;
  const again = element.reached === true;
  element.reached = true;
  const shown = [element, element.closest('label')].filter(Boolean).map((each) => getComputedStyle(each));
  return {
    again, tag: element.localName, text: (element.innerText || element.ariaLabel || element.value || '').trim().slice(0, 60),
    visible: shown.some((style) =>
      (style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0) || style.boxShadow !== 'none'),
  };
}"""

# Notes what can be pressed or filled in and is shown. Of radio buttons of one name the chosen one is the stop.
WANT = """() => {
  const wanted = 'a[href], button, input, select, textarea, summary, [tabindex="0"]';
  for (const element of document.querySelectorAll(wanted)) {
    const stop = element.tabIndex >= 0 && !element.disabled && element.checkVisibility({visibilityProperty: true});
    const group = element.type === 'radio' ? [...document.getElementsByName(element.name)] : [element];
    const chosen = group.find((each) => each.checked) ?? group[0];
    element.wanted = stop && element === chosen;
  }
}"""

MISSED = """() => [...document.querySelectorAll('*')]
  .filter((element) => element.wanted && !element.reached)
  .map((element) => element.outerHTML.slice(0, 160))"""


def tab_through(page, most=400):
    """(stops of the Tab key from the page's begin on, in order; what it should have reached and did not)."""
    page.evaluate(WANT)
    page.evaluate("document.body.tabIndex = -1; document.body.focus(); document.body.removeAttribute('tabindex')")
    stops = []
    for _ in range(most):
        page.keyboard.press("Tab")
        stop = page.evaluate(FOCUSED)
        if stop is None or stop["again"]:
            break
        stops.append(stop)
    return stops, page.evaluate(MISSED)
