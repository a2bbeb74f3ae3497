"""What the report's scripts draw, in Chromium: charts that can be read, retrieved passages, and nothing that runs."""

from __future__ import annotations

import math
import re
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from openrealm.evaluate.report import Report, write_report

playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (make test-browser)")
expect = playwright_api.expect
pytestmark = pytest.mark.browser

HOSTILE = "<script>document.title = 'run'</script><img src=x onerror=\"document.title = 'run'\"></style>\"'&<!--"
PHONE = {"width": 390, "height": 844}
Page = Any


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    chromium = next((path for name in ("chromium", "chromium-browser") if (path := shutil.which(name))), None)
    if chromium is None:
        pytest.skip("Chromium is not installed (on Debian and Ubuntu: apt install chromium)")
    with playwright_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium)
        yield browser
        browser.close()


def train(step: int) -> dict[str, Any]:
    return {"step": step, "split": "train", "loss": 7 - step / 100, "staleness_steps": step % 60, "null_mass": 0.3}


def heldout(step: int) -> dict[str, Any]:
    utility = round(1 - math.exp(-step / 60), 3)
    return {
        "step": step,
        "split": "heldout",
        "loss": 7.0,
        "null_loss": 7.5,
        "retrieval_utility": utility,
        "retrieval_utility/date": utility / 2,
        "retrieval_utility/entity": utility,
        "recall": 0.25,
    }


def report() -> Report:
    rows = [heldout(0)]
    for step in range(1, 121):
        rows.append(train(step))
        if step % 40 == 0:
            rows.append(heldout(step))
        if step == 60:
            rows.append({"step": 60, "split": "refresh", "index": "00000040-a", "staleness_steps": 20})
    records = [
        {"step": 0, "index": "a", "label": "before training", "candidates": [[-1, 0.6, 0.0], [0, 0.4, -0.2]]},
        {"step": 60, "index": "b", "label": "step 60", "candidates": [[-1, 0.5, None], [1, 0.5, None]]},
        {"step": 120, "index": "b", "label": "step 120", "candidates": [[-1, 0.1, 0.0], [1, 0.9, 1.25]]},
    ]
    query = {"query": f"The capital of Peru is [MASK]. {HOSTILE}", "gold": "Lima", "kind": "entity"}
    other = {"query": "Chile exports [MASK].", "gold": "copper", "kind": "entity", "records": records[:1]}
    return {
        "name": f"toy {HOSTILE}",
        "metrics": rows,
        "progress": [
            {"step": step, "time": 100.0 + step / 2, "share_done": step / 120, "memory_bytes": 2**30}
            for step in range(0, 121, 10)
        ],
        "retrieval_utility": {"first": 0.0, "last": 0.86},
        "refreshes": 1,
        "retrieved": {
            "queries": [{**query, "records": records}, other],
            "passages": [
                {"title": HOSTILE, "place": HOSTILE, "text": HOSTILE},
                {"title": "Peru", "place": "peru.md, line 3", "text": f"LIMA, not Limassol. {HOSTILE}"},
            ],
        },
    }


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("report")
    write_report(report(), folder)
    return (folder / "report.html").as_uri()


@pytest.fixture
def page(browser: Any, written: str, request: pytest.FixtureRequest) -> Iterator[Page]:
    """The report, opened; the test fails if the page runs what it should show, complains, or asks for anything."""
    options = getattr(request, "param", {})
    context = browser.new_context(**options)
    page = context.new_page()
    wrongs: list[str] = []
    page.on("console", lambda message: wrongs.append(message.text))
    page.on("pageerror", lambda error: wrongs.append(str(error)))
    page.on("dialog", lambda dialog: wrongs.append(dialog.message))
    page.on("request", lambda asked: wrongs.append(asked.url) if asked.url != written else None)
    page.goto(written)
    expect(page.locator(".plot canvas").first).to_be_visible()
    yield page
    context.close()
    assert wrongs == []


def chart(page: Page, title: str) -> Any:
    return page.locator("figure").filter(has=page.get_by_text(title, exact=True))


def test_a_chart_shows_its_last_values_and_those_under_the_pointer(page: Page) -> None:
    figure = chart(page, "Loss with and without passages")
    expect(figure.locator(".legend")).to_contain_text("with passages 7")
    expect(figure.locator(".legend")).to_contain_text("training 5.8")
    expect(figure.locator(".legend")).to_contain_text("index refresh")
    figure.scroll_into_view_if_needed()
    over = figure.locator(".u-over")
    width = over.bounding_box()["width"]
    over.hover(position={"x": width / 2, "y": 50})
    expect(figure.locator(".legend")).to_contain_text("step 60")
    expect(figure.locator(".legend")).to_contain_text("training 6.4")
    expect(chart(page, "Retrieval utility").locator(".legend")).to_contain_text("step")


def test_a_chart_is_read_with_the_keyboard(page: Page) -> None:
    plot = page.get_by_role("slider", name="Retrieval utility, by step")
    plot.focus()
    page.keyboard.press("Home")
    expect(plot).to_have_attribute("aria-valuetext", "step 0: held-out 0")
    page.keyboard.press("ArrowRight")
    expect(plot).to_have_attribute("aria-valuetext", "step 40: held-out 0.487")
    page.keyboard.press("End")
    expect(plot).to_have_attribute("aria-valuenow", "120")
    page.keyboard.press("Escape")
    expect(plot.locator("xpath=..").locator(".legend .step")).to_have_count(0)


def test_there_is_a_chart_for_everything_that_was_recorded_and_no_other(page: Page) -> None:
    titles = page.locator("figure:visible figcaption > b").all_inner_texts()
    assert titles == [
        "Loss with and without passages",
        "Retrieval utility",
        "Retrieval utility by kind of masked words",
        "Recall@5",
        "Probability of the null passage",
        "Index staleness",
        "Steps per second",
        "Memory",
    ]
    expect(chart(page, "Memory").locator(".legend")).to_contain_text("main memory 1")
    expect(chart(page, "Steps per second").locator(".legend")).to_contain_text("steps/s 2")


def test_retrieved_passages_are_shown_by_version_and_as_text(page: Page) -> None:
    assert page.title() == f"toy {HOSTILE}: report"
    expect(page.locator(".query")).to_have_count(2)
    matrix = page.locator(".matrix")
    expect(matrix.get_by_role("columnheader")).to_have_text(["p(z|x) at step", "before", "60", "120"])
    expect(matrix.locator("tbody tr").first).to_have_text(re.compile("^Peru·0.500.90$"))
    sides = page.locator(".side")
    expect(sides.nth(1).locator("h4")).to_have_text("Step 120")
    peru = sides.nth(1).locator(".passage").first
    expect(peru).to_contain_text("peru.md, line 3")
    expect(peru).to_contain_text("utility +1.25")
    assert peru.locator("mark").all_inner_texts() == ["LIMA"], "whole words only"
    expect(peru).to_contain_text(HOSTILE)
    expect(sides.nth(0)).to_contain_text(HOSTILE)
    page.get_by_role("button", name="step 60").click()
    expect(sides.nth(1).locator("h4")).to_have_text("Step 60")
    expect(sides.nth(1)).not_to_contain_text("utility")


def test_queries_are_chosen_filtered_and_sorted(page: Page) -> None:
    page.get_by_role("listbox").focus()
    page.keyboard.press("ArrowDown")
    expect(page.locator(".asked")).to_contain_text("Chile exports [MASK].")
    assert page.url.endswith("#query=1")
    page.get_by_label("Order of the queries").select_option("gain")
    assert page.locator(".query").all_inner_texts()[0].startswith("Lima")
    page.get_by_label("Filter the queries").fill("COPPER")
    expect(page.locator(".query")).to_have_count(1)
    page.get_by_label("Filter the queries").fill("zinc")
    expect(page.get_by_text("No query contains these words.")).to_be_visible()


@pytest.mark.parametrize("page", [{"viewport": PHONE, "is_mobile": True, "has_touch": True}], indirect=True)
def test_on_a_phone_nothing_has_to_be_scrolled_sideways(page: Page) -> None:
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]


def _brightness(colour: str) -> float:
    red, green, blue = (int(part) / 255 for part in re.findall(r"\d+", colour)[:3])
    parts = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in (red, green, blue)]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


@pytest.mark.parametrize("page", [{"color_scheme": "light"}, {"color_scheme": "dark"}], indirect=True)
def test_text_stands_out_from_its_ground_in_light_and_dark(page: Page) -> None:
    ground = _brightness(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    for selector in (
        "h1",
        ".headline",
        ".what",
        ".lead",
        ".legend span",
        ".query .change",
        ".passage .figures",
        "dt, dd",
    ):
        for found in page.locator(selector).all()[:3]:
            text = _brightness(found.evaluate("element => getComputedStyle(element).color"))
            ratio = (max(text, ground) + 0.05) / (min(text, ground) + 0.05)
            assert ratio >= 4.5, (selector, ratio)
