"""Every role has an encoder, and each one that is trained here learns from the documents."""

from pathlib import Path

import numpy as np
import pytest
import torch

from zero2ir.data.records import Document
from zero2ir.encoders.adapted import AdaptedSettings, train_adapted
from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.dense import DenseEncoder
from zero2ir.encoders.loading import load_encoder
from zero2ir.encoders.making import ROLES, make_encoder, training_digest
from zero2ir.encoders.masked_language_model import LearnedSparseSettings
from zero2ir.encoders.multitask_training.settings import MultitaskSettings
from zero2ir.encoders.pretext.adjacency import Adjacency
from zero2ir.encoders.pretext.cropping import Cropping
from zero2ir.encoders.pretext.denoising import Denoising, delete_words
from zero2ir.encoders.pretext.masking import Masking
from zero2ir.encoders.pretext.reconstruction import ReconstructionFit, learn_reconstruction
from zero2ir.encoders.pretext.tasks import DEFAULT_PAIR_TASKS, PairTasks
from zero2ir.encoders.projection import ProjectionSettings
from zero2ir.encoders.scratch import ScratchSettings, random_transformer, train_scratch
from zero2ir.encoders.settings import EncoderSettings
from zero2ir.encoders.static import StaticSettings
from zero2ir.encoders.training import CheckpointSettings, FitSettings
from zero2ir.errors import InputError
from zero2ir.io import paths
from zero2ir.models.dense import Dense
from zero2ir.program.preparation import PretrainingSettings
from zero2ir.synthetic.settings import SyntheticSettings

FIT = FitSettings(epochs=1, batch_size=16, learning_rate=1e-3)
SCRATCH = ScratchSettings(
    tokenizer="collection",
    vocabulary=1500,
    layers=1,
    dimension=32,
    heads=2,
    max_tokens=64,
    fit=FitSettings(epochs=15, batch_size=16, learning_rate=3e-3),
    checkpoints=CheckpointSettings(),
)
ADAPTED = AdaptedSettings(
    reconstruction_fit=ReconstructionFit(batch_size=8),
    contrastive_fit=FIT,
    max_tokens=24,
    checkpoints=CheckpointSettings(),
)
SETTINGS = PretrainingSettings(
    synthetic=SyntheticSettings(),
    pairs=DEFAULT_PAIR_TASKS,
    static=StaticSettings(dimension=16, fit=FIT),
    scratch=SCRATCH.model_copy(update={"fit": FIT}),
    adapted=ADAPTED,
    learned_sparse=LearnedSparseSettings(passages=8, max_tokens=16),
    projection=ProjectionSettings(dimension=16),
    multitask=MultitaskSettings(steps=2, batch_size=4, max_tokens=16, layers=1),
)


def reciprocal_rank(encoder: DenseEncoder, documents: list[Document]) -> float:
    """Of each document, for its title as the query."""
    scores = encoder.encode_queries([d.title for d in documents]) @ encoder.encode([d.text for d in documents]).T
    return float((1 / (1 + (scores > scores.diagonal()[:, None]).sum(axis=1))).mean())


def test_a_transformer_from_scratch_learns_and_comes_back(docstrings: list[Document], tmp_path: Path) -> None:
    before = torch.random.get_rng_state()
    untrained = DenseEncoder(
        EncoderSettings(name="u", source="static"), random_transformer(docstrings, SCRATCH, seed=0)
    )
    assert torch.equal(torch.random.get_rng_state(), before)
    trained = train_scratch(docstrings, SCRATCH, seed=0)
    assert reciprocal_rank(trained, docstrings) > reciprocal_rank(untrained, docstrings) + 0.3
    trained.save(tmp_path)
    opened = load_encoder(tmp_path)
    texts = [document.content for document in docstrings]
    assert np.abs(opened.encode(texts) - trained.encode(texts)).max() < 1e-6
    assert opened.digest() == trained.digest()


def test_another_seed_makes_another_transformer(docstrings: list[Document]) -> None:
    one, same, other = (random_transformer(docstrings, SCRATCH, seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("role", ["static", *paths.SEED_INDEPENDENT_ROLES])
def test_an_encoder_is_trained_once_per_seed(
    role: str, docstrings: list[Document], tiny_transformer_settings: EncoderSettings
) -> None:
    corpus = Corpus(docstrings)
    one, other = (make_encoder(role, corpus, tiny_transformer_settings, SETTINGS, seed).digest() for seed in (0, 1))
    assert (one == other) == (paths.encoder(role, 0) == paths.encoder(role, 1))


@pytest.mark.parametrize("how", ["none", "masked", "denoising"])
def test_adapted_continues_from_the_given_encoder(
    how: str, docstrings: list[Document], tiny_transformer: DenseEncoder, tmp_path: Path
) -> None:
    settings = ADAPTED.model_copy(update={"reconstruction": how})
    given = tiny_transformer.settings.model_copy(update={"query_prompt": "query: "})
    adapted = train_adapted(docstrings, given, settings, seed=0)
    before, after = tiny_transformer.model.state_dict(), adapted.model.state_dict()
    assert before.keys() == after.keys()  # neither a decoder nor a head stays
    moved = [(after[name] - before[name]).abs().max().item() for name in before if "pooler" not in name]
    assert 0 < max(moved) < 0.1
    assert list(adapted.losses) == (["pairs"] if how == "none" else ["reconstruction", "pairs"])
    adapted.save(tmp_path)
    opened = load_encoder(tmp_path)
    assert isinstance(opened, DenseEncoder)
    assert opened.prompts == ("query: ", "")
    assert opened.model.max_seq_length == given.max_tokens  # what was cut in training alone
    assert opened.digest() == adapted.digest()


@pytest.mark.parametrize("task", [Masking(), Denoising()])
def test_reconstruction_loss_falls(task: Masking | Denoising, docstrings: list[Document], tmp_path: Path) -> None:
    model = random_transformer(docstrings, SCRATCH, seed=0)
    body, name = model[0], str(tmp_path)  # where the decoder finds the body's weights
    body.auto_model.save_pretrained(name)
    body.tokenizer.save_pretrained(name)
    body.auto_model.config._name_or_path = name
    fit = ReconstructionFit(epochs=8, batch_size=8, learning_rate=5e-3)
    documents = docstrings[:30]
    curve = learn_reconstruction(
        model, documents, task, fit, CheckpointSettings(number=5, held_out=0.1, patience=5), seed=0
    )
    assert curve[-1].loss < curve[0].loss - 1
    held_out = [point.held_out or 0 for point in curve]
    assert min(held_out[1:]) < held_out[0]


def test_the_decoder_sees_the_vector_and_no_later_word(tiny_transformer_settings: EncoderSettings) -> None:
    """A decoder that saw the next word would learn nothing."""
    loss = Denoising().loss(DenseEncoder(tiny_transformer_settings).model).eval()
    words = torch.tensor([[101, 2330, 1037, 5371, 102], [101, 2330, 1037, 3274, 102]])  # they part at the fourth

    def logits(vector: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return loss.decoder(
                input_ids=words,
                encoder_hidden_states=vector.expand(2, 1, 32),
                encoder_attention_mask=torch.ones(2, 1, dtype=torch.long),
                use_cache=False,
            )[0]

    one, other = logits(torch.zeros(32)), logits(torch.ones(32))
    assert torch.equal(one[0, :3], one[1, :3])
    assert not torch.equal(one[0, 3], one[1, 3])
    assert (one - other).abs().amax(dim=-1).min() > 0


def test_six_words_of_ten_are_deleted_and_one_is_left() -> None:
    rng = np.random.default_rng(0)
    text = " ".join(f"w{number}" for number in range(2000))
    left = delete_words(text, rng).split()
    assert len(left) == pytest.approx(800, abs=60)
    assert left == sorted(left, key=lambda word: int(word[1:]))  # in their order
    assert {delete_words("one two", rng) for _ in range(50)} <= {"one", "two", "one two"}
    assert delete_words("", rng) == ""


def test_masked_tokens_are_a_share_and_never_special(tiny_transformer: DenseEncoder) -> None:
    """What the body is shown, and what is asked of the head."""
    model = DenseEncoder(tiny_transformer.settings).model
    loss = Masking().loss(model)
    text = model.preprocess(["open a file " * 18] * 40)
    seen: dict[str, torch.Tensor] = {}
    model[0].auto_model.register_forward_pre_hook(lambda _, args, options: seen.update(options), with_kwargs=True)
    asked: list[int] = []
    loss.head.register_forward_hook(lambda _, args, output: asked.append(len(args[0])))
    model.train()
    loss([text])
    tokens, shown = text["input_ids"], seen["input_ids"]
    special = torch.isin(tokens, torch.tensor(model.tokenizer.all_special_ids))
    assert torch.equal(tokens[special], shown[special])
    words = int((~special).sum())
    assert asked[0] == pytest.approx(0.15 * words, rel=0.15)
    assert int((shown == model.tokenizer.mask_token_id).sum()) == pytest.approx(0.12 * words, rel=0.2)
    model.eval()  # as a trainer does, which leaves the loss itself as it is
    first, second = (loss([text]).item() for _ in range(2))
    assert first == second  # what is held out is always damaged alike


def test_an_encoder_that_cannot_reconstruct_is_refused(
    docstrings: list[Document], tiny_encoder: DenseEncoder, tmp_path: Path
) -> None:
    tiny_encoder.model.save(str(tmp_path))
    static = EncoderSettings(name="table", source="hub", model=str(tmp_path))
    with pytest.raises(InputError, match="reconstruction=masked needs an encoder based on BERT, which table is not"):
        train_adapted(docstrings, static, ADAPTED, seed=0)
    with pytest.raises(InputError, match=r"needs a general-purpose encoder; choose encoder=minilm"):
        train_adapted(docstrings, EncoderSettings(name="static", source="static"), ADAPTED, seed=0)


@pytest.mark.parametrize("role", ["static", "scratch", "adapted", "multitask"])
def test_dense_ranks_with_every_role(role: str, docstrings: list[Document], tiny_transformer: DenseEncoder) -> None:
    corpus = Corpus(docstrings)
    corpus.encoders[role] = make_encoder(role, corpus, tiny_transformer.settings, SETTINGS, seed=0)
    ranking = Dense(encoder=role).index(corpus).search(["open a file"], 5)
    assert ranking.numbers.shape == (1, 5)
    assert all(corpus.encoders[role].losses.values())


@pytest.mark.parametrize("role", ["static", "scratch", "adapted", "multitask", "learned_sparse"])
def test_a_task_that_does_not_apply_stops_every_role(
    role: str, docstrings: list[Document], tiny_transformer: DenseEncoder
) -> None:
    settings = SETTINGS.model_copy(update={"pairs": PairTasks(adjacency=Adjacency(unit="documents"))})
    with pytest.raises(InputError, match=r"^pairs\.adjacency: "):
        make_encoder(role, Corpus(docstrings), tiny_transformer.settings, settings, seed=0)


def test_learned_sparse_does_not_treat_sampled_documents_as_neighbours(
    docstrings: list[Document], tiny_transformer: DenseEncoder
) -> None:
    settings = SETTINGS.model_copy(update={"pairs": PairTasks(adjacency=Adjacency(unit="documents", ordered=True))})
    with pytest.raises(InputError, match="learned_sparse samples 8 documents, which are not consecutive"):
        make_encoder("learned_sparse", Corpus(docstrings), tiny_transformer.settings, settings, seed=0)


def test_an_unknown_role_is_refused(docstrings: list[Document], tiny_transformer: DenseEncoder) -> None:
    with pytest.raises(InputError, match=f"choose one of {', '.join(ROLES)}"):
        make_encoder("magic", Corpus(docstrings), tiny_transformer.settings, SETTINGS, seed=0)


def test_the_training_digest_depends_on_every_input(docstrings: list[Document], tiny_transformer: DenseEncoder) -> None:
    corpus, given = Corpus(docstrings), tiny_transformer.settings
    plain = training_digest("scratch", corpus, given, SETTINGS, 0)
    assert plain == training_digest("scratch", Corpus(list(docstrings)), given, SETTINGS, 0)
    deeper = SETTINGS.model_copy(update={"scratch": SCRATCH.model_copy(update={"layers": 2})})
    other_pairs = SETTINGS.model_copy(update={"pairs": PairTasks(cropping=Cropping())})
    unlike = [
        training_digest("static", corpus, given, SETTINGS, 0),
        training_digest("scratch", Corpus(docstrings[1:]), given, SETTINGS, 0),
        training_digest("scratch", corpus, given.model_copy(update={"name": "other"}), SETTINGS, 0),
        training_digest("scratch", corpus, given, deeper, 0),
        training_digest("scratch", corpus, given, other_pairs, 0),
        training_digest("scratch", corpus, given, SETTINGS, 1),
    ]
    assert len({plain, *unlike}) == 7
    projected = SETTINGS.model_copy(update={"projection": ProjectionSettings(dimension=8)})
    tokens, others = (training_digest("late_interaction", corpus, given, one, 0) for one in (SETTINGS, projected))
    assert tokens != others
    assert training_digest("late_interaction", corpus, given, other_pairs, 1) == tokens  # it trains on no pairs
    other_role = SETTINGS.model_copy(update={"static": StaticSettings(dimension=8)})
    assert training_digest("scratch", corpus, given, other_role, 0) == plain
