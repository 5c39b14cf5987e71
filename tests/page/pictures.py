#!/usr/bin/env python3
"""Makes the pictures of docs/page.md anew: each view, light, on the real model with the traffic of traffic.py.

usage: build/page/bin/python tests/page/pictures.py [FOLDER] [NAME…]

FOLDER is docs/page unless said; NAMEs are those of PICTURES below, all of them unless said. `./test page` makes the
environment. Takes about two minutes: a minute of traffic, so that charts have something to show.
"""

import io
import pathlib
import sys
import time

from PIL import Image

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests/page")]

from api.conftest import Server  # noqa: E402
from browser import Watch, chromium, open_view  # noqa: E402
from traffic import OPTIONS, PLACES, document, play, said  # noqa: E402

WIDTH = 1280
COLOURS = 160  # of a picture's palette: its most frequent ones, exactly
SECONDS = 60  # of traffic


def a_minute(traffic, until):
    """Questions about three documents, one after the other with pauses, until the minute is over."""
    index = 0
    while time.monotonic() < until:
        text = document(("airport", "theatre", "castle")[index % 3], 24)
        turns = [said("system", text), said("user", f"Is there a {PLACES[index // 3 % len(PLACES)]}?")]
        traffic.chat(f"question_{index}", turns, max_tokens=24)
        index += 1
        time.sleep(1.5)


def settle(page):
    page.wait_for_selector("#connection[data-state=live]")
    page.wait_for_function("() => !document.querySelector('[aria-busy=true]')")
    page.wait_for_timeout(1500)


def tree(page):
    """With the prefix opened that a promise holds: how long it lasts, what stands in it."""
    settle(page)
    icicle = page.get_by_role("tree")
    icicle.press("ArrowDown")
    while "promised" not in page.get_by_role("treeitem").inner_text():
        icicle.press("ArrowRight")
    icicle.press("Enter")
    settle(page)


def try_it(page):
    page.get_by_role("button", name="Send").click()
    for number, name in ((2, "Change one word at the end"), (3, "Change one word at the start")):
        page.locator(f".try-turn[aria-label='Request {number - 1}'][data-state=finished]").wait_for()
        page.wait_for_timeout(500)
        page.get_by_role("button", name=name).click()
    page.locator(".try-turn[aria-label='Request 3'][data-state=finished]").wait_for()
    page.mouse.move(0, 0)
    settle(page)


# name: (view, the request that is opened, most height, what is done before)
PICTURES = {
    "overview": ("overview", None, 1250, settle),
    "tree": ("tree", None, 800, tree),
    "requests": ("requests", None, 800, settle),
    "request": ("requests", "clock_after", 1100, settle),
    "try": ("try", None, 1150, try_it),
    "costs": ("costs", None, 1100, settle),
}


def save(page, most_height, path):
    box = page.locator("main > *").bounding_box()
    height = min(int(box["y"] + box["height"]) + 24, most_height)
    picture = Image.open(io.BytesIO(page.screenshot(full_page=True))).convert("RGB")
    picture = picture.crop((0, 0, WIDTH, min(picture.height, height)))
    frequent = sorted(picture.getcolors(picture.width * picture.height), reverse=True)[:COLOURS]
    palette = Image.new("P", (1, 1))
    palette.putpalette([part for _, colour in frequent for part in colour])
    picture = picture.quantize(palette=palette, dither=Image.Dither.NONE)
    picture.save(path, optimize=True)
    print(f"{path.name}: {picture.width} x {picture.height}, {path.stat().st_size // 1024} KiB")


def main(folder, names):
    folder.mkdir(parents=True, exist_ok=True)
    server = Server(*OPTIONS)
    try:
        begin = time.monotonic()
        traffic = play(server)
        a_minute(traffic, begin + SECONDS)
        with chromium() as browser:
            for name in names:
                view, opened, height, ready = PICTURES[name]
                context = browser.new_context(viewport={"width": WIDTH, "height": 900}, color_scheme="light")
                watch = Watch(context)
                page = context.new_page()
                open_view(page, server, view, traffic.ids[opened] if opened else None)
                ready(page)
                save(page, height, folder / f"{name}.png")
                context.close()
                watch.check()
    finally:
        server.stop()


if __name__ == "__main__":
    given = sys.argv[1:]
    place = given.pop(0) if given and given[0] not in PICTURES else ROOT / "docs/page"
    if unknown := [name for name in given if name not in PICTURES]:
        sys.exit(f"{__doc__}\nno picture {unknown}")
    main(pathlib.Path(place), given or list(PICTURES))
