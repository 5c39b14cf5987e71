"""The page in a real browser, on the real model with real traffic.

    def test_something(page, traffic):
        open_view(page, traffic.server, "tree")        # from browser import open_view
        assert page.locator("h1").inner_text() == "…"

`page` is Playwright's; after each test it must have said nothing in the console, met no violation of the
Content-Security-Policy and asked nobody but the servers of the test (`watch.tolerate(pattern)` for an error that the test
means). REPRISE_CHROMIUM names another browser than Debian's.
"""

import pathlib
import sys

import pytest
from playwright.sync_api import expect

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[1]), str(pathlib.Path(__file__).resolve().parent)]

from api.conftest import Server, built, guarded, guarded_server, start  # noqa: E402,F401
from browser import PHONE, WIDE, Watch, chromium  # noqa: E402
from traffic import OPTIONS, play  # noqa: E402

expect.set_options(timeout=10_000)


@pytest.fixture(scope="session")
def server(built):
    """One server for all tests that need no options of their own; each finds there what earlier ones left."""
    running = Server()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def traffic(built):
    """A server of its own after traffic.play(): for tests that only look."""
    running = Server(*OPTIONS)
    yield play(running)
    running.stop()


@pytest.fixture(scope="session")
def chrome():
    with chromium() as browser:
        yield browser


@pytest.fixture
def new_page(chrome):
    """new_page(scheme="light", phone=False) -> a tab of a window of its own; all are watched."""
    opened = []

    def make(scheme="light", phone=False, **options):
        context = chrome.new_context(
            color_scheme=scheme, viewport=PHONE if phone else WIDE, reduced_motion="reduce", **options
        )
        context.set_default_timeout(15_000)
        watch = Watch(context)
        opened.append((context, watch))
        page = context.new_page()
        page.watch = watch
        return page

    yield make
    for context, watch in opened:
        context.close()
    for _, watch in opened:
        watch.check()


@pytest.fixture
def page(new_page):
    return new_page()


@pytest.fixture
def watch(page):
    """What the console and the network of `page` saw."""
    return page.watch
