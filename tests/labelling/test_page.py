"""The page in a real browser: ten labels, a killed server, and documents that are hostile."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from zero2ir.labelling.annotations import Annotations

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the PATH")
HOSTILE = "<script>window.owned = 1</script><img src=x onerror='window.owned = 1'><b>bold</b> &amp; {{ 7 * 7 }}"


def hostile(place: Path, string_methods: list[dict[str, str]]) -> Path:
    """Writes hostile documents with hostile ids and titles, and a few queries, below a folder."""
    made = place / "folder"
    made.mkdir()
    rows = [
        {
            "doc_id": f"<i>{row['doc_id']}</i>",
            "title": f"{row['doc_id']} {HOSTILE}",
            "text": f"{row['text']}\n{HOSTILE}",
        }
        for row in string_methods
    ]
    (made / "docs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    queries = ["<script>window.owned = 1</script> cut into words", "pad with zeros", "swap the case", "strip spaces"]
    (place / "asked.txt").write_text("\n".join(queries), encoding="utf-8")
    return place


@pytest.fixture
def folder(tmp_path: Path, string_methods: list[dict[str, str]]) -> Path:
    """What a test has for itself."""
    return hostile(tmp_path, string_methods)


@contextmanager
def served(folder: Path) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """The real command; its page's address, and the process."""
    command = ["label", "folder", "--queries", "asked.txt", "--web", "--port", "0", "--model", "sparse"]
    command += ["--output", "program", "--set", "~model@committee.dense", "--set", "~model@committee.static"]
    with subprocess.Popen(
        [str(Path(sys.executable).with_name("zero2ir")), *command], cwd=folder, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"http://\S+", process.stdout.readline())
            assert found is not None
            yield found.group(), process
        finally:
            process.kill()


@pytest.fixture(scope="module")
def shared(
    tmp_path_factory: pytest.TempPathFactory, string_methods: list[dict[str, str]]
) -> Iterator[tuple[str, Path]]:
    """The address of a page that no test stops, and the file of its answers."""
    place = hostile(tmp_path_factory.mktemp("shared"), string_methods)
    with served(place) as (address, _):
        yield address, place / "folder" / "annotations.jsonl"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM)
        yield chromium
        chromium.close()


def wait(page: Any, condition: str) -> None:
    """Waits until a condition holds; Playwright's own way needs eval, which the page forbids."""
    end = time.monotonic() + 60
    while not page.evaluate(condition):
        assert time.monotonic() < end, condition
        page.wait_for_timeout(20)


def opened(browser: Any, address: str, **options: Any) -> tuple[Any, list[str]]:
    """The page once it shows something, and what went wrong in it."""
    page = browser.new_context(**options).new_page()
    page.set_default_timeout(60_000)
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.goto(address)
    wait(page, "view !== null")
    return page, wrong


def press(page: Any, key: str) -> None:
    """Presses a key and waits until the next view is drawn."""
    before = page.evaluate("view.answer_count")
    page.keyboard.press(key)
    wait(page, f"!busy && view.answer_count !== {before}")


def test_label_ten_kill_reopen_continue_export(folder: Path, browser: Any) -> None:
    answers = folder / "folder" / "annotations.jsonl"
    with served(folder) as (address, process):
        page, wrong = opened(browser, address)
        assert "token" not in page.url
        for key in "01200s2100":
            assert page.locator("#text script, #text img, #query *, #ranking i, #title b").count() == 0
            assert HOSTILE in page.locator("#text").inner_text()
            press(page, key)
        press(page, "u")
        press(page, "1")
        answers_given = page.evaluate("view.answer_count")
        page.keyboard.press("n")
        assert page.locator("mark.here").count() == min(1, page.locator("#text mark").count())
        page.keyboard.press("Control+1")  # the browser's own, and no answer
        assert page.evaluate("view.answer_count") == answers_given
        asked = page.evaluate("view.item")
        process.send_signal(signal.SIGKILL)
        process.wait()
        page.keyboard.press("2")
        wait(page, "!busy && document.getElementById('message').textContent !== ''")
        assert "your answers are saved" in page.locator("#message").inner_text()
        assert page.evaluate("window.owned") is None
        assert [message for message in wrong if "ERR_CONNECTION" not in message] == []
    assert [row.grade for row in Annotations(answers).rows] == [0, 1, 2, 0, 0, None, 2, 1, 0, 1]
    with served(folder) as (address, process):
        page, wrong = opened(browser, address)
        assert page.evaluate("view.item") == asked
        assert page.evaluate("view.effect") is not None
        page.get_by_role("button", name="2 relevant").click()
        wait(page, "!busy && view.answer_count === 11")
        with page.expect_download() as download:
            page.get_by_role("link", name="qrels.trec").click()
        lines = Path(download.value.path()).read_text().splitlines()
        assert [line.split()[3] for line in lines] == ["0", "1", "2", "0", "0", "2", "1", "0", "1", "2"]
        page.get_by_role("button", name="Train and save the program").click()
        wait(page, "!busy && document.querySelectorAll('#saved li').length > 0")
        assert "Saved in program" in page.locator("#saved").inner_text()
        assert wrong == []
        assert process.stdout is not None
        process.send_signal(signal.SIGINT)
        said = process.stdout.read()
        assert process.wait() == 0
        assert "the program in program is trained on all of them" in said
        assert (folder / "program" / "program.json").is_file()
    assert len(Annotations(answers).rows) == 11


def test_a_second_window_shows_the_current_item(shared: tuple[str, Path], browser: Any) -> None:
    address, answers = shared
    page, wrong = opened(browser, address)
    other = page.context.new_page()
    other.goto(page.url)
    wait(other, "view !== null")
    press(page, "2")
    asked = page.evaluate("view.item")
    press(other, "0")  # of what the first window has answered: it is not taken, and the next thing is shown
    assert "answered elsewhere" in other.locator("#message").inner_text()
    assert other.evaluate("view.item") == asked
    press(other, "1")
    assert [row.grade for row in Annotations(answers).rows] == [2, 1]
    assert all("409" in message for message in wrong)


def test_another_site_cannot_change_anything(shared: tuple[str, Path], browser: Any) -> None:
    address, _ = shared
    page, _ = opened(browser, address)
    before = page.evaluate("view.answer_count")
    other = page.context.new_page()  # the same cookies
    other.route("http://evil.example/**", lambda route: route.fulfill(body="<h1>evil</h1>", content_type="text/html"))
    other.goto("http://evil.example/")
    target = page.url
    post = """async ([target, answer_count]) => {
        for (const path of ["answer", "undo", "save"])
            await fetch(target + path, {method: "POST", mode: "no-cors", credentials: "include",
                                        body: JSON.stringify({grade: 2, answer_count})}).catch(() => null);
        return await fetch(target + "view", {credentials: "include"}).then(r => r.text(), () => "unreadable");
    }"""
    assert other.evaluate(post, [target, before]) == "unreadable"
    page.reload()
    wait(page, "view !== null")
    assert page.evaluate("view.answer_count") == before
    framed = """target => new Promise(done => {
        const frame = document.createElement("iframe");
        frame.onload = () => done(frame.contentDocument === null);
        frame.src = target;
        document.body.append(frame);
    })"""
    assert other.evaluate(framed, target)  # whatever it shows, the other site cannot read it


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_in_light_and_dark(shared: tuple[str, Path], browser: Any, scheme: str) -> None:
    page, _ = opened(browser, shared[0], viewport={"width": 360, "height": 740}, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    dark = sum(map(int, re.findall(r"\d+", ground)[:3])) < 3 * 128
    assert dark == (scheme == "dark")
    for button in page.locator("nav button").all():
        box = button.bounding_box()
        assert box["height"] >= 40  # a thumb's
        assert box["y"] + box["height"] <= 740  # in sight without scrolling
