"""From clicks to a better program: what decides does not teach, and only a better one replaces the old."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import zero2ir
from zero2ir.cli import main
from zero2ir.errors import DataWarning, InputError
from zero2ir.online.feedback.clicks import PositionBasedModel
from zero2ir.online.feedback.improvement import ImproveSettings, improve, is_held_out
from zero2ir.online.feedback.store import FeedbackEvent, FeedbackStore
from zero2ir.online.feedback.versions import ProgramVersions
from zero2ir.program.program import program_digest

SMALL = ["pretraining.static.dimension=8", "pretraining.static.fit.epochs=1", "tuning.folds=2"]
SETTINGS = ImproveSettings(held_out=0.4, resamples=1000)


@pytest.fixture(scope="module")
def asked(string_methods) -> dict[str, str]:
    """Two questions for each method, some of its words, and the method."""
    return {
        " ".join(row["text"].split()[start : start + 5]): row["doc_id"] for row in string_methods for start in (2, 8)
    }


@pytest.fixture(scope="module")
def bad(string_methods):
    """A program that trusts the wrong one of its parts: there is something to learn."""
    settings = [*SMALL, "model.weights=[0.02,0.98]", "model.retrievers.1.encoder=static"]
    options = {"strategy": "zero_shot", "encoder": "static", "settings": settings}
    return zero2ir.train(string_methods, model="pretrained_hybrid", **options)


def clicked(program, asked: dict[str, str], users: int = 20) -> Iterator[FeedbackEvent]:
    rng = np.random.default_rng(0)
    for query, relevant in asked.items():
        doc_ids = program(query=query, k=10).docids
        attraction = np.array([0.9 if doc_id == relevant else 0.1 for doc_id in doc_ids])
        for user, row in enumerate(PositionBasedModel(bias=0.5).click(np.tile(attraction, (users, 1)), rng)):
            for position, (doc_id, click) in enumerate(zip(doc_ids, row, strict=True), 1):
                told = (query, doc_id, position, None, 0.0, f"u{user}")
                yield FeedbackEvent(f"{query}/{user}/{position}", "impression", *told)
                if click:
                    yield FeedbackEvent(f"{query}/{user}/{position}!", "click", *told)


@pytest.fixture(scope="module")
def events(bad, asked) -> list[FeedbackEvent]:
    return list(clicked(bad, asked))


def test_clicks_improve_a_bad_program(bad, asked, events):
    improved = improve(bad, events, settings=SETTINGS)
    assert improved.better
    assert improved.text.startswith("Better: nDCG@10")
    assert improved.comparison.p_value <= 0.05
    assert improved.figures["learned_from_clicks"] == improved.figures["learned_from"] > 0
    first = [
        [p(query=query, k=1).docids == [doc_id] for query, doc_id in asked.items()] for p in (bad, improved.program)
    ]
    assert np.mean(first[1]) > np.mean(first[0])  # by what is true, too
    again = improve(improved.program, events, settings=SETTINGS)
    assert not again.better  # the same evidence once more


def test_held_out_queries_are_not_used_for_training(bad, asked, events):
    """With all that is known of the held-out queries turned around, the same program is made."""
    learned = improve(bad, events, settings=SETTINGS).program
    rows = [event for event in events if not is_held_out(event.query, SETTINGS.held_out)]
    lies = [
        FeedbackEvent(f"lie{number}", "grade", query, "zfill", None, 3, 0.0)
        for number, query in enumerate(query for query in asked if is_held_out(query, SETTINGS.held_out))
    ]
    other = improve(bad, [*rows, *lies], settings=SETTINGS).program
    query = next(iter(asked))
    assert other(query=query).toDict() == learned(query=query).toDict()


def test_too_few_held_out_queries_replace_nothing(bad, asked, events):
    some = [query for query in asked if not is_held_out(query, SETTINGS.held_out)]
    improved = improve(bad, [event for event in events if event.query in some], settings=SETTINGS)
    assert not improved.better
    assert improved.comparison is None
    assert improved.text.startswith("Not compared: 0 held-out queries")


def test_a_judgment_takes_precedence_over_clicks(bad, asked, events):
    queries = [query for query in asked if not is_held_out(query, SETTINGS.held_out)]
    improved = improve(bad, events, [(query, asked[query], 1) for query in queries], settings=SETTINGS)
    plain = improve(bad, events, settings=SETTINGS)
    assert improved.figures["learned_from_clicks"] < plain.figures["learned_from_clicks"]


def test_without_relevant_documents_it_is_an_error(bad, events):
    with pytest.raises(InputError, match="nothing to learn from"):
        improve(bad, [event for event in events if event.kind == "impression"], settings=SETTINGS)


def test_feedback_on_a_removed_document_is_ignored(bad, events):
    gone = [event._replace(event_id=f"{event.event_id}~", doc_id="gone") for event in events]
    assert improve(bad, [*events, *gone], settings=SETTINGS).text == improve(bad, events, settings=SETTINGS).text


def test_the_command_replaces_registers_and_rolls_back(bad, asked, tmp_path: Path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    bad.save("program")
    before = program_digest(Path("program"))
    graded = enumerate(asked.items())
    with FeedbackStore("feedback.db") as store:
        store.record_all([FeedbackEvent(str(number), "grade", *pair, None, 1, 0.0) for number, pair in graded])
    main(["improve", "program", "--feedback", "feedback.db"])
    assert "Better: nDCG@10" in capsys.readouterr().out
    after = program_digest(Path("program"))
    assert after != before
    versions = ProgramVersions("sqlite:///mlflow.db", "program")
    assert versions.best() == "2"
    assert zero2ir.load("program")(query="white space").docids

    main(["improve", "program", "--feedback", "feedback.db"])
    assert "program: unchanged" in capsys.readouterr().out
    assert (program_digest(Path("program")), versions.best()) == (after, "2")

    main(["improve", "program", "--roll-back"])
    assert "restored version 1" in capsys.readouterr().out
    assert (program_digest(Path("program")), versions.best()) == (before, "1")
    state = json.loads(Path("program/program.json").read_text())
    assert state["about"]["strategy"] == "zero_shot"


def test_the_command_reads_a_database(bad, asked, postgresql, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    bad.save("program")
    url = postgresql.url()
    with pytest.raises(SystemExit):
        main(["improve", "program", "--feedback", url])
    assert "***@127.0.0.1" in capsys.readouterr().err
    with FeedbackStore(url) as store:
        rows = [FeedbackEvent(query, "grade", query, doc_id, None, 1, 0.0) for query, doc_id in asked.items()]
        store.record_all(rows)
    main(["improve", "program", "--feedback", url])
    assert "Better: nDCG@10" in capsys.readouterr().out


def test_the_command_names_a_missing_file(bad, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    bad.save("program")
    with pytest.raises(SystemExit):
        main(["improve", "program", "--feedback", "nothing.db"])
    assert "nothing.db: no such file" in capsys.readouterr().err


def test_judgments_are_read_once_and_unusable_ones_are_said(bad, asked):
    rows = [(query, doc_id, 1) for query, doc_id in asked.items()]
    with pytest.warns(
        DataWarning, match=r"^judgments of unknown documents: 1 left out; judgments\[0\]: no document has"
    ):
        improved = improve(bad, [], iter([("a query", "STRIP", 1), *rows]), settings=SETTINGS)
    assert improved.figures["learned_from"] > 0
    assert improved.program.about["quality"]["judgments of unknown documents"]["count"] == 1


def test_fallback_and_risk_are_kept(bad, events, string_methods):
    from zero2ir.program.fallback import FallbackSettings
    from zero2ir.program.policy import Policy
    from zero2ir.program.program import FallbackLink, Program

    sparse = zero2ir.train(string_methods, model="sparse", strategy="zero_shot")
    served = Program(
        bad.retriever,
        bad.documents,
        None,
        bad.about,
        policy=Policy(0.2, 0.5),
        links=[FallbackLink("sparse", sparse.retriever)],
        fallback=FallbackSettings(deadline=9.0),
    )
    improved = improve(served, events, settings=SETTINGS).program
    assert [link.name for link in improved.links] == ["sparse"]
    assert improved.fallback.deadline == 9.0
    assert improved.policy == served.policy
