import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from pathlib import Path

import pytest

from zero2ir.data.records import Judgment
from zero2ir.errors import InputError
from zero2ir.evaluation.measures import Run
from zero2ir.evaluation.results import EvaluationSettings, SystemIdentity, read_results, write_results
from zero2ir.io.files import files_below, sha256
from zero2ir.io.markdown import Table
from zero2ir.report.page import build_report
from zero2ir.tracking.runs import report_description

EVIL = "<script>alert('x')</script>"
QUERIES = [f"q{i}" for i in range(12)]
QRELS = [Judgment(query_id, "d1", 1) for query_id in QUERIES]
MANIFEST = {
    "source": f"a folder {EVIL}",
    "licence": "unknown",
    "counts": {"documents": 3200, "test queries": 12},
    "quality": {"duplicate_text": {"count": 1, "examples": [EVIL]}, "empty_text": {"count": 0, "examples": []}},
    "sha256": {"documents.parquet": "0" * 64},
}
SETTINGS = {"dataset": "local", "lm": EVIL, "encoder": "minilm", "budget": {"queries": 10}, "seeds": [0, 1]}


class Tags(HTMLParser):
    """Every tag with its attributes, and whether each closes what was opened last."""

    VOID = ("meta", "img", "br")

    def __init__(self, text):
        super().__init__()
        self.open, self.seen, self.balanced = [], [], True
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        self.balanced &= bool(self.open) and self.open.pop() == tag

    def all(self, name):
        return [attributes for tag, attributes in self.seen if tag == name]


def prompt(digest: str, **changes) -> dict:
    """What a training notes of a prompt that it tried; the texts are hostile."""
    judged = {"mean": 0.5, "ci_low": 0.25, "ci_high": 0.75, "n": 7}
    pairs = [{"document": EVIL, "query": EVIL}, {"document": "a", "query": "second query"}]
    return {
        **{
            "digest": digest,
            "part": "query writer",
            "origin": "pool",
            "style": "question",
            "instruction": EVIL,
            "demonstrations": pairs,
        },
        **{"document_words": 40, "temperature": None, "chosen": False, "rung": 1, "documents": 10, "written": 10},
        **{"accepted": 7, "judged": judged, "synthetic": 0.25, "expected_gain": 0.01, "standard_error": 0.02},
        **{"lm_calls": 10, "seconds": 12.5, **changes},
    }


def candidate(name: str, **changes) -> dict:
    """What a training notes of a candidate of model=auto."""
    figures = {"difference": -0.01, "ci_low": -0.03, "ci_high": 0.01, "probability_best": 0.25, "expected_loss": 0.012}
    cost = {"milliseconds_per_query": 3.14159, "bytes_per_document": 1536.0, "megabytes": 12.5}
    return {"name": name, **figures, **cost, "measured": 0.5, "in_suite": True, **changes}


def write_systems(
    folder: Path, *, confident: bool = True, prompts: list[dict] | None = None, model_choice: dict | None = None
) -> None:
    for number, (model, strategy, seed) in enumerate(
        [("sparse", "zero_shot", 0), ("sparse", "zero_shot", 1), ("$_{$<i>", "prompt", 0), ("$_{$<i>", "prompt", 1)]
    ):
        ranked = [["d1", "d2"] if (i + number) % (number + 2) else ["d2", "d1"] for i in range(len(QUERIES))]
        write_results(
            folder / str(number),
            system=SystemIdentity(
                model=model,
                strategy=strategy,
                seed=seed,
                dataset=EVIL,
                notes={"reason": EVIL},
                prompts=prompts or [] if strategy == "prompt" else [],
                model_choice=model_choice if strategy == "prompt" else None,
            ),
            run=Run(QUERIES, ranked, [[2.0, 1.0]] * len(QUERIES)),
            qrels=QRELS,
            confidence={q: i / 12 for i, q in enumerate(QUERIES)} if confident else {},
            cost={"train_seconds": 10.0 * number, "lm_calls": number} if confident else {},
            settings=EvaluationSettings(resamples=100),
            seed=0,
        )


def build(folder: Path, name: str = "report", **changes) -> Path:
    options = {"manifest": MANIFEST, "settings": SETTINGS, "baseline": "sparse/zero_shot", "seed": 0, "resamples": 100}
    return build_report(sorted((folder / "results").glob("*")), folder / name, **{**options, **changes})


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reported")
    write_systems(folder / "results")
    return build(folder)


def test_the_folder_is_whole(report):
    names = {str(path.relative_to(report.parent)) for path in files_below(report.parent)}
    drawn = ("quality", "other-measures", "differences", "reliability", "risk-coverage", "front")
    tables = {
        "summary.md",
        "systems.md",
        "systems.tex",
        "systems.csv",
        "comparisons.md",
        "comparisons.csv",
        "deltas.csv",
    }
    assert names == {
        "index.html",
        *tables,
        *(f"figures/{place}" for name in drawn for place in (f"{name}.svg", f"png/{name}.png")),
    }


def test_nothing_untrusted_becomes_markup(report):
    page = report.read_text(encoding="utf-8")
    tags = Tags(page)
    assert tags.all("script") == [{}]  # the page's own
    assert not tags.all("i")
    assert page.count("&lt;script&gt;") >= 5  # title, heading, source, quality example, language model, notes
    for name in ("summary.md", "systems.md", "comparisons.md", "systems.tex"):
        assert "<script>" not in (report.parent / name).read_text(encoding="utf-8")


def test_the_page_is_self_contained_and_accessible(report):
    page = report.read_text(encoding="utf-8")
    tags = Tags(page)
    assert tags.balanced
    assert tags.open == []
    assert tags.all("html") == [{"lang": "en"}]
    assert "://" not in page
    assert len(tags.all("img")) == 5  # the differences stand beside single queries, of which there are none here
    assert all(image["alt"] and image["src"].startswith("data:image/svg+xml;base64,") for image in tags.all("img"))
    assert all(header["scope"] in ("col", "row") for header in tags.all("th"))
    ids = [attributes["id"] for _, attributes in tags.seen if "id" in attributes]
    assert len(ids) == len(set(ids))
    for attributes in (attributes for _, attributes in tags.seen):
        if attributes.get("href", "").startswith("#"):
            assert attributes["href"][1:] in ids
        elif "href" in attributes:
            assert (report.parent / attributes["href"]).is_file()
        if "aria-labelledby" in attributes:
            assert attributes["aria-labelledby"] in ids


def test_the_page_says_what_was_run(report):
    page = " ".join(report.read_text(encoding="utf-8").split())
    assert "2 systems, 3,200 documents, 12 test queries, 2 draws of the judgments" in page
    assert "budget.queries" in page
    assert "over queries and draws of the judgments" in page
    assert "Ten judged queries with the same standard deviation" in page


def test_the_page_opens_with_answers_and_one_picture(report):
    page = report.read_text(encoding="utf-8")
    story = page.split('<section class="story"')[1].split("</section>")[0]
    assert page.index('<section class="story"') < page.index("<nav") < page.index("<table")
    assert "<h2>What do judgments add?</h2>" in story
    assert "<code>$_{$&lt;i&gt;/prompt</code>" in story
    assert "The highest mean is" in story
    assert story.count("<img") == 1


def test_the_summary_for_a_readme_also_describes_the_run(report):
    """The answers stand first in both."""
    for text in ((report.parent / "summary.md").read_text(encoding="utf-8"), report_description("r1", report.parent)):
        answers = text.split("\n\n")[0]
        assert answers.startswith("- **")
        assert "Not measured: the strategies lack zero" in answers


def test_the_notes_of_a_training_stand_beside_its_test_score(report):
    page = report.read_text(encoding="utf-8")
    table = re.search(r'<table aria-labelledby="choices-caption">.*?</table>', page, re.DOTALL).group()
    assert re.findall(r"<th[^>]*>([^<]*)</th>", table)[:3] == ["System", "nDCG@10 (test)", "Reason"]
    results = read_results(report.parent.parent / "results" / "0")
    mean = sum(results.per_query["nDCG@10"].values()) / len(QUERIES)
    assert f'<th scope="row">sparse-zero_shot-seed0</th><td>{mean:.3f}</td>' in table.replace("\n", "")


def test_figures_are_drawings_without_a_date(report):
    for path in (report.parent / "figures").glob("*.svg"):
        ElementTree.parse(path)
        assert "dc:date" not in path.read_text(encoding="utf-8")


def test_same_results_same_bytes(report):
    again = build(report.parents[1], "again")
    one, two = ([sha256(path) for path in files_below(page.parent)] for page in (report, again))
    assert one == two


def test_a_single_system_without_confidence_or_cost_has_a_report_too(tmp_path):
    write_systems(tmp_path / "all", confident=False)
    (tmp_path / "results").mkdir()
    (tmp_path / "all" / "0").rename(tmp_path / "results" / "0")
    page = build(tmp_path, manifest={}, settings={})
    text = " ".join(page.read_text(encoding="utf-8").split())
    assert Tags(text).balanced
    assert "There is one system only" in text
    assert "1 system, 12 test queries, 1 draw of the judgments." in text
    assert sorted(path.name for path in (page.parent / "figures").glob("*.svg")) == [
        "other-measures.svg",
        "quality.svg",
    ]


def test_synthetic_queries_have_a_section_where_there_are_any(report, tmp_path):
    assert 'id="synthetic"' not in report.read_text(encoding="utf-8")
    write_systems(tmp_path / "results")
    section = {"title": "Samples", "caption": EVIL, "table": Table(["Query", "n"], [[EVIL, "1"]], 1)._asdict()}
    cards = [{"seed": seed, "sections": [section]} for seed in (0, 7)]
    page = build(tmp_path, cards=cards).read_text(encoding="utf-8")
    tags = Tags(page)
    assert tags.balanced
    assert tags.all("script") == [{}]  # the page's own
    ids = [attributes["id"] for _, attributes in tags.seen if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {"synthetic", "synthetic-0-samples-caption", "synthetic-7-samples-caption"} <= set(ids)
    assert "#synthetic" in [attributes.get("href") for attributes in tags.all("a")]
    assert page.count("<summary>Seed ") == 2


def test_prompts_have_a_section_where_there_are_any(report, tmp_path):
    assert 'id="prompts"' not in report.read_text(encoding="utf-8")
    tried = [
        prompt("aaaa", origin="fixed", rung=2, expected_gain=0.0, standard_error=0.0),
        prompt("bbbb", judged=None, synthetic=None, expected_gain=None, standard_error=None, demonstrations=[]),
        prompt("cccc", rung=2, chosen=True, expected_gain=0.04, temperature=0.7),
    ]
    write_systems(tmp_path / "results", prompts=tried)
    built = build(tmp_path)
    page = built.read_text(encoding="utf-8")
    tags = Tags(page)
    assert tags.balanced
    assert tags.all("script") == [{}]  # the page's own
    assert not tags.all("i")
    ids = [attributes["id"] for _, attributes in tags.seen if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {"prompts", "prompts-1-caption", "prompts-2-caption"} <= set(ids)  # one table a seed
    assert "#prompts" in [attributes.get("href") for attributes in tags.all("a")]
    table = page[page.index('id="prompts-1-caption"') :]
    assert table.index("cccc") < table.index("aaaa") < table.index("bbbb")  # as they promise
    assert page.count("<h5>First prompt</h5>") == page.count("<h5>Chosen prompt</h5>") == 2  # one pair a seed
    assert '+0.040 <span class="interval">[+0.001, +0.079]</span>' in page
    assert "· second query" in page
    assert (built.parent / "figures" / "prompts.svg").is_file()
    again = build(tmp_path, "again").parent / "figures" / "prompts.svg"
    assert again.read_bytes() == (built.parent / "figures" / "prompts.svg").read_bytes()


def test_prompts_of_a_part_of_the_model_stand_beside_those_for_writing_queries(tmp_path):
    writing = prompt("aaaa", origin="fixed", rung=2)
    asking = prompt("bbbb", part="reranker", queries=10)
    for name in ("document_words", "temperature", "documents", "written", "accepted"):
        del asking[name]
    write_systems(tmp_path / "results", prompts=[asking, writing])
    page = build(tmp_path).read_text(encoding="utf-8")
    assert page.index("bbbb") < page.index("aaaa")  # though it came less far: parts stand together
    assert page.count(">reranker</") == page.count(">query writer</") == 2  # one table a seed


def test_the_choice_of_a_model_type_has_a_section_where_there_is_one(report, tmp_path):
    assert 'id="model-types"' not in report.read_text(encoding="utf-8")
    beyond = {"probability_best": None, "expected_loss": None, "milliseconds_per_query": None}
    choice = {
        "model": "hybrid",
        "queries": 10,
        "candidates": [candidate("hybrid"), candidate("sparse"), candidate(EVIL, in_suite=False, **beyond)],
        "gain_of_judging": {"10": 0.001, "50": 0.0125},
        "queries_to_judge": [EVIL],
    }
    write_systems(tmp_path / "results", model_choice=choice)
    page = build(tmp_path).read_text(encoding="utf-8")
    tags = Tags(page)
    assert tags.balanced
    assert tags.all("script") == [{}]
    assert "#model-types" in [attributes.get("href") for attributes in tags.all("a")]
    table = page[page.index('id="model-types-1-caption"') : page.index('id="model-types-2-caption"')]
    assert '−0.010 <span class="interval">[−0.030, +0.010]</span>' in table
    assert all(text in table for text in (">chosen<", ">25%<", ">0.012<", ">3.14<", ">1,536<", ">12.5<"))
    assert all(text in table for text in ("(not in the suite)", ">beyond the limits<"))
    assert "expected to gain +0.001 after 10, +0.013 after 50 more judged queries." in table


def test_no_results_leave_no_report(tmp_path):
    (tmp_path / "results").mkdir()
    with pytest.raises(InputError, match="run evaluate first"):
        build(tmp_path)
    assert not (tmp_path / "report").exists()


def test_the_judgments_of_each_draw_are_counted(tmp_path):
    write_systems(tmp_path / "results")
    counts = {"queries": 10, "documents": 50, "relevant": 17, "queries_without_relevant": 2, "queries_passed_over": 1}
    page = build(tmp_path, judgments={"0": counts, "1": {**counts, "relevant": 23}}).read_text(encoding="utf-8")
    data = page.split('<section id="data">')[1].split("</section>")[0]
    for words in ("Queries without relevant", "Queries passed over", ">17<", ">23<"):
        assert words in data
    assert "Queries passed over" not in build(tmp_path).read_text(encoding="utf-8")


@pytest.mark.parametrize(("how", "words"), [("qrels", "all documents judged for it"), ("run", "documents of a run")])
def test_the_head_says_that_candidates_were_ranked(tmp_path, how, words):
    write_systems(tmp_path / "results")
    counts = {"documents": 3200, "train queries": 0, "test queries": 12, "candidates": 600}
    heads = []
    for manifest in (MANIFEST, MANIFEST | {"counts": counts, "candidates": how}):
        folders = sorted((tmp_path / "results").iterdir())
        page = build_report(folders, tmp_path / "report", manifest=manifest, settings=SETTINGS, resamples=200)
        heads.append(" ".join(page.read_text(encoding="utf-8").split("</header>")[0].split()))
    assert "candidates" not in heads[0]
    assert f"Each query ranks its own candidates only ({words}, 50 documents per query on average)" in heads[1]
