"""One sitting of a person: what is shown, and what is said at its end. The terminal and the page stand on it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from zero2ir.data.highlight import Segment, highlight
from zero2ir.data.judgments import normalised
from zero2ir.data.records import Collection, Document, JudgedDocument
from zero2ir.errors import InputError
from zero2ir.labelling.annotations import Annotation, Annotations, read_jsonl, read_qrels
from zero2ir.labelling.annotators import Agreement
from zero2ir.labelling.loop import AnnotationItem, BatchEffect, Labelling, Progress
from zero2ir.labelling.quality import DEEP, SuspiciousJudgment, find_suspicious_judgments, self_agreement
from zero2ir.models.base import NO_DOCUMENT
from zero2ir.program.program import PROGRAM_FILE

if TYPE_CHECKING:
    from zero2ir.program.program import Program

GRADE_NAMES = {0: "not relevant", 1: "partly relevant", 2: "relevant"}
PREVIEW_DEPTH = 5  # documents that the model would rank now are shown
SNIPPET_CHARACTERS = 120  # characters of each
QRELS, QUERIES, JSONL = "qrels.trec", "queries.jsonl", "judgments.jsonl"


@dataclass(frozen=True)
class PreviewDocument:
    """A document that the model would rank now; ``grade`` is what stands for it, None where it is not judged."""

    doc_id: str
    snippet: str
    grade: int | None


@dataclass(frozen=True)
class View:
    """All that a surface shows.

    Attributes:
        answer_count: how many answers stand; whoever answers says so, that no answer is given twice.
        item: what is asked; None where nothing is.
        query: of the item, as pieces of text; so ``title`` and ``text`` of its document, with the query's words marked.
        ranking: what the model would rank now for the query.
        progress: in words, and ``share`` of the budget, 0 to 1.
        effect: what the last answers changed, in words; None before the first refit.
        stopped: why nothing is asked any more.
        agreement: of the annotator with himself, in words; None where nothing was asked twice.
        doubts: judgments that deserve a second look.
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
    """A labelling, and who sits before it.

    Args:
        labelling: what to judge; its answers stand in a file.
        annotator: who judges.
        output: where the searcher is saved; None for nowhere.

    Raises:
        InputError: ``output`` exists and is no searcher: it would be replaced.
    """

    def __init__(self, labelling: Labelling, annotator: str, output: Path | None = None) -> None:
        assert isinstance(labelling.answers, Annotations)
        self.labelling = labelling
        self.annotations = labelling.answers
        self.annotator = annotator
        self.output = output
        self._saved: int | None = None  # how many answers stood then
        check_output(output)

    def answer(self, grade: int | None, answer_count: int) -> None:
        """Answers what is asked; None skips it.

        Raises:
            InputError: nothing is asked, or ``answer_count`` is not how many answers stand: it was answered elsewhere
                meanwhile.
        """
        self._check(answer_count)
        self.labelling.answer(grade, self.annotator)

    def undo(self, answer_count: int) -> None:
        """Takes the last answer back; where there is none, nothing happens.

        Raises:
            InputError: as ``answer``.
        """
        self._check(answer_count)
        self.labelling.undo()

    def judge_again(self, query_id: str, doc_id: str, grade: int, answer_count: int) -> None:
        """Keeps a second judgment of a pair that is judged.

        Raises:
            InputError: the pair is not judged; or as ``answer``.
        """
        self._check(answer_count)
        before = [row for row in self.annotations.rows if (row.query_id, row.doc_id) == (query_id, doc_id)]
        if not before:
            raise InputError(f"document {doc_id!r} is not judged for query {query_id!r}; judge it first")
        self.labelling.add(Annotation(query_id, before[-1].query, doc_id, grade, self.annotator, repeat=True))

    def _check(self, answer_count: int) -> None:
        if answer_count != len(self.annotations.rows):
            raise InputError("answered elsewhere meanwhile, e.g. in another window; this is what is asked now")

    def view(self) -> View:
        """What is to be shown now; where answers ask for it, the model is fitted first."""
        item, progress = self.labelling.next(), self.labelling.progress
        effect = self.labelling.effect
        shown = View(
            answer_count=len(self.annotations.rows),
            item=item,
            progress=progress_text(progress),
            share=min(1.0, progress.queries / progress.budget),
            effect=None if effect is None else batch_effect_text(effect, self.labelling.inputs.tuning.measure),
            stopped=self.labelling.stopped,
            agreement=agreement_text(self_agreement(self.annotations.rows, resamples=0)),
            doubts=self.doubts(),
        )
        return shown if item is None else self._with_item(shown, item)

    def _with_item(self, view: View, item: AnnotationItem) -> View:
        document = self.document(item.doc_id)
        ranked = self.labelling.ranking(item.query, PREVIEW_DEPTH)
        return replace(
            view,
            title=highlight(document.title, item.query),
            text=highlight(document.text, item.query),
            ranking=[self._found(item.query_id, doc_id) for doc_id in ranked],
        )

    def _found(self, query_id: str, doc_id: str) -> PreviewDocument:
        beginning = " ".join(self.document(doc_id).content.split())[:SNIPPET_CHARACTERS]
        grades = [row.grade for row in self.annotations.rows if (row.query_id, row.doc_id) == (query_id, doc_id)]
        known = [grade for grade in grades if grade is not None]
        return PreviewDocument(doc_id, beginning, known[-1] if known else None)

    def document(self, doc_id: str) -> Document:
        """One document, by its id."""
        corpus = self.labelling.inputs.corpus
        return corpus.documents[corpus.number_of[doc_id]]

    def doubts(self) -> list[SuspiciousJudgment]:
        """Judgments that deserve a second look."""
        known = self.labelling.inputs.corpus.number_of
        return find_suspicious_judgments(
            [row for row in self.annotations.rows if row.doc_id in known], self._found_by_models()
        )

    def _found_by_models(self) -> dict[str, dict[str, list[str]]]:
        """What each member of the committee finds for the judged queries that it knows."""
        committee, corpus = self.labelling.committee, self.labelling.inputs.corpus
        place_of = {query_id: place for place, (query_id, _) in enumerate(self.labelling.queries)}
        judged = {row.query_id for row in self.annotations.rows if row.query_id in place_of}
        return {
            query_id: {
                name: [
                    corpus.documents[number].doc_id
                    for number in ranking.numbers[place_of[query_id]][:DEEP]
                    if number != NO_DOCUMENT
                ]
                for name, ranking in committee.rankings.items()
            }
            for query_id in judged
        }

    def export(self, name: str, path: Path) -> None:
        """Writes the judgments in one of the forms ``qrels.trec``, ``queries.jsonl`` and ``judgments.jsonl``."""
        write = {
            QRELS: self.annotations.write_qrels,
            QUERIES: self.annotations.write_queries,
            JSONL: self.annotations.write_jsonl,
        }
        write[name](path)

    def export_all(self, folder: Path) -> None:
        """Writes the judgments in every form; ``zero2ir train`` reads the qrels and the queries beside documents."""
        for name in (QRELS, QUERIES, JSONL):
            self.export(name, folder / name)

    def save(self) -> list[str]:
        """Trains the searcher on all that is judged and saves it; what that changed, in lines.

        Raises:
            InputError: nothing is judged, or there is no place to save it in.
        """
        if self.output is None:
            raise InputError("no place to save the searcher in; start again with --output my-searcher")
        judgments = self.labelling.judgments()
        if not judgments:
            raise InputError("nothing is judged, so nothing is saved")
        before = load_saved_program(self.output)
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
        """What is said at the end: what was judged, what deserves a second look, and how to go on."""
        lines = [f"second look: “{one.query}”, {one.doc_id}: {one.reason}" for one in self.doubts()]
        if agreement := agreement_text(self_agreement(self.annotations.rows)):
            lines.append(f"agreement with yourself: {agreement}")
        if self.annotations.rows:
            on = (
                "the same command, with a larger --budget or more queries,"
                if self.labelling.stopped
                else "the same command"
            )
            lines.append(f"your answers stand in {self.annotations.path}; {on} goes on from there")
        if self._saved == len(self.annotations.rows):
            return [*lines, f"the searcher in {self.output} knows all of them"]
        if self.labelling.judgments() and self.output is not None:
            return [*lines, *self.save()]
        return [*lines, "no searcher saved: " + ("nothing is judged" if self.output else "add --output my-searcher")]


def import_judgments(
    collection: Collection, imported: Path | None, labelling: Labelling
) -> Iterator[tuple[list[JudgedDocument], str]]:
    """What is judged elsewhere, with the name of where: in the folder's qrels, and in a file.

    A query that has the text of a candidate gets its id.

    Args:
        collection: the folder.
        imported: JSON Lines (*.jsonl), or qrels of queries that the folder or the candidates know.
        labelling: knows the candidates.

    Raises:
        InputError: a line cannot be read, or is of an unknown query or document.
    """
    texts = {query.query_id: query.text for query in collection.queries} | dict(labelling.queries)
    ids = {normalised(text): query_id for query_id, text in labelling.queries}
    found = [
        (
            [
                JudgedDocument(row.query_id, texts[row.query_id], row.doc_id, row.relevance)
                for row in collection.judgments
            ],
            "qrels",
        )
    ]
    if imported is not None:
        found.append(
            (read_jsonl(imported) if imported.suffix == ".jsonl" else read_qrels(imported, texts), imported.name)
        )
    for rows, source in found:
        for row in rows:
            if row.doc_id not in labelling.inputs.corpus.number_of:
                raise InputError(f"{source}: no document has the id {row.doc_id!r}; correct it or remove the line")
        yield [row._replace(query_id=ids.get(normalised(row.query), row.query_id)) for row in rows], source


def check_output(output: Path | None) -> None:
    """Stops before anything that is no searcher would be replaced.

    Raises:
        InputError: there is something else under that name.
    """
    if output is not None and output.exists() and not (output / PROGRAM_FILE).is_file():
        raise InputError(f"{output}: exists, and is no searcher; give another name with --output")


def load_saved_program(output: Path) -> "Program | None":
    """The searcher that stands in a folder; None where there is none."""
    from zero2ir.program.program import load_program

    return load_program(output) if output.exists() else None


def program_changes(before: "Program", after: "Program", queries: Sequence[str]) -> list[str]:
    """What a new searcher does differently from the saved one, in lines.

    Args:
        before: the saved one.
        after: the new one.
        queries: at least one, to compare them by.
    """
    old, new = (_first_ten(program, queries) for program in (before, after))
    moved = float(np.mean([len(set(now) - set(then)) / max(1, len(now)) for then, now in zip(old, new, strict=True)]))
    first = [
        (query, then[0] if then else "nothing", now[0] if now else "nothing")
        for query, then, now in zip(queries, old, new, strict=True)
        if then[:1] != now[:1]
    ]
    lines = [
        f"since it was saved: {before.about.get('labels', 0)} → {after.about.get('labels', 0)} judged documents used, "
        f"{before.about.get('chosen')} → {after.about.get('chosen')}",
        f"of the first ten documents of {len(queries)} queries {moved:.1%} are new; "
        f"{len(first)} queries have another first document",
    ]
    return [*lines, *(f"  “{query}”: {then} → {now}" for query, then, now in first[:3])]


def _first_ten(program: "Program", queries: Sequence[str]) -> list[list[str]]:
    ranking, _ = program.search(list(queries), 10)
    return [[program.documents[number].doc_id for number in row if number != NO_DOCUMENT] for row in ranking.numbers]


def batch_effect_text(effect: BatchEffect, measure: str) -> str:
    """What the last refit changed, in words."""
    return (
        f"the last batch moved {effect.changed_share:.0%} of the first ten documents; {measure}, cross-validated: "
        f"{effect.before:.3f} on the queries judged before, {effect.after:.3f} on all that are judged now"
    )


def progress_text(progress: Progress) -> str:
    """How far it is, in words."""
    done = (
        f"{progress.documents} documents of {progress.queries} queries judged; {progress.budget} queries are the budget"
    )
    return f"{done}; {progress.batch} more answers until the model is fitted again" if progress.batch else done


def agreement_text(agreement: Agreement | None) -> str | None:
    """How well annotators agree with themselves, in words; None where nothing was judged twice."""
    if agreement is None:
        return None
    kappa, low, high, n = agreement.kappa
    stated = "undefined (one grade only)" if np.isnan(kappa) else f"{kappa:.2f}"
    interval = "" if np.isnan(low) else f" [{low:.2f}, {high:.2f}]"
    return f"{n} judged twice: {agreement.equal:.0%} equal, Cohen's kappa {stated}{interval}"
