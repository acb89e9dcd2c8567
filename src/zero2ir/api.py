"""The library interface: trains, compares and loads programs, and collects judgments, without a pipeline."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from zero2ir.data.checks import about_quality
from zero2ir.data.inputs import (
    CandidatesByQuery,
    Documents,
    Judgments,
    QuestionAnswerPairs,
    as_candidates,
    as_documents,
    as_judgments,
    as_queries,
    as_texts,
)
from zero2ir.data.languages import AUTO_LANGUAGE
from zero2ir.errors import InputError
from zero2ir.io.values import seed_value

if TYPE_CHECKING:
    from zero2ir.config import LibraryConfig
    from zero2ir.data.records import JudgedDocument
    from zero2ir.encoders.corpus import Corpus
    from zero2ir.evaluation.intervals import Interval
    from zero2ir.evaluation.significance import Comparison
    from zero2ir.labelling.loop import Labelling
    from zero2ir.program.indexing import IndexReport
    from zero2ir.program.program import Program


def train(
    documents: Documents,
    judgments: Judgments | QuestionAnswerPairs = (),
    *,
    task: str = "ranking",
    model: str = "auto",
    strategy: str = "fine_tune",
    encoder: str = "minilm",
    lm: str | None = None,
    language: str = AUTO_LANGUAGE,
    seed: int = 0,
    settings: Sequence[str] = (),
    auxiliary_collections: Sequence[tuple[Documents, Judgments]] = (),
    candidates: CandidatesByQuery | None = None,
    translations: Mapping[str, str] | None = None,
    unlabelled_queries: Iterable[str] | Mapping[str, str] = (),
    query_ids: Mapping[str, str] | None = None,
    fallback: Sequence[str] = (),
    risk: float | None = None,
) -> "Program":
    """Trains a program on your documents with a few judgments.

    Args:
        documents: strings (their ids are "0", "1", ...) or mappings with doc_id, text and an optional title; or a
            mapping from ids to strings or mappings; or a data frame with these columns.
        judgments: (query, doc_id, grade) rows, or a data frame with these columns; grades are whole numbers, 0 and less
            mean "not relevant". Ten queries are a good start. ``program.about["quality"]`` counts the rows that are
            left out: repeated ones and those of unknown documents, which may be up to a fifth of all. With
            task="qa", (question, answer) or (question, [answer, ...]) rows; the passages are found automatically, and
            the program returns answers, too. ``program.about["skipped_questions"]`` lists unusable questions.
        task: a file of conf/task: ranking, qa.
        model: a file of conf/model, e.g. sparse, dense, late_interaction, hybrid, full; "auto" chooses among six model
            types, and ``program.about["model_choice"]`` says why.
        strategy: a file of conf/strategy: zero_shot (without judgments), fine_tune, meta, distil; with an LM also
            fixed_prompt, prompt and hybrid.
        encoder: a file of conf/encoder: minilm, hub, static.
        lm: a file of conf/lm: smollm2, openai, ollama, vllm; None for no LM.
        language: ISO 639-1 code of the documents' language; "auto" identifies it (``program.about["language"]``).
        seed: random seed; the same seed gives the same program.
        settings: further Hydra overrides, e.g. ["pretraining.synthetic.documents=50"].
        auxiliary_collections: documents and judgments of other collections; strategy meta trains on them, too.
        candidates: document ids by query text, for programs that rank candidates
            (``program(query=..., candidates=[...])``); None to rank the whole collection.
        translations: judged queries translated into the documents' language, by query; models translated, aligned and
            crosslingual learn from them.
        unlabelled_queries: queries without judgments, e.g. from a log; dense models adapt to them, and strategy distil
            learns from them.
        query_ids: ids of queries by text, if queries may be documents of the collection: a document with the id and the
            text of a query is left out of the query's ranking, unless it is judged relevant.
        fallback: files of conf/model: simpler models that answer when this one fails or is late, the simplest last.
        risk: largest risk of a wrong first document in a plain answer; above it the program warns or abstains.

    Returns:
        A ``dspy.Module``: ``program(query="...").docids``; ``program.save("my-program/")``.

    Raises:
        InputError: the documents, the judgments or a choice are invalid; the message says what to do.
    """
    from zero2ir.config import build
    from zero2ir.program.policy import Policy
    from zero2ir.program.preparation import (
        prepare_auxiliary,
        prepare_corpus,
        prepare_inputs,
        prepare_judgments,
        prepare_own_documents,
        warn_of_query_language,
    )
    from zero2ir.program.training import add_fallback, train_program
    from zero2ir.strategies.base import needs_synthetic_queries

    settings, fallback, seed = as_texts(settings, "settings"), as_texts(fallback, "fallback"), seed_value(seed)
    overrides = () if risk is None else (f"answering.risk={risk}",)
    config = _config(task, model, strategy, encoder, lm, language, [*settings, *overrides])
    shared = [setting for setting in settings if not setting.startswith("model.")]
    simpler = {name: _config(task, name, strategy, encoder, lm, language, shared) for name in fallback}
    answering = config.answering
    policy = None if answering.risk is None else Policy.of(answering.risk, answering.max_risk)
    chosen = build(config.model, "model")
    links = {name: build(one.model, "model") for name, one in simpler.items()}
    fit = build(config.strategy, "strategy")
    needs = {need for one in (chosen, *links.values()) for need in one.needs()} | fit.corpus_needs
    records = as_documents(documents)
    rows, skipped, quality = prepare_judgments(judgments, records, config.task, translations, config.language)
    pools = as_candidates(candidates, rows, {document.doc_id for document in records})
    auxiliary = prepare_auxiliary(auxiliary_collections)
    unlabelled = as_queries(unlabelled_queries, "unlabelled_queries")
    own = prepare_own_documents(records, rows, unlabelled, config.task, query_ids)
    corpus = prepare_corpus(records, config, needs, seed)
    queries = [*dict.fromkeys(row.query for row in rows), *(text for _, text in unlabelled)]
    warn_of_query_language(queries, corpus.language, chosen, config.encoder)
    synthetic = needs_synthetic_queries(fit, config.lm.available)
    texts = [text for _, text in unlabelled]
    inputs = replace(
        prepare_inputs(corpus, rows, config, seed, synthetic=synthetic, candidates=pools, unlabelled_queries=texts),
        auxiliary_collections=auxiliary,
        own_documents=own,
    )
    about = {"model": model, "strategy": strategy, "seed": seed} | about_quality(quality)
    about |= {"skipped_questions": skipped} if skipped else {}
    trained = train_program(chosen, fit, inputs, about, config.task.answers)
    program = trained.program
    for name, one in links.items():
        program = add_fallback(program, train_program(one, fit, inputs, {"model": name}).program, answering.fallback)
    program.policy = policy
    return program


def load(folder: str | Path, allow_endpoints: Sequence[str] = (), key: str | None = None) -> "Program":
    """Loads a saved program after checking all its files.

    With a key, or one in the environment variable ``ZERO2IR_SIGNING_KEY``, it must be signed with that (see
    ``Program.save``).

    A program may name the endpoint of a language model, and the environment variable with the key for it. Endpoints
    beyond this machine and all keys need your consent: "URL", or "URL=VARIABLE" to send the key in that variable there,
    in ``allow_endpoints`` or, separated by white space, in the environment variable ``ZERO2IR_ENDPOINTS``.

    Raises:
        InputError: a file is missing or altered, the program is not signed with the key, or it needs your consent.
    """
    from zero2ir.program.program import load_program

    if Path("conf/library.yaml").is_file():  # a project, which may have models of its own
        from zero2ir.config import import_own_models

        import_own_models(Path(folder))
    return load_program(folder, allow_endpoints, key)


def index(
    source: str | Path,
    output: str | Path,
    *,
    model: str = "static_hybrid",
    encoder: str = "minilm",
    language: str = AUTO_LANGUAGE,
    seed: int = 0,
    settings: Sequence[str] = (),
    shards: int | None = None,
    passages: int | None = None,
    overlap: int = 0,
    executor: str = "local",
    jobs: int | None = None,
    tell: Callable[[str], None] | None = None,
) -> "IndexReport":
    """Indexes documents that need not fit into memory, without judgments, and saves a program.

    The documents are read one after another and indexed in shards, in several processes. The program ranks as one that
    was indexed at once; its documents, counts and vectors are read from disk when a query needs them. Repeat a call
    that was killed: it goes on with the shards that are missing. In a script, call it below
    ``if __name__ == "__main__":``, as the processes import the script.

    Args:
        source: a folder as for the command ``train``, of which the documents are read; or an id of ir_datasets.
        output: folder of the program; beside it, a working folder keeps what is finished.
        model: a file of conf/model that combines BM25 and vectors: sparse, static, dense, static_hybrid, hybrid.
        encoder: as for ``train``. Encoders are trained on a random sample of 100,000 documents, or on all of fewer.
        language: as for ``train``.
        seed: random seed.
        settings: further Hydra overrides.
        shards: number of shards, which are ranges of the documents in their order; None for one in 100,000 documents.
        passages: greatest length of a passage in words, into which longer documents are cut; None keeps them whole.
        overlap: number of words that a passage shares with the previous one.
        executor: "local" for processes of this machine, "ray" for a cluster (``RAY_ADDRESS``) or this machine by Ray.
        jobs: processes side by side; None for as many as cores and free memory allow.
        tell: gets a line about each finished step.

    Returns:
        The numbers of documents (or passages) and shards, and of the shards that a former call had finished.

    Raises:
        InputError: a document or a choice is invalid; the message says what to do.
    """
    from zero2ir.config import build
    from zero2ir.data.document_stream import open_stream
    from zero2ir.data.settings import PassageSettings
    from zero2ir.program.indexing import IndexSettings, executor_of, index_documents

    settings, seed = as_texts(settings, "settings"), seed_value(seed)
    for name, number in (("shards", shards), ("passages", passages), ("jobs", jobs)):
        if number is not None and number < 1:
            raise InputError(f"{name}={number}: give 1 or more")
    if not 0 <= overlap < (passages or 1):
        raise InputError(f"overlap={overlap}: give 0 or more, and less than passages ({passages or 'not given'})")
    cut = None if passages is None else PassageSettings(words=passages, overlap=overlap)
    config = _config("ranking", model, "zero_shot", encoder, None, language, settings)
    chosen = build(config.model, "model")
    plan = {
        "model": model,
        "seed": seed,
        "shards": shards,
        "passages": None if cut is None else cut.model_dump(),
        "settings": config.model_dump(mode="json", exclude={"strategy", "task", "evaluation"}),
    }
    return index_documents(
        open_stream(str(source)),
        Path(output),
        IndexSettings(chosen, config, seed, shards, cut, plan),
        executor_of(executor, jobs, chosen),
        tell or (lambda line: None),
    )


def label(
    documents: Documents,
    queries: Iterable[str | tuple[str, str]] | Mapping[str, str] | None,
    annotations: str | Path,
    judgments: Judgments = (),
    *,
    model: str = "hybrid",
    strategy: str = "fine_tune",
    selection: str = "random",
    encoder: str = "minilm",
    lm: str | None = None,
    language: str = AUTO_LANGUAGE,
    seed: int = 0,
    settings: Sequence[str] = (),
) -> "Labelling":
    """Selects queries and documents to judge, and trains a program on the judgments.

    Args:
        documents: as for ``train``.
        queries: user queries, as texts, (id, text) pairs or a mapping from ids to texts; if None, the LM writes them.
        annotations: file that stores the judgments; existing judgments in it are kept and used.
        judgments: as for ``train``: judgments that exist already.
        model: a file of conf/model.
        strategy: a file of conf/strategy.
        selection: a file of conf/selection: random, margin, entropy, k_centre, k_means, uncertain_diverse,
            disagreement, model_change, bandit.
        encoder: a file of conf/encoder.
        lm: a file of conf/lm, or None.
        language: as for ``train``.
        seed: random seed.
        settings: further Hydra overrides, e.g. ["labelling.budget=20"].

    Returns:
        ``next()`` returns what to judge, ``answer(grade, annotator)`` records the grade, ``program()`` trains on them.

    Raises:
        InputError: as ``train``; or there is no query, or a line of ``annotations`` is invalid.
    """
    from zero2ir.config import LabelConfig, build, compose
    from zero2ir.io import paths
    from zero2ir.labelling.annotations import Annotations
    from zero2ir.labelling.candidates import query_id, written_candidate_queries
    from zero2ir.labelling.loop import Labelling
    from zero2ir.program.model_choice import index_model
    from zero2ir.program.preparation import prepare_corpus, prepare_inputs, prepare_own_documents
    from zero2ir.strategies.base import needs_synthetic_queries

    settings, seed = as_texts(settings, "settings"), seed_value(seed)
    choices = {"model": model, "strategy": strategy, "selection": selection, "encoder": encoder, "lm": lm or "none"}
    choices["language"] = language
    config = compose("label", LabelConfig, [*(f"{key}={value}" for key, value in choices.items()), *settings])
    chosen, fit = build(config.model, "model"), build(config.strategy, "strategy")
    choose = build(config.selection, "selection")
    members = {name: build(choice, f"committee.{name}") for name, choice in config.committee.items()}
    answers = Annotations(Path(annotations))
    needs = {need for one in (chosen, *members.values()) for need in one.needs()} | fit.corpus_needs
    records = as_documents(documents)
    rows, quality = as_judgments(judgments, {document.doc_id for document in records})
    given = None if queries is None else as_queries(queries)
    corpus = prepare_corpus(records, config, needs, seed, paths.CACHE_FOLDER / "embeddings")
    if given is None:
        candidates = written_candidate_queries(corpus, config.pretraining.synthetic, seed)
    else:
        candidates = [(one or query_id(text), text) for one, text in given]
    synthetic = needs_synthetic_queries(fit, config.lm.available)
    unlabelled = candidates if queries is not None else []
    texts = [text for _, text in unlabelled]
    inputs = prepare_inputs(corpus, rows, config, seed, synthetic=synthetic, unlabelled_queries=texts)
    own = prepare_own_documents(records, rows, unlabelled, config.task)
    own |= {query_id: own[text] for query_id, text in unlabelled if text in own}
    inputs = replace(inputs, own_documents=own)
    return Labelling(
        index_model(chosen, inputs).retriever,
        fit,
        inputs,
        candidates,
        {name: member.index(inputs.corpus) for name, member in members.items()},
        choose,
        answers,
        config.labelling,
        {"model": model, "strategy": strategy, "selection": selection, "seed": seed} | about_quality(quality),
    )


class CrossValidationResult(NamedTuple):
    """The cross-validated result of one system.

    Attributes:
        system: "model/strategy".
        measure: the task's first measure, by its ir-measures name.
        value: mean and 95 % interval over the judged queries, all held out.
        difference: to the first system; None for the first system itself.
    """

    system: str
    measure: str
    value: "Interval"
    difference: "Comparison | None"


def compare(
    documents: Documents,
    judgments: Judgments | QuestionAnswerPairs,
    *,
    task: str = "ranking",
    models: Sequence[str] = ("sparse", "dense", "hybrid"),
    strategies: Sequence[str] = ("zero_shot", "fine_tune"),
    encoder: str = "minilm",
    lm: str | None = None,
    language: str = AUTO_LANGUAGE,
    folds: int = 5,
    seed: int = 0,
    settings: Sequence[str] = (),
    candidates: CandidatesByQuery | None = None,
    translations: Mapping[str, str] | None = None,
    query_ids: Mapping[str, str] | None = None,
) -> list[CrossValidationResult]:
    """Compares systems by cross-validation on your judgments.

    Args:
        documents: as for ``train``.
        judgments: as for ``train``; at least two judged queries with a relevant document.
        task: a file of conf/task.
        models: files of conf/model.
        strategies: files of conf/strategy.
        encoder: a file of conf/encoder.
        lm: a file of conf/lm, or None.
        language: as for ``train``.
        folds: number of folds.
        seed: random seed.
        settings: further Hydra overrides.
        candidates: as for ``train``; held-out queries rank theirs, too.
        translations: as for ``train``.
        query_ids: as for ``train``.

    Returns:
        One result per system, in order of ``models`` and ``strategies``, compared with the first.

    Raises:
        InputError: as ``train``; or there are no systems, too few judged queries or too few folds.
    """
    from zero2ir.config import build
    from zero2ir.evaluation.intervals import bootstrap_interval
    from zero2ir.evaluation.significance import compare_scores
    from zero2ir.io.terminal import progress
    from zero2ir.program.preparation import prepare_corpus, prepare_judgments, prepare_own_documents
    from zero2ir.strategies.base import draw_folds

    models, strategies = as_texts(models, "models"), as_texts(strategies, "strategies")
    settings, seed = as_texts(settings, "settings"), seed_value(seed)
    for name, least, number in (("models", 1, len(models)), ("strategies", 1, len(strategies)), ("folds", 2, folds)):
        if number < least:
            raise InputError(f"{name}: {number} given; compare needs at least {least}")
    configs = {
        f"{model}/{strategy}": _config(task, model, strategy, encoder, lm, language, settings)
        for model in models
        for strategy in strategies
    }
    needs = {need for config in configs.values() for need in build(config.model, "model").needs()}
    for one in (build(config.strategy, "strategy") for config in configs.values()):
        needs |= one.corpus_needs
    first = next(iter(configs.values()))
    records = as_documents(documents)
    rows = prepare_judgments(judgments, records, first.task, translations, first.language).rows
    ranked = as_candidates(candidates, rows, {document.doc_id for document in records})
    judged = sorted({row.query_id for row in rows if row.relevance > 0})
    if len(judged) < 2:
        raise InputError(f"judgments: {len(judged)} queries have a relevant document; compare needs at least 2")
    own = prepare_own_documents(records, rows, (), first.task, query_ids)
    corpus = prepare_corpus(records, first, needs, seed)
    drawn = draw_folds(judged, folds, seed)
    evaluation = first.evaluation
    options: dict[str, Any] = {"resamples": evaluation.resamples, "level": evaluation.confidence_level, "seed": seed}
    scores = {
        name: {0: _cross_validated_scores(config, corpus, rows, ranked, own, drawn, seed)}
        for name, config in progress(configs.items(), "comparing", total=len(configs))
    }
    if corpus.language_model is not None:
        corpus.language_model.require_usable_answers()
    baseline = next(iter(scores.values()))
    return [
        CrossValidationResult(
            name,
            first.task.measures[0],
            bootstrap_interval(list(values[0].values()), **options),
            None if values is baseline else compare_scores(values, baseline, **options),
        )
        for name, values in scores.items()
    ]


def _cross_validated_scores(
    config: "LibraryConfig",
    corpus: "Corpus",
    rows: Sequence["JudgedDocument"],
    candidates: Mapping[str, Sequence[str]] | None,
    own_documents: Mapping[str, str],
    folds: Sequence[tuple[Sequence[str], Sequence[str]]],
    seed: int,
) -> dict[str, float]:
    """Returns the first measure of each judged query, out of fold."""
    from zero2ir.config import build
    from zero2ir.data.records import Judgment
    from zero2ir.models.capabilities import search_without
    from zero2ir.program.model_choice import index_model
    from zero2ir.program.preparation import prepare_inputs
    from zero2ir.strategies.base import needs_synthetic_queries
    from zero2ir.strategies.tuning import judged_values

    measure = config.task.measures[0]
    qrels = [Judgment(row.query_id, row.doc_id, row.relevance) for row in rows]
    text = {row.query_id: row.query for row in rows}
    values: dict[str, float] = {}
    for held_out, rest in folds:
        training_rows = [row for row in rows if row.query_id in rest]
        strategy = build(config.strategy, "strategy")
        synthetic = needs_synthetic_queries(strategy, config.lm.available)
        inputs = prepare_inputs(corpus, training_rows, config, seed, synthetic=synthetic, candidates=candidates)
        inputs = replace(inputs, own_documents=own_documents)
        retriever = strategy.fit(index_model(build(config.model, "model"), inputs).retriever, inputs).retriever
        texts, ranked = [text[query_id] for query_id in held_out], inputs.candidates_of(held_out)
        ranking = search_without(retriever, texts, config.evaluation.depth, ranked, inputs.own_of(held_out))
        values |= dict(zip(held_out, map(float, judged_values(ranking, corpus, held_out, qrels, measure)), strict=True))
    return dict(sorted(values.items()))


def _config(
    task: str, model: str, strategy: str, encoder: str, lm: str | None, language: str, settings: Sequence[str]
) -> "LibraryConfig":
    from zero2ir.config import LibraryConfig, compose

    choices = {"task": task, "model": model, "strategy": strategy, "encoder": encoder, "lm": lm or "none"}
    choices["language"] = language
    return compose("library", LibraryConfig, [*(f"{key}={value}" for key, value in choices.items()), *settings])
