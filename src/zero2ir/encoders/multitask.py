"""Multi-task encoders: a dense encoder with heads that classify texts and find answers in them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

import numpy as np
from pydantic import PositiveFloat, model_validator
from safetensors.numpy import save_file

from zero2ir.data.answers import NO_SPAN, Span
from zero2ir.encoders.base import readable
from zero2ir.encoders.batching import BATCH_LOCK
from zero2ir.encoders.dense import DenseEncoder, read_network
from zero2ir.encoders.inference import InferenceNetwork
from zero2ir.encoders.sentences import SENTENCE_END
from zero2ir.encoders.settings import EncoderSettings
from zero2ir.encoders.training import LossPoint
from zero2ir.io.arrays import Layout, read_tensors
from zero2ir.io.files import write_json
from zero2ir.io.settings import PositiveInt, Settings, read_state

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

TaskName = Literal["rank", "passages", "answer", "classify_query", "classify_document"]
TASKS: tuple[TaskName, ...] = get_args(TaskName)
CLASSIFYING: tuple[TaskName, ...] = ("classify_query", "classify_document")
HEADS_WEIGHTS_FILE = "heads.safetensors"
HEADS_DESCRIPTION_FILE = "heads.json"
QUESTION_WORDS = 64  # longer questions are truncated
MAX_ANSWER_TOKENS = 30
HEAD_BATCH_SIZE = 256  # texts whose token vectors are in memory at once


@dataclass(frozen=True)
class Heads:
    """The heads of a multi-task encoder, linear maps of its vectors.

    Attributes:
        weights: "<task>.weight" and "<task>.bias", float32: (2, width) for "answer", from a token's vector to scores of
            start and end; (n_classes, width) for "classify_query" and "classify_document", from a text's unit vector.
        labels: names of the classes.
        source: description of the origin of the classes.
        trained_tasks: tasks that the encoder was trained on.
        figures: "<task> <measure>" → value on held-out documents.
        scale: factor of unit vectors before classification.
        passage_words: maximum words per passage.
    """

    weights: Mapping[str, np.ndarray] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    source: str = ""
    trained_tasks: tuple[TaskName, ...] = ()
    figures: Mapping[str, float] = field(default_factory=dict)
    scale: float = 20.0
    passage_words: int = 40

    def about(self) -> dict[str, Any]:
        """Returns all but the weights, for JSON."""
        names = ("labels", "source", "trained_tasks", "figures", "scale", "passage_words")
        return {name: getattr(self, name) for name in names}


class HeadsState(Settings):
    """The schema of ``heads.json``: see ``Heads``."""

    labels: tuple[str, ...]
    source: str
    trained_tasks: tuple[TaskName, ...]
    figures: dict[str, float]
    scale: PositiveFloat
    passage_words: PositiveInt

    @model_validator(mode="after")
    def _with_labels(self) -> Self:
        if not self.labels and {*CLASSIFYING} & {*self.trained_tasks}:
            raise ValueError("labels: none for the tasks that classify")
        return self


class MultitaskEncoder(DenseEncoder):
    """A dense encoder with heads.

    Source: a shared body with one head per task, Liu et al., ACL 2019, arXiv 1901.11504, section 3; spans as in Devlin
    et al., NAACL 2019, arXiv 1810.04805, sections 4.2 and 4.3.
    """

    kind = "multitask"

    def __init__(
        self,
        settings: EncoderSettings,
        model: "SentenceTransformer | InferenceNetwork",
        heads: Heads,
        losses: Mapping[str, Sequence[LossPoint]] | None = None,
    ) -> None:
        super().__init__(settings, model, losses)
        self.heads = heads

    def classify(self, task: TaskName, texts: Sequence[str]) -> np.ndarray:
        """Returns the class probabilities of queries or documents, (n_texts, n_classes) float32."""
        vectors = self.encode_queries(texts) if task == "classify_query" else self.encode(texts)
        weight, bias = self.heads.weights[f"{task}.weight"], self.heads.weights[f"{task}.bias"]
        logits = self.heads.scale * vectors @ weight.T + bias
        likely = np.exp(logits - logits.max(axis=1, keepdims=True)) if len(logits) else logits
        return likely / likely.sum(axis=1, keepdims=True)

    def find_answers(self, queries: Sequence[str], candidates: Sequence[Sequence[str]]) -> list[list[Span]]:
        """Returns the best span of each candidate, one list per query; ``NO_SPAN`` for a text without words.

        Reads long texts passage by passage. A span's score is relative to "no answer in this passage", the span of the
        first token, so that scores of different texts are comparable.
        """
        asked = [
            (query, text[start:end], start)
            for query, texts in zip(queries, candidates, strict=True)
            for text in texts
            for start, end in pieces(text, self.heads.passage_words)
        ]
        found = self._spans([(query, piece) for query, piece, _ in asked])
        moved = iter(
            span._replace(start=span.start + start, end=span.end + start)
            for span, (_, _, start) in zip(found, asked, strict=True)
        )
        return [
            [
                max((next(moved) for _ in pieces(text, self.heads.passage_words)), key=lambda span: span.score)
                for text in texts
            ]
            for texts in candidates
        ]

    def _spans(self, pairs: Sequence[tuple[str, str]]) -> Iterator[Span]:
        """Yields the best span of each (question, passage)."""
        weight, bias = self.heads.weights["answer.weight"], self.heads.weights["answer.bias"]
        for first in range(0, len(pairs), HEAD_BATCH_SIZE):
            batch = pairs[first : first + HEAD_BATCH_SIZE]
            texts = [question_with_passage(self.model.tokenizer, question, passage) for question, passage in batch]
            with BATCH_LOCK:  # also for the tokenizer, whose truncation is a state
                states = self.model.encode(
                    texts, batch_size=self.settings.batch_size, output_value="token_embeddings", show_progress_bar=False
                )
                offsets = token_offsets(self.model.tokenizer, texts, self.model.max_seq_length)
            for (_, passage), text, rows, places in zip(batch, texts, states, offsets, strict=True):
                values = rows.float().cpu().numpy() @ weight.T + bias  # -> (n_tokens, 2)
                yield best_token_span(passage, places - (len(text) - len(passage)), values)

    @classmethod
    def opened(cls, settings: EncoderSettings, weights: Path | None) -> "MultitaskEncoder":
        assert weights is not None  # always saved
        encoder = cls(settings, read_network(weights), Heads())
        encoder.heads = _read_heads(weights.parent, encoder.dimension)
        return encoder

    def save(self, folder: Path) -> None:
        super().save(folder)
        save_file(dict(self.heads.weights), folder / HEADS_WEIGHTS_FILE)
        write_json(folder / HEADS_DESCRIPTION_FILE, self.heads.about())


def _read_heads(folder: Path, width: int) -> Heads:
    about = read_state(folder / HEADS_DESCRIPTION_FILE, HeadsState)
    rows = {"answer": 2, **dict.fromkeys(CLASSIFYING, len(about.labels))}
    layouts: dict[str, Layout] = {}
    for task, number in rows.items():
        mark = "" if task in about.trained_tasks else "?"
        layouts |= {f"{task}.weight{mark}": ("float32", (number, width)), f"{task}.bias{mark}": ("float32", (number,))}
    weights = read_tensors(folder / HEADS_WEIGHTS_FILE, layouts)
    return Heads(weights, **dict(about))


def question_with_passage(tokenizer: Any, question: str, passage: str) -> str:
    """Joins a question and a passage to one text, which ends with the passage."""
    words = " ".join(question.split()[:QUESTION_WORDS])
    return readable([f"{words} {tokenizer.sep_token} {passage}"])[0]


def token_offsets(tokenizer: Any, texts: Sequence[str], limit: int | None) -> list[np.ndarray]:
    """Returns the start and end of each token in its text, (n_tokens, 2) int64; equal for special tokens."""
    if not texts:
        return []
    tokens = tokenizer(list(texts), truncation=limit is not None, max_length=limit, return_offsets_mapping=True)
    return [np.array(places, dtype=np.int64).reshape(-1, 2) for places in tokens["offset_mapping"]]


def best_token_span(passage: str, places: np.ndarray, values: np.ndarray) -> Span:
    """Returns the span with the highest score, relative to that of the first token, which means "no answer".

    Args:
        passage: the passage's text.
        places: (n_tokens, 2) start and end of each token in the passage; negative for the question's tokens.
        values: (n_tokens, 2) score of each token as start and as end.
    """
    own = np.flatnonzero((places[:, 0] >= 0) & (places[:, 1] > places[:, 0]))
    if not len(own):
        return NO_SPAN
    scores = values[own, 0][:, None] + values[own, 1][None, :]
    allowed = np.triu(np.ones_like(scores, dtype=bool)) & ~np.triu(np.ones_like(scores, dtype=bool), MAX_ANSWER_TOKENS)
    first, last = np.unravel_index(np.where(allowed, scores, -np.inf).argmax(), scores.shape)
    start, end = int(places[own[first], 0]), int(places[own[last], 1])
    return Span(passage[start:end], start, end, float(scores[first, last] - values[0].sum()))


def pieces(text: str, words: int) -> list[tuple[int, int]]:
    """Splits a text into at least one passage, (start, end) in characters.

    Joins whole sentences up to ``words`` words; splits longer sentences.
    """
    found: list[tuple[int, int]] = []
    held = words  # the first sentence starts a passage
    for places in _sentences(text):
        for at in range(0, len(places), words):
            run = places[at : at + words]
            if held + len(run) <= words:
                found[-1], held = (found[-1][0], run[-1][1]), held + len(run)
            else:
                found.append((run[0][0], run[-1][1]))
                held = len(run)
    return found or [(0, len(text))]


def _sentences(text: str) -> Iterator[list[tuple[int, int]]]:
    """Yields the (start, end) of the words of each sentence."""
    breaks = [match.span() for match in SENTENCE_END.finditer(text)]
    starts, ends = [0, *(end for _, end in breaks)], [*(start for start, _ in breaks), len(text)]
    for start, end in zip(starts, ends, strict=True):
        yield [match.span() for match in re.compile(r"\S+").finditer(text, start, end)]
