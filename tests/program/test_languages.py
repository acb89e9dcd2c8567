"""One language for a whole program: identified once, stated, saved, and set in one place."""

import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

import zero2ir
from zero2ir import cli
from zero2ir.data.languages import language_of
from zero2ir.data.local import read_for_training
from zero2ir.data.records import Document
from zero2ir.errors import DataWarning, InputError
from zero2ir.program.program import load_program
from zero2ir.synthetic.document_selection import choose_documents
from zero2ir.synthetic.settings import SyntheticSettings
from zero2ir.writing.passages import passages

CASES = Path(__file__).parents[1] / "cases" / "languages"
GERMAN = ["Die Bremsen quietschen bei jedem Halt.", "Die Kette braucht einen Tropfen Öl.", "Das Licht flackert."]
CHINESE = [
    "刹车发出尖叫时,把刹车皮前端向内调一毫米。",
    "冬天在冰上骑车要用带钉的轮胎。",
    "车灯闪烁是因为地线没有接触到车架。",
]
HEBREW = ["טפטפו טיפת שמן על כל חוליה בשרשרת", "הבלמים חורקים בכל עצירה", "הפנס מהבהב כשהחוט רופף"]
ENGLISH = ["The brakes squeal at every stop.", "The chain needs a drop of oil.", "The light flickers."]


@pytest.fixture(autouse=True)
def no_other_warning() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error", DataWarning)
        yield


@pytest.mark.parametrize(("folder", "code"), [("hindi", "hi"), ("arabic-vowelled", "ar"), ("chinese", "zh")])
def test_every_judged_query_finds_its_document(folder: str, code: str, tmp_path: Path) -> None:
    collection = read_for_training(CASES / folder, "ranking")
    program = zero2ir.train(collection.documents, collection.judgments, model="sparse")
    assert program.about["language"] == program.language == code
    program.save(tmp_path / "program")
    loaded = zero2ir.load(tmp_path / "program")
    assert loaded.language == code
    for query, doc_id, *_ in collection.judgments:
        assert program(query=query).docids[0] == loaded(query=query).docids[0] == doc_id


def test_the_command_states_the_language(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "program"
    cli.main(["train", str(CASES / "chinese"), "--output", str(output), "--model", "sparse"])
    printed = capsys.readouterr()
    assert "language: Chinese (zh)\n" in printed.out
    assert printed.err == ""
    cli.main(["train", str(CASES / "chinese"), "--output", str(output), "--model", "sparse", "--language", "en"])
    assert "language: English (en)\n" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        cli.main(["train", str(CASES / "chinese"), "--output", str(output), "--language", "Chinese"])
    assert "error: language: 'Chinese' is no code of a language; use zh, or auto" in capsys.readouterr().err


def test_the_language_can_be_set_and_stays_when_documents_change() -> None:
    program = zero2ir.train(GERMAN, model="sparse", strategy="zero_shot", language="de")
    changed = program.with_documents([Document("new", "", "Die Straße ist groß.")], [])
    assert changed.language == "de"
    assert changed(query="STRASSEN").docids == ["new"]
    assert zero2ir.train(ENGLISH, model="sparse", strategy="zero_shot").language == "en"


def test_what_a_language_lacks_is_said_once() -> None:
    with pytest.warns(DataWarning) as caught:
        program = zero2ir.train(HEBREW, model="hybrid", strategy="zero_shot")
    (message,) = [str(one.message) for one in caught]
    assert message == (
        "documents in Hebrew: without a stemmer, words match in the same form only; the encoder minilm knows "
        "English; the encoder from scratch takes its place; use encoder=hub with a multilingual encoder.model, or keep "
        "minilm by encoder.languages=[]"
    )
    assert program(query="שמן").docids[0] == "0"
    fused = program.retriever.retriever  # type: ignore[attr-defined]
    assert {part.network.settings.name for part in fused.retrievers[1:]} == {"static-seed0"}


def test_an_encoder_is_kept_on_request() -> None:
    options = {"model": "dense", "strategy": "zero_shot", "settings": ["encoder.languages=[]"]}
    with pytest.warns(DataWarning, match="match in the same form only$"):
        program = zero2ir.train(HEBREW, **options)
    assert program.retriever.network.settings.name == "minilm"  # type: ignore[attr-defined]


def test_queries_in_another_language_are_reported() -> None:
    judgments = [("Wie bekomme ich Öl auf die Kette?", "1", 1), ("Warum quietschen meine Bremsen?", "0", 1)]
    with pytest.warns(DataWarning, match=r"^queries in German, documents in English: few words match; use model=cross"):
        zero2ir.train(ENGLISH, judgments, model="sparse")
    zero2ir.train(ENGLISH, judgments, model="surface")  # made for that
    zero2ir.train(ENGLISH, [("squealing brakes", "0", 1), ("oil chain", "1", 1)], model="sparse")


def test_a_program_of_an_earlier_version_is_english(tmp_path: Path) -> None:
    program = zero2ir.train(ENGLISH, model="sparse", strategy="zero_shot")
    del program.about["language"]
    program.save(tmp_path / "program")
    assert language_of(load_program(tmp_path / "program").language).name == "English"


def test_a_wrong_code_is_refused() -> None:
    with pytest.raises(InputError, match=r"^language: 'german' is no code of a language; use de, or auto$"):
        zero2ir.train(ENGLISH, model="sparse", language="german")


@pytest.mark.parametrize(
    ("documents", "pairs", "question", "place"),
    [
        (
            [
                "刹车发出尖叫时,把刹车皮前端向内调一毫米。",
                "冬天在冰上骑车要用带钉的轮胎。",
                "车灯闪烁是因为地线没有接触到车架。",
                "轮胎漏气时在水里找到小孔并贴上补片。",
            ],
            [("刹车皮向内调多少?", "一毫米"), ("冰上骑车用什么?", "带钉的轮胎")],
            "车灯闪烁是因为什么?",
            2,
        ),
        (
            [
                "साइकिल की चेन पर हर कड़ी में तेल की एक बूंद डालिए।",
                "दीपक टिमटिमाए तो तार का संपर्क देखिए।",
                "बर्फ पर कील वाले टायर लगाइए।",
            ],
            [("चेन पर क्या डालिए?", "एक बूंद"), ("दीपक टिमटिमाए तो क्या देखिए?", "तार का संपर्क")],
            "बर्फ पर कौन से टायर?",
            2,
        ),
    ],
)
def test_questions_in_other_languages_have_answers(
    documents: list[str], pairs: list[tuple[str, str]], question: str, place: int
) -> None:
    program = zero2ir.train(documents, pairs, task="qa", model="sparse", strategy="zero_shot")
    assert "skipped_questions" not in program.about
    prediction = program(query=question)
    assert prediction.docids[0] == str(place)
    assert prediction.answers[0]
    assert prediction.answers[0] in documents[place]


def test_a_pool_of_chinese_documents_is_long_enough_for_synthetic_queries() -> None:
    documents = [Document(str(n), "", text * 3) for n, text in enumerate(CHINESE)]
    assert len(choose_documents(documents, set(), SyntheticSettings(), 0, "zh")) == len(CHINESE)
    (first, *_) = passages(documents[0], 12)
    assert " " not in first
    assert len(first) < 20
