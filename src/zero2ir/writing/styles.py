"""Styles of written queries, each with its instruction and demonstrations, and the prompt of a style."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from zero2ir.data.languages import ENGLISH, language_of
from zero2ir.writing.settings import StyleName

if TYPE_CHECKING:
    import dspy

PassageQueryPairs = Sequence[tuple[str, str]]

# A small LM needs demonstrations. These are on topics that a collection is unlikely to cover.
EXCERPTS = (
    "Sourdough bread rises without baker's yeast. Wild yeasts and lactic acid bacteria live in a starter of flour and "
    "water that is fed every day. The bacteria make acids, which give the bread its taste and keep mould away for "
    "several days.",
    "Lighthouse of the Northern Cape\nThe tower was lit for the first time in 1871. Until it was automated in 1983, "
    "three keepers wound up the clockwork that turned the lens every four hours. Ships could see its beam from "
    "eighteen miles away.",
    "Tenants may end an open-ended lease at any time with three months' notice in writing. Landlords need a reason, "
    "such as unpaid rent or their own need of the flat, and the notice period grows with the years that the tenant "
    "has lived there.",
    "We followed 412 adults who walked for thirty minutes a day. After one year their systolic blood pressure was "
    "4 mmHg lower than in the control group, and those who walked in the morning slept longer. Body weight did not "
    "change.",
    "How bicycle gears work\nThe chain joins a chainring at the pedals and a sprocket at the rear wheel. A small "
    "chainring with a large sprocket makes each turn of the pedals easy, which helps uphill; the opposite is fast on "
    "flat roads.",
)


class Style(NamedTuple):
    """A style of query with its instruction for the LM."""

    instruction: str
    queries: tuple[str, ...]  # one for each of EXCERPTS; none if the judgments are the demonstrations
    max_tokens: int = 32  # maximum length of the answer


STYLES: Mapping[str, Style] = {
    "judgments": Style("Write the search query that this document answers.", ()),
    "question": Style(
        "Write a question that this document answers.",
        (
            "why does sourdough bread rise without added yeast?",
            "how was the lens of the Northern Cape lighthouse turned before 1983?",
            "how much notice do I have to give to move out of my flat?",
            "does walking every day lower blood pressure?",
            "which bicycle gear should I use to ride uphill?",
        ),
    ),
    "keywords": Style(
        "Write a few keywords that someone would type into a search engine to find this document.",
        (
            "sourdough starter wild yeast bacteria",
            "northern cape lighthouse history keepers",
            "lease termination notice period tenant landlord",
            "daily walking blood pressure trial adults",
            "bicycle chainring sprocket gear ratio",
        ),
        24,
    ),
    "claim": Style(
        "Write a claim in one sentence that this document confirms or refutes.",
        (
            "Acids made by bacteria protect sourdough bread from mould.",
            "The lighthouse of the Northern Cape has always worked without keepers.",
            "A landlord may end an open-ended lease without giving any reason.",
            "Half an hour of walking a day reduces systolic blood pressure.",
            "A large sprocket at the rear wheel makes pedalling uphill harder.",
        ),
        48,
    ),
    "title": Style(
        "Write a short title for this document.",
        (
            "What makes sourdough rise",
            "The keepers of the Northern Cape lighthouse",
            "Ending a residential lease",
            "Effects of daily walking on blood pressure and sleep",
            "Choosing bicycle gears for hills and flat roads",
        ),
    ),
    "description": Style(
        "Describe in one sentence what someone is looking for who needs this document.",
        (
            "Someone wants to know how wild yeasts and bacteria in a starter leaven and preserve bread.",
            "Someone looks for the history of a lighthouse and the work of its keepers.",
            "Someone wants to know how and when tenants and landlords can end a lease.",
            "Someone looks for studies of what regular walking does to blood pressure, sleep and weight.",
            "Someone wants an explanation of how the gears of a bicycle make riding easier or faster.",
        ),
        48,
    ),
}


class Prompt(NamedTuple):
    """The prompt of a style, shown to the LM before each document."""

    style: StyleName
    instruction: str
    demonstrations: PassageQueryPairs
    temperature: float | None = None  # None for the LM's default

    def as_dict(self) -> dict[str, Any]:
        """Returns the prompt, its temperature unless it is the LM's default, and the digest; JSON."""
        pairs = [{"document": document, "query": query} for document, query in self.demonstrations]
        sampled = {} if self.temperature is None else {"temperature": self.temperature}
        return {"instruction": self.instruction, "demonstrations": pairs, **sampled, "digest": self.digest}

    @property
    def digest(self) -> str:
        """Digest that identifies the prompt; hexadecimal, 12 characters."""
        sampled = () if self.temperature is None else (self.temperature,)
        content = repr((self.instruction, tuple(map(tuple, self.demonstrations)), *sampled))
        return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def style_prompt(style: StyleName, language: str) -> Prompt:
    """Returns the prompt of a style without judgments, for documents in a language (ISO 639-1 code).

    The demonstrations are English, and language models answer them in English. So for documents in another language
    the instruction names the language, and there are no demonstrations.
    """
    instruction, queries, _ = STYLES[style]
    if language == ENGLISH:
        return Prompt(style, instruction, list(zip(EXCERPTS, queries, strict=True)))
    return Prompt(style, f"{instruction} Write in {language_of(language).name}.", [])


def query_writer(prompt: Prompt, logprobs: bool) -> "dspy.Predict":
    """Returns the DSPy program that writes a query for a document, with the log-probabilities of the tokens or not."""
    import dspy

    signature = dspy.Signature("document -> query", prompt.instruction)
    # A query is one short sentence; without the penalty a small LM tends to repeat itself.
    logprob_options: dict[str, Any] = {"logprobs": True, "top_logprobs": 1} if logprobs else {}
    limit = STYLES[prompt.style].max_tokens
    sampled = {} if prompt.temperature is None else {"temperature": prompt.temperature}
    writer = dspy.Predict(
        signature, stop=["\n", ". "], frequency_penalty=0.5, max_tokens=limit, **sampled, **logprob_options
    )
    writer.demos = [
        dspy.Example(document=document, query=query).with_inputs("document")
        for document, query in prompt.demonstrations
    ]
    return writer
