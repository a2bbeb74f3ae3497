"""The ask page in Chromium, on real servers.

Every test also fails if the page violates its Content-Security-Policy, throws, opens an alert, or asks another server
for anything: see `Watched`.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (make test-browser)")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed (make test-browser)")

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]
expect = playwright_api.expect
expect.set_options(timeout=30_000)  # a busy machine is no failure
Page = Any

LIBRARY = (
    "# The library\n\nThe library \U0001f4da of Oberlind stands in the old mill beside the river. It opened in 1921. "
    "Anna Berger was the first librarian.\n\n"
)
MARKUP = (
    "The postmaster of the <b>harbour</b> is Jonas Petersen. <script>document.title = 'run'; alert(1)</script>\n"
    "<img src=x onerror=\"document.title = 'run'\"> </p><style>* { display: none }</style> He has a boat.\n"
)
QUESTION = "When did the library open?"
UNANSWERABLE = "How many moons does Jupiter have?"
ABOUT_MARKUP = "Who is the postmaster of the harbour?"
LONG_WORD = "Donaudampfschifffahrt" * 20


class Server:
    """`openrealm serve` as a process of its own."""

    def __init__(self, folder: Path, *arguments: str, token: str = "") -> None:
        command = [sys.executable, "-m", "openrealm.cli", "serve", *arguments, "--port", "0", "--poll", "0.2"]
        environment = {**os.environ, "OPENREALM_TOKEN": token} if token else os.environ
        self._log = (folder / "serve.log").open("wb")
        self.process = subprocess.Popen(command, cwd=folder, stderr=self._log, env=environment)
        deadline = time.monotonic() + 600
        while not (found := re.search(r"http://\S+/", log := (folder / "serve.log").read_text())):
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.process.kill()
                raise RuntimeError(f"The server did not start:\n{log}")
            time.sleep(0.1)
        self.url = found.group()

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        self._log.close()


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:
    servers = []

    def start(*arguments: str, token: str = "") -> Server:
        servers.append(Server(tmp_path_factory.mktemp("serve"), *arguments, token=token))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


def write_docs(folder: Path) -> Path:
    minutes = "".join(
        f"In {1930 + i} the council met {3 + i % 5} times and spent {100 + 7 * i} crowns on the road to the pass. "
        f"The winter of that year was long, and the bridge had to be closed for {i % 9 + 2} days.\n\n"
        for i in range(60)
    )
    folder.mkdir()
    (folder / "library.md").write_text(LIBRARY + minutes)
    (folder / "bread.md").write_text("# Bread\n\nAnna bakes rye bread in the village. It keeps for two weeks.\n")
    (folder / "markup.txt").write_text(MARKUP)
    (folder / f"{LONG_WORD[:60]}.md").write_text(f"# {LONG_WORD}\n\nThe word {LONG_WORD} has never been said.\n")
    return folder


@pytest.fixture(scope="module")
def docs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_docs(tmp_path_factory.mktemp("source") / "village")


@pytest.fixture(scope="module")
def server(serve: Callable[..., Server], docs: Path) -> Server:
    return serve("--corpus", str(docs))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    names = ("chromium", "chromium-browser", "google-chrome")
    chromium = next((path for name in names if (path := shutil.which(name))), None)
    if chromium is None:
        pytest.skip("Chromium is not installed (on Debian and Ubuntu: apt install chromium)")
    with playwright_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium)
        yield browser
        browser.close()


class Watched:
    """Opens pages in fresh profiles and notes what no page may do."""

    def __init__(self, browser: Any) -> None:
        self._browser, self._contexts = browser, []
        self.wrongs: list[str] = []

    def open(self, url: str, *, width: int = 1280, height: int = 900, **options: Any) -> Page:
        context = self._browser.new_context(viewport={"width": width, "height": height}, **options)
        self._contexts.append(context)
        context.set_default_timeout(30_000)
        context.expose_function("noteViolation", lambda what: self.wrongs.append(f"policy: {what}"))
        context.add_init_script(
            "addEventListener('securitypolicyviolation', e => noteViolation(`${e.violatedDirective} ${e.blockedURI}`))"
        )
        origin = urllib.parse.urlsplit(url)[:2]
        context.on("request", lambda request: self._check(request.url, origin))
        page = context.new_page()
        page.on("pageerror", lambda error: self.wrongs.append(f"error: {error}"))
        page.on("dialog", lambda dialog: (self.wrongs.append(f"alert: {dialog.message}"), dialog.dismiss()))
        page.goto(url)
        return page

    def _check(self, url: str, origin: tuple[str, str]) -> None:
        if urllib.parse.urlsplit(url)[:2] != origin and not url.startswith("data:"):
            self.wrongs.append(f"request: {url}")

    def close(self) -> None:
        for context in self._contexts:
            context.close()


@pytest.fixture
def watched(browser: Any) -> Iterator[Watched]:
    watched = Watched(browser)
    yield watched
    watched.close()
    assert watched.wrongs == []


@pytest.fixture
def page(watched: Watched, server: Server) -> Page:
    return watched.open(server.url)


def ask(page: Page, question: str) -> None:
    page.get_by_label("Ask a question about these documents").fill(question)
    page.keyboard.press("Enter")
    expect(page.locator("#answers .answer").first).to_be_visible()
    expect(page.locator("#answers")).to_have_attribute("aria-busy", "false")


def from_api(page: Page, question: str) -> dict[str, Any]:
    """What the server answers, past the page."""
    url = urllib.parse.urljoin(page.url, "/v1/ask")
    answer: dict[str, Any] = page.request.post(url, data={"question": question}).json()["answers"][0]
    return answer


def history(page: Page) -> list[str]:
    return list(page.locator("#history b").all_text_contents())


def test_an_answer_is_marked_in_its_passage_with_its_source_and_figures(page: Page) -> None:
    ask(page, QUESTION)
    answer = from_api(page, QUESTION)
    source = answer["source"]
    assert answer["found"]
    assert "\U0001f4da" in source["text"][: source["answer_start"]], "code points and UTF-16 units have to differ"
    expect(page.locator(".answer h2")).to_have_text(answer["text"])
    cited = page.locator(".passage.cited")
    expect(cited.locator("mark")).to_have_text(source["answer"])
    expect(cited.locator(".text")).to_have_text(source["text"], use_inner_text=True)
    expect(cited.locator(".place")).to_have_text(source["place"])
    assert source["place"] == "library.md, line 3"
    expect(page.locator(".answer > .figures")).to_contain_text(f"{100 * answer['confidence']:.0f}%")
    assert 0.005 < source["probability"] < 1
    expect(cited.locator(".figures")).to_contain_text(f"{source['probability']:.2f}")
    width = cited.locator(".fill").evaluate("bar => bar.getBoundingClientRect().width / bar.parentNode.clientWidth")
    assert width == pytest.approx(source["probability"], abs=0.02), "the bar is as long as the probability is high"
    expect(page.locator("ol .passage")).to_have_count(len(answer["runners_up"]))
    expect(page.locator(".version")).to_contain_text(answer["version"]["index"])
    assert page.title() == f"{QUESTION} – openrealm"


def test_a_runner_up_shows_its_whole_passage(page: Page) -> None:
    ask(page, QUESTION)
    number, runner_up = next(
        (i, one) for i, one in enumerate(from_api(page, QUESTION)["runners_up"]) if len(one["text"]) > 500
    )
    shown = page.locator("ol .passage").nth(number)
    assert len(shown.locator(".text").inner_text()) < len(runner_up["text"])
    expect(shown.locator("mark")).to_have_text(runner_up["answer"])
    shown.get_by_role("button", name="whole passage").click()
    expect(shown.locator(".text")).to_have_text(runner_up["text"], use_inner_text=True)
    expect(shown.locator("mark")).to_have_text(runner_up["answer"])


def test_the_document_opens_at_the_place(page: Page) -> None:
    question = "How many crowns were spent on the road in 1961?"
    ask(page, question)
    source = from_api(page, question)["source"]
    assert source["origin"]["article_id"] == "library.md"
    title = page.locator(".passage.cited .open")
    title.click()
    document = page.get_by_role("dialog", name="The library")
    expect(document.locator("mark")).to_be_in_viewport()
    expect(document.locator("mark")).to_have_text(source["answer"])
    expect(document.locator(".cited")).to_have_text(source["text"], use_inner_text=True)
    expect(document).to_contain_text(source["place"])
    expect(document).to_contain_text("It opened in 1921.")
    page.keyboard.press("Escape")
    expect(document).to_be_hidden()
    expect(title).to_be_focused()


def test_without_an_answer_the_passages_are_shown_all_the_same(page: Page) -> None:
    ask(page, UNANSWERABLE)
    answer = from_api(page, UNANSWERABLE)
    assert not answer["found"]
    expect(page.locator(".answer h2")).to_have_text("No answer found")
    expect(page.locator(".answer")).to_contain_text("The best guess is")
    expect(page.locator(".passage")).to_have_count(1 + len(answer["runners_up"]))
    expect(page.locator("#history li")).to_contain_text("no answer found")


def test_questions_are_kept_until_they_are_cleared(page: Page) -> None:
    box = page.get_by_label("Ask a question about these documents")
    ask(page, QUESTION)
    ask(page, ABOUT_MARKUP)
    ask(page, QUESTION)
    assert history(page) == [QUESTION, ABOUT_MARKUP]
    page.reload()
    expect(page.locator("#history li")).to_have_count(2)
    page.get_by_role("button", name=ABOUT_MARKUP).click()
    expect(box).to_have_value(ABOUT_MARKUP)
    expect(page.locator("#history b").first).to_have_text(ABOUT_MARKUP)
    page.go_back()
    expect(box).to_have_value(QUESTION)
    page.evaluate("localStorage.setItem('openrealm.history', JSON.stringify([3, {question: 4}]))")
    page.reload()
    expect(page.locator("#history li")).to_have_count(1)  # what cannot be read is left out
    page.get_by_role("button", name="Clear").click()
    page.reload()
    expect(page.locator("#history li")).to_have_count(1)  # the address is asked again
    assert history(page) == [QUESTION]


def test_everything_works_from_the_keyboard(page: Page) -> None:
    box = page.get_by_label("Ask a question about these documents")
    expect(box).to_be_focused()
    for question in (QUESTION, ABOUT_MARKUP):
        page.keyboard.type(question)
        page.keyboard.press("Enter")
        expect(page.locator("#history b").first).to_have_text(question)
        page.keyboard.press("/")
        expect(box).to_be_focused()
        page.keyboard.press("Escape")
        expect(box).to_have_value("")
    page.keyboard.type("Wh")
    page.keyboard.press("ArrowUp")
    expect(box).to_have_value(ABOUT_MARKUP)
    page.keyboard.press("ArrowUp")
    expect(box).to_have_value(QUESTION)
    page.keyboard.press("ArrowUp")
    expect(box).to_have_value(QUESTION)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect(box).to_have_value("Wh")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    expect(page.locator(".answer")).to_be_focused()
    titles = page.locator(".passage .open")
    page.keyboard.press("j")
    expect(titles.nth(0)).to_be_focused()
    page.keyboard.press("j")
    expect(titles.nth(1)).to_be_focused()
    page.keyboard.press("k")
    expect(titles.nth(0)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#document")).to_be_visible()
    page.keyboard.press("Escape")
    expect(titles.nth(0)).to_be_focused()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Help")).to_be_visible()
    page.keyboard.press("Escape")
    assert outline_width(page) >= 2, "the focus can be seen"


def outline_width(page: Page) -> float:
    return float(page.evaluate("parseFloat(getComputedStyle(document.activeElement).outlineWidth)"))


def test_a_reload_in_the_middle_of_an_answer_does_no_harm(page: Page) -> None:
    held = []
    page.route("**/v1/ask", lambda route: held.append(route))  # holds the question until the reload
    page.keyboard.type(QUESTION)
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_have_text("Reading passages …")
    page.wait_for_timeout(200)
    assert len(held) == 1
    page.unroute("**/v1/ask")
    page.reload()
    expect(page.locator(".answer h2")).to_have_text(from_api(page, QUESTION)["text"])
    expect(page.get_by_label("Ask a question about these documents")).to_have_value(QUESTION)
    assert history(page) == [QUESTION]


def test_a_new_question_takes_the_place_of_one_being_answered(page: Page) -> None:
    held = []
    page.route("**/v1/ask", lambda route: route.continue_() if held else held.append(route))
    page.keyboard.type(ABOUT_MARKUP)
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_have_text("Reading passages …")
    ask(page, QUESTION)
    expect(page.locator(".answer h2")).to_have_text(from_api(page, QUESTION)["text"])
    page.wait_for_timeout(300)
    assert history(page) == [QUESTION]


@pytest.mark.parametrize("width", [320, 390])
def test_nothing_is_wider_than_a_phone(watched: Watched, server: Server, width: int) -> None:
    page = watched.open(server.url, width=width, height=700, has_touch=True, is_mobile=True)
    assert fits(page)
    for question in (QUESTION, UNANSWERABLE, f"What is {LONG_WORD}?"):
        ask(page, question)
        assert fits(page)
    page.locator(".passage .open").first.click()
    expect(page.locator("#document mark")).to_be_in_viewport()
    assert fits(page)


def fits(page: Page) -> bool:
    """Whether nothing is wider than the page, which is as wide as the screen."""
    widths = page.evaluate("[document.documentElement.scrollWidth, innerWidth, screen.width]")
    inside = page.evaluate(
        "[...document.querySelectorAll('#document-text, dialog[open]')].every(e => e.scrollWidth <= e.clientWidth)"
    )
    return bool(inside) and widths[0] <= widths[1] <= widths[2]


def test_light_and_dark_follow_the_system_or_the_switch(watched: Watched, server: Server) -> None:
    page = watched.open(server.url, color_scheme="dark")
    switch = page.get_by_role("button", name=re.compile("^Theme"))
    assert luminance(background(page)) < 0.05
    page.emulate_media(color_scheme="light")
    assert luminance(background(page)) > 0.8
    switch.click()
    switch.click()
    expect(switch).to_have_text("Theme: dark")
    assert luminance(background(page)) < 0.05
    page.reload()
    expect(switch).to_have_text("Theme: dark")
    assert luminance(background(page)) < 0.05


def background(page: Page) -> str:
    return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))


def luminance(colour: str) -> float:
    """WCAG's relative luminance of "rgb(…)"."""
    shares = [int(value) / 255 for value in re.findall(r"\d+", colour)[:3]]
    red, green, blue = (s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_markup_in_a_passage_is_shown_as_text(page: Page) -> None:
    ask(page, ABOUT_MARKUP)
    expect(page.locator(".passage.cited .text")).to_have_text(
        from_api(page, ABOUT_MARKUP)["source"]["text"], use_inner_text=True
    )
    expect(page.locator(".passage.cited .text")).to_contain_text("<script>document.title = 'run'; alert(1)</script>")
    page.locator(".passage.cited .open").click()
    expect(page.locator("#document-text .cited")).to_contain_text("</p><style>* { display: none }</style> He has")
    assert page.locator("main :is(script, style, img, b), dialog :is(script, style, img, b)").count() == 0
    assert page.title() != "run"


def test_markup_in_a_question_is_shown_as_text(watched: Watched, server: Server) -> None:
    question = "<img src=x onerror=alert(1)> When did </b><script>alert(2)</script> the library open?"
    page = watched.open(f"{server.url}#{urllib.parse.urlencode({'q': question})}")
    expect(page.locator(".answer h2")).to_be_visible()
    assert history(page) == [question]
    page.reload()
    expect(page.locator(".answer h2")).to_be_visible()
    assert page.locator("main img, aside img, main script, aside script").count() == 0


def test_the_policy_stops_scripts_and_other_servers(watched: Watched, page: Page) -> None:
    page.evaluate(
        """() => {
            document.body.insertAdjacentHTML("beforeend", "<p onclick='alert(1)' id='planted'>click</p>");
            document.getElementById("planted").click();
            const script = document.createElement("script");
            script.textContent = "document.title = 'run'";
            document.body.append(script);
            const image = new Image();
            image.src = "https://example.org/x.png";
            fetch("https://example.org/").catch(() => {});
        }"""
    )
    stopped = ("connect-src", "img-src", "script-src")
    while not all(any(f"policy: {kind}" in wrong for wrong in watched.wrongs) for kind in stopped):
        page.wait_for_timeout(50)
    assert not any(wrong.startswith(("alert", "error")) for wrong in watched.wrongs)
    assert page.title() == "openrealm"
    watched.wrongs.clear()


def test_a_refused_question_is_one_sentence(page: Page) -> None:
    page.get_by_label("Ask a question about these documents").fill("why " * 5000)
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert").first).to_contain_text(re.compile(r"^The question has .* characters.*\.$"))
    assert history(page) == []
    ask(page, QUESTION)
    expect(page.locator("#error")).to_be_hidden()


def test_a_server_that_is_gone_is_one_sentence(watched: Watched, serve: Callable[..., Server], docs: Path) -> None:
    server = serve("--corpus", str(docs))
    page = watched.open(server.url)
    ask(page, QUESTION)
    server.stop()
    page.keyboard.press("/")
    page.keyboard.press("Enter")
    expect(page.locator("#error")).to_have_text("The server does not answer; check that it is running, and ask again.")


def test_a_token_is_asked_for_once(watched: Watched, serve: Callable[..., Server], docs: Path) -> None:
    page = watched.open(serve("--corpus", str(docs), token="open-sesame").url)
    dialog = page.get_by_role("dialog", name="This server asks for a token")
    expect(dialog).to_be_visible()
    page.keyboard.type("open-barley")
    page.keyboard.press("Enter")
    expect(dialog).to_contain_text("The server did not accept this token.")
    page.keyboard.type("open-sesame")
    page.keyboard.press("Enter")
    expect(dialog).to_be_hidden()
    ask(page, QUESTION)
    page.reload()
    expect(page.locator(".answer h2")).to_have_text(re.compile("1921"))
    expect(dialog).to_be_hidden()
    assert page.evaluate("Object.values(localStorage).join()").count("open-sesame") == 0, "kept for this tab only"


def test_two_versions_of_the_documents_side_by_side(
    watched: Watched, serve: Callable[..., Server], tmp_path: Path
) -> None:
    docs = write_docs(tmp_path / "village")
    page = watched.open(serve("--corpus", str(docs)).url)
    ask(page, QUESTION)
    (docs / "library.md").write_text(LIBRARY.replace("1921", "1934"))
    info = urllib.parse.urljoin(page.url, "/v1/info")
    while len(page.request.get(info).json()["versions"]) < 2:
        page.wait_for_timeout(200)
    ask(page, QUESTION)
    expect(page.locator(".answer h2")).to_have_text("1934")
    other = page.get_by_label("Compare with")
    other.select_option(other.locator("option").last.get_attribute("value"))
    expect(page.locator(".answer h2")).to_have_text(["1934", "1921"])
    expect(page.get_by_role("status")).to_contain_text("Different answers;")
    page.reload()
    expect(page.locator(".answer h2")).to_have_text(["1934", "1921"])
    page.locator(".passage.cited .open").nth(1).click()
    expect(page.locator("#document .cited mark")).to_have_text("1921")


def test_a_day_chooses_the_passages_that_were_valid(
    watched: Watched, serve: Callable[..., Server], tmp_path: Path
) -> None:
    source = tmp_path / "mayors.jsonl"
    row = {"title": "The mayor", "text": "Ann Miller is the mayor of Oberlind.", "valid_to": "2019-05-31"}
    later = {"title": "The mayor", "text": "Bob Weaver is the mayor of Oberlind.", "valid_from": "2019-06-01"}
    source.write_text(f"{json.dumps(row)}\n{json.dumps(later)}\n")
    page = watched.open(serve("--corpus", str(source)).url)
    day, texts, question = page.get_by_label("As of"), page.locator(".passage .text"), "Who is the mayor of Oberlind?"
    expect(day).to_be_visible()
    check_accessibility(page, "with a day")
    ask(page, question)
    expect(texts).to_have_count(2)
    expect(page.locator(".version")).not_to_contain_text("as of")
    day.focus()
    assert outline_width(page) >= 2, "the focus can be seen"
    page.keyboard.type("06012019")  # month, day and year of an English browser
    expect(day).to_have_value("2019-06-01")
    expect(texts).to_have_text(["Bob Weaver is the mayor of Oberlind."])
    expect(page.locator(".version")).to_contain_text("as of 2019-06-01")
    expect(day).to_be_focused()
    day.fill("2019-05-31")
    expect(texts).to_have_text(["Ann Miller is the mayor of Oberlind."])
    page.reload()
    expect(day).to_have_value("2019-05-31")
    expect(texts).to_have_text(["Ann Miller is the mayor of Oberlind."])
    page.set_viewport_size({"width": 320, "height": 700})
    assert fits(page)
    day.fill("")
    expect(texts).to_have_count(2)
    page.goto(f"{urllib.parse.urljoin(page.url, '/')}#{urllib.parse.urlencode({'q': question, 'day': 'soon'})}")
    expect(page.locator("#error")).to_contain_text("as_of")


def test_two_systems_side_by_side_with_their_retrieval_utility(
    watched: Watched, serve: Callable[..., Server], answering_run: Path
) -> None:
    page = watched.open(serve(str(answering_run)).url)
    names = {system["name"]: system["title"] for system in page.request.get(f"{page.url}v1/info").json()["systems"]}
    page.get_by_label("Answer with").select_option("realm")
    page.get_by_label("Compare with").select_option("bm25")
    ask(page, "What is the capital of the country?")
    columns = page.locator(".answer")
    expect(columns).to_have_count(2)
    expect(columns.nth(0)).to_contain_text(names["realm"], ignore_case=True)
    expect(columns.nth(1)).to_contain_text(names["bm25"], ignore_case=True)
    left, right = (columns.nth(i).bounding_box() for i in range(2))
    assert left["y"] == right["y"]
    assert left["x"] + left["width"] <= right["x"]
    expect(columns.nth(0).locator(".figures").last).to_contain_text(re.compile(r"Retrieval utility[+−]\d+\.\d\d nats"))
    expect(columns.nth(1).locator(".shared").first).to_contain_text(names["realm"])
    page.set_viewport_size({"width": 390, "height": 700})
    assert fits(page)
    left, right = (columns.nth(i).bounding_box() for i in range(2))
    assert left["y"] + left["height"] <= right["y"], "one below the other"


def check_accessibility(page: Page, what: str) -> None:
    """axe-core's checks of WCAG 2.2 AA: contrast ratios, labels, roles, names, landmarks."""
    results = axe.Axe().run(page)
    assert results.violations_count == 0, f"{what}: {results.generate_report()}"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_is_accessible(watched: Watched, server: Server, scheme: str, width: int) -> None:
    page = watched.open(server.url, width=width, color_scheme=scheme)
    check_accessibility(page, "without a question")
    page.keyboard.press("Tab")
    page.get_by_role("button", name="Help").click()
    check_accessibility(page, "help")
    page.keyboard.press("Escape")
    for question in (QUESTION, UNANSWERABLE, ABOUT_MARKUP):
        ask(page, question)
        check_accessibility(page, question)
    page.locator(".passage .open").first.click()
    expect(page.locator("#document mark")).to_be_visible()
    check_accessibility(page, "document")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_bars_and_borders_of_controls_stand_out(watched: Watched, server: Server, scheme: str) -> None:
    """WCAG 1.4.11 asks for a ratio of 3, which axe-core does not compute."""
    page = watched.open(server.url, color_scheme=scheme)
    ask(page, QUESTION)
    colour = "(selector, name) => getComputedStyle(document.querySelector(selector))[name]"
    seen = page.evaluate(
        f"""() => {{ const of = {colour}; return {{
            fill: of(".cited .fill", "fill"), track: of(".cited .track", "fill"), card: of(".cited", "backgroundColor"),
            border: of(".box", "borderTopColor"), paper: of("body", "backgroundColor"),
            mark: of("mark", "backgroundColor"), ink: of("mark", "color") }}; }}"""
    )
    for one, other in (("fill", "track"), ("fill", "card"), ("border", "paper"), ("border", "card"), ("ink", "mark")):
        brighter, darker = sorted((luminance(seen[one]), luminance(seen[other])), reverse=True)
        ratio = (brighter + 0.05) / (darker + 0.05)
        assert ratio >= 3, f"{one} on {other}: {ratio:.2f}"
