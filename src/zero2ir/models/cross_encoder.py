"""A cross-encoder: a network that scores a query and a text together."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, Self

import numpy as np
from pydantic import Field, PositiveFloat

from zero2ir.encoders.base import readable
from zero2ir.encoders.batching import BATCH_LOCK
from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.devices import device
from zero2ir.encoders.distillation import TaughtQuery
from zero2ir.encoders.examples import Example
from zero2ir.encoders.loading import check_vocabulary, checked_network
from zero2ir.encoders.settings import model_folder
from zero2ir.encoders.training import quiet_transformers, train_in_order
from zero2ir.errors import InputError, one_line
from zero2ir.io.settings import PositiveInt, Settings
from zero2ir.models.base import Reranker, copy_with
from zero2ir.models.capabilities import Distillable, Learnable, Updatable
from zero2ir.models.ranking import split_scores

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder as Network

WEIGHTS_FOLDER = "weights"


class CrossEncoderSettings(Settings):
    """The training budget of a cross-encoder.

    Attributes:
        loss: "lambda" (listwise, NDCGLoss2++ of LambdaLoss), "listnet" (listwise) or "ranknet" (pairwise).
        candidates: texts per query: its relevant ones, its negatives, then relevant ones of other queries.
        epochs: passes over the queries.
        batch_size: queries per step.
        learning_rate: of AdamW, with linear warm-up over a tenth of the steps and linear decay.
        max_pairs: maximum number of (query, text) pairs over all epochs.
    """

    loss: Literal["lambda", "listnet", "ranknet"] = "lambda"
    candidates: Annotated[int, Field(ge=2)] = 8
    epochs: PositiveInt = 2
    batch_size: PositiveInt = 4
    learning_rate: PositiveFloat = 1e-4
    max_pairs: Annotated[int, Field(ge=2)] = 1500


class CandidateList(NamedTuple):
    query: str
    texts: list[str]
    labels: list[float]  # relevance of the texts, or a teacher's scores


class CrossEncoder(Learnable, Distillable, Updatable, Reranker):
    """Scores (query, text) pairs by a transformer with an encoder's body and a new head.

    Untrained, it scores no candidate (NaN), so that the retriever's order stays, unless it starts from ``weights``.

    Args:
        encoder: the role of the encoder, a transformer, that provides the initial body.
        max_tokens: maximum length of query and text together, at least 8.
        fit: training settings.
        weights: local folder of a trained cross-encoder to start from, instead of the encoder.

    Source: Nogueira and Cho 2019, arXiv 1901.04085; losses as in Wang et al., CIKM 2018 (LambdaLoss), Cao et al., ICML
    2007 (ListNet), Burges et al., ICML 2005 (RankNet).
    """

    kind = "cross_encoder"
    network: "Network | None" = None

    def __init__(
        self,
        encoder: str = "pretrained",
        max_tokens: Annotated[int, Field(ge=8)] = 192,
        fit: CrossEncoderSettings | Mapping[str, Any] | None = None,
        weights: str | None = None,
    ) -> None:
        self.encoder = encoder
        self.max_tokens = max_tokens
        self.weights = weights
        self.fit = CrossEncoderSettings.model_validate(fit or {})

    def needs(self) -> set[str]:
        return {self.encoder} if self.weights is None else set()

    def index(self, corpus: Corpus) -> Self:
        self.corpus = corpus
        if self.weights is not None and self.network is None:
            self.network = local_cross_encoder(self.weights, self.max_tokens)
        return self

    def score(self, queries: Sequence[str], candidates: Sequence[Sequence[str]]) -> list[np.ndarray]:
        if self.network is None:
            return [np.full(len(texts), np.nan, dtype=np.float32) for texts in candidates]
        rows = zip(readable(queries), candidates, strict=True)
        pairs = [(query, text) for query, texts in rows for text in readable(texts)]
        if not pairs:
            return split_scores(np.zeros(0, dtype=np.float32), candidates)
        import torch

        with BATCH_LOCK:
            logits = self.network.predict(pairs, activation_fn=torch.nn.Identity(), show_progress_bar=False)
        return split_scores(np.asarray(logits, dtype=np.float32), candidates)

    def learn(self, examples: Sequence[Example], seed: int) -> Self | None:
        """Trains it to rank each query's relevant texts above hard negatives and other queries' relevant texts."""
        rows = candidate_lists(examples, self.corpus.contents, self.fit, np.random.default_rng(seed))
        if not rows:
            return None
        return copy_with(self, network=train_cross_encoder(self._new_network(seed), rows, self.fit, seed))

    def distil(self, taught: Sequence[TaughtQuery], contrast: float, seed: int) -> Self:
        """Learns a teacher's scores by ListNet, within the budget of pairs; there is no contrast."""
        rows = taught_lists(taught, self.corpus.contents, self.fit, np.random.default_rng(seed))
        listwise = self.fit.model_copy(update={"loss": "listnet"})
        return copy_with(self, network=train_cross_encoder(self._new_network(seed), rows, listwise, seed))

    def _new_network(self, seed: int) -> "Network":
        """Returns the encoder's body with a new head, or the network of the settings, to be trained.

        Raises an InputError if the encoder is no transformer.
        """
        if self.weights is not None:
            return local_cross_encoder(self.weights, self.max_tokens)
        import torch
        from sentence_transformers import CrossEncoder as Network
        from sentence_transformers.sentence_transformer.modules import Transformer

        body = self.corpus.encoder(self.encoder).model[0]
        if not isinstance(body, Transformer):
            raise InputError(
                f"the encoder {self.encoder!r} is no transformer, and a cross-encoder needs the body of one; "
                "choose encoder=minilm, or another model"
            )
        with TemporaryDirectory() as folder, torch.random.fork_rng(), quiet_transformers():  # warns of a new head
            torch.manual_seed(seed)
            body.save(folder)
            return Network(folder, num_labels=1, max_length=self.max_tokens, local_files_only=True, device=device())

    def save(self, folder: Path) -> None:
        super().save(folder)
        if self.network is not None:
            self.network.save(str(folder / WEIGHTS_FOLDER), create_model_card=False)

    @classmethod
    def load(cls, folder: Path, corpus: Corpus) -> Self:
        from sentence_transformers import CrossEncoder as Network

        reranker = super().load(folder, corpus)
        weights = folder / WEIGHTS_FOLDER
        if weights.is_dir():
            with checked_network(weights):
                network = Network(str(weights), local_files_only=True, device=device())
                table = network.model.get_input_embeddings()
                check_vocabulary(weights, network.tokenizer.get_vocab(), table.num_embeddings)
                reranker.network = network
                (scores,) = reranker.score(["word"], [["word", "word " * reranker.max_tokens]])
                if scores.shape != (2,) or not np.isfinite(scores).all():
                    raise InputError(
                        f"{weights}: the network does not give one finite score a text; create or get it again"
                    )
        return reranker


def local_cross_encoder(place: str, max_tokens: int) -> "Network":
    """Opens a trained cross-encoder in a local folder.

    Raises:
        InputError: there is no cross-encoder with one output in the folder.
    """
    from sentence_transformers import CrossEncoder as Network

    key = "the reranker's weights"
    folder = model_folder(place, key)
    if folder is None:
        raise InputError(f"{place}: no such folder; correct {key}")
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        heads = [name for name in config["architectures"] if name.endswith("ForSequenceClassification")]
        if not heads or len(config.get("id2label", range(2))) != 1:
            raise InputError(f"{folder}: holds no cross-encoder with one output; correct {key}")
        return Network(str(folder), max_length=max_tokens, local_files_only=True, device=device())
    except InputError:
        raise
    except Exception as error:  # files that are missing, truncated or of another kind raise many types
        raise InputError(f"{folder}: cannot be loaded ({one_line(error)[:200]}); correct {key}") from error


def candidate_lists(
    examples: Sequence[Example], contents: Sequence[str], settings: CrossEncoderSettings, rng: np.random.Generator
) -> list[CandidateList]:
    """Returns a list per query and epoch within the budget: relevant texts, hard negatives, random other texts.

    Examples of weight 0 are ignored; ``rng`` draws the candidates and the order of queries.
    """
    relevant: dict[str, dict[int, float]] = {}
    negatives: dict[str, set[int]] = {}
    for example in examples:
        if example.weight > 0:
            relevant.setdefault(example.query, {})[example.positive] = example.weight
            negatives.setdefault(example.query, set()).update(example.negatives)
    queries = list(relevant)
    pool = sorted({number for grades in relevant.values() for number in grades})
    rows: list[CandidateList] = []
    pairs = 0
    for _ in range(settings.epochs):
        for place in rng.permutation(len(queries)):
            query = queries[place]
            grades = relevant[query]
            chosen = _drawn(list(grades), settings.candidates // 2, rng)
            for more in (sorted(negatives[query] - set(grades)), [number for number in pool if number not in grades]):
                new = [number for number in more if number not in chosen]
                chosen += _drawn(new, settings.candidates - len(chosen), rng)
            pairs += len(chosen)
            if len(chosen) < 2 or pairs > settings.max_pairs:
                continue
            labels = [grades.get(number, 0.0) for number in chosen]
            rows.append(CandidateList(query=query, texts=[contents[number] for number in chosen], labels=labels))
    return rows


def taught_lists(
    taught: Sequence[TaughtQuery], contents: Sequence[str], settings: CrossEncoderSettings, rng: np.random.Generator
) -> list[CandidateList]:
    """Returns a teacher's lists in random order, once per epoch within the budget; at least one."""
    epochs = [taught[place] for _ in range(settings.epochs) for place in rng.permutation(len(taught))]
    kept = epochs[: max(1, settings.max_pairs // len(taught[0].documents))]
    return [CandidateList(one.query, [contents[place] for place in one.documents], list(one.logits)) for one in kept]


def _drawn(numbers: Sequence[int], most: int, rng: np.random.Generator) -> list[int]:
    return [numbers[place] for place in rng.permutation(len(numbers))[:most]]


def train_cross_encoder(
    network: "Network", rows: Sequence[CandidateList], settings: CrossEncoderSettings, seed: int
) -> "Network":
    """Trains a cross-encoder in place on the lists in their order, and returns it."""
    from sentence_transformers.cross_encoder.losses import LambdaLoss, ListNetLoss, RankNetLoss

    columns: dict[str, list[Any]] = {
        "query": readable([row.query for row in rows]),
        "texts": [readable(row.texts) for row in rows],
        "label": [row.labels for row in rows],
    }
    loss = {"lambda": LambdaLoss, "listnet": ListNetLoss, "ranknet": RankNetLoss}[settings.loss]
    train_in_order(network, loss(network, mini_batch_size=-1), columns, settings, seed)
    return network.eval()
