"""Masked language modelling."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from zero2ir.encoders.pretext.reconstruction import Reconstruction

MASKING_SHARE = 0.15  # share of the tokens to predict
MASKED_SHARE = 0.8  # share of these that are masked
REPLACED_SHARE = 0.1  # share of these that are replaced by random tokens; the others stay


class Masking(Reconstruction):
    """Predicts masked tokens from their context, and trains the whole network.

    Source: Devlin et al., NAACL 2019, arXiv 1810.04805, section 3.1.
    """

    def columns(self, texts: Sequence[str], rng: np.random.Generator) -> Mapping[str, list[str]]:
        return {"text": list(texts)}  # the loss masks tokens, so each epoch masks other ones

    def loss(self, model: Any) -> Any:
        return _masked_token_loss(model)


def _masked_token_loss(model: Any) -> Any:
    import torch
    from transformers import BertForMaskedLM

    body = model[0].auto_model
    head = BertForMaskedLM(body.config).cls
    head.predictions.decoder.weight = body.embeddings.word_embeddings.weight  # shared by input and output

    class MaskedTokenLoss(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model
            self.head = head

        def forward(self, features: Sequence[Mapping[str, Any]], labels: Any = None) -> Any:
            (text,) = features
            tokens, shown = text["input_ids"], text["attention_mask"]
            # Held-out losses are comparable only with the same masks. In evaluation, the trainer sets the mode of the
            # network, not of the loss.
            generator = None if self.model.training else torch.Generator(tokens.device).manual_seed(0)
            draw = torch.rand(tokens.shape, generator=generator, device=tokens.device)
            fate = torch.rand(tokens.shape, generator=generator, device=tokens.device)
            other = torch.randint(len(model.tokenizer), tokens.shape, generator=generator, device=tokens.device)
            special = torch.isin(tokens, torch.tensor(model.tokenizer.all_special_ids, device=tokens.device))
            chosen = (draw < MASKING_SHARE) & ~special
            hidden = torch.where(chosen & (fate < MASKED_SHARE), model.tokenizer.mask_token_id, tokens)
            hidden = torch.where(chosen & (fate >= 1 - REPLACED_SHARE), other, hidden)
            states = body(input_ids=hidden, attention_mask=shown).last_hidden_state[chosen]  # -> (n_chosen, hidden)
            if not len(states):  # possible in a batch of few words
                return states.sum()
            return torch.nn.functional.cross_entropy(self.head(states), tokens[chosen])

    return MaskedTokenLoss()
