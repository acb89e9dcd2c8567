"""The loss of each task; all share one network."""

from collections.abc import Mapping, Sequence
from typing import Any

from zero2ir.encoders.multitask import CLASSIFYING, Heads, TaskName
from zero2ir.encoders.multitask_training.settings import MultitaskSettings

LEARNED_PARAMETERS = r"\.(head|log_variance)\b"  # names of the parameters that are not pretrained


def task_losses(model: Any, tasks: Sequence[TaskName], classes: int, settings: MultitaskSettings) -> dict[str, Any]:
    """Returns the loss of each task over ``model``, with a new head if the task needs one."""
    return {task: _weighed(_task_loss(model, task, classes, settings), settings) for task in tasks}


def load_heads(losses: Mapping[str, Any], heads: Heads) -> None:
    """Sets the losses' heads to trained ones, in place."""
    import torch

    for task, loss in losses.items():
        if f"{task}.weight" in heads.weights:
            with torch.no_grad():
                for name, parameter in loss.task.head.named_parameters():
                    parameter.copy_(torch.from_numpy(heads.weights[f"{task}.{name}"]))


def learned_heads(losses: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the heads' weights by "<task>.weight" and "<task>.bias", float32."""
    return {
        f"{task}.{name}": parameter.detach().float().cpu().numpy().copy()
        for task, loss in losses.items()
        if hasattr(loss.task, "head")
        for name, parameter in loss.task.head.named_parameters()
    }


def _task_loss(model: Any, task: TaskName, classes: int, settings: MultitaskSettings) -> Any:
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    if task in CLASSIFYING:
        return _class_loss(model, classes, settings.scale)
    if task == "answer":
        return _span_loss(model)
    return MultipleNegativesRankingLoss(model, scale=settings.scale)


def _weighed(task: Any, settings: MultitaskSettings) -> Any:
    """Returns a loss weighted by its learned uncertainty, or by 1 if the weights are equal.

    Source: Kendall, Gal and Cipolla, CVPR 2018, arXiv 1705.07115, section 3.2, equation 10: the loss is divided by its
    variance, and half the logarithm of the variance is added.
    """
    import torch

    class Weighed(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.task = task
            if settings.weights == "uncertainty":
                self.log_variance = torch.nn.Parameter(torch.zeros(()))

        def forward(self, features: Sequence[Mapping[str, Any]], labels: Any = None) -> Any:
            loss = self.task(features, labels)
            if settings.weights == "equal":
                return loss
            return loss * torch.exp(-self.log_variance) + self.log_variance / 2

    return Weighed()


def _class_loss(model: Any, classes: int, scale: float) -> Any:
    """Cross-entropy of a linear map of the text's unit vector."""
    import torch

    class ClassLoss(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model
            self.head = torch.nn.Linear(model.get_embedding_dimension(), classes)

        def forward(self, features: Sequence[Mapping[str, Any]], labels: Any = None) -> Any:
            (text,) = features
            vectors = torch.nn.functional.normalize(self.model(text)["sentence_embedding"].float(), dim=-1)
            return torch.nn.functional.cross_entropy(self.head(scale * vectors).float(), labels)

    return ClassLoss()


def _span_loss(model: Any) -> Any:
    """Cross-entropy of an answer's first and last tokens among all tokens of question and passage.

    Source: Devlin et al., NAACL 2019, arXiv 1810.04805, section 4.2; the first token for no answer, section 4.3.
    """
    import torch

    class SpanLoss(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model
            self.head = torch.nn.Linear(model[0].get_embedding_dimension(), 2)

        def forward(self, features: Sequence[Mapping[str, Any]], labels: Any = None) -> Any:
            (pair,) = features
            shown = pair["attention_mask"].bool()
            values = self.head(self.model(pair)["token_embeddings"].float()).float()  # -> (n, n_tokens, 2)
            values = values.masked_fill(~shown[..., None], -1e4)
            start, end = (torch.nn.functional.cross_entropy(values[..., side], labels[:, side]) for side in (0, 1))
            return (start + end) / 2

    return SpanLoss()
