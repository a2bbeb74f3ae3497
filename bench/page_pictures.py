"""Takes the pictures of the ask page in docs/images/ from a running server.

    tar -xf ../shared/data/docs/rust-book.tar.xz -C /tmp
    openrealm serve --corpus /tmp/rust-book --port 8000
    python bench/page_pictures.py http://127.0.0.1:8000/

Needs the extras `browser` and `plots` (for Pillow), and Chromium.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from urllib.parse import urlencode

from PIL import Image
from playwright.sync_api import sync_playwright

IMAGES = Path(__file__).parents[1] / "docs" / "images"
QUESTION = "Which crate generates random numbers?"
DIFFERING = "What does the question mark operator return early?"
EARLIER = ("Which keyword makes a variable mutable?", "How many moons does Jupiter have?")
PICTURES = {
    "ask-light": {"size": (1180, 820), "scheme": "light", "address": {"q": QUESTION}},
    "ask-compare": {"size": (1180, 820), "scheme": "dark", "address": {"q": DIFFERING, "beside": "bm25"}},
    "ask-phone": {"size": (390, 760), "scheme": "light", "address": {"q": EARLIER[1]}},
}


def main(url: str) -> None:
    IMAGES.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        for name, picture in PICTURES.items():
            width, height = picture["size"]
            context = browser.new_context(
                viewport={"width": width, "height": height}, color_scheme=picture["scheme"], has_touch=width < 500
            )
            page = context.new_page()
            for question in EARLIER[::-1]:
                page.goto("about:blank")
                page.goto(f"{url}#{urlencode({'q': question})}")
                page.locator(".answer").wait_for()
            page.goto("about:blank")
            page.goto(f"{url}#{urlencode(picture['address'])}")
            page.locator(".answer").last.wait_for(timeout=120_000)
            file = IMAGES / f"{name}.png"
            page.screenshot(path=file)
            Image.open(file).quantize(64).save(file, optimize=True)
            context.close()
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1])
