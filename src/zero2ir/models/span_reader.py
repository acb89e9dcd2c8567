"""A trained reader: linear maps of an encoder's token vectors score the first and last word of an answer."""

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from pydantic import PositiveFloat
from safetensors.numpy import save_file

from zero2ir.data.answer_words import parse_text
from zero2ir.data.answers import Span, token_f1
from zero2ir.data.languages import ENGLISH
from zero2ir.encoders.base import readable
from zero2ir.encoders.batching import BATCH_LOCK
from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.dense import DenseEncoder
from zero2ir.encoders.examples import Example, weighted_examples
from zero2ir.encoders.loading import checked_network, load_encoder
from zero2ir.errors import InputError
from zero2ir.io.arrays import Layout, read_tensors
from zero2ir.io.settings import NonNegativeInt, PositiveInt, Settings
from zero2ir.models.base import Reader, copy_with
from zero2ir.models.capabilities import Learnable, Updatable
from zero2ir.models.lexical_reader import LexicalReader, best_span

VECTOR_CACHE_TEXTS = 10_000  # texts whose vectors are cached
COMPONENT_SAMPLE = 200  # documents for the principal components
FOLDS = 5
HEAD_FILE = "head.safetensors"


class SpanReaderSettings(Settings):
    """Settings of a span head's training.

    Attributes:
        dimension: number of principal components of the token vectors.
        penalty: of the head's squared weights. On xquad F1 is 0.289 with 3 and 10, 0.286 with 1, 0.266 with 0.3, and
            0.283 without a head.
        negatives: number of texts without the answer per text with it.
    """

    dimension: PositiveInt = 16
    penalty: PositiveFloat = 3.0
    negatives: NonNegativeInt = 2


class SpanExample(NamedTuple):
    """The training data of one (question, text) pair: the spans of the text and of its negatives."""

    features: np.ndarray  # (n_spans, n_features)
    values: np.ndarray  # (n_spans,), the lexical reader's scores
    right: np.ndarray  # (n_spans,) bool, the spans of the highest F1 with an answer
    weight: float


class SpanReader(Learnable, Updatable, Reader):
    """Extracts the span with the best score of a trained head plus the weighted score of ``LexicalReader``.

    A word's features are the mean of its tokens' vectors (principal components), and this times the question's mean;
    the encoder stays frozen. A span's score adds linear maps of its first and last word to the weighted lexical score.
    Training takes one softmax over the spans of a text with the answer and of texts without it, so that scores of
    different texts are comparable. Weights of 0, the centre of the penalty, give the lexical reader's order.

    The lexical reader alone is used until training, and if training shows no cross-validated gain in F1 over it.

    Args:
        encoder: the role of the encoder, a transformer, that provides the token vectors.
        fit: training settings.

    Source: first and last word as in Devlin et al. 2019, arXiv 1810.04805, section 4.2; one softmax over several texts
    as in Clark and Gardner 2018, arXiv 1710.10723, section 3.2; vectors without the question as in Seo et al. 2019,
    arXiv 1906.05807.
    """

    kind = "span_reader"
    head: np.ndarray | None = None  # (n_features + 1,); the last one is the lexical reader's weight
    _words: "WordVectors | None" = None

    def __init__(self, encoder: str = "pretrained", fit: SpanReaderSettings | Mapping[str, Any] | None = None) -> None:
        self.encoder = encoder
        self.fit = SpanReaderSettings.model_validate(fit or {})

    def needs(self) -> set[str]:
        return {self.encoder}

    def index(self, corpus: Corpus) -> Self:
        self.corpus = corpus
        self.lexical = LexicalReader().index(corpus)
        self.head = self._words = None
        return self

    def with_corpus(self, corpus: Corpus, kept_numbers: np.ndarray) -> Self:
        """Keeps the head and the principal components that it was trained on."""
        return copy_with(self, corpus=corpus, lexical=LexicalReader().index(corpus))

    @property
    def words(self) -> "WordVectors":
        """The word vectors by the corpus's principal components."""
        if self._words is None:
            self._words = WordVectors.from_corpus(self.corpus, self.encoder, self.fit.dimension)
        return self._words

    def read(self, queries: Sequence[str], candidates: Sequence[Sequence[str]]) -> list[list[Span]]:
        if self.head is None:
            return self.lexical.read(queries, candidates)
        with BATCH_LOCK:  # the word vectors are cached
            self.words.prepare([*queries, *(text for texts in candidates for text in texts)])
            return [
                [best_span(text, self._values(query, text, self.head), self.corpus.language) for text in texts]
                for query, texts in zip(queries, candidates, strict=True)
            ]

    def _values(self, query: str, text: str, head: np.ndarray) -> np.ndarray:
        """Returns the score of each span, (n_spans,)."""
        first, last = head[:-1].reshape(2, -1)
        words, spans = self._features(query, text), parse_text(text, self.corpus.language).spans
        return (
            (words @ first)[spans[:, 0]] + (words @ last)[spans[:, 1] - 1] + head[-1] * self.lexical.values(query, text)
        )

    def _features(self, query: str, text: str) -> np.ndarray:
        """Returns (n_words, 2 * dimension) float32."""
        vectors, query_vectors = self.words.of_text(text), self.words.of_text(query)
        question = query_vectors.mean(axis=0) if len(query_vectors) else np.zeros(vectors.shape[1], np.float32)
        return np.hstack([vectors, vectors * question])

    def learn(self, examples: Sequence[Example], seed: int) -> Self | None:
        """Learns from the examples with answers; None if there are none, or if F1 does not gain."""
        if not (pairs := [pair for pair in weighted_examples(examples) if pair.answers]):
            return None  # the corpus of a loaded reader has no encoder
        lessons = self._lessons(pairs)
        pairs = [pair for pair, lesson in zip(pairs, lessons, strict=True) if lesson.right.any()]
        lessons = [lesson for lesson in lessons if lesson.right.any()]
        if not self._improves(pairs, lessons, seed):
            return None
        return copy_with(self, head=train_span_head(lessons, self.fit.penalty))

    def _improves(self, pairs: Sequence[Example], lessons: Sequence[SpanExample], seed: int) -> bool:
        """Whether the cross-validated F1 of the head is above the lexical reader's."""
        questions = sorted({pair.query for pair in pairs})
        if len(questions) < 2:
            return False
        folds = np.random.default_rng(seed).permutation(len(questions)) % min(FOLDS, len(questions))
        fold_of = dict(zip(questions, folds, strict=True))
        gains: list[float] = []
        for fold in sorted(set(folds)):
            rest = [lesson for pair, lesson in zip(pairs, lessons, strict=True) if fold_of[pair.query] != fold]
            learned = copy_with(self, head=train_span_head(rest, self.fit.penalty))
            held_out = [pair for pair in pairs if fold_of[pair.query] == fold]
            gains += [self._f1(learned, pair) - self._f1(self.lexical, pair) for pair in held_out]
        return float(np.mean(gains)) > 0

    def _f1(self, reader: Reader, pair: Example) -> float:
        ((span,),) = reader.read([pair.query], [[self.corpus.contents[pair.positive]]])
        return token_f1(span.text, pair.answers)

    def _lessons(self, pairs: Sequence[Example]) -> list[SpanExample]:
        contents = self.corpus.contents
        candidates = [
            [contents[number] for number in (pair.positive, *pair.negatives[: self.fit.negatives])] for pair in pairs
        ]
        self.words.prepare([*(pair.query for pair in pairs), *(text for texts in candidates for text in texts)])
        return [self._lesson(pair, texts) for pair, texts in zip(pairs, candidates, strict=True)]

    def _lesson(self, pair: Example, texts: Sequence[str]) -> SpanExample:
        features, values = [], []
        for text in texts:
            words, spans = self._features(pair.query, text), parse_text(text, self.corpus.language).spans
            features.append(np.hstack([words[spans[:, 0]], words[spans[:, 1] - 1]]))
            values.append(self.lexical.values(pair.query, text))
        right = np.zeros(sum(map(len, values)), dtype=bool)
        shared = np.array([token_f1(span, pair.answers) for span in span_texts(texts[0], self.corpus.language)])
        if len(shared) and shared.max() > 0:
            right[: len(shared)] = shared == shared.max()
        return SpanExample(np.concatenate(features), np.concatenate(values), right, pair.weight)

    def save(self, folder: Path) -> None:
        super().save(folder)
        if self.head is not None:
            save_file(
                {"head": self.head, "mean": self.words.mean, "components": self.words.components}, folder / HEAD_FILE
            )
            self.words.network.save(folder / "encoder")

    @classmethod
    def load(cls, folder: Path, corpus: Corpus) -> Self:
        reader = super().load(folder, corpus).index(corpus)
        if (folder / HEAD_FILE).is_file():
            network = load_encoder(folder / "encoder", DenseEncoder)
            with checked_network(folder / "encoder"):
                (vectors,) = _word_vectors(network, ["word"], corpus.language)
            width, dimension = vectors.shape[1], min(reader.fit.dimension, vectors.shape[1])
            layouts: dict[str, Layout] = {
                "head": ("float32", (4 * dimension + 1,)),
                "mean": ("float32", (width,)),
                "components": ("float32", (width, dimension)),
            }
            parts = read_tensors(folder / HEAD_FILE, layouts)
            reader.head = parts["head"]
            reader._words = WordVectors(network, parts["mean"], parts["components"], corpus.language)
        return reader


def span_texts(text: str, language: str = ENGLISH) -> list[str]:
    """Returns the texts of the spans of a text."""
    words = parse_text(text, language)
    return [text[words.places[first, 0] : words.places[behind - 1, 1]] for first, behind in words.spans]


class WordVectors:
    """The projected means of the token vectors of a text's words, cached by text.

    Args:
        network: provides the token vectors.
        mean: (width,) of the vectors.
        components: (width, dimension), their principal components, each divided by its deviation.
        language: of the texts.
    """

    def __init__(
        self, network: DenseEncoder, mean: np.ndarray, components: np.ndarray, language: str = ENGLISH
    ) -> None:
        self.network = network
        self.language = language
        self.mean = mean
        self.components = components
        self._kept: OrderedDict[str, np.ndarray] = OrderedDict()

    @classmethod
    def from_corpus(cls, corpus: Corpus, role: str, dimension: int) -> Self:
        """Computes the components on a sample of a corpus; an encoder without token vectors is an InputError."""
        network = corpus.encoder(role)
        if not hasattr(network, "model") or getattr(network.model[0], "auto_model", None) is None:
            raise InputError(
                f"the encoder {role!r} is no transformer, and a reader needs the token vectors of one; "
                "choose encoder=minilm, or another model"
            )
        chosen = np.linspace(0, len(corpus.contents) - 1, min(len(corpus.contents), COMPONENT_SAMPLE)).astype(int)
        raw = np.concatenate(
            list(_word_vectors(network, [corpus.contents[number] for number in chosen], corpus.language))
        )
        variances, components = np.linalg.eigh(np.cov(raw, rowvar=False).astype(np.float64))  # ascending
        kept = slice(-dimension, None)
        scaled = components[:, kept] / np.sqrt(np.maximum(variances[kept], 1e-6))
        return cls(network, raw.mean(axis=0), np.ascontiguousarray(scaled, dtype=np.float32), corpus.language)

    def prepare(self, texts: Sequence[str]) -> None:
        """Computes and caches the vectors of many texts."""
        wanted = dict.fromkeys(texts)
        new = [text for text in wanted if text not in self._kept]
        for text, rows in zip(new, _word_vectors(self.network, new, self.language), strict=True):
            self._kept[text] = ((rows - self.mean) @ self.components).astype(np.float16)
        for text in wanted:  # the oldest are dropped first
            self._kept.move_to_end(text)
        while len(self._kept) > max(VECTOR_CACHE_TEXTS, len(wanted)):
            self._kept.popitem(last=False)

    def of_text(self, text: str) -> np.ndarray:
        """Returns (n_words, dimension) float32 of a prepared text."""
        return self._kept[text].astype(np.float32)


def _word_vectors(network: DenseEncoder, texts: Sequence[str], language: str) -> Iterator[np.ndarray]:
    """Yields (n_words, width) float32 per text; a word beyond the encoder's maximum length gets the others' mean."""
    if not texts:
        return
    clean = readable(texts)
    rows = network.model.encode(
        clean, batch_size=network.settings.batch_size, output_value="token_embeddings", show_progress_bar=False
    )
    limit = network.model.max_seq_length
    tokens = network.model.tokenizer(clean, truncation=True, max_length=limit, return_offsets_mapping=True)
    for text, row, offsets in zip(clean, rows, tokens["offset_mapping"], strict=True):
        places = parse_text(text, language).places
        yield _words_of(row.float().cpu().numpy(), np.array(offsets).reshape(-1, 2), places)


def _words_of(vectors: np.ndarray, offsets: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Returns (n_words, width), the mean of the vectors of each word's tokens."""
    inside = offsets[:, 1] > offsets[:, 0]  # special tokens are empty
    word = np.searchsorted(places[:, 1], offsets[inside, 0], side="right")  # the first that ends behind the start
    starts = np.append(places[:, 0], np.iinfo(np.int64).max)
    overlaps = starts[word] < offsets[inside, 1]
    sums = np.zeros((len(places), vectors.shape[1]), dtype=np.float32)
    counts = np.zeros(len(places), dtype=np.float32)
    np.add.at(sums, word[overlaps], vectors[inside][overlaps])
    np.add.at(counts, word[overlaps], 1)
    encoded = counts > 0
    sums[encoded] /= counts[encoded, None]
    if encoded.any():
        sums[~encoded] = sums[encoded].mean(axis=0)
    return sums


def train_span_head(lessons: Sequence[SpanExample], penalty: float) -> np.ndarray:
    """Trains a span head by a softmax of each pair's right spans among all its spans.

    ``penalty`` is of the squared weights except the lexical reader's, the last of the returned (n_features + 1,)
    float32. Each lesson has a right span.
    """
    from scipy.optimize import minimize
    from scipy.special import logsumexp

    share = np.array([lesson.weight for lesson in lessons])
    share = share / share.sum()

    def loss(head: np.ndarray) -> tuple[float, np.ndarray]:
        value = penalty * float(np.square(head[:-1]).sum())
        slope = 2 * penalty * np.append(head[:-1], 0.0)
        for counts, lesson in zip(share, lessons, strict=True):
            scores = lesson.features @ head[:-1] + head[-1] * lesson.values
            total, right = logsumexp(scores), logsumexp(scores[lesson.right])
            away = np.exp(scores - total)
            away[lesson.right] -= np.exp(scores[lesson.right] - right)
            value += counts * float(total - right)
            slope += counts * np.append(away @ lesson.features, away @ lesson.values)
        return value, slope

    start = np.zeros(lessons[0].features.shape[1] + 1)
    start[-1] = 1.0
    return minimize(loss, start, jac=True, method="L-BFGS-B").x.astype(np.float32)
