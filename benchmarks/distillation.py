"""Measures how near one cheap encoder comes to its teacher by distillation, on the development suite.

    python -m benchmarks.distillation          # four collections; or their names

The topics of a collection are split in two halves. The teacher, the model ``hybrid``, is trained by fine_tune on ten
judged queries of the first half, with the first documents of a committee judged. The students learn its scores on the
other queries of that half, whose judgments nobody sees, and on pretext queries; the second half measures nDCG@10.
Columns: the difference with its 95 % interval over queries; the gain of the teacher over the student that the ten
judged queries let expect, which decides whether the strategy distils; and queries a second and bytes a document of
student and teacher.
"""

import argparse
from collections.abc import Iterator

import numpy as np

from benchmarks.prior import COMMITTEE, library_model, pooled
from benchmarks.suite import SEED, SuiteCollection, open_collection
from zero2ir.encoders.cached import CachedQueryEncoder
from zero2ir.evaluation.intervals import bootstrap_interval
from zero2ir.models.base import Retriever
from zero2ir.program.model_choice import Cost, measure_cost
from zero2ir.strategies.base import FitResult, TrainingInputs
from zero2ir.strategies.distil import Distil, learning_queries
from zero2ir.strategies.fine_tune import FineTune, compare

COLLECTIONS = ("med", "cacm", "lisa", "clariq-questions")
TEACHER, STUDENTS, JUDGED = "hybrid", ("static", "dense"), 10
RESAMPLES = 2000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("collections", nargs="*", default=COLLECTIONS)
    rows = [row for name in parser.parse_args().collections for row in measured(name)]
    print("\n| collection | student | before | distilled | difference | teacher | expected | queries/s | bytes |")
    print("|---|---|---|---|---|---|---|---|---|", *rows, sep="\n")


def measured(name: str) -> Iterator[str]:
    """Yields a row of the table for each student."""
    strategy = Distil(library_model(TEACHER))
    suite = open_collection(name, [library_model(one) for one in {TEACHER, *STUDENTS, *COMMITTEE}])
    inputs, test = halves(suite)
    teacher = strategy.train_teacher(inputs)
    queries, _ = learning_queries(inputs, strategy.queries)
    best = _values(suite, teacher.retriever)[test]
    cost = measure_cost(teacher.retriever, inputs)
    for one in STUDENTS:
        student = library_model(one).index(inputs.corpus)
        learned = strategy.teach(student, teacher.retriever, queries, inputs)
        assert learned is not None
        before, after = (_values(suite, model)[test] for model in (student, learned))
        gain = bootstrap_interval(after - before, resamples=RESAMPLES, level=0.95, seed=SEED)
        cells = [
            name,
            f"`{one}`",
            f"{before.mean():.3f}",
            f"{after.mean():.3f}",
            f"{gain.mean:+.3f} [{gain.ci_low:+.3f}, {gain.ci_high:+.3f}]",
            f"{best.mean():.3f}",
            f"{expected_gain(student, teacher, inputs):+.3f}",
            *_costs(measure_cost(learned, inputs), cost),
        ]
        row = f"| {' | '.join(cells)} |"
        print(row, flush=True)
        yield row


def halves(suite: SuiteCollection) -> tuple[TrainingInputs, np.ndarray]:
    """Returns the training inputs from the queries of half of the topics, and the places of all other queries."""
    every, _ = suite.draw(len(suite.texts), 0)
    test = suite.of_other_topics(every[: len(every) // 2])
    train = [place for place in range(len(suite.texts)) if place not in set(test.tolist())]
    texts = [suite.texts[place] for place in train]
    corpus = suite.corpus.with_queries(texts)
    rows = pooled(suite, {one: library_model(one).index(corpus) for one in COMMITTEE})
    for role, encoder in corpus.encoders.items():
        assert isinstance(encoder, CachedQueryEncoder)  # which knows no pretext query
        corpus.encoders[role] = encoder.encoder
    ids = [suite.query_ids[place] for place in every[:JUDGED]]
    judgments = [row for query_id in ids for row in rows[query_id]]
    return TrainingInputs(corpus, judgments, unlabelled_queries=texts, name=f"suite/{suite.name}"), test


def expected_gain(student: Retriever, teacher: FitResult, inputs: TrainingInputs) -> float:
    """Returns what the strategy expects the teacher to gain over the student."""
    return compare("teacher", student, teacher.values, FineTune().fit(student, inputs), inputs).choice.expected


def _values(suite: SuiteCollection, model: Retriever) -> np.ndarray:
    return suite.values(model.search(suite.texts, 10, suite.candidates))


def _costs(student: Cost, teacher: Cost) -> list[str]:
    speeds = [1000 / (one.milliseconds_per_query or np.nan) for one in (student, teacher)]
    return [
        f"{speeds[0]:,.0f} / {speeds[1]:,.0f}",
        f"{student.bytes_per_document:,.0f} / {teacher.bytes_per_document:,.0f}",
    ]


if __name__ == "__main__":
    main()
