"""The command line: what people type, and what they read."""

import ast
import json
import os
import shlex
import shutil
import subprocess
import sys
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from zero2ir import cli, load
from zero2ir.io.terminal import printable
from zero2ir.program.policy import Policy

Rows = list[tuple[str, str, int]]
MARKUP = "[red]not[/red] markup [/] [bold \x1b[2J"


@pytest.fixture
def folder(
    tmp_path: Path, string_methods: list[dict[str, str]], string_judgments: Rows, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A folder as people bring it, below the current one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    made = tmp_path / "my-folder"
    made.mkdir()
    documents = [*string_methods, {"doc_id": "[b]odd[/b]", "text": f"{MARKUP} xylophone"}]
    queries = list(dict.fromkeys(query for query, _, _ in string_judgments))
    (made / "docs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in documents), encoding="utf-8")
    (made / "queries.tsv").write_text(
        "".join(f"q{number}\t{query}\n" for number, query in enumerate(queries)), encoding="utf-8"
    )
    (made / "qrels.trec").write_text(
        "".join(f"q{queries.index(query)} 0 {doc_id} {grade}\n" for query, doc_id, grade in string_judgments),
        encoding="utf-8",
    )
    return made


@pytest.fixture
def searcher(folder: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    cli.main(["train", str(folder), "--model", "sparse", "--output", "searcher"])
    capsys.readouterr()
    return folder.parent / "searcher"


def refusal(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that a command ends with."""
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    printed = capsys.readouterr()
    assert ended.value.code == 1
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    return printed.err


COMMANDS = {
    "train": "--output --model --strategy --task --encoder --lm --language --seed --set --fallback --risk "
    "--latency --memory --no-lm",
    "index": "--output --shards --model --passages --overlap --executor --jobs --encoder --language --seed --set",
    "search": "-k --query-id --json --allow-endpoint",
    "serve": "--state --host --port --log-queries --impressions --executor --replicas --address --allow-endpoint --set",
    "compare": "--models --strategies --folds --task --encoder --lm --language --seed --set",
    "experiment": "--set --jobs --executor --address",
    "check": "--only --list --write --stages --sample --seed --minutes --log --html --jobs",
    "label": "--queries --output --web --port --budget --selection --annotator --annotations --import --export "
    "--model --strategy --encoder --lm --language --seed --set",
    "improve": "--feedback --judgments --roll-back --level --seed --allow-endpoint --tracking --name",
    "monitor": "--reference --current --window --planned-checks --level --seed --output "
    "--allow-endpoint --tracking --name",
}


def test_help_as_a_process() -> None:
    ended = subprocess.run(
        [Path(sys.executable).with_name("zero2ir"), "--help"], capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 0
    assert all(f"  {command} " in ended.stdout for command in COMMANDS)
    assert "example: zero2ir train" in ended.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_each_help_page_lists_all_options_and_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main([command, "--help"])
    page = capsys.readouterr().out
    listed = [line.split()[0].rstrip(",") for line in page.splitlines() if line.startswith("  -")]
    assert listed == [*COMMANDS[command].split(), "-h"]
    assert f"example: zero2ir {command} " in page


@pytest.mark.parametrize("command", COMMANDS)
def test_each_example_can_be_typed(command: str) -> None:
    known = get_command(cli.app).commands[command]
    words = shlex.split(known.epilog.partition("example: zero2ir ")[2])
    assert words[0] == command
    known.make_context(command, words[1:])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "Missing command; see zero2ir --help"),
        (["trian"], "No such command 'trian'. Did you mean 'train'?; see zero2ir --help"),
        (["train", "my-folder"], "Missing option '--output'; see zero2ir train --help"),
        (["search", "my-program"], "Missing argument 'QUERY'; see zero2ir search --help"),
        (["compare", "my-folder", "--model", "sparse"], "No such option: --model (Possible options: "),
        (["serve", "my-program", "--port", "x"], "Invalid value for '--port': "),
        (
            ["train", "f", "--output", "p", "--model", "a", "--model=b"],
            "Option '--model' is given 2 times; give it once;",
        ),
        (
            ["search", "p", "oil", "-k", "1", "-k", "2"],
            "Option '-k' is given 2 times; give it once; see zero2ir search",
        ),
    ],
)
def test_wrong_usage_is_one_line(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(words)
    printed = capsys.readouterr()
    assert (ended.value.code, printed.out, printed.err.count("\n")) == (2, "", 1)
    assert printed.err.startswith(f"error: {message}")


@pytest.mark.parametrize(("typed", "completed"), [("zero2ir tr", "train"), ("zero2ir train --f", "--fallback")])
def test_the_shell_completes_commands_and_options(typed: str, completed: str) -> None:
    asked = {"_ZERO2IR_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(typed.count(" "))}
    command = Path(sys.executable).with_name("zero2ir")
    ended = subprocess.run([command], env=os.environ | asked, capture_output=True, text=True, timeout=60)
    assert ended.stdout.split() == [completed]


def test_an_interrupted_command_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(folder: Path, allow_endpoints: list[str]) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("zero2ir.api.load", interrupted)
    with pytest.raises(SystemExit) as ended:
        cli.main(["search", "my-program", "query"])
    assert ended.value.code == 130
    assert capsys.readouterr().err == "interrupted; no incomplete files were left\n"


HEAVY = [
    "sentence_transformers",
    "transformers",
    "datasets",
    "accelerate",
    "mlflow",
    "sklearn",
    "scipy.stats",
    "scipy.optimize",
    "pandas",
    "matplotlib",
    "hydra",
    "omegaconf",
    "fastapi",
    "uvicorn",
    "river",
    "ir_datasets",
    "ir_measures",
    "optuna",
    "litellm",
    "openai",
    "xllamacpp",
    "sympy",
    "torch._dynamo",
]
NUMERIC = [
    "numpy",
    "torch",
    "dspy",
    "scipy",
    "pyarrow",
    "tokenizers",
    "safetensors",
    "rich",
    "zero2ir.config",
]  # typer has pydantic


def imported(script: str, names: list[str], folder: Path) -> list[str]:
    """Which of these modules a script imports, in a process of its own."""
    watched = f"import sys\n{script}\nprint([name for name in {names} if name in sys.modules], file=sys.stderr)"
    ended = subprocess.run([sys.executable, "-c", watched], cwd=folder, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    return ast.literal_eval(ended.stderr.splitlines()[-1])


@pytest.mark.parametrize(
    "script", ["import zero2ir", *(f"from zero2ir import cli; cli.main(['{c}', '--help'])" for c in ("", *COMMANDS))]
)
def test_the_library_and_each_help_page_need_no_heavy_import(script: str, tmp_path: Path) -> None:
    assert imported(script.replace("'', ", ""), [*HEAVY, *NUMERIC], tmp_path) == []


def test_a_search_needs_no_training_framework(folder: Path) -> None:
    cli.main(["train", str(folder), "--output", "both", "--strategy", "zero_shot"])
    search = "from zero2ir import cli; cli.main(['search', 'both', 'to lower case', '--json'])"
    assert imported(search, HEAVY, folder.parent) == []


def test_a_search_of_words_needs_no_network(searcher: Path) -> None:
    search = f"from zero2ir import cli; cli.main(['search', '{searcher.name}', 'to lower case', '--json'])"
    assert imported(search, [*HEAVY, "torch", "tokenizers"], searcher.parent) == []


def test_train_says_what_was_done(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["train", str(folder), "--model", "sparse", "--strategy", "zero_shot", "--output", "my-searcher"])
    printed = capsys.readouterr().out
    assert "documents, 0 judged documents used" in printed
    assert "chosen: zero_shot, because this strategy trains nothing" in printed
    assert "saved in my-searcher; try: zero2ir search my-searcher" in printed
    assert (folder.parent / "my-searcher" / "program.json").is_file()


AUTO = ["--encoder", "static", "--set", "pretraining.static.dimension=16"]
AUTO += ["--set", "pretraining.static.fit.epochs=1"]


def test_train_chooses_the_model_and_says_what_of(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (folder / "queries.tsv").open("a", encoding="utf-8") as file:
        file.write(
            "".join(f"u{n}\t{text}\n" for n, text in enumerate(["upper case", "find text", "[bold]swap[/bold]"]))
        )
    cli.main(["train", str(folder), *AUTO, "--output", "auto", "--latency", "5000", "--memory", "50", "--no-lm"])
    printed = capsys.readouterr().out
    choice = load("auto").about["model_choice"]
    assert choice["candidates"][0]["name"] == choice["model"]
    assert f"model type: {choice['model']}" in printed
    assert f"# {choice['model']} by " in load("auto").card().replace("\\", "")
    table = printed.partition("model type:")[2].partition("expected of")[0]
    for word in ("difference", "Chance of being best", "Expected loss", "ms a query", "Bytes a document", "MB"):
        assert all(part in table for part in word.split())
    assert "…" not in table  # in a terminal of 80 columns, nothing is cut
    first_words = {word for line in table.splitlines() for word in line.split()[:1]}
    assert {one["name"] for one in choice["candidates"]} <= first_words
    assert len(choice["candidates"]) == 6
    assert "choosing the model type again is expected to gain +0.0" in printed
    assert "the two likeliest model types differ: [bold]swap[/bold]" in printed
    assert len(load("auto")(query="upper case").docids) == 10


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--latency", "5"], "--latency: only --model auto chooses by it, not --model sparse; leave it out"),
        (["--memory", "5"], "--memory: only --model auto"),
        (["--no-lm"], "--no-lm: only --model auto"),
        (["--latency", "0", "--model", "auto"], "model.latency_ms: Input should be greater than 0"),
    ],
)
def test_limits_are_for_the_choice_of_a_model(
    folder: Path, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    model = [] if "--model" in options else ["--model", "sparse"]
    assert message in refusal(["train", str(folder), *model, *options, "--output", "out"], capsys)


def add_judgments(folder: Path, names: list[str]) -> int:
    """Adds a judgment of each document after the good ones; returns the number of the first new line."""
    path = folder / "qrels.trec"
    good = path.read_text(encoding="utf-8").splitlines()
    added = [f"q{number % 6} 0 {name} 1" for number, name in enumerate(names)]
    path.write_text("\n".join([*good, *added, ""]), encoding="utf-8")
    return len(good) + 1


@pytest.mark.parametrize("command", ["train", "compare"])
def test_a_few_unusable_judgments_are_warned_of_with_their_lines(
    folder: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    line = add_judgments(folder, ["TITLE"])
    options = {"train": ["--model", "sparse", "--output", "out"], "compare": ["--models", "sparse", "--folds", "2"]}
    cli.main([command, str(folder), *options[command]])
    printed = capsys.readouterr()
    assert printed.err == (
        f"warning: judgments of unknown documents: 1 left out; qrels.trec:{line}: no document has the id 'TITLE' "
        "(the document 'title' differs only in letter case)\n"
    )
    if command == "train":
        assert f"{line - 1} judged documents used ({line} given)" in printed.out
        assert load("out").about["quality"]["judgments of unknown documents"]["count"] == 1


@pytest.mark.parametrize("command", ["train", "compare", "label", "improve"])
def test_too_many_unusable_judgments_stop_every_command(
    folder: Path, searcher: Path, command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zero2ir.labelling.terminal.require_terminal", lambda: None)
    line = add_judgments(folder, [f"{name}.txt" for name in ("Strip", "split", "join", "lower", "upper")])
    feedback = folder.parent / "feedback.sqlite"
    feedback.touch()
    arguments = {
        "train": ["train", str(folder), "--output", "out"],
        "compare": ["compare", str(folder)],
        "label": ["label", str(folder)],
        "improve": ["improve", str(searcher), "--feedback", str(feedback), "--judgments", str(folder)],
    }
    message = refusal(arguments[command], capsys)
    assert message.startswith(
        f"error: qrels.trec:{line}: no document has the id 'Strip.txt' "
        "(the document 'strip' differs only in letter case and file extension); "
    )
    assert message.endswith(
        f"; 5 of {line + 4} judgments cannot be used, more than a fifth; correct their ids or remove them\n"
    )
    assert not (folder.parent / "out").exists()


def test_a_labelled_program_states_which_judgments_were_left_out(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for question in ("require_terminal", "label_in_terminal"):  # nobody answers; the folder's judgments are imported
        monkeypatch.setattr(f"zero2ir.labelling.terminal.{question}", lambda *_: None)
    line = add_judgments(folder, ["TITLE"])
    cli.main(["label", str(folder), "--output", "labelled", "--model", "sparse"])
    said = f"judgments of unknown documents: 1 left out; qrels.trec:{line}: no document has the id 'TITLE'"
    assert said in capsys.readouterr().err
    assert load("labelled").about["quality"]["judgments of unknown documents"]["count"] == 1


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_conflict_names_both_lines_even_if_two_queries_have_one_text(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "a.txt").write_text("vélo", encoding="utf-8")
    texts = ["un vélo", unicodedata.normalize(form, "Un vélo?")]
    (tmp_path / "made" / "queries.tsv").write_text("".join(f"q{n}\t{text}\n" for n, text in enumerate(texts)))
    (tmp_path / "made" / "qrels.trec").write_text("q0 0 a.txt 1\n\nq1 0 a.txt 0\n", encoding="utf-8")
    message = refusal(["train", "made", "--output", "out", "--model", "sparse"], capsys)
    assert message.startswith("error: qrels.trec:1 and qrels.trec:3: query 'un vélo' and document 'a.txt' have two")


def test_search_as_a_process(searcher: Path) -> None:
    ended = subprocess.run(
        [Path(sys.executable).with_name("zero2ir"), "search", searcher.name, "cut into a list of words", "-k", "2"],
        cwd=searcher.parent,
        env=os.environ | {"COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    assert "cut into a list of words" in ended.stdout
    assert "split" in ended.stdout
    assert "first document relevant: " in ended.stdout
    assert ended.stdout.count("│ 1 │") == ended.stdout.count("│ 2 │") == 1
    assert "│ 3 │" not in ended.stdout


def test_search_prints_documents_literally(searcher: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["search", str(searcher), "xylophone", "[red]xylophone[/] [/blue]"])
    printed = capsys.readouterr().out
    assert printed.count(f"{printable(MARKUP)} xylophone") == 2
    assert "\x1b" not in printed  # a terminal would obey
    assert printed.count("[b]odd[/b]") == 2
    assert "[red]xylophone[/] [/blue]" in printed


def test_search_says_why_it_gives_no_document(
    searcher: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program = load(searcher)
    program.policy = Policy(risk=0.0, max_risk=0.0)
    program.save(tmp_path / "unsure")
    cli.main(["search", str(tmp_path / "unsure"), "xylophone"])
    assert "no document is returned" in " ".join(capsys.readouterr().out.split())


def test_search_waits_for_the_richer_searcher(folder: Path) -> None:
    """In a process of its own the first search imports what takes longer than a request may."""
    cli.main(["train", str(folder), "--model", "dense", "--fallback", "sparse", "--output", "both"])
    command = [Path(sys.executable).with_name("zero2ir"), "search", "both", "to lower case", "--json"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert json.loads(ended.stdout)["served_by"] == "dense"


def test_search_prints_json(searcher: Path, capsys: pytest.CaptureFixture[str]) -> None:
    queries = ["xylophone", "Wörter in Großbuchstaben\n", "zzz"]
    cli.main(["search", str(searcher), *queries, "--json", "-k", "3"])
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["query"] for row in rows] == queries
    assert rows[0]["docids"] == ["[b]odd[/b]"]
    stated = {"probabilities", "intervals", "confidence", "confidence_interval"}
    assert all(row.keys() == {"query", "docids", "scores", *stated} for row in rows)
    assert (rows[2]["docids"], rows[2]["confidence"]) == ([], 0.0)


def test_compare_prints_a_row_a_system(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(
        [
            "compare",
            str(folder),
            "--models",
            "sparse",
            "--strategies",
            "zero_shot",
            "--strategies",
            "fine_tune",
            "--folds",
            "3",
        ]
    )
    printed = capsys.readouterr().out
    assert "sparse/zero_shot" in printed
    assert "sparse/fine_tune" in printed
    assert "Cross-validated on 6 judged queries." in printed
    assert "Differences are relative to sparse/zero_shot." in printed
    assert max(map(len, printed.splitlines())) <= 80  # a row a system, unbroken, in an ordinary terminal


def test_compare_names_the_measure_that_it_used(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--models", "sparse", "--strategies", "zero_shot", "--set", "task.measures=[RR@10]"]
    cli.main(["compare", str(folder), *options])
    printed = capsys.readouterr().out
    assert "RR@10" in printed
    assert "nDCG@10" not in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["search", "nowhere", "q"], "error: nowhere: not a saved program"),
        (["serve", "nowhere", "--port", "0"], "error: nowhere: not a saved program"),
        (["serve", "nowhere", "--port", "99999"], "error: port 99999: cannot be opened"),
        (["serve", "nowhere", "--host", "0.0.0.0"], "error: --host 0.0.0.0: reachable from other machines"),
        (["serve", "nowhere", "--set", "serving.k=3"], "error: serving.k: unknown key; valid keys are impressions, "),
        (["search", "my-folder", "q"], "error: my-folder: not a saved program"),
        (["train", "nowhere", "--output", "out"], "error: nowhere: not a folder"),
        (["train", "my-folder/none", "--output", "out"], "error: my-folder/none: no docs.jsonl or .tsv"),
        (["train", "my-folder", "--output", "out", "--model", "m"], "error: model=m: unknown choice; valid choices"),
        (["train", "my-folder", "--output", "out", "--set", "tuning.x=1"], "error: tuning.x: unknown key"),
        (["train", "my-folder", "--output", "out", "--strategy", "fixed_prompt"], "error: this step needs a language"),
        (["compare", "my-folder", "--folds", "1"], "error: folds: 1 given"),
        (["compare", "a", "b", "c"], "error: compare: 3 arguments given; give one folder, or two systems"),
        (["compare", "my-folder", "b"], "error: my-folder: not a results folder, nor a system"),
        (["experiment", "nothing"], "error: experiment=nothing: unknown choice; valid choices are budget_curve"),
        (["check"], "error: reproduction.yaml: missing; run this in a clone of zero2ir"),
        (["label", "my-folder"], "error: standard input or output is not a terminal"),
        (["label", "nowhere", "--web", "--port", "0"], "error: nowhere: not a folder"),
        (
            ["label", "my-folder/none", "--web", "--port", "0"],
            "error: my-folder/none: no docs.jsonl or .tsv; add one, or text",
        ),
        (["label", "texts", "--web", "--port", "0"], "error: no queries: give a query log with --queries FILE"),
        (
            ["label", "texts", "--web", "--port", "0", "--queries", "texts/a.txt"],
            "error: texts/a.txt: the file of queries",
        ),
        (["label", "my-folder", "--web", "--port", "-1"], "error: port -1: cannot be opened"),
        (
            ["label", "my-folder", "--web", "--output", "my-folder"],
            "error: my-folder/docs.jsonl: not written by zero2ir",
        ),
        (["label", "my-folder", "--web", "--port", "0", "--queries", "q"], "error: q: cannot be read"),
        (["label", "my-folder", "--web", "--port", "0", "--budget", "0"], "error: labelling.budget"),
        (["label", "my-folder", "--web", "--port", "0", "--import", "q.jsonl"], "error: q.jsonl: cannot be read"),
    ],
)
def test_errors_are_one_line(
    folder: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "none").mkdir()
    (folder.parent / "texts").mkdir()
    (folder.parent / "texts" / "a.txt").write_text("some text")
    sparse = ["--model", "sparse"] if arguments[0] in ("train", "label") and "--model" not in arguments else []
    assert refusal([*arguments, *sparse], capsys).startswith(message)
    assert not (folder.parent / "out").exists()


def test_asking_for_no_document_is_an_error(searcher: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        refusal(["search", str(searcher), "words", "-k", "0"], capsys) == "error: k=0: ask for at least one document\n"
    )


def test_a_bad_line_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (folder / "qrels.trec").open("a", encoding="utf-8") as file:
        file.write("q0 strip 1\n")
    assert "qrels.trec:11: 3 fields instead of 4" in refusal(["train", str(folder), "--output", "out"], capsys)


def test_traceback_where_it_is_asked_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZERO2IR_TRACEBACK", "1")
    with pytest.raises(ValueError, match="not a saved program"):
        cli.main(["search", "nowhere", "q"])


def as_process(words: list[str], folder: Path, **options: Any) -> subprocess.CompletedProcess[bytes]:
    command = [str(Path(sys.executable).with_name("zero2ir")), *words]
    return subprocess.run(command, cwd=folder, stderr=subprocess.PIPE, timeout=120, **options)


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1", "utf-8"])
def test_results_are_shown_on_every_console(searcher: Path, encoding: str) -> None:
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    for words in (["中文 é lower case"], ["中文 é lower case", "--json"]):
        ended = as_process(["search", "searcher", *words], searcher.parent, stdout=subprocess.PIPE, env=environment)
        assert (ended.returncode, ended.stderr) == (0, b"")
        assert b"lower" in ended.stdout
    assert json.loads(ended.stdout.decode(encoding))["query"] == "中文 é lower case"


@pytest.mark.parametrize("words", [["lower case"], ["lower case", "--json"]])
def test_a_closed_pipe_ends_a_command_quietly(searcher: Path, words: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    ended = as_process(["search", "searcher", *words], searcher.parent, stdout=writing)
    os.close(writing)
    assert ended.stderr == b""


def test_a_full_disk_behind_the_output_is_one_line(searcher: Path) -> None:
    with Path("/dev/full").open("w") as full:
        ended = as_process(["search", "searcher", "lower case", "--json"], searcher.parent, stdout=full)
    assert ended.returncode == 1
    assert b"No space left on device" in ended.stderr
    assert ended.stderr.count(b"\n") == 1


def test_options_that_may_be_repeated_add_up(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sparse = ["train", str(folder), "--model", "sparse", "--output", "p", "--strategy", "zero_shot"]
    cli.main([*sparse, "--set", "model.k1=3.5", "--set", "model.b=0.1", "--fallback", "static"])
    program = load("p")
    assert (program.retriever.get_params()["k1"], program.retriever.get_params()["b"]) == (3.5, 0.1)
    assert [link.name for link in program.links] == ["static"]
    with pytest.raises(SystemExit):
        cli.main([*sparse, "--set", "model.nonsense=1", "--set", "model.b=0.1"])
    assert "error: model.nonsense: unknown key" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("my-folder", "my-folder/docs.jsonl: not written by zero2ir; give another folder, or move the file away"),
        (".", ".: is or contains the current folder; give another folder"),
        ("my-folder/inside", "--output my-folder/inside: overlaps the folder of the documents, "),
        ("results", "results/thesis.txt: not written by zero2ir; give another folder, or move the file away"),
        ("results/thesis.txt", "results/thesis.txt: is a file; give a folder"),
        ("results/thesis.txt/p", "results/thesis.txt/p: "),
    ],
)
@pytest.mark.parametrize("command", ["train", "label"])
def test_no_output_replaces_anything(
    folder: Path, command: str, output: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder.parent / "results").mkdir()
    (folder.parent / "results" / "thesis.txt").write_text("a year of work")
    before = {path: path.is_file() and path.read_bytes() for path in folder.parent.rglob("*")}
    assert refusal([command, "my-folder", "--output", output, "--model", "sparse"], capsys).startswith(
        f"error: {message}"
    )
    assert {path: path.is_file() and path.read_bytes() for path in folder.parent.rglob("*")} == before


def test_a_program_with_a_model_of_one_s_own_is_searched_in_its_project(folder: Path) -> None:
    here, project = Path(__file__).parent, folder.parent
    shutil.copytree(here.parent / "conf", project / "conf")
    shutil.copytree(here / "pipeline" / "extending", project, dirs_exist_ok=True)
    options = ["--model", "overlap", "--strategy", "zero_shot", "--output", "searcher"]
    assert as_process(["train", "my-folder", *options], project, stdout=subprocess.PIPE).stderr == b""
    search = ["search", "searcher", "to lower case", "--json"]
    ended = as_process(search, project, stdout=subprocess.PIPE)
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert json.loads(ended.stdout)["docids"]

    # A program names no code: elsewhere, and in its own folder, nothing is imported.
    (project / "overlap.py").write_text("open('imported', 'w')", encoding="utf-8")
    elsewhere = project / "elsewhere"
    shutil.copytree(project / "searcher", elsewhere / "searcher")
    for name in ("conf", "overlap.py"):
        (shutil.copytree if name == "conf" else shutil.copy)(project / name, elsewhere / "searcher" / name)
    for place, program in ((elsewhere, "searcher"), (elsewhere / "searcher", ".")):
        ended = as_process(["search", program, "to lower case"], place, stdout=subprocess.PIPE)
        assert ended.stderr.startswith(b"error: ")
        assert not list(elsewhere.rglob("imported"))


def test_a_class_that_does_not_exist_is_one_line(folder: Path) -> None:
    words = ["train", "my-folder", "--model", "sparse", "--output", "p", "--set", "model._target_=no.Such"]
    ended = as_process(words, folder.parent, stdout=subprocess.PIPE)
    assert ended.stderr == b"error: model._target_: 'no.Such' cannot be imported; give module.Class\n"
