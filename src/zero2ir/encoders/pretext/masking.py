"""Masked-token reconstruction: an encoder learns to tell the tokens that were hidden from it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from zero2ir.encoders.pretext.reconstruction import Reconstruction

MASKING_SHARE = 0.15  # of the tokens is to be told ...
MASKED_SHARE = 0.8  # ... of which so many are hidden, ...
REPLACED_SHARE = 0.1  # ... so many are another token, and the others stand as they are


class Masking(Reconstruction):
    """The tokens of a text that were masked, each told from those around it.

    Other than the learned sparse encoder's vocabulary head, whose body stays, this trains the whole network.

    Source: Devlin et al., NAACL 2019, arXiv 1810.04805, section 3.1.
    """

    def columns(self, texts: Sequence[str], rng: np.random.Generator) -> Mapping[str, list[str]]:
        return {"text": list(texts)}  # tokens are hidden when they are read, and so anew in each epoch

    def loss(self, model: Any) -> Any:
        return _masked_token_loss(model)


def _masked_token_loss(model: Any) -> Any:
    import torch
    from transformers import BertForMaskedLM

    body = model[0].auto_model
    whole = BertForMaskedLM(body.config)
    head = whole.cls
    head.predictions.decoder.weight = body.embeddings.word_embeddings.weight  # one table for words in and out

    class MaskedTokenLoss(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model
            self.head = head

        def forward(self, features: Sequence[Mapping[str, Any]], labels: Any = None) -> Any:
            (text,) = features
            tokens, shown = text["input_ids"], text["attention_mask"]
            # The held-out loss compares with itself only where it always hides the same.
            # The trainer tells the network alone that it is checked, not the loss.
            generator = None if self.model.training else torch.Generator(tokens.device).manual_seed(0)
            draw = torch.rand(tokens.shape, generator=generator, device=tokens.device)
            fate = torch.rand(tokens.shape, generator=generator, device=tokens.device)
            other = torch.randint(len(model.tokenizer), tokens.shape, generator=generator, device=tokens.device)
            special = torch.isin(tokens, torch.tensor(model.tokenizer.all_special_ids, device=tokens.device))
            chosen = (draw < MASKING_SHARE) & ~special
            hidden = torch.where(chosen & (fate < MASKED_SHARE), model.tokenizer.mask_token_id, tokens)
            hidden = torch.where(chosen & (fate >= 1 - REPLACED_SHARE), other, hidden)
            states = body(input_ids=hidden, attention_mask=shown).last_hidden_state[chosen]  # -> (n_chosen, hidden)
            if not len(states):  # a batch of a few words
                return states.sum()
            return torch.nn.functional.cross_entropy(self.head(states), tokens[chosen])

    return MaskedTokenLoss()
