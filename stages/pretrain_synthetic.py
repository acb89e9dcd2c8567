"""Makes training data and encoders from the documents: synthetic queries, an encoder from scratch, embeddings."""

from pathlib import Path

from zero2ir import paths
from zero2ir.collections import read_documents, read_judgments
from zero2ir.config import PretrainConfig, needs_synthetic, stage
from zero2ir.corpus import Corpus
from zero2ir.encoders import Encoder, check_available, embed, save_encoded
from zero2ir.experiment import peak_memory_mb, timed
from zero2ir.files import finished_folder, write_json
from zero2ir.lm.factory import open_lm
from zero2ir.static import train_static
from zero2ir.synthetic.queries import write_queries
from zero2ir.synthetic.store import write_synthetic

EMBEDDINGS = paths.CACHE / "embeddings"


def main(config: PretrainConfig) -> None:
    check_available(config.encoder)
    corpus = Corpus(read_documents(paths.COLLECTION))
    with finished_folder(paths.SYNTHETIC) as folder:
        for seed in config.seeds:
            synthetic_queries(config, corpus, seed, folder / paths.synthetic(seed).name)
    with finished_folder(paths.ENCODERS) as folder:
        for seed in config.seeds:
            static_encoder(config, corpus, seed, folder / paths.static_encoder(seed).name)
        if config.encoder.source != "static":
            encoder = Encoder(config.encoder)
            vectors = embed(encoder, corpus.contents, EMBEDDINGS)
            save_encoded(encoder, vectors, folder / paths.pretrained_encoder().name)


def synthetic_queries(config: PretrainConfig, corpus: Corpus, seed: int, folder: Path) -> None:
    """Writes one seed's synthetic queries; none where no strategy learns from them."""
    if not needs_synthetic(config.strategies):
        write_synthetic([], {"reason": "no strategy in params.yaml learns from synthetic queries"}, {}, folder)
        return
    with open_lm(config.lm, paths.CACHE / "lm", seed) as language_model:
        judgments = read_judgments(paths.judgments(seed))
        (rows, provenance), seconds = timed(
            lambda: write_queries(corpus, judgments, language_model, config.pretraining.synthetic, seed)
        )
        usage = {f"lm_{key}": value for key, value in language_model.usage.as_dict().items()}
    write_synthetic(rows, provenance, {"synthetic_seconds": seconds, **usage}, folder)


def static_encoder(config: PretrainConfig, corpus: Corpus, seed: int, folder: Path) -> None:
    """Trains and writes one seed's encoder from scratch, with the documents' embeddings."""
    encoder, seconds = timed(lambda: train_static(corpus.documents, config.pretraining.static, seed))
    save_encoded(encoder, embed(encoder, corpus.contents, EMBEDDINGS), folder)
    write_json(folder / paths.COST, {"pretrain_seconds": seconds, "pretrain_peak_memory_mb": peak_memory_mb()})


if __name__ == "__main__":
    stage(main, "pretrain_synthetic")
