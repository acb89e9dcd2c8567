"""The command line interface ``zero2ir``."""

import atexit
import gc
import json
import os
import sys
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperCommand

from zero2ir import api
from zero2ir.data.languages import AUTO_LANGUAGE, language_of
from zero2ir.errors import InputError, one_line_errors
from zero2ir.io.files import check_writable
from zero2ir.io.lines import json_line
from zero2ir.io.paths import REPRODUCTIONS_FILE, is_url
from zero2ir.io.terminal import printable

ANNOTATIONS = "annotations.jsonl"
DECIDED = {"warn": "; unsure", "abstain": "; confidence too low for the stated risk, so no document is returned"}
INTERRUPTED = 130  # the exit status
COMPARED_MODELS = ["sparse", "dense", "hybrid"]
COMPARED_STRATEGIES = ["zero_shot", "fine_tune"]
SEARCHES = "text, a table (query, timestamp, seconds, fallback, query_id), or the server's feedback.sqlite"

app = typer.Typer(
    name="zero2ir",
    help="Train a retrieval program on your documents with ten judged queries.",
    epilog="\b\nexample: zero2ir train my-folder --output my-program\n"
    "         zero2ir search my-program 'how do I ...'",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _repeated(metavar: str, text: str, *name: str) -> Any:
    """Returns an option that may be repeated; none by default."""
    shown: dict[str, Any] = {"default_factory": list, "show_default": False}
    return typer.Option(*name, metavar=metavar, help=f"{text}; may be repeated.", **shown)


FolderArgument = Annotated[
    Path,
    typer.Argument(
        metavar="FOLDER",
        help="Documents: docs.jsonl (doc_id, text, optional title), docs.tsv, or text files (.txt, .md, .rst). "
        "Queries: queries.jsonl (query_id, text) or queries.tsv. Judgments: qrels.trec (query 0 document grade) or "
        "qrels.tsv; for --task qa queries.jsonl has answers instead. Dense models adapt to queries without judgments. "
        "Folders of BEIR and MS MARCO are read as they are.",
    ),
]
ProgramArgument = Annotated[Path, typer.Argument(metavar="PROGRAM", help="Folder of a saved program.")]
OutputOption = Annotated[Path, typer.Option(metavar="FOLDER", help="Folder to save the program in.")]
ModelOption = Annotated[str, typer.Option(metavar="MODEL", help="A file of conf/model.")]
StrategyOption = Annotated[str, typer.Option(metavar="STRATEGY", help="A file of conf/strategy.")]
TaskOption = Annotated[str, typer.Option(metavar="TASK", help="A file of conf/task, e.g. qa.")]
EncoderOption = Annotated[str, typer.Option(metavar="ENCODER", help="A file of conf/encoder.")]
LMOption = Annotated[
    str | None, typer.Option(metavar="LM", help="A file of conf/lm, e.g. smollm2.", show_default="no LM")
]
LanguageOption = Annotated[
    str, typer.Option(metavar="CODE", help="Language of the documents, e.g. de (ISO 639-1); auto identifies it.")
]
SeedOption = Annotated[int, typer.Option(metavar="N", help="Random seed.")]
SettingsOption = Annotated[list[str], _repeated("KEY=VALUE", "Configuration override", "--set")]
AllowEndpointOption = Annotated[
    list[str],
    typer.Option(
        metavar="URL[=VARIABLE]",
        default_factory=list,
        show_default=False,
        help="Endpoint of a language model that the program may use, with the variable of its key; may be repeated.",
    ),
]
JobsOption = Annotated[
    int | None,
    typer.Option(
        metavar="N", help="Conditions, or tasks on a cluster, run in parallel.", show_default="as memory allows"
    ),
]
PortOption = Annotated[int, typer.Option(metavar="PORT", help="Port to listen on; 0 picks a free one.")]
LevelOption = Annotated[float, typer.Option(metavar="LEVEL", help="Significance level.")]
TrackingOption = Annotated[str, typer.Option(metavar="URI", envvar="MLFLOW_TRACKING_URI", help="MLflow tracking URI.")]
NameOption = Annotated[
    str | None, typer.Option(metavar="NAME", help="The program's name in MLflow.", show_default="its folder's name")
]


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command; errors are one line, with a traceback if ZERO2IR_TRACEBACK=1."""
    atexit.register(gc.freeze)  # otherwise the collector walks all of torch once more before the process ends: 0.4 s
    one_line_errors(lambda: _run(arguments))


def _run(arguments: Sequence[str] | None) -> None:
    try:
        status = app(arguments, prog_name="zero2ir", standalone_mode=False)
    except typer.TyperException as error:
        message = " ".join(error.format_message().split())
        context = getattr(error, "ctx", None)
        command = "zero2ir" if context is None else context.command_path
        typer.echo(f"error: {message.rstrip('.')}; see {command} --help", err=True)
        raise SystemExit(error.exit_code) from None
    if status == INTERRUPTED:
        raise KeyboardInterrupt


class Command(TyperCommand):
    """Refuses an option that is given twice but takes one value, instead of ignoring the first value."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        _, _, given = self.make_parser(ctx).parse_args(list(args))
        for option, times in Counter(given).items():
            if times > 1 and not getattr(option, "multiple", True) and not getattr(option, "is_flag", False):
                ctx.fail(f"Option '{option.opts[0]}' is given {times} times; give it once.")
        return super().parse_args(ctx, args)


def _example(command: str) -> dict[str, Any]:
    """Returns the arguments of a command with an example in its help."""
    return {"cls": Command, "epilog": f"\b\nexample: {command}"}


@app.command(**_example("zero2ir train my-folder --output my-program"))
def train(
    *,
    folder: FolderArgument,
    output: OutputOption,
    model: ModelOption = "auto",
    strategy: StrategyOption = "fine_tune",
    task: TaskOption = "ranking",
    encoder: EncoderOption = "minilm",
    lm: LMOption = None,
    language: LanguageOption = AUTO_LANGUAGE,
    seed: SeedOption = 0,
    settings: SettingsOption,
    fallback: Annotated[list[str], _repeated("MODEL", "Simpler model to fall back to, the simplest last")],
    risk: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="Largest risk of a wrong first document in a plain answer; above it, the program warns or abstains.",
        ),
    ] = None,
    latency: Annotated[
        float | None, typer.Option(metavar="MS", help="Longest median search, for --model auto.", show_default="none")
    ] = None,
    memory: Annotated[
        float | None,
        typer.Option(metavar="MB", help="Largest index with its encoders, for --model auto.", show_default="none"),
    ] = None,
    no_lm: Annotated[
        bool, typer.Option("--no-lm", help="Search without the language model, for --model auto.")
    ] = False,
) -> None:
    """Trains a program and saves it."""
    from zero2ir.data.checks import about_quality
    from zero2ir.data.local import read_for_training

    limits = _limits(model, {"latency_ms": latency, "memory_mb": memory, "language_model": False if no_lm else None})
    _check_output(output, folder)
    collection = read_for_training(folder, task)
    program = api.train(
        collection.documents,
        collection.judgments,
        unlabelled_queries=collection.unlabelled_queries,
        query_ids=collection.query_ids,
        task=task,
        model=model,
        strategy=strategy,
        encoder=encoder,
        lm=lm,
        language=language,
        seed=seed,
        settings=[*settings, *limits],
        fallback=fallback,
        risk=risk,
    )
    about = program.about
    about |= about_quality(collection.quality)
    program.save(output)
    used = f"{about['labels']} judged documents used{_given(collection.given, about['labels'])}"
    print(f"{len(collection.documents)} documents, {used}")
    print(f"language: {language_of(program.language).name} ({program.language})")
    if about["precision"]:
        print("encoders: " + ", ".join(f"{role} in {precision}" for role, precision in about["precision"].items()))
    for question, reason in about.get("skipped_questions", {}).items():
        print(f"skipped: {printable(question)} ({printable(reason)})")
    if "model_choice" in about:
        _print_model_choice(about["model_choice"])
    reasons = about["reason"].split("; ")
    print(f"chosen: {about['chosen']}, because", *reasons, sep="\n  " if reasons[1:] else " ")
    print(f"saved in {output}; try: zero2ir search {output} 'your query'")


def _limits(model: str, limits: Mapping[str, float | bool | None]) -> list[str]:
    """Returns the limits of the command line as settings of model=auto; another model has none."""
    given = {name: value for name, value in limits.items() if value is not None}
    if given and model != "auto":
        option = {"latency_ms": "--latency", "memory_mb": "--memory", "language_model": "--no-lm"}[next(iter(given))]
        raise InputError(f"{option}: only --model auto chooses by it, not --model {model}; leave it out")
    return [f"model.{name}={value}" for name, value in given.items()]


def _print_model_choice(choice: Mapping[str, Any]) -> None:
    """Prints the candidates of model=auto, and what further judgments would tell."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from zero2ir.report.model_choice import candidates_table, worth_of_judging

    shown = candidates_table(choice)
    table = Table(title=f"model type: {choice['model']}", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for number, header in enumerate(shown.headers):
        is_label = number < shown.labels
        words = f"{header} {' '.join(row[number] for row in shown.rows) if is_label else ''}".split()
        table.add_column(header, justify="left" if is_label else "right", min_width=max(map(len, words)))
    for row in shown.rows:
        table.add_row(*row)
    Console().print(table)
    print(worth_of_judging(choice))
    for query in choice["queries_to_judge"]:
        print(f"worth judging, since the two likeliest model types differ: {printable(query)}")


def _check_output(output: Path, folder: Path) -> None:
    """Checks, before any work, that a program can be saved, and that no text file of it becomes a document."""
    from zero2ir.program.program import check_program_output

    check_program_output(output)
    program, documents = output.resolve(), folder.resolve()
    if program.is_relative_to(documents) or documents.is_relative_to(program):
        raise InputError(f"--output {output}: overlaps the folder of the documents, {folder}; give a folder beside it")


@app.command(**_example("zero2ir index my-folder --output my-program --shards 8"))
def index(
    *,
    source: Annotated[
        str,
        typer.Argument(
            metavar="FOLDER | ID",
            help="Documents as for train, of which nothing else is read; or an id of ir_datasets.",
        ),
    ],
    output: OutputOption,
    shards: Annotated[
        int | None, typer.Option(metavar="N", help="Number of shards.", show_default="one in 100,000 documents")
    ] = None,
    model: Annotated[
        str,
        typer.Option(metavar="MODEL", help="A file of conf/model: sparse, static, dense, static_hybrid, hybrid."),
    ] = "static_hybrid",
    passages: Annotated[
        int | None,
        typer.Option(metavar="WORDS", help="Cut longer documents into passages.", show_default="documents stay whole"),
    ] = None,
    overlap: Annotated[
        int, typer.Option(metavar="WORDS", help="Words that a passage shares with the previous one.")
    ] = 0,
    executor: Annotated[str, typer.Option(metavar="EXECUTOR", help="local or ray.")] = "local",
    jobs: Annotated[
        int | None,
        typer.Option(metavar="N", help="Processes side by side.", show_default="as cores and memory allow"),
    ] = None,
    encoder: EncoderOption = "minilm",
    language: LanguageOption = AUTO_LANGUAGE,
    seed: SeedOption = 0,
    settings: SettingsOption,
) -> None:
    """Indexes documents that need not fit into memory, without judgments, and saves a program.

    A command that was killed goes on where it was, if it is repeated. The program is searched and served as any other;
    its documents cannot change.
    """
    if Path(source).is_dir():
        _check_output(output, Path(source))
    report = api.index(
        source,
        output,
        model=model,
        encoder=encoder,
        language=language,
        seed=seed,
        settings=settings,
        shards=shards,
        passages=passages,
        overlap=overlap,
        executor=executor,
        jobs=jobs,
        tell=lambda line: print(line, flush=True),
    )
    continued = f", {report.continued} of them from a former run" if report.continued else ""
    print(f"{report.documents:,} {'passages' if passages else 'documents'} in {report.shards} shards{continued}")
    print(f"saved in {output}; try: zero2ir search {output} 'your query'")


@app.command(**_example("zero2ir search my-program 'remove white space' -k 5"))
def search(
    *,
    program: ProgramArgument,
    queries: Annotated[list[str], typer.Argument(metavar="QUERY", help="One or more queries.")],
    k: Annotated[int, typer.Option("-k", metavar="N", help="Number of documents to return.")] = 10,
    query_ids: Annotated[
        list[str], _repeated("ID", "Id of each query; a document with its id and text is left out", "--query-id")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per query.")] = False,
    allow_endpoint: AllowEndpointOption,
) -> None:
    """Searches with a saved program."""
    if query_ids and len(query_ids) != len(queries):
        raise InputError(
            f"--query-id: {len(query_ids)} ids of {len(queries)} queries; give one for each query, in order"
        )
    with _short_process():
        loaded = api.load(program, allow_endpoint)
        if loaded.chain is not None:  # warm-up: the first imports take longer than the deadline
            loaded.search(queries[:1], 1)
        for query, query_id in zip_longest(queries, query_ids):
            answer = loaded(query=query, k=k, query_id=query_id)
            if as_json:
                shows_all = getattr(sys.stdout, "encoding", "utf-8").lower().startswith("utf")
                print((json_line if shows_all else json.dumps)({"query": query, **answer.toDict()}))
            else:
                _print_answer(loaded, query, answer)


@contextmanager
def _short_process() -> Iterator[None]:
    """Turns off the collector, which would walk all modules again and again while libraries are imported: 0.5 s."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _print_answer(program: Any, query: str, answer: Any) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    probability = "unknown"
    if answer.confidence is not None:
        low, high = answer.confidence_interval
        probability = f"{answer.confidence:.0%} ({low:.0%} to {high:.0%})"
    caption = f"first document relevant: {probability}{DECIDED.get(answer.get('decision'), '')}"
    table = Table("", "score", "document", "text", title=Text(printable(query)), caption=caption)
    answers = answer.get("answers") or [""] * len(answer.docids)
    for place, (doc_id, score, span) in enumerate(zip(answer.docids, answer.scores, answers, strict=True), 1):
        document = program.document(doc_id)
        start = (f"{span} – " if span else "") + " ".join(f"{document.title} {document.text}".split())[:160]
        # Text disables markup, printable removes control characters
        table.add_row(str(place), f"{score:.3f}", Text(printable(doc_id)), Text(printable(start)))
    Console().print(table)


@app.command(**_example("zero2ir serve my-program --port 8766"))
def serve(
    *,
    program: Annotated[
        str, typer.Argument(metavar="PROGRAM", help="Folder of a saved program, or an MLflow model URI.")
    ],
    state: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER | URL",
            envvar="ZERO2IR_STATE",
            help="Folder for feedback and changed documents, or postgresql:// URL of a database that several servers "
            "may share.",
            show_default="PROGRAM-state",
        ),
    ] = None,
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Address to listen on.")] = "127.0.0.1",
    port: PortOption = 8766,
    log_queries: Annotated[bool, typer.Option("--log-queries", help="Log the text of queries.")] = False,
    impressions: Annotated[bool, typer.Option("--impressions", help="Record the shown documents as feedback.")] = False,
    executor: Annotated[
        Literal["local", "ray"],
        typer.Option(help="Where the program runs: in this process, or in Ray Serve's replicas."),
    ] = "local",
    replicas: Annotated[int, typer.Option(metavar="N", min=1, help="Replicas, for --executor ray.")] = 1,
    address: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="Address of a Ray cluster, for --executor ray.",
            show_default="RAY_ADDRESS, or a Ray of its own on this machine",
        ),
    ] = None,
    allow_endpoint: AllowEndpointOption,
    settings: SettingsOption,
) -> None:
    """Answers searches over HTTP.

    SIGHUP reloads PROGRAM, e.g. after zero2ir improve. If ZERO2IR_API_KEY is set, every request must send it
    (Authorization: Bearer KEY).
    """
    from zero2ir.config import ServeConfig, compose, import_own_models
    from zero2ir.io.sockets import listen
    from zero2ir.online.serving.service import check_database
    from zero2ir.online.serving.web import api_key_from_environment, serve_program

    if executor == "local" and (replicas > 1 or address):
        raise InputError(f"{'--replicas' if replicas > 1 else '--address'}: one process serves alone; --executor ray")
    if executor == "ray" and not is_url(state or ""):
        raise InputError("--executor ray: replicas share a database; give its URL with --state postgresql://...")
    flags = {"log_queries": log_queries, "impressions": impressions}
    overrides = [f"serving.{name}=true" for name, is_set in flags.items() if is_set]
    serving = compose("serve", ServeConfig, [*settings, *overrides]).serving
    key = api_key_from_environment(host)
    bound = listen(port, host)
    is_folder = ":/" not in program
    state = state or (f"{os.path.abspath(program)}-state" if is_folder else "program-state")
    if is_url(state):
        check_database(state, serving)
    else:
        check_writable(Path(state), Path(state))
    if executor == "ray":
        from zero2ir.online.serving.replicas import ReplicaSettings, serve_replicas

        place = os.path.abspath(program) if is_folder else program
        prepare = partial(import_own_models, Path(place)) if is_folder else None
        shared = ReplicaSettings(place, state, serving, allow_endpoint, prepare)
        serve_replicas(shared, replicas, bound, key, address)
        return
    if is_folder:
        import_own_models(Path(program))
    serve_program(program, state, serving, bound, key, allow_endpoint)


@app.command(**_example("zero2ir compare my-folder --models sparse --models hybrid"))
def compare(
    *,
    compared: Annotated[
        list[str],
        typer.Argument(
            metavar="FOLDER | A B",
            help="A folder as for train, to cross-validate systems on its judgments; or two of: a results folder, a "
            "model/strategy of the current pipeline, a git revision or DVC experiment, optionally with "
            ":model/strategy.",
        ),
    ],
    models: Annotated[
        list[str], typer.Option(metavar="MODEL", help="A file of conf/model; may be repeated.")
    ] = COMPARED_MODELS,
    strategies: Annotated[
        list[str], typer.Option(metavar="STRATEGY", help="A file of conf/strategy; may be repeated.")
    ] = COMPARED_STRATEGIES,
    folds: Annotated[int, typer.Option(metavar="N", help="Folds of the cross-validation.")] = 5,
    task: TaskOption = "ranking",
    encoder: EncoderOption = "minilm",
    lm: LMOption = None,
    language: LanguageOption = AUTO_LANGUAGE,
    seed: SeedOption = 0,
    settings: SettingsOption,
) -> None:
    """Compares systems on your judgments or on test queries.

    To compare two systems of a pipeline: zero2ir compare hybrid/fine_tune sparse/zero_shot
    """
    if len(compared) > 2:
        raise InputError(f"compare: {len(compared)} arguments given; give one folder, or two systems")
    if len(compared) == 2:
        from zero2ir.experiments.comparison import comparison_lines

        for line in comparison_lines(*compared):
            print(line)
        return
    from zero2ir.data.local import read_for_training

    collection = read_for_training(Path(compared[0]), task)
    rows = api.compare(
        collection.documents,
        collection.judgments,
        task=task,
        models=models,
        strategies=strategies,
        encoder=encoder,
        lm=lm,
        language=language,
        folds=folds,
        seed=seed,
        settings=settings,
        query_ids=collection.query_ids,
    )
    _print_comparison(rows, {row.query_id for row in collection.given})


def _given(given: Collection[Any], used: int) -> str:
    """Returns how many were given, if more than were used."""
    return f" ({len(given)} given)" if len(given) > used else ""


def _print_comparison(rows: Sequence[api.CrossValidationResult], queries: Collection[str]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    from zero2ir.evaluation.significance import holm

    adjusted = iter(holm([row.difference.p_value for row in rows if row.difference is not None]))
    table = Table(Column("system", no_wrap=True), rows[0].measure, "difference", "p (Holm)", box=box.SIMPLE_HEAD)
    for row in rows:
        cells = [row.system, f"{row.value.mean:.3f} [{row.value.ci_low:.3f}, {row.value.ci_high:.3f}]"]
        if row.difference is not None:
            gain = row.difference.difference
            cells += [f"{gain.mean:+.3f} [{gain.ci_low:+.3f}, {gain.ci_high:+.3f}]", f"{next(adjusted):.3f}"]
        table.add_row(*map(Text, cells))
    Console().print(table)
    used = f"{rows[0].value.n} judged queries{_given(queries, rows[0].value.n)}"
    print(f"Cross-validated on {used}. Brackets: 95 % intervals.")
    print(f"Differences are relative to {rows[0].system}.")


@app.command(**_example("zero2ir init my-project"))
def init(folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A new folder.")]) -> None:
    """Writes the files of the pipeline into a new folder, for the installed package."""
    from zero2ir.experiments.project import init_project

    init_project(folder)
    print(f"written; try: cd {folder} && git init && dvc repro")


@app.command(**_example("zero2ir experiment paper --set sweep.dataset=[cranfield] --set panel.seeds=[0]"))
def experiment(
    *,
    preset: Annotated[str, typer.Argument(metavar="PRESET", help="A file of conf/experiment.")],
    settings: SettingsOption,
    jobs: JobsOption = None,
    executor: Annotated[
        Literal["local", "ray", "submitit"],
        typer.Option(help="Where systems run: on this machine, a Ray cluster, or Slurm by submitit."),
    ] = "local",
    address: Annotated[
        str | None,
        typer.Option(
            metavar="auto|ray://HOST:PORT",
            help="Address of a Ray cluster.",
            show_default="RAY_ADDRESS, or a Ray of its own on this machine",
        ),
    ] = None,
) -> None:
    """Runs the pipeline under many conditions."""
    from zero2ir.experiments.runner import run_preset

    print(f"report: {run_preset(preset, settings, jobs, executor, address) / 'index.md'}")


@app.command(**_example("zero2ir check --only 'paper/sparse/zero_shot/*'"))
def check(
    *,
    only: Annotated[list[str], _repeated("PATTERN", "Names of figures, with * and ?")],
    names: Annotated[bool, typer.Option("--list", help="List the figures and exit.")] = False,
    write: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the tables into FILE, between their markers, or with --stages their digests, and exit.",
        ),
    ] = None,
    stages: Annotated[
        bool, typer.Option("--stages", help="Compare what each stage made in this folder with stages.lock, and exit.")
    ] = False,
    sample: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Number of figures, drawn by chance.", show_default="all"),
    ] = None,
    seed: SeedOption = 0,
    minutes: Annotated[
        float | None,
        typer.Option(metavar="M", help="Start no run after M minutes; what is left is named.", show_default="none"),
    ] = None,
    log: Annotated[
        Path, typer.Option(metavar="FILE", help="Log of all checks, to which these are added.")
    ] = REPRODUCTIONS_FILE,
    html: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Write a page of the figures and their checks, and exit."),
    ] = None,
    jobs: JobsOption = None,
) -> None:
    """Reproduces published figures and compares them."""
    from zero2ir.experiments import reproduction, reproduction_log

    if stages:
        _check_stages(write)
        return
    published = reproduction.read_reproduction()
    if write:
        reproduction.write_tables(write, published.tables)
        return
    wanted = reproduction.figures(published, only)
    if sample is not None:
        wanted = reproduction.sampled(wanted, sample, seed)
    if html:
        page = reproduction_log.write_page(html, wanted, reproduction_log.read_log(log))
        print(f"written: {page}")
        return
    if names:
        for figure in wanted:
            print(f"{figure.name}: {figure.expected} (tolerance {figure.tolerance:g})")
        return
    checked = []
    for one in reproduction.check_figures(wanted, jobs, None if minutes is None else 60 * minutes):
        print(one.line, flush=True)
        reproduction_log.append_check(log, one)
        checked.append(one)
    done = {one.figure.name for one in checked}
    for figure in wanted:
        if figure.name not in done:
            print(f"NOT CHECKED {figure.name}: the {minutes:g} minutes were over")
    if wrong := sum(not one.agrees for one in checked):
        raise InputError(f"{wrong} of {len(checked)} figures differ from the published ones")
    print(f"all {len(checked)} figures match the published ones")


def _check_stages(write: Path | None) -> None:
    """Compares what each stage made with stages.lock, or writes its digests to a file."""
    from zero2ir.experiments.stage_digests import compare_stages, read_stage_digests, write_stage_digests

    if write:
        print(f"written: {write} ({len(write_stage_digests(write).stages)} stages)")
        return
    lock = read_stage_digests()
    outcomes = compare_stages(lock)
    for stage, outcome in outcomes.items():
        print(f"{stage}: {outcome}")
    other = [stage for stage, outcome in outcomes.items() if outcome != "same"]
    if other:
        raise InputError(
            f"{len(other)} of {len(outcomes)} stages are not as published, the first is {other[0]} "
            f"(published: {lock.processor}; another processor may round differently)"
        )
    print(f"all {len(outcomes)} stages made what the published run made")


@app.command(**_example("zero2ir label my-folder --queries queries.txt --output my-program"))
def label(
    *,
    folder: FolderArgument,
    queries: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="User queries: one per line (.txt), or a table (.jsonl, .csv, .tsv).",
            show_default="the folder's queries; without any, the --lm writes some",
        ),
    ] = None,
    output: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Folder to save the program in.")] = None,
    web: Annotated[bool, typer.Option("--web", help="Judge in the browser instead of the terminal.")] = False,
    port: PortOption = 8765,
    budget: Annotated[
        int | None, typer.Option(metavar="N", help="Total number of queries to judge.", show_default="10")
    ] = None,
    selection: Annotated[str, typer.Option(metavar="SELECTION", help="A file of conf/selection.")] = "random",
    annotator: Annotated[str, typer.Option(metavar="NAME", help="Your name, stored with your judgments.")] = "person",
    annotations: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="File that stores your judgments.", show_default=f"FOLDER/{ANNOTATIONS}"),
    ] = None,
    imported: Annotated[
        Path | None, typer.Option("--import", metavar="FILE", help="Judgments to start from: qrels or another table.")
    ] = None,
    export: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Folder to export the judgments to, as qrels and .jsonl.")
    ] = None,
    model: ModelOption = "hybrid",
    strategy: StrategyOption = "fine_tune",
    encoder: EncoderOption = "minilm",
    lm: LMOption = None,
    language: LanguageOption = AUTO_LANGUAGE,
    seed: SeedOption = 0,
    settings: SettingsOption,
) -> None:
    """Asks you for judgments and trains a program on them."""
    from zero2ir.data.checks import about_quality
    from zero2ir.data.local import read_checked
    from zero2ir.io.sockets import listen
    from zero2ir.labelling import terminal
    from zero2ir.labelling import web as page
    from zero2ir.labelling.candidates import candidate_queries
    from zero2ir.labelling.export import check_export, export_judgments
    from zero2ir.labelling.session import Session, import_judgments

    if output:
        _check_output(output, folder)
    if export:
        check_export(export)
    annotations = annotations or folder / ANNOTATIONS
    if not annotations.exists() and folder.is_dir():
        check_writable(annotations, annotations.parent)
    if web:
        bound = listen(port)
    else:
        terminal.require_terminal()
    collection, quality, _ = read_checked(folder, queries)
    labelling = api.label(
        collection.documents,
        candidate_queries(queries, collection.queries, lm is not None),
        annotations,
        model=model,
        strategy=strategy,
        selection=selection,
        encoder=encoder,
        lm=lm,
        language=language,
        seed=seed,
        settings=[*([] if budget is None else [f"labelling.budget={budget}"]), *settings],
    )
    labelling.about |= about_quality(quality)
    session = Session(labelling, annotator, output)
    if session.annotations.notice:
        print(session.annotations.notice)
    for rows, source in import_judgments(collection, imported, labelling):
        if number := session.annotations.add_judgments(rows, source):
            print(f"{number} judgments imported from {source}")
    if web:
        page.serve_labelling(session, bound)
    else:
        terminal.label_in_terminal(session)
    for line in session.closing_text():
        print(printable(line))
    if export:
        export_judgments(export, session.annotations.judgments())
        print(f"judgments written to {export}")


@app.command(**_example("zero2ir improve my-program --feedback my-program-state/feedback.sqlite --judgments my-folder"))
def improve(
    *,
    program: ProgramArgument,
    feedback: Annotated[
        str | None,
        typer.Option(metavar="FILE | URL", help="The server's file, or database, of grades and clicks."),
    ] = None,
    judgments: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Folder with the judgments that the program was trained on.")
    ] = None,
    roll_back: Annotated[bool, typer.Option("--roll-back", help="Restore the previous version and exit.")] = False,
    level: LevelOption = 0.05,
    seed: SeedOption = 0,
    allow_endpoint: AllowEndpointOption,
    tracking: TrackingOption = "sqlite:///mlflow.db",
    name: NameOption = None,
) -> None:
    """Retrains a program on feedback and replaces it if the result is better."""
    from zero2ir.data.checks import about_quality
    from zero2ir.data.local import read_for_training
    from zero2ir.online.feedback.improvement import ImproveSettings
    from zero2ir.online.feedback.improvement import improve as improved_by
    from zero2ir.online.feedback.store import FeedbackStore
    from zero2ir.online.feedback.versions import ProgramVersions
    from zero2ir.program.program import check_program_output
    from zero2ir.tracking.runs import check_store

    check_store(tracking)
    check_program_output(program)
    versions = ProgramVersions(tracking, name or program.resolve().name)
    if roll_back:
        version = versions.roll_back(program)
        print(f"{program}: restored version {version}")
        return
    if feedback is None or not (is_url(feedback) or Path(feedback).is_file()):
        raise InputError(f"--feedback {feedback or ''}: no such file; give the feedback.sqlite of the server")
    loaded = api.load(program, allow_endpoint)
    given = read_for_training(judgments, "ranking") if judgments else None
    rows = given.judgments if given else []
    ids = given.query_ids if given and "own_documents" in loaded.about else None  # as in its training
    with FeedbackStore(feedback, create=False) as store:
        improved = improved_by(
            loaded, store.events(), rows, settings=ImproveSettings(level=level), seed=seed, query_ids=ids
        )
    improved.program.about |= about_quality(given.quality if given else {})
    print(improved.text, flush=True)
    version = versions.replace(program, improved)
    outcome = "replaced; send SIGHUP to its server to reload it" if improved.better else "unchanged"
    print(f"version {version} of {versions.name}; {program}: {outcome}")


@app.command(
    **_example("zero2ir monitor my-program --reference reference.jsonl --current my-program-state/feedback.sqlite")
)
def monitor(
    *,
    program: ProgramArgument,
    reference: Annotated[Path, typer.Option(metavar="FILE", help=f"Reference searches: {SEARCHES}.")],
    current: Annotated[
        str, typer.Option(metavar="FILE | URL", help="Current searches, in the same formats, or the server's database.")
    ],
    window: Annotated[int, typer.Option(metavar="N", min=1, help="Number of latest searches to compare.")] = 200,
    planned_checks: Annotated[
        int, typer.Option(metavar="N", min=1, help="Planned checks, which share the significance level.")
    ] = 30,
    level: LevelOption = 0.05,
    seed: SeedOption = 0,
    output: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Folder for the report, metrics.prom and past checks.")
    ] = Path("monitor"),
    allow_endpoint: AllowEndpointOption,
    tracking: TrackingOption = "sqlite:///mlflow.db",
    name: NameOption = None,
) -> None:
    """Tests whether the queries have drifted."""
    from zero2ir.online.monitoring.monitor import Monitor, MonitorSettings
    from zero2ir.online.monitoring.report import add_check, check_folder, log_check, write_monitoring_report
    from zero2ir.online.monitoring.searches import read_searches
    from zero2ir.tracking.runs import check_store

    check_store(tracking)
    number = check_folder(output, planned_checks)
    settings = MonitorSettings(level=level, planned_checks=planned_checks, seed=seed)
    past, recent = read_searches(reference), read_searches(current)
    monitoring = Monitor(api.load(program, allow_endpoint), past, settings)
    result = monitoring.check_window(recent[-window:])
    for line in result.text.splitlines():
        print(printable(line), flush=True)
    write_monitoring_report(output, result, monitoring.reference)
    log_check(tracking, f"{name or program.resolve().name}/monitor", output, result, number)
    add_check(output, result)
    print(f"check {number} of {planned_checks} planned; see {output / 'index.html'}")
