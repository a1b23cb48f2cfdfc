"""The book in a real browser: every page, on a desk and on a phone. ``make test-browser``, after ``make book``."""

import functools
import http.server
import os
import re
import shutil
import threading
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import pytest
from playwright.sync_api import sync_playwright

pytestmark = pytest.mark.browser

HTML = Path(os.environ.get("BOOK", Path(__file__).parents[2] / "build/book/_build/html"))
PAGES = sorted(str(p.relative_to(HTML)) for p in HTML.rglob("*.html") if "_static" not in p.parts)
INTERACTIVE = {"notebooks/explore.html": "explore-sun", "notebooks/02_bounded.html": "bounded-zoom",
               "notebooks/10_your_spectra.html": "own-zoom"}  # fmt: skip
SIZES = {"desk": (1280, 900), "phone": (390, 844)}
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def site():
    if not PAGES:
        pytest.fail(
            f"no book in {HTML}; run `make book PROFILE=smoke` first, or set BOOK to a folder of HTML"
        )
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=HTML)
    )
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def browser():
    path = next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )
    if path is None:
        pytest.fail("no Chromium on the path; install it (Debian: apt-get install chromium)")
    with sync_playwright() as p:
        chromium = p.chromium.launch(executable_path=path, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser, site):
    """A page of a desk's size that notes what goes wrong."""
    one = browser.new_page(viewport=dict(zip(("width", "height"), SIZES["desk"], strict=True)))
    one.trouble = []
    one.on("console", lambda m: one.trouble.append(m.text) if m.type == "error" else None)
    one.on("pageerror", lambda e: one.trouble.append(str(e)))
    one.on(
        "response", lambda r: one.trouble.append(f"{r.status} {r.url}") if r.status >= 400 else None
    )
    one.on(
        "request",
        lambda r: None if local(r.url, site) else one.trouble.append(f"asks another host: {r.url}"),
    )
    yield one
    one.close()


def local(url, site):
    return url.startswith(site) or urlsplit(url).scheme in ("data", "blob", "about")


@pytest.mark.parametrize("name", PAGES)
def test_page_loads_whole_and_fits(page, site, name):
    for size, (width, height) in SIZES.items():
        page.set_viewport_size({"width": width, "height": height})
        page.goto(site + name, wait_until="load")
        page.wait_for_timeout(300)
        broken = page.evaluate(
            "[...document.images].filter(i => i.complete && !i.naturalWidth).map(i => i.src)"
        )
        assert not broken
        seen, wide = page.evaluate("[innerWidth, document.documentElement.scrollWidth]")
        assert wide <= seen, f"scrolls sideways on a {size}: {wide} of {seen} pixels"
    assert page.locator("mjx-merror").count() == 0, "broken mathematics"
    assert not page.trouble


class Links(HTMLParser):
    def __init__(self):
        super().__init__()
        self.targets, self.ids, self.images = [], set(), []

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        if "id" in found:
            self.ids.add(found["id"])
        if tag == "a" and found.get("href"):
            self.targets.append(found["href"])
        if tag == "img":
            self.images.append(found)


@functools.cache
def parsed(path):
    links = Links()
    links.feed(path.read_text())
    return links


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name):
    for target in parsed(HTML / name).targets:
        if urlsplit(target).scheme or target.startswith("//"):
            continue  # other hosts are not asked
        there = urlsplit(urljoin(f"/{name}", target))
        path = HTML / unquote(there.path).lstrip("/")
        path = path / "index.html" if path.is_dir() else path
        assert path.exists(), target
        if there.fragment and path.suffix == ".html":
            assert unquote(there.fragment) in parsed(path).ids, target


@pytest.mark.parametrize("name", PAGES)
def test_images_say_what_they_show(name):
    for image in parsed(HTML / name).images:
        assert image.get("alt", "").strip(), image
        assert not re.search(r"\.(png|svg)$", image["alt"]), image


@pytest.mark.parametrize("word", ["coverage", "bounded", "LAMOST"])
def test_search_finds(page, site, word):
    page.goto(f"{site}search.html?q={word}")
    page.wait_for_selector("#search-results li", timeout=15000)
    assert page.locator("#search-results li").count() > 1
    assert not page.trouble


@pytest.mark.parametrize(("name", "figure"), INTERACTIVE.items())
def test_interactive_spectra_respond(page, site, name, figure):
    page.goto(site + name)
    page.wait_for_selector(f"#{figure} .main-svg", timeout=20000)
    plot = f"document.getElementById('{figure}')"
    whole = page.evaluate(f"{plot}.layout.xaxis.range")
    page.locator(f"#{figure} .updatemenu-button", has_text="Mg b").click()
    page.wait_for_function(f"{plot}.layout.xaxis.range[0] > 5000")
    low, high = page.evaluate(f"{plot}.layout.xaxis.range")
    assert whole[0] < low < 5176 < high < whole[1]
    if slider := page.evaluate(f"({plot}.layout.sliders || []).length"):
        before = page.evaluate(f"{plot}.data[2].y[500]")
        page.locator(f"#{figure} .slider-rail-touch-rect").scroll_into_view_if_needed()
        box = page.locator(f"#{figure} .slider-rail-touch-rect").bounding_box()
        page.mouse.click(box["x"] + 5, box["y"] + box["height"] / 2)
        page.wait_for_function(f"{plot}.layout.sliders[0].active == 0")
        assert page.evaluate(f"{plot}.data[2].y[500]") != before
    assert slider or "own" in figure
    box = page.locator(f"#{figure} .nsewdrag").first.bounding_box()
    for step in range(40):  # a figure that is still being drawn notices only the next move
        page.mouse.move(box["x"] + box["width"] / 2 + step, box["y"] + box["height"] / 2)
        if page.locator(f"#{figure} .hovertext").count():
            break
        page.wait_for_timeout(250)
    assert page.locator(f"#{figure} .hovertext").count(), (
        "nothing is said of the pixel under the mouse"
    )
    assert not page.trouble


@pytest.mark.parametrize(
    "name", ["book/intro.html", "notebooks/02_bounded.html", "book/verdict.html"]
)
def test_dark_mode_is_legible(page, site, name):
    page.goto(site + name)
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    shades = page.evaluate(
        """[...document.querySelectorAll('.bd-article p, .bd-article td, .bd-article h1')].map(e => {
            let under = e;
            while (getComputedStyle(under).backgroundColor == 'rgba(0, 0, 0, 0)') under = under.parentElement;
            return [getComputedStyle(e).color, getComputedStyle(under).backgroundColor]
        })"""
    )
    assert shades
    for ink, paper in shades:
        assert contrast(ink, paper) > 4.5, (ink, paper)


def contrast(*colours):
    """WCAG's contrast of two CSS colours."""

    def luminance(colour):
        rgb = [float(v) / 255 for v in re.findall(r"[\d.]+", colour)[:3]]
        return sum(
            w * (v / 12.92 if v <= 0.03928 else ((v + 0.055) / 1.055) ** 2.4)
            for w, v in zip((0.2126, 0.7152, 0.0722), rgb, strict=True)
        )

    dark, light = sorted(map(luminance, colours))
    return (light + 0.05) / (dark + 0.05)
