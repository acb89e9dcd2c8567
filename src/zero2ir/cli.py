"""The command ``zero2ir``, for people who have documents and judgments but no pipeline."""

import argparse
import json
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from zero2ir import api
from zero2ir.config import one_line_errors
from zero2ir.data.highlight import printable
from zero2ir.errors import InputError
from zero2ir.evaluation.intervals import Interval

if TYPE_CHECKING:
    from rich.text import Text

    from zero2ir.data.records import Collection
    from zero2ir.labelling.session import Session

FOLDER = """\
FOLDER holds docs.jsonl (doc_id, text, optional title) or docs.tsv, or text files (.txt, .md, .rst), and for training
queries.jsonl (query_id, text) or queries.tsv, and qrels.trec (query 0 document grade) or qrels.tsv; for --task qa,
queries.jsonl with answers instead. Queries without judgments are a log: they tell how scores spread."""
STATE = """\
What was added, removed and told is kept in --state (default: SEARCHER-state beside the searcher), and is there again
after a restart. SIGHUP opens SEARCHER anew, e.g. after zero2ir improve. ZERO2IR_API_KEY in the environment is a key
that every request has to send (Authorization: Bearer <key>)."""
NOTES = {"train": FOLDER, "compare": FOLDER, "label": FOLDER, "serve": STATE}
ANNOTATIONS = "annotations.jsonl"
DECIDED = {"warn": "; unsure", "abstain": "; too unsure for the stated risk, so no document is given"}


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command; errors are one line, and ZERO2IR_TRACEBACK=1 shows where they came from."""
    given = parser().parse_args(arguments)
    one_line_errors(lambda: given.run(given))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(
        prog="zero2ir",
        description="Train a searcher on your documents with ten judged queries, and know how far to trust it.",
        epilog="example: zero2ir train my-folder --output my-searcher && zero2ir search my-searcher 'how do I ...'",
    )
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    train = _command(
        commands, "train", _train, "train a searcher and save it", "zero2ir train my-folder --output my-searcher"
    )
    train.add_argument("folder", type=Path, metavar="FOLDER", help="documents, queries and judgments")
    train.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="where the searcher is saved")
    _system(train)
    _task(train)
    _choices(train)
    train.add_argument(
        "--fallback", nargs="+", default=[], metavar="MODEL", help="simpler models behind it, the simplest last"
    )
    train.add_argument(
        "--risk", type=float, help="share of wrong first documents among plain answers; above it, it warns or abstains"
    )

    search = _command(
        commands,
        "search",
        _search,
        "search with a saved searcher",
        "zero2ir search my-searcher 'remove white space' -k 5",
    )
    search.add_argument("program", type=Path, metavar="SEARCHER", help="the folder that train wrote")
    search.add_argument("queries", nargs="+", metavar="QUERY")
    search.add_argument("-k", type=int, default=10, help="how many documents (default: %(default)s)")
    search.add_argument("--json", action="store_true", help="one JSON object a query instead of a table")

    serve = _command(commands, "serve", _serve, "answer searches over HTTP", "zero2ir serve my-searcher --port 8766")
    serve.add_argument("program", metavar="SEARCHER", help="the folder that train wrote, or an MLflow model URI")
    serve.add_argument("--state", type=Path, metavar="FOLDER", help="keeps feedback and changed documents; see below")
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    serve.add_argument("--port", type=int, default=8766, help="0: any free one (default: %(default)s)")
    serve.add_argument("--log-queries", action="store_true", help="log what is asked (default: never)")
    serve.add_argument("--impressions", action="store_true", help="record what was shown as feedback (default: not)")
    serve.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="further settings, e.g. limits")

    example = "zero2ir compare hybrid/fine_tune sparse/zero_shot"
    compare = _command(commands, "compare", _compare, "compare systems, on your judgments or on test queries", example)
    compare.add_argument(
        "compared",
        nargs="+",
        metavar="FOLDER | A B",
        help="a folder with documents, queries and judgments: systems are compared by cross-validation on these; or "
        "two of: a results folder, a model/strategy of the pipeline here, a git revision or a DVC experiment with or "
        "without :model/strategy",
    )
    compare.add_argument("--models", nargs="+", default=["sparse", "dense", "hybrid"], help="default: %(default)s")
    compare.add_argument("--strategies", nargs="+", default=["zero_shot", "fine_tune"], help="default: %(default)s")
    compare.add_argument("--folds", type=int, default=5, help="parts of the judged queries (default: %(default)s)")
    _task(compare)
    _choices(compare)

    example = "zero2ir experiment paper --set sweep.dataset=[cranfield] panel.seeds=[0]"
    experiment = _command(commands, "experiment", _experiment, "run the pipeline under many conditions", example)
    experiment.add_argument("preset", metavar="PRESET", help="a file of conf/experiment")
    experiment.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="changes of the preset")
    experiment.add_argument(
        "--jobs", type=int, metavar="N", help="conditions side by side (default: what memory allows)"
    )

    example = "zero2ir check --only 'results/sparse/zero_shot/*'"
    check = _command(commands, "check", _check, "run published figures again, and compare", example)
    check.add_argument("--only", nargs="+", default=[], metavar="PATTERN", help="figures by name (default: all)")
    check.add_argument("--list", action="store_true", help="name them, and run nothing")
    check.add_argument(
        "--write", type=Path, metavar="FILE", help="put the tables between their markers in FILE instead"
    )
    check.add_argument("--jobs", type=int, metavar="N", help="conditions side by side (default: what memory allows)")

    example = "zero2ir label my-folder --queries asked.txt --output my-searcher"
    label = _command(commands, "label", _label, "judge documents yourself, and train a searcher on that", example)
    label.add_argument("folder", type=Path, metavar="FOLDER", help="documents; what is judged already is taken over")
    label.add_argument(
        "--queries",
        type=Path,
        metavar="FILE",
        help="what people ask, one a line or .jsonl (default: the folder's queries, else such as the --lm writes)",
    )
    label.add_argument("--output", type=Path, metavar="FOLDER", help="where the searcher is saved, or continued")
    label.add_argument("--web", action="store_true", help="judge on a page in the browser, not in the terminal")
    label.add_argument("--port", type=int, default=8765, help="of that page; 0: any free one (default: %(default)s)")
    label.add_argument("--budget", type=int, metavar="N", help="queries to judge in all (default: 10)")
    label.add_argument("--selection", default="random", help="a file of conf/selection (default: %(default)s)")
    label.add_argument("--annotator", default="person", help="your name beside your answers (default: %(default)s)")
    label.add_argument(
        "--annotations", type=Path, metavar="FILE", help=f"keeps the answers (default: FOLDER/{ANNOTATIONS})"
    )
    label.add_argument("--import", type=Path, metavar="FILE", dest="imported", help="judgments: .jsonl, or TREC qrels")
    label.add_argument(
        "--export", type=Path, metavar="FOLDER", help="gets the judgments as qrels and .jsonl at the end"
    )
    _system(label)
    _choices(label)

    example = "zero2ir improve my-searcher --feedback my-searcher-state/feedback.sqlite --folder my-folder"
    improve = _command(
        commands, "improve", _improve, "train a searcher on with feedback, and keep the better one", example
    )
    improve.add_argument("program", type=Path, metavar="SEARCHER", help="is replaced only by a better one")
    improve.add_argument("--feedback", type=Path, metavar="FILE", help="that the server wrote: grades and clicks")
    improve.add_argument("--folder", type=Path, metavar="FOLDER", help="with the judgments that it was trained with")
    improve.add_argument("--roll-back", action="store_true", help="back to the version before, and nothing else")
    improve.add_argument("--level", type=float, default=0.05, help="of the test that decides (default: %(default)s)")
    improve.add_argument("--seed", type=int, default=0, help="of everything that draws (default: %(default)s)")
    _tracking(improve)

    example = "zero2ir monitor my-searcher --reference asked-then.jsonl --current my-searcher-state/feedback.sqlite"
    monitor = _command(commands, "monitor", _monitor, "see whether what people ask has moved", example)
    monitor.add_argument("program", type=Path, metavar="SEARCHER", help="the folder that train wrote")
    searches = "searches: .txt, .jsonl (query, at, seconds, fallback), or the server's feedback"
    monitor.add_argument("--reference", type=Path, required=True, metavar="FILE", help=f"as they should be; {searches}")
    monitor.add_argument("--current", type=Path, required=True, metavar="FILE", help="as they are now; the same")
    monitor.add_argument("--window", type=int, default=200, help="the last so many searches (default: %(default)s)")
    monitor.add_argument("--looks", type=int, default=30, help="planned, that share the level (default: %(default)s)")
    monitor.add_argument(
        "--level", type=float, default=0.05, help="false alerts, over all looks (default: %(default)s)"
    )
    monitor.add_argument("--seed", type=int, default=0, help="of everything that draws (default: %(default)s)")
    monitor.add_argument(
        "--output", type=Path, default=Path("monitor"), metavar="FOLDER", help="page, metrics.prom, looks so far"
    )
    _tracking(monitor)
    return top


def _tracking(command: argparse.ArgumentParser) -> None:
    """Where MLflow keeps what is recorded."""
    uri = os.environ.get("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    command.add_argument("--tracking", default=uri, metavar="URI", help="of MLflow (default: %(default)s)")
    command.add_argument("--name", help="of the searcher in MLflow (default: that of its folder)")


def _command(commands: Any, name: str, run: Any, what: str, example: str) -> argparse.ArgumentParser:
    command = commands.add_parser(
        name,
        help=what,
        description=f"{what[0].upper()}{what[1:]}.\n\n{NOTES.get(name, '')}",
        epilog=f"example: {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.set_defaults(run=run)
    return command


def _system(command: argparse.ArgumentParser) -> None:
    command.add_argument("--model", default="hybrid", help="a file of conf/model (default: %(default)s)")
    command.add_argument("--strategy", default="fine_tune", help="a file of conf/strategy (default: %(default)s)")


def _task(command: argparse.ArgumentParser) -> None:
    command.add_argument("--task", default="ranking", help="a file of conf/task, e.g. qa (default: %(default)s)")


def _choices(command: argparse.ArgumentParser) -> None:
    command.add_argument("--encoder", default="minilm", help="a file of conf/encoder (default: %(default)s)")
    command.add_argument("--lm", default=None, help="a file of conf/lm, e.g. smollm2 (default: no LM)")
    command.add_argument("--seed", type=int, default=0, help="of everything that draws (default: %(default)s)")
    command.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="further settings")


def _train(given: argparse.Namespace) -> None:
    documents, judgments, asked = _read(given.folder, given.task)
    program = api.train(
        documents,
        judgments,
        unlabelled_queries=asked,
        task=given.task,
        model=given.model,
        strategy=given.strategy,
        encoder=given.encoder,
        lm=given.lm,
        seed=given.seed,
        settings=given.set,
        fallback=given.fallback,
        risk=given.risk,
    )
    program.save(given.output)
    about = program.about
    print(f"{len(documents)} documents, {about['labels']} judged documents used")
    for question, reason in about.get("skipped_questions", {}).items():
        print(f"set aside: {printable(question)} ({printable(reason)})")
    print(f"chosen: {about['chosen']}, because {about['reason']}")
    print(f"saved in {given.output}; try: zero2ir search {given.output} 'your query'")


def _search(given: argparse.Namespace) -> None:
    program = api.load(given.program)
    if program.chain is not None:  # what is imported once takes longer than a request may
        program.search(given.queries[:1], 1)
    for query in given.queries:
        answer = program(query=query, k=given.k)
        if given.json:
            print(json.dumps({"query": query, **answer.toDict()}, ensure_ascii=False))
        else:
            _print_answer(program, query, answer)


def _serve(given: argparse.Namespace) -> None:
    import logging

    from zero2ir.config import ServeConfig, compose
    from zero2ir.io.sockets import listen
    from zero2ir.online.serving.service import SearchService, open_program
    from zero2ir.online.serving.web import LOG, api_key_from_environment, on_sighup, serve

    flags = {"log_queries": given.log_queries, "impressions": given.impressions}
    overrides = [f"serving.{name}=true" for name, is_set in flags.items() if is_set]
    settings = compose("serve", ServeConfig, [*given.set, *overrides]).serving
    key = api_key_from_environment(given.host)
    bound = listen(given.port, given.host)
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    LOG.addHandler(handler)
    LOG.setLevel(logging.INFO)
    LOG.propagate = False
    state = given.state or Path("searcher-state" if ":/" in given.program else f"{given.program.rstrip('/')}-state")
    with SearchService(open_program(given.program), state, settings) as service:
        for name, error in service.warm_up().items():
            print(f"{name} does not answer yet ({error})", flush=True)
        on_sighup(lambda: service.replace(open_program(given.program)))
        serve(service, bound, key)


def _print_answer(program: Any, query: str, answer: Any) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    sure = "unknown: too few judgments" if answer.confidence is None else f"{answer.confidence:.0%}"
    caption = f"first one relevant: {sure}{DECIDED.get(answer.get('decision'), '')}"
    table = Table("", "score", "document", "text", title=Text(printable(query)), caption=caption)
    answers = answer.get("answers") or [""] * len(answer.docids)
    for place, (doc_id, score, found) in enumerate(zip(answer.docids, answer.scores, answers, strict=True), 1):
        document = program.document(doc_id)
        start = (f"{found} – " if found else "") + " ".join(f"{document.title} {document.text}".split())[:160]
        # Text: a document is no markup; printable: nor anything that a terminal obeys
        table.add_row(str(place), f"{score:.3f}", Text(printable(doc_id)), Text(printable(start)))
    Console().print(table)


def _compare(given: argparse.Namespace) -> None:
    if len(given.compared) > 2:
        raise InputError(f"compare: {len(given.compared)} names given; give one folder, or two things to compare")
    if len(given.compared) == 2:
        _compare_sides(*given.compared)
    else:
        _cross_validate(Path(given.compared[0]), given)


def _compare_sides(one: str, other: str) -> None:
    from zero2ir.experiments.comparison import compare_sides
    from zero2ir.report.tables import difference_text, format_signed, interval_text, probability

    rows = compare_sides(one, other, resamples=10_000, level=0.95, seed=0)
    for row in rows:
        found = row.comparison
        print(f"{row.measure} on {found.difference.n} test queries of {row.dataset}, draws {_list(row.seeds)}")
        width = max(len(row.one), len(row.other))
        for name, value in zip((row.one, row.other), row.values, strict=True):
            print(f"  {name:{width}}  {interval_text(value)}")
        print(
            f"  difference {difference_text(found.difference)}, p = {probability(row.p_holm)}, "
            f"effect size {format_signed(found.effect_size)}, "
            f"{found.wins} wins, {found.ties} ties, {found.losses} losses"
        )
        print(f"  {row.verdict}")
    print("Brackets: 95 % intervals." + (f" p is Holm-corrected over {len(rows)}." if len(rows) > 1 else ""))


def _list(values: Sequence[int]) -> str:
    return ", ".join(map(str, values))


def _cross_validate(folder: Path, given: argparse.Namespace) -> None:
    documents, judgments, _ = _read(folder, given.task)
    rows = api.compare(
        documents,
        judgments,
        task=given.task,
        models=given.models,
        strategies=given.strategies,
        encoder=given.encoder,
        lm=given.lm,
        folds=given.folds,
        seed=given.seed,
        settings=given.set,
    )
    _print_comparison(rows)


def _print_comparison(rows: Sequence[api.CrossValidationResult]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    from zero2ir.evaluation.significance import holm

    adjusted = iter(holm([row.difference.p_value for row in rows if row.difference is not None]))
    table = Table(Column("system", no_wrap=True), rows[0].measure, "difference", "p (Holm)", box=box.SIMPLE_HEAD)
    for row in rows:
        cells = [Text(row.system), _with_interval(row.value, ".3f")]
        if row.difference is not None:
            cells += [_with_interval(row.difference.difference, "+.3f"), Text(f"{next(adjusted):.3f}")]
        table.add_row(*cells)
    console = Console()
    console.print(table)
    console.print(f"Cross-validated on {rows[0].value.n} judged queries. Brackets: 95 % intervals.")
    console.print(f"Differences are to {rows[0].system}.")


def _with_interval(value: Interval, form: str) -> "Text":
    from rich.text import Text

    return Text(f"{value.mean:{form}} [{value.ci_low:{form}}, {value.ci_high:{form}}]")


def _experiment(given: argparse.Namespace) -> None:
    from zero2ir.experiments.runner import run_preset

    print(f"report: {run_preset(given.preset, given.set, given.jobs) / 'index.md'}")


def _check(given: argparse.Namespace) -> None:
    from zero2ir.experiments import reproduction

    published = reproduction.read_reproduction()
    if given.write:
        reproduction.write_tables(given.write, published.tables)
        return
    wanted = reproduction.figures(published, given.only)
    if given.list:
        for figure in wanted:
            print(f"{figure.name}: {figure.expected} (tolerance {figure.tolerance:g})")
        return
    checked = []
    for one in reproduction.check_figures(wanted, given.jobs):
        print(one.line, flush=True)
        checked.append(one)
    if wrong := sum(not one.agrees for one in checked):
        raise InputError(f"{wrong} of {len(checked)} figures are not as published")
    print(f"all {len(checked)} figures are as published")


def _label(given: argparse.Namespace) -> None:
    from zero2ir.data.highlight import printable
    from zero2ir.labelling import terminal, web
    from zero2ir.labelling.session import check_output

    check_output(given.output)
    if given.web:
        bound = web.listen(given.port)
    else:
        terminal.require_terminal()
    session = _session(given)
    if given.web:
        web.serve_labelling(session, bound)
    else:
        _ask_in_terminal(session)
    for line in session.closing_text():
        print(printable(line))
    if given.export:
        session.export_all(given.export)
        print(f"judgments written to {given.export}")


def _ask_in_terminal(session: "Session") -> None:
    from rich.console import Console

    from zero2ir.labelling import terminal

    console = Console()
    with terminal.pressed_keys() as keys, suppress(KeyboardInterrupt):
        terminal.run_in_terminal(session, console, keys)
        terminal.review_suspicious_judgments(session, console, keys)
    console.clear()


def _session(given: argparse.Namespace) -> "Session":
    """Reads what there is, and has everything ready for the first question."""
    from zero2ir.labelling.session import Session, import_judgments

    collection = _collection(given.folder, given.queries)
    annotations = given.annotations or given.folder / ANNOTATIONS
    budget = [] if given.budget is None else [f"labelling.budget={given.budget}"]
    labelling = api.label(
        [document._asdict() for document in collection.documents],
        _candidates(given.queries, collection, given.lm),
        annotations,
        model=given.model,
        strategy=given.strategy,
        selection=given.selection,
        encoder=given.encoder,
        lm=given.lm,
        seed=given.seed,
        settings=[*budget, *given.set],
    )
    session = Session(labelling, given.annotator, given.output)
    if session.annotations.notice:
        print(session.annotations.notice)
    for rows, source in import_judgments(collection, given.imported, labelling):
        if number := session.annotations.add_judgments(rows, source):
            print(f"{number} judgments taken over from {source}")
    return session


def _improve(given: argparse.Namespace) -> None:
    from zero2ir.online.feedback.improvement import ImproveSettings, improve
    from zero2ir.online.feedback.store import FeedbackStore
    from zero2ir.online.feedback.versions import ProgramVersions

    versions = ProgramVersions(given.tracking, given.name or given.program.resolve().name)
    if given.roll_back:
        version = versions.roll_back(given.program)
        print(f"{given.program} is version {version} again")
        return
    if given.feedback is None or not given.feedback.is_file():
        raise InputError(f"--feedback {given.feedback or ''}: no such file; give the one that the server writes")
    program = api.load(given.program)
    judgments = cast(api.Judgments, _read(given.folder, "ranking")[1]) if given.folder else []
    settings = ImproveSettings(level=given.level)
    with FeedbackStore(given.feedback) as store:
        improved = improve(program, store.events(), judgments, settings=settings, seed=given.seed)
    version = versions.replace(given.program, improved)
    print(improved.text)
    stays = f"{given.program} stays as it was"
    now = f"{given.program} is this now; a server that has it opens it anew at SIGHUP"
    print(f"version {version} of {versions.name}; {now if improved.better else stays}")


def _monitor(given: argparse.Namespace) -> None:
    from zero2ir.data.highlight import printable
    from zero2ir.online.monitoring.monitor import Monitor, MonitorSettings
    from zero2ir.online.monitoring.report import log_check, write_monitoring_report
    from zero2ir.online.monitoring.searches import read_searches

    settings = MonitorSettings(level=given.level, planned_checks=given.looks, seed=given.seed)
    reference, current = read_searches(given.reference), read_searches(given.current)
    monitor = Monitor(api.load(given.program), reference, settings)
    look = monitor.check_window(current[-given.window :])
    number = write_monitoring_report(given.output, look, monitor.reference)
    log_check(given.tracking, f"{given.name or given.program.resolve().name}/monitor", given.output, look, number)
    for line in look.text.splitlines():
        print(printable(line))
    print(f"look {number} of {given.looks} planned ones; see {given.output / 'index.html'}")


def _collection(folder: Path, queries: Path | None) -> "Collection":
    from zero2ir.data.checks import check_collection
    from zero2ir.data.local import read

    if not folder.is_dir():
        raise InputError(f"{folder}: not a folder; give the one that holds your documents")
    collection, _ = check_collection(read(folder))
    if queries is not None and queries.resolve() in {folder.resolve() / row.doc_id for row in collection.documents}:
        raise InputError(f"{queries}: lies among the documents and would be one of them; move it out of {folder}")
    return collection


def _candidates(queries: Path | None, collection: "Collection", lm: str | None) -> list[tuple[str, str]] | None:
    """The queries that may be asked about; None where a language model has to write them."""
    from zero2ir.labelling.candidates import read_candidate_queries

    if queries is not None:
        return read_candidate_queries(queries)
    if not collection.queries and lm is None:
        raise InputError(
            "no queries: give what people ask with --queries FILE, or let a model write some: --lm smollm2"
        )
    return [(query.query_id, query.text) for query in collection.queries] or None


def _read(folder: Path, task: str) -> tuple[list[dict[str, str]], api.Judgments | api.QuestionAnswerPairs, list[str]]:
    """A folder's documents, checked as in the pipeline, its (query, doc_id, grade) or (question, answers) rows, and the
    queries of which nothing is judged."""
    from zero2ir.data.checks import check_collection
    from zero2ir.data.local import read

    if not folder.is_dir():
        raise InputError(f"{folder}: not a folder; give the one that holds docs.jsonl or docs.tsv")
    collection, _ = check_collection(read(folder))
    text = {query.query_id: query.text for query in collection.queries}
    documents = [document._asdict() for document in collection.documents]
    if task == "qa":
        pairs = [(query.text, query.answers) for query in collection.queries if query.answers]
        return documents, pairs, [query.text for query in collection.queries if not query.answers]
    judged = {row.query_id for row in collection.judgments}
    asked = [query.text for query in collection.queries if query.query_id not in judged]
    return documents, [(text[row.query_id], row.doc_id, row.relevance) for row in collection.judgments], asked
