"""Makes training data and encoders from the documents: synthetic queries, an encoder from scratch, embeddings."""

from pathlib import Path

from zero2ir import paths
from zero2ir.collections import read_documents, read_judgments
from zero2ir.config import PretrainConfig, needed_encoders, needs_synthetic, stage
from zero2ir.corpus import Corpus
from zero2ir.encoders import check_available, embed, save_encoded
from zero2ir.experiment import peak_memory_mb, timed
from zero2ir.files import finished_folder, write_json
from zero2ir.lm.factory import open_lm
from zero2ir.pretraining import made_as, make_encoder
from zero2ir.synthetic.card import data_card, write_card
from zero2ir.synthetic.queries import write_queries
from zero2ir.synthetic.store import write_synthetic

ENCODED = paths.CACHE / "embeddings"


def main(config: PretrainConfig) -> None:
    check_available(config.encoder)
    corpus = Corpus(read_documents(paths.COLLECTION))
    with finished_folder(paths.SYNTHETIC) as folder:
        for seed in config.seeds:
            synthetic_queries(config, corpus, seed, folder / paths.synthetic(seed).name)
    with finished_folder(paths.ENCODERS) as folder:
        for role in needed_encoders(config.models, config.encoder):
            for seed in config.seeds[:1] if role == "pretrained" else config.seeds:  # what is given has no seed
                encoder(config, corpus, role, seed, folder / paths.encoder(role, seed).name)


def synthetic_queries(config: PretrainConfig, corpus: Corpus, seed: int, folder: Path) -> None:
    """Writes one seed's synthetic queries; none where no strategy learns from them."""
    if not needs_synthetic(config.strategies):
        write_synthetic([], {"reason": "no strategy in params.yaml learns from synthetic queries"}, {}, folder)
        return
    settings = config.pretraining.synthetic
    if settings.negatives_by == "hybrid":
        role = made_as("pretrained", config.encoder)
        made = make_encoder(role, corpus, config.encoder, config.pretraining, seed)
        corpus = Corpus(corpus.documents, {"pretrained": made}, cache=ENCODED)
    with open_lm(config.lm, paths.CACHE / "lm", seed) as language_model:
        judgments = read_judgments(paths.judgments(seed))
        (rows, provenance), seconds = timed(lambda: write_queries(corpus, judgments, language_model, settings, seed))
        usage = {f"lm_{key}": value for key, value in language_model.usage.as_dict().items()}
    cost = {"synthetic_seconds": seconds, **usage}
    write_synthetic(rows, provenance, cost, folder)
    if rows:
        write_card(data_card(rows, judgments, settings, cost, seed), seed, folder)


def encoder(config: PretrainConfig, corpus: Corpus, role: str, seed: int, folder: Path) -> None:
    """Makes and writes the encoder that plays a role, with the documents that it encoded."""
    made, seconds = timed(lambda: make_encoder(role, corpus, config.encoder, config.pretraining, seed))
    rows, encoding_seconds = timed(lambda: embed(made, corpus.contents, ENCODED))
    save_encoded(made, rows, folder)
    cost = {"pretrain_seconds": seconds, "encode_seconds": encoding_seconds}
    write_json(folder / paths.COST, cost | {"pretrain_peak_memory_mb": peak_memory_mb()})


if __name__ == "__main__":
    stage(main, "pretrain_synthetic")
