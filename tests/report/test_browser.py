"""The report in a real browser, from a file: nothing goes wrong, tables sort, and bars open their queries."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from zero2ir.data.records import Collection, Document, Judgment, Query
from zero2ir.evaluation.measures import Run
from zero2ir.evaluation.results import EvaluationSettings, SystemIdentity, write_results
from zero2ir.report.page import build_report

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the PATH")
EVIL = "<script>window.owned = 1</script>"
QUERIES = [f"q{number:02}" for number in range(24)]
COLLECTION = Collection(
    [
        Document("right", "", f"sorting {EVIL}"),
        Document("wrong", "", f"nothing <img src=x onerror='owned = 1'> {EVIL}"),
    ],
    [Query(query_id, f"sort {query_id} {EVIL}") for query_id in QUERIES],
    [Judgment(query_id, doc_id, grade) for query_id in QUERIES for doc_id, grade in (("right", 1), ("wrong", 0))],
)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    for model, right in (("sparse", QUERIES[:6]), ("dense", QUERIES[4:20])):
        write_results(
            folder / "results" / model,
            system=SystemIdentity(
                model=model,
                strategy="zero_shot",
                seed=0,
                dataset=EVIL,
                runtime={"python": "3"},
                model_order=10 if model == "sparse" else 30,
            ),
            run=Run(
                QUERIES,
                [["right", "wrong"] if query_id in right else ["wrong", "right"] for query_id in QUERIES],
                [[2.0, 1.0]] * len(QUERIES),
            ),
            qrels=COLLECTION.judgments,
            confidence={query_id: number / 24 for number, query_id in enumerate(QUERIES)},
            cost={"train_seconds": float(len(model))},
            settings=EvaluationSettings(resamples=100),
            seed=0,
        )
    results = sorted((folder / "results").iterdir())
    options = {"manifest": {}, "settings": {}, "resamples": 100}
    return build_report(results, folder / "report", collection=COLLECTION, **options)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM)
        yield chromium
        chromium.close()


@pytest.mark.parametrize(("width", "height"), [(390, 844), (1280, 900)])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_works_from_a_file_at_any_width(report: Path, browser: Any, width: int, height: int, scheme: str) -> None:
    page = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme).new_page()
    page.set_default_timeout(60_000)
    wrong: list[str] = []
    asked: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
    page.on("request", lambda request: asked.append(request.url))
    page.goto(report.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")  # tables scroll, the page does not
    assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")

    first = "#systems tbody tr:first-child th"
    assert page.locator(first).inner_text() == "sparse"
    page.locator("#systems thead th", has_text="nDCG@10").first.click()
    assert page.locator(first).inner_text() == "dense"
    page.locator("#systems thead th", has_text="nDCG@10").first.press("Enter")
    assert page.locator(first).inner_text() == "sparse"

    assert page.locator(".opened:visible").count() == 0
    page.locator(".deltas a").first.click()
    opened = page.locator(".opened:visible")
    assert opened.count() == 1
    assert "+0." in opened.inner_text()
    assert EVIL in opened.locator("h3").inner_text()
    assert opened.locator("ol li").count() == 4  # both documents by both systems
    assert opened.locator("mark", has_text="sorting").count() == 2
    assert page.locator(".deltas a.here").count() == 1
    opened.locator("a[rel=next]").click()
    assert page.locator(".opened:visible").get_attribute("id") == "query-2"
    page.locator(".lists a").last.click()  # a failure
    assert page.locator(".opened:visible").get_attribute("id") not in ("query-1", "query-2")
    page.locator(".opened:visible").get_by_text("close").click()
    assert page.locator(".opened:visible").count() == 0

    assert page.evaluate("window.owned") is None
    assert wrong == []
    assert all(url.startswith(("file:", "data:")) for url in asked)
    page.context.close()
