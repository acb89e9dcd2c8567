"""Trains a vocabulary head on an encoder's body, on the collection's documents only."""

from collections.abc import Callable, Iterator, Sequence
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from zero2ir.data.records import Document
from zero2ir.encoders.dense import DenseEncoder, bert_body
from zero2ir.encoders.devices import device
from zero2ir.encoders.pretext.tasks import DEFAULT_PAIR_TASKS, PairTasks
from zero2ir.encoders.settings import EncoderSettings
from zero2ir.encoders.sparse import (
    EXPANSION,
    MASKED_LOGIT,
    Lexicon,
    SparseEncoder,
    bert,
    importance_weights,
    last_hidden_states,
    saturated,
    term_counts,
    term_weigher,
    tokens,
)
from zero2ir.encoders.training import LossPoint, downsample_losses
from zero2ir.errors import InputError
from zero2ir.io.settings import Settings
from zero2ir.io.terminal import progress

if TYPE_CHECKING:
    from sentence_transformers import SparseEncoder as Network
    from torch import Tensor

CALIBRATION_PASSAGES = 300
FLOPS_SAMPLE_TERMS = 300  # terms to estimate FLOPS on


class HeadFit(Settings):
    """Training settings of a vocabulary head.

    Attributes:
        steps: AdamW steps, with linear warm-up over a tenth of them and linear decay; 0 skips this part.
        batch_size: tokens or pairs per step.
        learning_rate: peak learning rate.
    """

    steps: Annotated[int, Field(ge=0)]
    batch_size: Annotated[int, Field(ge=2)]
    learning_rate: Annotated[float, Field(gt=0)]


class LearnedSparseSettings(Settings):
    """Training settings of the learned sparse encoder; the defaults take about four minutes on one core.

    Attributes:
        passages: maximum number of training documents, sampled at random.
        max_tokens: maximum tokens per passage.
        masked_share: share of a passage's tokens to reconstruct. Half of them are masked; the others stay, because
            tokens are not masked in retrieval.
        activation_share: share of passages for which the calibrated head activates a term.
        reconstruction: training by token reconstruction.
        contrast: contrastive training on pretext pairs with in-batch negatives.
        scale: inverse temperature of the softmax over scores.
        flops: weight of the FLOPS regularisation.
    """

    passages: Annotated[int, Field(ge=1)] = 750
    max_tokens: Annotated[int, Field(ge=8)] = 128
    masked_share: Annotated[float, Field(gt=0, le=1)] = 0.3
    activation_share: Annotated[float, Field(gt=0, lt=1)] = 0.05
    reconstruction: HeadFit = HeadFit(steps=400, batch_size=256, learning_rate=5e-3)
    contrast: HeadFit = HeadFit(steps=200, batch_size=64, learning_rate=2e-3)
    scale: Annotated[float, Field(gt=0)] = 0.3
    flops: Annotated[float, Field(ge=0)] = 1e-3


def train_learned_sparse(
    documents: Sequence[Document],
    pretrained: DenseEncoder,
    settings: LearnedSparseSettings,
    seed: int,
    tasks: PairTasks = DEFAULT_PAIR_TASKS,
) -> SparseEncoder:
    """Trains a vocabulary head on an encoder's body by masked-token reconstruction, then on pretext pairs.

    The body is frozen, so it encodes each passage once. The head's output layer is the body's word embeddings.

    Args:
        documents: the collection, at least one.
        pretrained: a BERT.
        settings: training settings.
        seed: of the head's initial weights, the passages, the masks and the pairs.
        tasks: the pretext tasks.

    Raises:
        InputError: the encoder is not based on BERT, or a task does not apply to these documents.

    Source: Devlin et al., NAACL 2019, arXiv 1810.04805, section 3.1; Formal et al. 2021, arXiv 2109.10086, section 3.
    """
    import torch

    tasks.check(documents)
    next_document = tasks.adjacency is not None and tasks.adjacency.unit == "documents"
    if next_document and settings.passages < len(documents):
        raise InputError(
            f"pairs.adjacency: learned_sparse samples {settings.passages} documents, which are not consecutive; "
            "use unit: passages"
        )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = with_head(pretrained)
    counts = term_counts(network.tokenizer, [document.content for document in documents])
    lexicon = Lexicon.from_counts(counts)
    rng = np.random.default_rng(seed)
    sample = [documents[number] for number in np.sort(rng.permutation(len(documents))[: settings.passages])]
    passages = tokens(network, [document.content for document in sample], settings.max_tokens)
    states, labels = masked_states(network, passages, settings.masked_share, rng)
    losses: dict[str, list[LossPoint]] = {}
    if len(labels) and settings.reconstruction.steps:
        frequency, fit = np.asarray(counts.sum(axis=0)).ravel(), settings.reconstruction
        losses["reconstruction"] = train_head_reconstruction(network, states, labels, frequency, fit, rng)
    calibrate_head_bias(network, passages[:CALIBRATION_PASSAGES], lexicon.importance > 0, settings.activation_share)
    pairs = list(tasks.pairs(sample, rng))
    if len(pairs) > 1 and settings.contrast.steps:
        losses["pairs"] = train_head_contrastive(network, pairs, lexicon, settings, rng)
    origin = EncoderSettings(name=f"learned-sparse-seed{seed}", source="static")
    return SparseEncoder(origin, network.eval(), lexicon, losses)


def with_head(pretrained: DenseEncoder) -> "Network":
    """Adds a new vocabulary head and SPLADE's pooling to an encoder's body."""
    import torch
    from sentence_transformers import SparseEncoder as Network
    from sentence_transformers.base.modules import Transformer
    from sentence_transformers.sparse_encoder.modules import SpladePooling
    from transformers import BertForMaskedLM

    transformer: Any = pretrained.model[0]
    body = bert_body(pretrained, "learned_sparse")
    model = BertForMaskedLM(body.config)
    weights = {name: tensor for name, tensor in body.state_dict().items() if not name.startswith("pooler.")}
    model.bert.load_state_dict(weights)
    model.tie_weights()
    with TemporaryDirectory() as folder, torch.no_grad():
        model.save_pretrained(folder)
        transformer.tokenizer.save_pretrained(folder)
        opened = Transformer(folder, transformer_task="fill-mask", max_seq_length=transformer.max_seq_length)
    return Network(modules=[opened, SpladePooling("max")], device=device())


def masked_states(
    network: "Network", passages: Sequence[np.ndarray], share: float, rng: np.random.Generator
) -> tuple["Tensor", np.ndarray]:
    """Returns the states (n, hidden) and token ids (n,) of the tokens to reconstruct, without unknown tokens."""
    import torch

    drawn = [1 + np.flatnonzero(rng.random(max(0, len(passage) - 2)) < share) for passage in passages]
    places: list[np.ndarray] = []
    hidden = [passage.copy() for passage in passages]
    for passage, chosen in zip(hidden, drawn, strict=True):
        masked, known = rng.random(len(chosen)) < 0.5, ~np.isin(passage[chosen], network.tokenizer.all_special_ids)
        passage[chosen[masked & known]] = network.tokenizer.mask_token_id
        places.append(chosen[known])
    rows: list[Tensor] = []
    labels: list[np.ndarray] = []
    for number, states in last_hidden_states(network, hidden):
        rows.append(states[torch.from_numpy(places[number])])
        labels.append(passages[number][places[number]])
    return torch.cat(rows), np.concatenate(labels)


def train_head_reconstruction(
    network: "Network",
    states: "Tensor",
    labels: np.ndarray,
    frequency: np.ndarray,
    settings: HeadFit,
    rng: np.random.Generator,
) -> list[LossPoint]:
    """Trains the head in place to predict the token of each state among the collection's terms; returns the loss curve.

    Args:
        network: its body and word embeddings are frozen.
        states: (n, hidden).
        labels: (n,) token ids.
        frequency: (n_terms,) collection frequencies; the head's bias is initialised with their logarithm.
        settings: steps, batch size, learning rate.
        rng: samples the batches.
    """
    import torch

    head = bert(network).cls.predictions
    known = torch.from_numpy(np.flatnonzero(frequency)).to(states.device)
    target = torch.searchsorted(known, torch.from_numpy(labels).to(states.device))
    with torch.no_grad():
        head.bias.copy_(torch.from_numpy(np.log(np.maximum(frequency, 0.5) / frequency.sum())))
    table = head.decoder.weight.detach()[known]
    losses: list[float] = []
    for step in _steps(head, settings, "reconstructing tokens", losses):
        batch = torch.from_numpy(rng.integers(len(labels), size=settings.batch_size))
        logits = head.transform(states[batch]) @ table.T + head.bias[known]
        step(torch.nn.functional.cross_entropy(logits, target[batch]))
    return downsample_losses(losses)


def _steps(head: Any, settings: HeadFit, description: str, losses: list[float]) -> Iterator[Callable[["Tensor"], None]]:
    """Yields a function that takes a loss, adds it to ``losses`` and performs an optimizer step on the head."""
    import torch
    from transformers import get_linear_schedule_with_warmup

    learning = [*head.transform.parameters(), head.bias]
    optimizer = torch.optim.AdamW(learning, lr=settings.learning_rate)
    schedule = get_linear_schedule_with_warmup(optimizer, max(1, settings.steps // 10), settings.steps)

    def step(loss: "Tensor") -> None:
        gradients = torch.autograd.grad(loss, learning)
        for parameter, gradient in zip(learning, gradients, strict=True):
            parameter.grad = gradient
        optimizer.step()
        schedule.step()
        losses.append(loss.item())

    for _ in progress(range(settings.steps), description):
        yield step
    optimizer.zero_grad()


def calibrate_head_bias(network: "Network", passages: Sequence[np.ndarray], known: np.ndarray, active: float) -> None:
    """Shifts and scales the head's outputs in place, so that each term is active in the same share of passages.

    Otherwise terms that are likely everywhere, and a few documents with many active terms, would match every query.

    A term's maximum logit in a passage is shifted by its quantile over the passages and divided by the mean standard
    deviation of the terms.

    Args:
        network: its head is changed.
        passages: at least one.
        known: (n_terms,) bool, the collection's terms; others are disabled.
        active: share of the passages.
    """
    import torch

    head = bert(network).cls.predictions
    with torch.no_grad():
        greatest = torch.empty(len(passages), len(known), device=head.bias.device)  # preallocated
        for number, states in last_hidden_states(network, passages):
            torch.amax(head(states), dim=0, out=greatest[number])
        deviation = (greatest - greatest.mean(dim=0)).square().mean().sqrt().clamp(min=1e-6)
        head.bias.sub_(greatest.quantile(1 - active, dim=0))
        for part in (head.transform.LayerNorm.weight, head.transform.LayerNorm.bias, head.bias):
            part.div_(deviation)
        head.bias[torch.from_numpy(~known).to(head.bias.device)] = MASKED_LOGIT


def train_head_contrastive(
    network: "Network",
    pairs: Sequence[tuple[str, str]],
    lexicon: Lexicon,
    settings: LearnedSparseSettings,
    rng: np.random.Generator,
) -> list[LossPoint]:
    """Trains the head in place by in-batch contrast on exact plus learned term weights; returns the loss curve.

    Computes only the weights of the terms in the batch's queries, and FLOPS on a sample of terms. The body and the word
    embeddings are frozen.
    """
    import torch

    head = bert(network).cls.predictions
    texts = [text for _, text in pairs]
    states = {
        number: row.half() for number, row in last_hidden_states(network, tokens(network, texts, settings.max_tokens))
    }
    exact = saturated(term_counts(network.tokenizer, texts), lexicon.mean_length)
    queries = importance_weights(term_counts(network.tokenizer, [query for query, _ in pairs]), lexicon.importance)
    known = np.flatnonzero(lexicon.importance)
    size = min(settings.contrast.batch_size, len(pairs))
    losses: list[float] = []
    for step in _steps(head, settings.contrast, "learning term weights", losses):
        batch = rng.permutation(len(pairs))[:size]
        sample = rng.choice(known, FLOPS_SAMPLE_TERMS)
        terms = np.concatenate([np.unique(queries[batch].indices), sample])
        learned = term_weigher(network, terms)([states[number] for number in batch])  # -> (size, n_terms)
        own = torch.from_numpy(exact[batch][:, terms[:-FLOPS_SAMPLE_TERMS]].toarray()).to(learned.device)
        anchors = torch.from_numpy(queries[batch][:, terms[:-FLOPS_SAMPLE_TERMS]].toarray()).to(learned.device)
        scores = settings.scale * anchors @ (own + EXPANSION * learned[:, :-FLOPS_SAMPLE_TERMS]).T
        flops = learned[:, -FLOPS_SAMPLE_TERMS:].mean(dim=0).square().mean() * len(known)
        target = torch.arange(size, device=learned.device)
        step(torch.nn.functional.cross_entropy(scores, target) + settings.flops * flops)
    return downsample_losses(losses)
