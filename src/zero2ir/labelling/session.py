"""One labelling session of one person: what is shown and the closing summary. Used by the terminal and the page."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from zero2ir.data.highlight import Segment, highlight
from zero2ir.data.judgments import normalised
from zero2ir.data.records import Collection, Document, JudgedDocument
from zero2ir.errors import InputError
from zero2ir.labelling.annotations import Annotation, Annotations, read_imported
from zero2ir.labelling.annotators import Agreement
from zero2ir.labelling.loop import AnnotationItem, BatchEffect, Labelling, Progress
from zero2ir.labelling.quality import DEEP, SuspiciousJudgment, find_suspicious_judgments, self_agreement
from zero2ir.models.ranking import NO_DOCUMENT
from zero2ir.program.program import PROGRAM_FILE, check_program_output

if TYPE_CHECKING:
    from zero2ir.lm.factory import LanguageModel
    from zero2ir.program.program import Program

GRADE_NAMES = {0: "not relevant", 1: "partly relevant", 2: "relevant"}
PREVIEW_DEPTH = 5  # documents of the current ranking that are shown
SNIPPET_CHARACTERS = 120  # characters shown of each of them


@dataclass(frozen=True)
class PreviewDocument:
    """A document of the current ranking; ``grade`` is None if it is not judged."""

    doc_id: str
    snippet: str
    grade: int | None


@dataclass(frozen=True)
class View:
    """Everything that the terminal or the page shows.

    Attributes:
        answer_count: number of valid answers; sent back with each answer so that no item is answered twice.
        item: the item to judge; None if there is none.
        title: title of the item's document as text segments, the query's words highlighted; so is ``text``.
        ranking: the current model's first documents for the item's query.
        share: share of the budget that is used, 0 to 1.
        effect: effect of the last batch in words; None before the first refit.
        stopped: why the labelling has stopped; None while it runs.
        agreement: self-agreement of the annotator in words; None without repeated items.
    """

    answer_count: int
    item: AnnotationItem | None
    title: Sequence[Segment] = ()
    text: Sequence[Segment] = ()
    ranking: Sequence[PreviewDocument] = ()
    progress: str = ""
    share: float = 0.0
    effect: str | None = None
    stopped: str | None = None
    agreement: str | None = None
    doubts: Sequence[SuspiciousJudgment] = ()


class Session:
    """A labelling with answers in a file, the name of its annotator, and the folder to save the program in, if any.

    Raises:
        InputError: as ``check_program_output``.
    """

    def __init__(self, labelling: Labelling, annotator: str, output: Path | None = None) -> None:
        assert isinstance(labelling.answers, Annotations)
        self.labelling = labelling
        self.annotations = labelling.answers
        self.annotator = annotator
        self.output = output
        self._saved: int | None = None  # number of answers at the last save
        if output is not None:
            check_program_output(output)

    def answer(self, grade: int | None, answer_count: int) -> None:
        """Answers the current item; None skips it.

        Raises:
            InputError: there is no item, or ``answer_count`` is out of date because of an answer from elsewhere.
        """
        self._check(answer_count)
        self.labelling.answer(grade, self.annotator)

    def undo(self, answer_count: int) -> None:
        """Undoes the last answer, if any; raises as ``answer``."""
        self._check(answer_count)
        self.labelling.undo()

    def judge_again(self, query_id: str, doc_id: str, grade: int, answer_count: int) -> None:
        """Stores a second judgment of a judged pair; raises InputError if it is not judged, or as ``answer``."""
        self._check(answer_count)
        before = [row for row in self.annotations.rows if (row.query_id, row.doc_id) == (query_id, doc_id)]
        if not before:
            raise InputError(f"document {doc_id!r} has no judgment for query {query_id!r}; judge it first")
        self.labelling.add(Annotation(query_id, before[-1].query, doc_id, grade, self.annotator, repeat=True))

    def _check(self, answer_count: int) -> None:
        if answer_count != len(self.annotations.rows):
            raise InputError("already answered elsewhere, e.g. in another window; the current item is shown now")

    def view(self) -> View:
        """Returns the current view; refits the model first if a batch is complete."""
        item, progress = self.labelling.next(), self.labelling.progress
        effect = self.labelling.effect
        view = View(
            answer_count=len(self.annotations.rows),
            item=item,
            progress=progress_text(progress),
            share=min(1.0, progress.queries / progress.budget),
            effect=None if effect is None else batch_effect_text(effect, self.labelling.inputs.tuning.measure),
            stopped=self.labelling.stopped,
            agreement=agreement_text(self_agreement(self.annotations.rows, resamples=0)),
            doubts=self.doubts(),
        )
        return view if item is None else self._with_item(view, item)

    def _with_item(self, view: View, item: AnnotationItem) -> View:
        document = self.document(item.doc_id)
        ranked = self.labelling.ranking(item.query, PREVIEW_DEPTH)
        return replace(
            view,
            title=self.highlighted(document.title, item.query),
            text=self.highlighted(document.text, item.query),
            ranking=[self._preview(item.query_id, doc_id) for doc_id in ranked],
        )

    def _preview(self, query_id: str, doc_id: str) -> PreviewDocument:
        beginning = " ".join(self.document(doc_id).content.split())[:SNIPPET_CHARACTERS]
        answers = [row.grade for row in self.annotations.rows if (row.query_id, row.doc_id) == (query_id, doc_id)]
        grades = [grade for grade in answers if grade is not None]
        return PreviewDocument(doc_id, beginning, grades[-1] if grades else None)

    def highlighted(self, text: str, query: str) -> list[Segment]:
        """Returns a text with the query's words marked."""
        return highlight(text, query, self.labelling.inputs.corpus.language)

    def document(self, doc_id: str) -> Document:
        """Returns a document by its id."""
        corpus = self.labelling.inputs.corpus
        return corpus.documents[corpus.number_of[doc_id]]

    def doubts(self) -> list[SuspiciousJudgment]:
        """Returns the suspicious judgments."""
        numbers = self.labelling.inputs.corpus.number_of
        return find_suspicious_judgments(
            [row for row in self.annotations.rows if row.doc_id in numbers], self._committee_documents()
        )

    def _committee_documents(self) -> dict[str, dict[str, list[str]]]:
        rankings, corpus = self.labelling.committee.rankings, self.labelling.inputs.corpus
        place_of = {query_id: place for place, (query_id, _) in enumerate(self.labelling.queries)}
        judged = {row.query_id for row in self.annotations.rows if row.query_id in place_of}

        def ids(numbers: np.ndarray) -> list[str]:
            return [corpus.documents[number].doc_id for number in numbers[:DEEP] if number != NO_DOCUMENT]

        return {
            query_id: {name: ids(ranking.numbers[place_of[query_id]]) for name, ranking in rankings.items()}
            for query_id in judged
        }

    def save(self) -> list[str]:
        """Trains the program on all judgments and saves it; returns a summary of the changes, in lines.

        Raises:
            InputError: there are no judgments, or no output folder.
        """
        if self.output is None:
            raise InputError("no folder to save the program in; start again with --output my-program")
        judgments = self.labelling.judgments()
        if not judgments:
            raise InputError("no judgments yet, so no program is saved")
        before = load_saved_program(self.output, self.labelling.inputs.corpus.language_model)
        program = self.labelling.program()
        lines = [
            f"{len(judgments)} judged documents of {len({row.query for row in judgments})} queries",
            f"chosen: {program.about['chosen']}, because {program.about['reason']}",
        ]
        if before is not None:
            lines += program_changes(before, program, [text for _, text in self.labelling.queries])
        program.save(self.output)
        self._saved = len(self.annotations.rows)
        return [*lines, f"saved in {self.output}; try: zero2ir search {self.output} 'your query'"]

    def closing_text(self) -> list[str]:
        """Returns the closing summary: suspicious judgments, self-agreement, where the answers are, what was saved."""
        lines = [f"suspicious judgment: “{one.query}”, {one.doc_id}: {one.reason}" for one in self.doubts()]
        if agreement := agreement_text(self_agreement(self.annotations.rows)):
            lines.append(f"agreement with yourself: {agreement}")
        if self.annotations.rows:
            how = "a larger --budget or more queries" if self.labelling.stopped else "the same command"
            lines.append(f"your answers are in {self.annotations.path}; continue with {how}")
        if self._saved == len(self.annotations.rows):
            return [*lines, f"the program in {self.output} is trained on all of them"]
        if self.labelling.judgments() and self.output is not None:
            return [*lines, *self.save()]
        return [*lines, "no program saved: " + ("no judgments" if self.output else "add --output my-program")]


def import_judgments(
    collection: Collection, imported: Path | None, labelling: Labelling
) -> Iterator[tuple[list[JudgedDocument], str]]:
    """Yields judgments made elsewhere and the name of their source: those of the folder, then those of a file.

    A query with the text of a candidate query gets the candidate's id. The file is JSON Lines (*.jsonl), or qrels whose
    queries are in the folder or among the candidates.

    Raises:
        InputError: see ``read_imported``.
    """
    texts = {query.query_id: query.text for query in collection.queries} | dict(labelling.queries)
    ids = {normalised(text): query_id for query_id, text in labelling.queries}
    judged = collection.judgments
    rows = [JudgedDocument(row.query_id, texts[row.query_id], row.doc_id, row.relevance) for row in judged]
    sources = [(rows, "qrels")]
    if imported is not None:
        sources.append((read_imported(imported, texts, labelling.inputs.corpus.number_of), imported.name))
    for rows, source in sources:
        yield [row._replace(query_id=ids.get(normalised(row.query), row.query_id)) for row in rows], source


def load_saved_program(output: Path, language_model: "LanguageModel | None" = None) -> "Program | None":
    """Loads the program in a folder, which may use this language model; returns None if there is none."""
    from zero2ir.program.program import load_program

    if not (output / PROGRAM_FILE).exists():
        return None
    if language_model is None:
        return load_program(output)
    from zero2ir.lm.consent import consent_of

    return load_program(output, [consent_of(language_model.settings) or ""])


def program_changes(before: "Program", after: "Program", queries: Sequence[str]) -> list[str]:
    """Describes, in lines, how a new program differs from the saved one on at least one query."""
    old, new = (_first_ten(program, queries) for program in (before, after))
    moved = float(np.mean([len(set(now) - set(then)) / max(1, len(now)) for then, now in zip(old, new, strict=True)]))
    first = [
        (query, then[0] if then else "nothing", now[0] if now else "nothing")
        for query, then, now in zip(queries, old, new, strict=True)
        if then[:1] != now[:1]
    ]
    lines = [
        f"since the last save: {before.about.get('labels', 0)} → {after.about.get('labels', 0)} judged documents used, "
        f"{before.about.get('chosen')} → {after.about.get('chosen')}",
        f"{moved:.1%} of the first ten documents of {len(queries)} queries are new; "
        f"{len(first)} queries have a new first document",
    ]
    return [*lines, *(f"  “{query}”: {then} → {now}" for query, then, now in first[:3])]


def _first_ten(program: "Program", queries: Sequence[str]) -> list[list[str]]:
    ranking, _ = program.search(list(queries), 10)
    return [[program.documents[number].doc_id for number in row if number != NO_DOCUMENT] for row in ranking.numbers]


def batch_effect_text(effect: BatchEffect, measure: str) -> str:
    """Describes the effect of the last batch."""
    return (
        f"the last batch changed {effect.changed_share:.0%} of the first ten documents; {measure}, expected: "
        f"{effect.before:.3f} on the queries judged before, {effect.after:.3f} on all judged queries"
    )


def progress_text(progress: Progress) -> str:
    """Describes the progress."""
    left = f"; {progress.batch} more answers until the next fit" if progress.batch else ""
    judged = f"{progress.documents} documents of {progress.queries} queries judged"
    return f"{judged}; the budget is {progress.budget} queries{left}"


def agreement_text(agreement: Agreement | None) -> str | None:
    """Describes the annotators' self-agreement; None without repeated items."""
    if agreement is None:
        return None
    kappa, low, high, n = agreement.kappa
    value = "undefined (one grade only)" if np.isnan(kappa) else f"{kappa:.2f}"
    interval = "" if np.isnan(low) else f" [{low:.2f}, {high:.2f}]"
    return f"{n} judged twice: {agreement.equal:.0%} equal, Cohen's kappa {value}{interval}"
