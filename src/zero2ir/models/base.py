"""What every model type is: a retriever, or a reranker."""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from itertools import combinations
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self, TypeVar

import numpy as np

from zero2ir.data.answers import Span
from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.examples import Example
from zero2ir.io.files import write_json

if TYPE_CHECKING:
    from zero2ir.encoders.base import TextEncoder
    from zero2ir.models.prompted import PartPrompt, Prompted

NO_DOCUMENT = -1
MODEL_STATE_FILE = "model.json"
AGREEMENT_DEPTH = 10  # documents by which rankings are held against each other
REFERENCE_SAMPLE = 256  # documents that tell what scores are usual, where not all are scored

Candidates = Sequence[np.ndarray]  # for each query the numbers of the documents that it ranks, each once, int64
TaskFunction = Callable[
    [str, Sequence[str] | None, int], dict[str, Any]
]  # of a query, texts in place of documents, and k
Value = TypeVar("Value")


class Ranking(NamedTuple):
    """The best documents of each query, best first; equal scores stand in the order of their numbers.

    Attributes:
        numbers: (n_queries, k) int64 document numbers, -1 where fewer than k documents were found.
        scores: (n_queries, k) float32, higher is better, -inf where there is no document.
        mean: (n_queries,) mean score of all documents of the collection; one that does not match at all counts as 0.
        deviation: (n_queries,) standard deviation of the same.
        agreement: (n_queries,) how far the retrievers that it was made of agree, 0 to 1; None where it was made of one.
    """

    numbers: np.ndarray
    scores: np.ndarray
    mean: np.ndarray
    deviation: np.ndarray
    agreement: np.ndarray | None = None

    def cut(self, k: int) -> "Ranking":
        """The best ``k`` alone."""
        return self._replace(numbers=self.numbers[:, :k], scores=self.scores[:, :k])

    def select_queries(self, rows: np.ndarray | slice) -> "Ranking":
        """Some queries alone."""
        agreement = None if self.agreement is None else self.agreement[rows]
        return Ranking(self.numbers[rows], self.scores[rows], self.mean[rows], self.deviation[rows], agreement)


class Initialization(NamedTuple):
    """Where learning begins, and how each parameter moves from there.

    Attributes:
        parameters: by the names of ``Model.parameters``; one that is not named starts as ever, at "change nothing".
        rates: by the same names, a scalar or of the parameter's shape: what the model's own learning rate is multiplied
            with, 1 where a parameter is not named. Where it is 0, the parameter stays.
        steps: what the model's own number of steps is multiplied with.
    """

    parameters: Mapping[str, np.ndarray] = MappingProxyType({})
    rates: Mapping[str, np.ndarray] = MappingProxyType({})
    steps: float = 1.0

    def for_part(self, part: int) -> "Initialization":
        """What concerns one part of a composite."""
        return Initialization(_of_part(self.parameters, part), _of_part(self.rates, part), self.steps)

    def rate(self, name: str) -> np.ndarray:
        """The rates of one parameter."""
        return np.asarray(self.rates.get(name, 1.0), dtype=np.float64)

    def penalty(self, penalty: float, name: str) -> np.ndarray:
        """What keeps one parameter near its start in a fit that takes no steps: the less, the higher its rates."""
        return penalty / np.maximum(self.rate(name), 1e-6)

    def count(self, steps: int) -> int:
        """How many steps instead of so many."""
        return max(1, round(steps * self.steps))


class Model(ABC):
    """What retrievers and rerankers have in common: they are indexed, score texts, learn, and are saved."""

    kind: ClassVar[str]

    def needs(self) -> set[str]:
        """What it asks the corpus for: encoders by their roles ("pretrained", "static", ...), and "lm"."""
        return set()

    @abstractmethod
    def index(self, corpus: Corpus) -> Self:
        """Takes what it needs from ``corpus``, prepares its work on it and returns itself."""

    @abstractmethod
    def score(self, queries: Sequence[str], candidates: Sequence[Sequence[str]]) -> list[np.ndarray]:
        """Scores given texts, one list of candidates a query: (n_candidates,) float32 each, higher is better."""

    def learn(self, examples: Sequence[Example], seed: int) -> Self | None:
        """An indexed copy that has learned from examples; None where there is nothing that could learn."""
        del examples, seed
        return None

    def updated(self, corpus: Corpus, kept: np.ndarray) -> Self:
        """A copy that works on other documents, and has learned what this one has.

        Args:
            corpus: the documents; the first ones are some of the present ones, in their order. It needs no encoders.
            kept: (n,) the present numbers of these first ones. What was computed of them is taken over; the documents
                after them are new, and encoded.
        """
        del kept
        return copy(self).index(corpus)

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Writes everything that it needs, without pickle; ``read_state`` tells its kind."""

    @classmethod
    @abstractmethod
    def load(cls, folder: Path, corpus: Corpus) -> Self:
        """Opens what ``save`` wrote, ready to work on the documents of ``corpus``; it needs no encoders of it."""


class Retriever(Model):
    """Ranks a whole collection for a query.

    The constructor stores its settings under their own names; ``index`` makes it ready to search. What can be tuned is
    stated by ``settings`` and ``alternatives``; how it learns, by ``learn``. A strategy needs to know no more.
    """

    def needs(self) -> set[str]:
        """As every model: all that its parts need."""
        return {need for part in self.parts() for need in part.needs()}

    def encoder_roles(self) -> list[str]:
        """The encoders among what it needs, sorted."""
        return sorted(self.needs() - {"lm"})

    def encoders(self) -> dict[str, "TextEncoder"]:
        """The encoders that it holds as they were before it learned, by role: what else can begin with them."""
        return {role: encoder for part in self.parts() for role, encoder in part.encoders().items()}

    def parts(self) -> list["Retriever"]:
        """The retrievers that it is made of; none for one that stands alone."""
        return []

    def with_parts(self, parts: Sequence["Retriever"]) -> Self:
        """An indexed copy made of other parts, in the order of ``parts``."""
        assert not parts
        return self

    @abstractmethod
    def search(self, queries: Sequence[str], k: int, candidates: Candidates | None = None) -> Ranking:
        """The best ``k`` documents of each query; fewer where fewer exist or match.

        Args:
            queries: n_queries texts.
            k: the length of the ranking, at least 1.
            candidates: what each query ranks: all of these, and nothing else; the whole collection where None. The
                score of a candidate is the one that it has in the whole collection. Only what goes by rank or range is
                of the candidates: the best, for feedback and a reranker, and fusion by reciprocal ranks or min-max.
        """

    @abstractmethod
    def search_with_feedback(
        self,
        queries: Sequence[str],
        documents: np.ndarray,
        weight: float,
        k: int,
        candidates: Candidates | None = None,
    ) -> Ranking:
        """Searches with each query moved toward some documents: pseudo-relevance feedback.

        Args:
            queries: n_queries texts.
            documents: (n_queries, m) document numbers, -1 where there are fewer.
            weight: of the documents, 0 (the query as it is) to 1 (the documents alone).
            k: the length of the ranking.
            candidates: as for ``search``.
        """

    def parameters(self) -> dict[str, np.ndarray]:
        """The present value of everything that ``learn`` moves and that it can be told to start from.

        A part's parameters have its number in front, "0.map". Nothing for a model that learns nothing, or that trains
        a whole network.
        """
        return _prefixed([part.parameters() for part in self.parts()])

    def head_mask(self) -> dict[str, np.ndarray]:
        """Which of the parameters are the few that a handful of examples can move alone: 1 there, 0 elsewhere."""
        return _prefixed([part.head_mask() for part in self.parts()])

    def with_initialization(self, start: Initialization) -> Self:
        """An indexed copy that has these parameters; its ``learn`` begins there, and keeps near to them."""
        parts = [part.with_initialization(start.for_part(number)) for number, part in enumerate(self.parts())]
        return self.with_parts(parts) if parts else self

    def gradient_cosines(self, examples: Sequence[Example], judged: Sequence[Example]) -> np.ndarray | None:
        """(n_examples, n_judged) cosines of the gradients that ``learn`` would follow at first, the mean over parts.

        None where no part can tell.
        """
        told = [found for part in self.parts() if (found := part.gradient_cosines(examples, judged)) is not None]
        return np.mean(told, axis=0) if told else None

    def prompted_parts(self) -> dict[str, "Prompted"]:
        """What in it asks a language model, by name; a part's names have its number in front, "0.reranker"."""
        return _prefixed([part.prompted_parts() for part in self.parts()])

    def with_prompts(self, prompts: Mapping[str, "PartPrompt"]) -> Self:
        """An indexed copy that asks with these prompts, by the names of ``prompted_parts``; others stay."""
        parts = [part.with_prompts(_of_part(prompts, number)) for number, part in enumerate(self.parts())]
        return self.with_parts(parts) if parts and prompts else self

    def reindexed(self, corpus: Corpus) -> Self:
        """A copy with the same settings that is indexed on other documents."""
        parts = [part.reindexed(corpus) for part in self.parts()]
        changed = self.with_parts(parts) if parts else copy(self)
        return changed.index(corpus)

    def updated(self, corpus: Corpus, kept: np.ndarray) -> Self:
        """As every model: made of updated parts, where it is made of parts."""
        parts = [part.updated(corpus, kept) for part in self.parts()]
        return self.with_parts(parts) if parts else super().updated(corpus, kept)

    def reader(self) -> "Reader | None":
        """What points to answers in the documents that it ranks; None where nothing does."""
        return next((found for part in self.parts() if (found := part.reader()) is not None), None)

    def task_functions(self) -> dict[str, TaskFunction]:
        """What it can be asked beside ranking, by name; what comes back are the fields of a prediction."""
        return {name: asked for part in self.parts() for name, asked in part.task_functions().items()}

    def notes(self) -> dict[str, str]:
        """What a report should say of it, by what it is about."""
        return {name: note for part in self.parts() for name, note in part.notes().items()}

    def requires_learning(self) -> bool:
        """Whether it is no sane default before it has learned, such as a translator that was shown no example."""
        return any(part.requires_learning() for part in self.parts())

    def settings(self) -> dict[str, Any]:
        """The present value of everything that can be tuned; JSON. Nothing, unless a model says otherwise."""
        return {}

    def with_settings(self, settings: Mapping[str, Any]) -> Self:
        """An indexed copy with other settings; what does not depend on them is shared."""
        del settings
        return self

    def alternatives(self) -> list[dict[str, Any]]:
        """Settings worth trying beside the present ones; none where nothing can be tuned."""
        return []

    def sweep(
        self, queries: Sequence[str], k: int, candidates: Candidates | None = None
    ) -> Iterator[tuple[dict[str, Any], Ranking]]:
        """Searches with the present settings first, then with each of the alternatives.

        The first are what a choice falls back to, so a costly part that can be switched off comes first switched off.
        """
        yield self.settings(), self.search(queries, k, candidates)
        for settings in self.alternatives():
            yield settings, self.with_settings(settings).search(queries, k, candidates)


class Reranker(Model):
    """Scores the candidates that a retriever found, seeing query and text together.

    Candidates come to ``score`` in the order of the retriever. A candidate that could not be scored is NaN; the one who
    asks leaves it where it stood.
    """


class Reader(Reranker):
    """Proposes an answer from each candidate; how good that is, is the candidate's score."""

    @abstractmethod
    def read(self, queries: Sequence[str], candidates: Sequence[Sequence[str]]) -> list[list[Span]]:
        """The best span of each candidate, one list of candidates a query; ``NO_SPAN`` where there is none."""

    def score(self, queries: Sequence[str], candidates: Sequence[Sequence[str]]) -> list[np.ndarray]:
        scores = [np.array([span.score for span in row], dtype=np.float32) for row in self.read(queries, candidates)]
        return [np.where(np.isfinite(row), row, np.float32(np.nan)) for row in scores]


def _prefixed(parts: Sequence[Mapping[str, Value]]) -> dict[str, Value]:
    return {f"{number}.{name}": value for number, part in enumerate(parts) for name, value in part.items()}


def _of_part(named: Mapping[str, Value], part: int) -> dict[str, Value]:
    """What ``_prefixed`` named after one part."""
    prefix = f"{part}."
    return {name.removeprefix(prefix): value for name, value in named.items() if name.startswith(prefix)}


def write_state(folder: Path, model: Model, **state: Any) -> None:
    """Writes a model's kind, a retriever's settings, and what else ``load`` needs; JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = {"settings": model.settings()} if isinstance(model, Retriever) else {}
    write_json(folder / MODEL_STATE_FILE, {"kind": model.kind, **settings, **state})


def read_state(folder: Path) -> dict[str, Any]:
    """Reads what ``write_state`` wrote."""
    return json.loads((folder / MODEL_STATE_FILE).read_text(encoding="utf-8"))


def stored_settings(state: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Those of the names that a saved state has, with what it says; one that was saved before may lack some."""
    return {name: state[name] for name in names if name in state}


def top_k(
    scores: np.ndarray, k: int, matching: np.ndarray | None = None, candidates: Candidates | None = None
) -> Ranking:
    """Cuts full score rows down to a ranking.

    Args:
        scores: (n_queries, n_documents) float, higher is better.
        k: the length of the ranking, at least 1.
        matching: (n_queries, n_documents) bool, the documents that match and may be returned; all where None.
        candidates: what is returned instead, whether it matches or not.
    """
    numbers = np.full((len(scores), k), NO_DOCUMENT, dtype=np.int64)
    kept = np.full((len(scores), k), -np.inf, dtype=np.float32)
    mean, deviation = np.zeros(len(scores)), np.zeros(len(scores))
    for row, values in enumerate(scores):
        mean[row], deviation[row] = moments(values if matching is None else np.where(matching[row], values, 0.0))
        values = values.astype(np.float32)  # as they are kept: what is equal then falls by number
        if candidates is not None:
            ranked = np.sort(candidates[row])
        else:
            ranked = np.arange(len(values)) if matching is None else np.flatnonzero(matching[row])
        if len(ranked) > k:  # everything that ties with the k-th best stays in, so that ties fall by number
            least = np.partition(values[ranked], -k)[-k]
            ranked = ranked[values[ranked] >= least]
        order = ranked[np.argsort(-values[ranked], kind="stable")][:k]
        numbers[row, : len(order)] = order
        kept[row, : len(order)] = values[order]
    return Ranking(numbers, kept, mean, deviation)


def moments(scores: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation of one query's scores, (n_documents,); exactly 0 deviation where all are equal."""
    if not len(scores) or np.ptp(scores) == 0:  # rounding would leave a deviation that is not quite 0
        return (float(scores[0]) if len(scores) else 0.0), 0.0
    return float(scores.mean(dtype=np.float64)), float(scores.std(dtype=np.float64))


def reference_sample(n_documents: int) -> np.ndarray:
    """The numbers of at most ``REFERENCE_SAMPLE`` documents, spread evenly over the collection."""
    return np.unique(np.linspace(0, n_documents - 1, REFERENCE_SAMPLE).astype(np.int64))


def with_reference_sample(candidates: Candidates, n_documents: int) -> list[np.ndarray]:
    """The candidates together with the usual documents, for a part whose scores are put on a common scale."""
    return [np.union1d(numbers, reference_sample(n_documents)) for numbers in candidates]


def max_candidates(candidates: Candidates) -> int:
    """The length of a ranking that holds all candidates of every query."""
    return max(1, *map(len, candidates), 0)


def select_candidates(candidates: Candidates | None, rows: slice) -> Candidates | None:
    """The candidates of some of the queries."""
    return None if candidates is None else candidates[rows]


def concatenate_rankings(rankings: Sequence[Ranking]) -> Ranking:
    """The rankings of several batches of queries as one."""
    known = [one.agreement for one in rankings if one.agreement is not None]
    return Ranking(
        np.concatenate([one.numbers for one in rankings]),
        np.concatenate([one.scores for one in rankings]),
        np.concatenate([one.mean for one in rankings]),
        np.concatenate([one.deviation for one in rankings]),
        np.concatenate(known) if known else None,
    )


def ranking_agreement(rankings: Sequence[Ranking]) -> np.ndarray:
    """(n_queries,) the share of the first ten documents that two rankings have in common, the mean over all pairs.

    Args:
        rankings: two or more of the same queries; of shorter ones, the share of ten all the same.
    """
    firsts = [[set(row[row != NO_DOCUMENT].tolist()) for row in one.numbers[:, :AGREEMENT_DEPTH]] for one in rankings]
    shared = [[len(a & b) / AGREEMENT_DEPTH for a, b in zip(*pair, strict=True)] for pair in combinations(firsts, 2)]
    return np.mean(shared, axis=0)


def weighted_examples(examples: Sequence[Example]) -> list[Example]:
    """The examples that teach anything: one of weight 0 is no negative of the others, either."""
    return [example for example in examples if example.weight > 0]


def distinct_texts(candidates: Sequence[Sequence[str]]) -> tuple[list[str], list[list[int]]]:
    """Each text of the candidates once, sorted; and for each query the places of its candidates among them."""
    texts = sorted({text for row in candidates for text in row})
    place = {text: number for number, text in enumerate(texts)}
    return texts, [[place[text] for text in row] for row in candidates]


def split_scores(scores: np.ndarray, candidates: Sequence[Sequence[str]]) -> list[np.ndarray]:
    """The scores of all candidates in a row, (n,), as one array a query."""
    return np.split(scores, np.cumsum([len(texts) for texts in candidates])[:-1]) if len(candidates) else []
