"""Extends the judgments of the embedded collection: pools what systems rank first, and takes in what judges said of it.

    python -m benchmarks.pooling forms ../pool/results --output forms --judges 8
    python -m benchmarks.pooling take forms            # when every form has its grades; then run the pipeline again
    python -m benchmarks.pooling compare ../pool/results --earlier qrels-before.tsv   # the same runs by both judgments

The pool of a test query is the first ten documents of every run below the given folders, that of a train query the
first ten of each model of the committee. ``forms`` writes what nobody has judged yet, in an order drawn by chance and
without the systems that found it, in as many forms as there are judges; a query's documents are in one form. A tenth is
in a second form, too, and some documents that were judged before are among the others: so the agreement of judges with
each other and with the earlier ones is known. A judge writes a document's number in the form and its grade on a line of
``form-N.grades``. ``take`` prints the agreement and adds the grades of the first judge to qrels.tsv.
"""

import argparse
import csv
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.searching import indexed
from zero2ir.config import IngestConfig, compose
from zero2ir.data.checks import check_collection
from zero2ir.data.loading import load_collection
from zero2ir.data.pydocs import DATA_FOLDER
from zero2ir.data.records import Collection, Judgment
from zero2ir.evaluation.measures import ranked_lists, read_trec_run, score_run
from zero2ir.labelling.annotators import annotator_agreement

DEPTH, SEED = 10, 0
COMMITTEE = ("sparse", "dense", "static")
TWICE = 0.1  # share of the new documents that a second judge grades
EARLIER = 60  # documents of each earlier grade that are judged again
SHOWN = 900  # characters of a document
GRADES = {"0", "1", "2"}
GUIDELINE = """Grade each document by how well it answers the question of somebody who programs in Python.
2: it answers the question: the function, class, module or language topic that does what is asked.
1: related, or part of an answer: the other direction, a sibling, the enclosing module, a lower-level tool.
0: not relevant, even if it shares words or the topic area.
"""


class Pair(NamedTuple):
    """A document to judge for a query; ``repeated`` if it has or gets another grade, too."""

    query_id: str
    doc_id: str
    repeated: bool = False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    forms = commands.add_parser("forms")
    forms.add_argument("results", type=Path, nargs="+", help="folders below which there are runs of pydocs")
    forms.add_argument("--output", type=Path, required=True)
    forms.add_argument("--judges", type=int, default=8)
    commands.add_parser("take").add_argument("forms", type=Path)
    compare = commands.add_parser("compare")
    compare.add_argument("results", type=Path)
    compare.add_argument("--earlier", type=Path, required=True, help="an earlier qrels.tsv")
    given = parser.parse_args()
    if given.command == "take":
        return take_grades(given.forms)
    if given.command == "compare":
        return compare_judgments(given.results, given.earlier)
    collection, _ = check_collection(load_collection(compose("ingest", IngestConfig, ["dataset=pydocs"]).dataset))
    pool = pooled(collection, given.results)
    new = unjudged(collection, pool)
    total = sum(map(len, pool.values()))
    print(f"{total:,} documents in the pools of {len(pool)} queries, {len(new):,} of them without a grade")
    write_forms(given.output, collection, divided(collection, new, given.judges))


def pooled(collection: Collection, folders: Sequence[Path]) -> dict[str, list[str]]:
    """Returns the documents of each query's pool, by query id."""
    runs = [read_trec_run(path) for folder in folders for path in sorted(folder.rglob("run.trec.gz"))]
    pool: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for run in runs:
        for query_id, doc_ids, _ in ranked_lists(run, DEPTH):
            pool[query_id].update(dict.fromkeys(doc_ids))
    train = [query for query in collection.queries if query.split == "train"]
    for name in COMMITTEE:
        ranking = indexed(name, collection).search([query.text for query in train], DEPTH)
        for query, numbers in zip(train, ranking.numbers, strict=True):
            pool[query.query_id].update({collection.documents[number].doc_id: None for number in numbers})
    return {query_id: list(documents) for query_id, documents in sorted(pool.items())}


def unjudged(collection: Collection, pool: dict[str, list[str]]) -> list[Pair]:
    judged = {(row.query_id, row.doc_id) for row in collection.judgments}
    pairs = [Pair(query_id, doc_id) for query_id, doc_ids in pool.items() for doc_id in doc_ids]
    return [pair for pair in pairs if pair[:2] not in judged]


def divided(collection: Collection, new: Sequence[Pair], judges: int) -> list[list[Pair]]:
    """Returns what each judge grades: whole queries of about equal length, and what is judged twice."""
    rng = np.random.default_rng(SEED)
    forms: list[list[Pair]] = [[] for _ in range(judges)]
    by_query: defaultdict[str, list[Pair]] = defaultdict(list)
    for pair in new:
        by_query[pair.query_id].append(pair)
    first: dict[str, int] = {}
    for query_id in rng.permutation(sorted(by_query)):
        first[query_id] = min(range(judges), key=lambda judge: len(forms[judge]))
        forms[first[query_id]] += by_query[query_id]
    for place in sorted(rng.choice(len(new), round(TWICE * len(new)), replace=False)):
        forms[(first[new[place].query_id] + 1) % judges].append(new[place]._replace(repeated=True))
    for grade in range(3):
        rows = sorted(row for row in collection.judgments if row.relevance == grade)
        for place in sorted(rng.choice(len(rows), EARLIER, replace=False)):
            row = rows[place]
            judge = first.get(row.query_id, 0)
            forms[judge].append(Pair(row.query_id, row.doc_id, repeated=True))
    return [in_order(form, rng) for form in forms]


def in_order(form: list[Pair], rng: np.random.Generator) -> list[Pair]:
    """Returns the pairs in random order, those of one query after each other."""
    shuffled = [form[place] for place in rng.permutation(len(form))]
    order = {query_id: place for place, query_id in enumerate(dict.fromkeys(pair.query_id for pair in shuffled))}
    return sorted(shuffled, key=lambda pair: order[pair.query_id])


def write_forms(output: Path, collection: Collection, forms: Sequence[Sequence[Pair]]) -> None:
    output.mkdir(parents=True)
    questions = {query.query_id: query.text for query in collection.queries}
    texts = {document.doc_id: document for document in collection.documents}
    for number, form in enumerate(forms, 1):
        (output / f"form-{number}.json").write_text(json.dumps(form), encoding="utf-8")
        lines, last = [GUIDELINE], ""
        for line, pair in enumerate(form, 1):
            if pair.query_id != last:
                last = pair.query_id
                lines.append(f"\n=== QUESTION: {questions[last]}\n")
            document = texts[pair.doc_id]
            text = " ".join(document.text.split())
            lines.append(f"--- {line}. {document.title or document.doc_id} ({pair.doc_id})\n{text[:SHOWN]}\n")
        (output / f"form-{number}.txt").write_text("\n".join(lines), encoding="utf-8")
        print(f"form-{number}: {len(form)} documents, {len({pair.query_id for pair in form})} queries")


def take_grades(folder: Path) -> None:
    """Adds the grades to qrels.tsv, and prints how well judges agree."""
    path = DATA_FOLDER / "qrels.tsv"
    rows = read_qrels(path)
    earlier = {row[:2]: row[2] for row in rows}
    answers = [answer for form in sorted(folder.glob("form-*.json")) for answer in graded(form)]
    new = {pair[:2]: grade for pair, grade in answers if not pair.repeated}
    again = [(pair[:2], grade) for pair, grade in answers if pair.repeated]
    for name, known in (("each other", new), ("the earlier judgments", earlier)):
        pairs = [(known[pair], grade) for pair, grade in again if pair in known]
        if pairs:
            agreed = annotator_agreement(*zip(*pairs, strict=True))
            print(f"agreement with {name}: {len(pairs)} pairs, equal {agreed.equal:.3f}, kappa {agreed.kappa}")
            print("  (one, other): pairs", sorted(Counter(pairs).items()))
    order = {query_id: place for place, query_id in enumerate(dict.fromkeys(row[0] for row in rows))}
    rows += [(*pair, grade) for pair, grade in new.items()]
    rows.sort(key=lambda row: (order[row[0]], -row[2]))
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write("query_id\tdoc_id\trelevance\n")
        file.writelines(f"{query_id}\t{doc_id}\t{grade}\n" for query_id, doc_id, grade in rows)
    print(f"{len(new):,} new judgments: {sorted(Counter(new.values()).items())}")


def read_qrels(path: Path) -> list[Judgment]:
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t")
        return [Judgment(row["query_id"], row["doc_id"], int(row["relevance"])) for row in rows]


def compare_judgments(results: Path, earlier: Path) -> None:
    """Prints nDCG@10 and Judged@10 of each run by the earlier judgments and by those of now."""
    measures = "nDCG@10", "Judged@10"
    judgments = read_qrels(earlier), read_qrels(DATA_FOLDER / "qrels.tsv")
    rows = {}
    for path in results.rglob("run.trec.gz"):
        run = read_trec_run(path)
        asked = set(run.query_ids)
        rows[path.parent.name] = [
            float(np.mean([score.value for score in scores if score.measure == measure]))
            for qrels in judgments
            for scores in [score_run(run, [row for row in qrels if row.query_id in asked], measures)]
            for measure in measures
        ]
    print(f"| system | {' | '.join(f'{when}: {one}' for when in ('before', 'after') for one in measures)} |")
    print(f"|{'---|' * 5}")
    for name, figures in sorted(rows.items(), key=lambda row: -row[1][2]):
        print(f"| {name} | {' | '.join(f'{figure:.3f}' for figure in figures)} |")


def graded(form: Path) -> Iterator[tuple[Pair, int]]:
    """Yields the pairs of a form with their grades."""
    pairs = [Pair(*pair) for pair in json.loads(form.read_text(encoding="utf-8"))]
    path = form.with_suffix(".grades")
    grades = dict[int, int]()
    for place, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        number, _, grade = line.strip().partition(" ")
        if grade not in GRADES or not number.isdigit() or int(number) in grades or not 0 < int(number) <= len(pairs):
            raise SystemExit(f"{path}:{place}: {line!r}; write the number of a document, once, and a grade of 0 to 2")
        grades[int(number)] = int(grade)
    if missing := sorted(set(range(1, len(pairs) + 1)) - grades.keys()):
        raise SystemExit(f"{path}: documents {missing[:10]} have no grade")
    yield from ((pair, grades[number]) for number, pair in enumerate(pairs, 1))


if __name__ == "__main__":
    main()
