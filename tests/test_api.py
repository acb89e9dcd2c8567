"""The library as people call it: documents and a few judgments in, a searcher out."""

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zero2ir
from zero2ir.errors import InputError
from zero2ir.lm.factory import LanguageModel
from zero2ir.lm.settings import LMSettings
from zero2ir.program.policy import CAUTION
from zero2ir.program.program import program_digest
from zero2ir.strategies.base import FitResult, TrainingInputs
from zero2ir.strategies.fine_tune import FineTune
from zero2ir.strategies.meta.strategy import Meta

Rows = list[tuple[str, str, int]]
Mappings = list[dict[str, str]]
SMALL = ["pretraining.static.dimension=16", "pretraining.static.fit.epochs=1", "tuning.folds=2"]
QUERY = "remove whitespace from both ends"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # no project around


def refusal(documents: Any, judgments: Any = (), **options: Any) -> str:
    """The one line that training is refused with."""
    with pytest.raises(InputError) as refused:
        zero2ir.train(documents, judgments, **{"model": "sparse", "strategy": "zero_shot", **options})
    assert "\n" not in str(refused.value)
    return str(refused.value)


# train, save, load


@pytest.mark.parametrize("model", ["sparse", "hybrid"])
@pytest.mark.parametrize("strategy", ["zero_shot", "fine_tune"])
def test_train_save_load(
    string_methods: Mappings, string_judgments: Rows, tmp_path: Path, model: str, strategy: str
) -> None:
    options: dict[str, Any] = {"model": model, "strategy": strategy, "encoder": "static", "settings": SMALL}
    program = zero2ir.train(string_methods, string_judgments, **options)
    answer = program(query=QUERY)
    assert "strip" in answer.docids
    assert 0 <= answer.confidence <= 1
    assert (program.about["model"], program.about["strategy"]) == (model, strategy)
    assert program.about["labels"] == (0 if strategy == "zero_shot" else len(string_judgments))

    program.save(tmp_path / "one")
    assert zero2ir.load(str(tmp_path / "one"))(query=QUERY).toDict() == answer.toDict()
    zero2ir.train(string_methods, string_judgments, **options).save(tmp_path / "two")
    assert program_digest(tmp_path / "two") == program_digest(tmp_path / "one")  # the same seed, the same searcher


@pytest.mark.parametrize("strategy", ["fine_tune", "meta"])
def test_judged_documents_need_not_be_relevant(string_methods: Mappings, string_judgments: Rows, strategy: str) -> None:
    rows = [(query, doc_id, 0) for query, doc_id, _ in string_judgments]
    options: dict[str, Any] = {"model": "hybrid", "encoder": "static", "settings": SMALL}
    program = zero2ir.train(string_methods, rows, strategy=strategy, **options)
    assert (program.about["chosen"], program.about["labels"]) == ("zero_shot", len(rows))
    assert program.about["reason"] == "no judged query has a relevant document"
    assert 0 < program(query=QUERY).confidence < 1


@pytest.mark.parametrize("lm", [None, "smollm2"])
@pytest.mark.parametrize("strategy", ["meta", "meta_anil", "meta_reweight"])
def test_meta_learns_with_and_without_a_language_model(
    string_methods: Mappings,
    string_judgments: Rows,
    script_lm: Callable[[Any], Any],
    monkeypatch: pytest.MonkeyPatch,
    lm: str | None,
    strategy: str,
) -> None:
    language_model, script = script_lm(lambda messages: f"how do I {messages[-1].split()[-1]} a string")
    none = LanguageModel(LMSettings(name="none", provider="none"))
    monkeypatch.setattr("zero2ir.program.preparation.lazy_lm", lambda *_: language_model if lm else none)
    settings = [
        "model.encoder=static",
        *SMALL,
        *([] if "reweight" in strategy else ["strategy.outer_loop.iterations=2"]),
    ]
    options: dict[str, Any] = {"model": "dense", "strategy": strategy, "encoder": "static", "settings": settings}
    program = zero2ir.train(string_methods, string_judgments, lm=lm, **options)
    assert bool(script.requests) == bool(lm)
    assert len(program(query=QUERY).docids) == 10
    assert program.about["strategy"] == strategy
    assert program.about["reason"]


def test_others_are_practised_on_and_named_in_what_is_wrong_with_them(
    string_methods: Mappings, string_judgments: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = []
    monkeypatch.setattr(Meta, "fit", lambda self, model, inputs: given.append(inputs) or FineTune().fit(model, inputs))
    options: dict[str, Any] = {"model": "sparse", "strategy": "meta"}
    other = (["one text", "another text"], [("a query", "1", 2)])
    zero2ir.train(string_methods, string_judgments, **options, auxiliary_collections=[other])
    ((there,),) = (inputs.auxiliary_collections for inputs in given)
    assert [row.doc_id for row in there.judgments] == ["1"]
    assert [document.text for document in there.documents] == other[0]
    wrong = [other, (["one text"], [("a query", "7", 2)])]
    with pytest.raises(InputError, match=r"^auxiliary_collections\[1\]: judgments\[0\]: no document has the id '7'"):
        zero2ir.train(string_methods, string_judgments, **options, auxiliary_collections=wrong)


def test_another_seed_gives_another_encoder(string_methods: Mappings, tmp_path: Path) -> None:
    for seed in (0, 1):
        program = zero2ir.train(string_methods, model="static", strategy="zero_shot", settings=SMALL, seed=seed)
        program.save(tmp_path / str(seed))
    vectors = [np.load(tmp_path / str(seed) / "retriever" / "embeddings.npy") for seed in (0, 1)]
    assert np.abs(vectors[0] - vectors[1]).max() > 0.1


def test_pretrained_encoder(string_methods: Mappings) -> None:
    program = zero2ir.train(string_methods[:12], model="dense", strategy="zero_shot", encoder="minilm")
    assert program(query="make the first letter big", k=1).docids == ["capitalize"]


def test_strings_are_documents_by_their_place() -> None:
    program = zero2ir.train(["apples and pears", "cats and dogs"], model="sparse", strategy="zero_shot")
    assert program(query="dogs").docids == ["1"]
    low, high = program(query="dogs").confidence_interval
    assert high - low > 0.3  # no judgments: what other collections say


def test_what_was_given_is_not_changed(string_methods: Mappings, string_judgments: Rows) -> None:
    before = copy.deepcopy((string_methods, string_judgments))
    zero2ir.train(string_methods, string_judgments, model="sparse")
    assert (string_methods, string_judgments) == before


def test_nothing_is_written_where_it_runs(string_methods: Mappings, string_judgments: Rows, tmp_path: Path) -> None:
    zero2ir.train(string_methods, string_judgments, model="sparse")
    zero2ir.compare(string_methods, string_judgments, models=["sparse"])
    assert list(tmp_path.iterdir()) == []


# Refusals


@pytest.mark.parametrize(
    ("documents", "message"),
    [
        ([], "documents: the list is empty"),
        ([{"text": "no id"}], r"documents[0]: the key 'doc_id' is missing"),
        (["fine", {"doc_id": "a"}], r"documents[1]: the key 'text' is missing"),
        (
            [{"doc_id": 1, "text": "x"}, {"doc_id": "1", "text": "y"}],
            "documents[1]: documents[0] has the same id '1'",
        ),
        (["first", {"doc_id": "0", "text": "y"}], "documents[1]: documents[0] has the same id '0'"),
        ([None], "documents[0]: NoneType instead of a string or a mapping"),
        ([{"doc_id": "a", "text": None}], "documents[0]: text is None"),
        ("one long text", "documents: a single string"),
    ],
)
def test_bad_documents(documents: Any, message: str) -> None:
    assert refusal(documents).startswith(message)


@pytest.mark.parametrize(
    ("judgments", "message"),
    [
        ([("q", "0")], "judgments[0]: ('q', '0') is invalid; pass (query, doc_id, grade)"),
        (["abc"], "judgments[0]: 'abc' is invalid; pass (query, doc_id, grade)"),
        ([("q", "9", 1)], "judgments[0]: no document has the id '9'"),
        ([("q", "0", 1), ("q", "1", "good")], "judgments[1]: grade 'good' is not an integer"),
        ([("q", "0", 0.5)], "judgments[0]: grade 0.5 is not an integer"),
        ([("q", "0", True)], "judgments[0]: grade True is not an integer"),
        (
            [("q", "0", 1), ("q", "0", 2)],
            "judgments[0] and judgments[1]: query 'q' and document '0' have two grades, 1 and 2; keep one",
        ),
        ([(" ", "0", 1)], "judgments[0]: the query is empty"),
    ],
)
def test_bad_judgments(judgments: Any, message: str) -> None:
    assert refusal(["one text", "two texts"], judgments).startswith(message)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"model": "desne"},
            "model=desne: unknown choice; valid choices are adapted, aligned, auto, crosslingual, dense, ",
        ),
        ({"strategy": "magic"}, "strategy=magic: unknown choice; valid choices are distil, fine_tune, "),
        ({"encoder": "bert"}, "encoder=bert: unknown choice; valid choices are hub, minilm, minilm_int8, static"),
        ({"lm": "gpt"}, "lm=gpt: unknown choice; valid choices are gemma3, gguf, none, ollama, "),
        ({"strategy": "fine_tune"}, "strategy=fine_tune needs judgments"),
        ({"settings": ["tuning.folds=1"]}, "tuning.folds: "),
        (
            {"settings": ["folds=1"]},
            "folds: unknown key; valid keys are answering, encoder, evaluation, language, ",
        ),
        ({"settings": ["folds"]}, "'folds': not KEY=VALUE; write for example model.k1=1.2"),
    ],
)
def test_bad_choices(options: dict[str, Any], message: str) -> None:
    assert refusal(["one text", "two texts"], **options).startswith(message)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": -1}, "seed is -1; pass a whole number from 0 to 4294967295"),
        ({"seed": "1"}, "seed is '1'; pass a whole number"),
        ({"settings": "tuning.folds=2"}, "settings: a single string instead of a list"),
        ({"fallback": "sparse"}, "fallback: a single string instead of a list"),
        ({"unlabelled_queries": ["fine", None]}, "unlabelled_queries[1]: text is None"),
        ({"candidates": [("q", ["0"])]}, "candidates: list instead of a mapping"),
        ({"translations": ["q"]}, "translations: list instead of a mapping"),
        ({"auxiliary_collections": [["one text"]]}, "auxiliary_collections[0]: ['one text'] is invalid"),
        (
            {"auxiliary_collections": [([None], [])]},
            "auxiliary_collections[0]: documents[0]: NoneType instead of a string or a mapping",
        ),
    ],
)
def test_bad_values_of_other_arguments(options: dict[str, Any], message: str) -> None:
    assert refusal(["one text", "two texts"], [("q", "0", 1)], **options).startswith(message)


def test_judgments_are_checked_before_an_encoder_is_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any) -> None:
        raise AssertionError("an encoder was made")

    monkeypatch.setattr("zero2ir.program.preparation.make_encoder", never)
    assert refusal(["one text"], [("q", "1", 1)], model="static").startswith("judgments[0]: no document has the id '1'")


def test_each_iterable_is_read_once_and_numbers_may_be_of_numpy(
    string_methods: Mappings, string_judgments: Rows, tmp_path: Path
) -> None:
    frame = pytest.importorskip("pandas").DataFrame
    options: dict[str, Any] = {"model": "sparse", "strategy": "fine_tune"}
    program = zero2ir.train(string_methods, string_judgments, unlabelled_queries=["trim", "cut"], **options)
    program.save(tmp_path / "lists")
    columns = ["query", "doc_id", "grade"]
    for documents, judgments in [
        (iter(string_methods), zip(*zip(*string_judgments, strict=True), strict=True)),
        ({row["doc_id"]: row["text"] for row in string_methods}, iter(string_judgments)),
        (frame(string_methods), frame(string_judgments, columns=columns)),
        (frame(string_methods).itertuples(), frame(string_judgments, columns=columns).itertuples()),
    ]:
        unlabelled = {"q1": "trim", "q2": "cut"}
        again = zero2ir.train(documents, judgments, unlabelled_queries=unlabelled, seed=np.int64(0), **options)
        again.save(tmp_path / "others")
        assert program_digest(tmp_path / "others") == program_digest(tmp_path / "lists")


@pytest.mark.slow
def test_a_prompt_is_searched_for(string_methods: Mappings, string_judgments: Rows) -> None:
    few = ["pretraining.synthetic.documents=6", "pretraining.synthetic.demonstrations=2", "lm.context=1024"]
    search = ["strategy.candidates=[3,2]", "strategy.shares=[0.4,0.7]"]
    options: dict[str, Any] = {"model": "static", "strategy": "prompt", "encoder": "static", "lm": "smollm2"}
    program = zero2ir.train(string_methods, string_judgments, **options, settings=[*SMALL, *few, *search])
    assert program.about["strategy"] == "prompt"
    assert "among 3; " in program.about["reason"]
    assert program.language_model is None  # it is needed for training alone
    program.save("searcher")
    query = "cut a text into words"
    assert zero2ir.load("searcher")(query=query).docids == program(query=query).docids


@pytest.mark.parametrize("strategy", ["fixed_prompt", "prompt"])
def test_a_strategy_that_needs_an_lm_says_so(string_methods: Mappings, string_judgments: Rows, strategy: str) -> None:
    message = refusal(string_methods, string_judgments, strategy=strategy)
    assert "needs a language model" in message
    assert "lm=smollm2" in message


def test_equal_rows_and_equal_queries_are_one(string_methods: Mappings) -> None:
    rows = [("cut it", "split", 1), ("cut it", "split", 1), ("cut it", "join", 0), ("Cut it?", "rsplit", 1)]
    program = zero2ir.train(string_methods, rows, model="sparse")
    assert program.about["labels"] == 3


# compare


def test_compare_gives_rows_in_order_with_intervals(string_methods: Mappings, string_judgments: Rows) -> None:
    options: dict[str, Any] = {"models": ["sparse", "hybrid"], "encoder": "static", "settings": SMALL, "folds": 2}
    rows = zero2ir.compare(string_methods, string_judgments, **options)
    names = ["sparse/zero_shot", "sparse/fine_tune", "hybrid/zero_shot", "hybrid/fine_tune"]
    assert [row.system for row in rows] == names
    assert rows[0].difference is None
    for row in rows:
        assert (row.measure, row.value.n) == ("nDCG@10", 6)
        assert 0 <= row.value.ci_low <= row.value.mean <= row.value.ci_high <= 1
    for row in rows[1:]:
        assert row.difference is not None
        assert row.difference.difference.mean == pytest.approx(row.value.mean - rows[0].value.mean)
        assert 0 < row.difference.p_value <= 1
    assert str(zero2ir.compare(string_methods, string_judgments, **options)) == str(rows)


def test_no_query_is_measured_by_what_was_trained_on_it(
    string_methods: Mappings, string_judgments: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    from zero2ir.strategies import tuning

    trained: list[set[str]] = []
    measured: list[set[str]] = []
    fit, judged_values = FineTune.fit, tuning.judged_values

    def watched_fit(self: FineTune, model: Any, inputs: TrainingInputs) -> FitResult:
        trained.append(set(inputs.queries))
        return fit(self, model, inputs)

    def watched_values(ranking: Any, corpus: Any, query_ids: Sequence[str], *rest: Any) -> np.ndarray:
        measured.append(set(query_ids))
        return judged_values(ranking, corpus, query_ids, *rest)

    monkeypatch.setattr(FineTune, "fit", watched_fit)
    monkeypatch.setattr(tuning, "judged_values", watched_values)  # the library's; strategies hold the original
    reworded = [*string_judgments, ("Cut a sentence into a list of words?", "rsplit", 1)]
    zero2ir.compare(string_methods, reworded, models=["sparse"], strategies=["fine_tune"], folds=3)
    assert len(trained) == len(measured) == 3
    assert all(not seen & held_out for seen, held_out in zip(trained, measured, strict=True))
    assert set().union(*measured) == {f"q{number}" for number in range(6)}  # the reworded one is no seventh


def test_compare_needs_two_judged_queries(string_methods: Mappings) -> None:
    rows = [("cut it", "split", 1), ("glue it", "join", 0)]
    with pytest.raises(InputError, match="judgments: 1 queries have a relevant document; compare needs at least 2"):
        zero2ir.compare(string_methods, rows, models=["sparse"])


@pytest.mark.parametrize("options", [{"folds": 1}, {"folds": -2}, {"models": []}, {"strategies": []}])
def test_compare_refuses_what_cannot_be_compared(
    string_methods: Mappings, string_judgments: Rows, options: dict[str, Any]
) -> None:
    with pytest.raises(InputError, match=f"^{next(iter(options))}: .* given; compare needs at least"):
        zero2ir.compare(string_methods, string_judgments, **{"models": ["sparse"], **options})


def test_more_folds_than_queries_leave_one_out(string_methods: Mappings, string_judgments: Rows) -> None:
    (row,) = zero2ir.compare(string_methods, string_judgments, models=["sparse"], strategies=["zero_shot"], folds=99)
    assert row.value.n == 6


# candidates


def candidates_of(judgments: Rows, others: Sequence[str] = ("title", "upper")) -> dict[str, list[str]]:
    """Each judged query's own documents, and two that nobody judged."""
    return {query: [*(row[1] for row in judgments if row[0] == query), *others] for query, _, _ in judgments}


def test_train_and_compare_with_candidates(string_methods: Mappings, string_judgments: Rows) -> None:
    few = candidates_of(string_judgments)
    options: dict[str, Any] = {"encoder": "static", "settings": SMALL}
    program = zero2ir.train(string_methods, string_judgments, model="hybrid", candidates=few, **options)
    assert sorted(program(query=QUERY, candidates=["strip", "zfill", "join"]).docids) == ["join", "strip", "zfill"]
    among, whole = (
        zero2ir.compare(
            string_methods, string_judgments, models=["sparse"], strategies=["zero_shot"], candidates=given, **options
        )[0].value.mean
        for given in (few, None)
    )
    assert among > whole  # four documents or five are easier than all


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cut a sentence into a list of words": []}, "no list of document ids for the judged query 'cut a sentence"),
        ({"cut a sentence into a list of words": "split"}, "no list of document ids for the judged query"),
        (
            {"cut a sentence into a list of words": ["nowhere"]},
            "no document has the id 'nowhere'",
        ),
    ],
)
def test_bad_candidates_of_a_judged_query(
    string_methods: Mappings, string_judgments: Rows, change: dict[str, Any], message: str
) -> None:
    assert message in refusal(string_methods, string_judgments, candidates=candidates_of(string_judgments) | change)


PAIRS = [
    ("what does strip remove", ["whitespace"]),
    ("What does strip remove?", "leading and trailing whitespace"),
    ("what does zfill pad a numeric string with", "zeros"),
    ("which method splits at line boundaries", "a list of the lines"),
    ("what did Napoleon do", "conquer"),
]


def test_a_searcher_is_trained_from_questions_and_answers_and_points_to_answers(string_methods, tmp_path) -> None:
    program = zero2ir.train(string_methods, PAIRS, task="qa", model="sparse")
    assert program.about["skipped_questions"] == {"what did Napoleon do": "no passage contains an answer"}
    program.save(tmp_path / "searcher")
    opened = zero2ir.load(tmp_path / "searcher")
    for one in (program, opened):
        answer = one(query="what does zfill pad a numeric string with", k=3)
        assert answer.docids[0] == "zfill"
        assert len(answer.answers) == len(answer.passages) == len(answer.docids)
        for found, (start, end), passage in zip(answer.answers, answer.spans, answer.passages, strict=True):
            assert passage[start:end] == found
    given = program(query="who fell?", documents=["Ani fell in 1045.", "It was Napoleon who fell."])
    assert given.answers[given.docids.index("1")] == "Napoleon"
    assert "answers" not in zero2ir.train(string_methods, model="sparse", strategy="zero_shot")(query="strip")


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([("q", "d", 1)], r"judgments\[0\]: .* is invalid; pass \(question, answer\)"),
        ([("q", ["a"]), (" ", "a")], r"judgments\[1\]: the question or the answer is empty"),
        ([("q", [" "])], r"judgments\[0\]: the question or the answer is empty"),
        ([("q", 7)], r"judgments\[0\]: the answer 7 is invalid"),
        (PAIRS[-2:], r"only 1 of 2 question-answer pairs are usable, at least 2 are needed"),
    ],
)
def test_a_bad_pair_is_named(string_methods, pairs, message) -> None:
    with pytest.raises(InputError, match=message):
        zero2ir.train(string_methods, pairs, task="qa", model="sparse")


def test_translations_of_the_judged_queries_align_two_languages(string_methods: Mappings) -> None:
    judgments = [("quita los espacios", "strip", 1), ("parte una frase en palabras", "split", 1)]
    translations = {"Quita los espacios": "remove the spaces", "parte una frase en palabras": "cut a phrase into words"}
    options: dict[str, Any] = {"model": "aligned", "encoder": "static", "settings": SMALL, "translations": translations}
    program = zero2ir.train(string_methods, judgments, **options)
    assert program.retriever.kind == "aligned"
    assert "no judgment has the query 'otra cosa'" in refusal(
        string_methods, judgments, translations={"otra cosa": "something else"}
    )


def test_translating_without_a_language_model_says_what_would_serve(string_methods: Mappings) -> None:
    assert "lm=smollm2" in refusal(string_methods, model="translated")


# fallback and risk


def test_simpler_models_stand_behind_and_a_stated_risk_makes_a_policy(
    string_methods: Mappings, string_judgments: Rows, tmp_path: Path
) -> None:
    settings = [*SMALL, "model.depth=20", "answering.fallback.deadline=5.0"]
    options: dict[str, Any] = {"model": "static_hybrid", "encoder": "static", "settings": settings}
    program = zero2ir.train(string_methods, string_judgments, fallback=["static", "sparse"], risk=0.3, **options)
    assert [link.name for link in program.links] == ["static", "sparse"]
    assert program.fallback.deadline == 5.0
    assert program.policy is not None
    assert (program.policy.risk, program.policy.max_risk) == (0.3, 0.6)
    answer = program(query=QUERY)
    assert (answer.served_by, answer.steps) == ("static_hybrid", [])
    assert answer.decision == program.policy.decide(program.confidence.bound(answer.confidence, -CAUTION))
    assert "give shares with 0 <= risk" in refusal(
        string_methods, string_judgments, settings=["answering.max_risk=0.1"], risk=0.3
    )
    assert "program names must be unique" in refusal(string_methods, string_judgments, fallback=["sparse"])
