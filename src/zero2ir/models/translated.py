"""Query translation around any retriever, by a language model."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

import numpy as np
from pydantic import PositiveFloat

from zero2ir.data.languages import identify_language, language_of, normalise_nfc
from zero2ir.encoders.corpus import Corpus
from zero2ir.encoders.examples import Example, weighted_examples
from zero2ir.errors import InputError
from zero2ir.io.files import write_json
from zero2ir.io.settings import NonNegativeInt, PositiveInt, read_state
from zero2ir.lm.likelihood import log_likelihood
from zero2ir.models.base import Retriever
from zero2ir.models.capabilities import Tunable, learn, search_with_feedback
from zero2ir.models.hybrid import fused
from zero2ir.models.normalization import ScoreStatistics
from zero2ir.models.prompted import Prompted
from zero2ir.models.ranking import Candidates, Ranking, concatenate_rankings, search_scope
from zero2ir.models.wrapper import Wrapper

if TYPE_CHECKING:
    import dspy

    from zero2ir.lm.factory import LanguageModel

LANGUAGE_FILE = "language.json"
WeightedTranslation = tuple[str, float]  # a translation and its weight


class Translated(Tunable, Wrapper, Prompted):
    """Searches with one or several translations of the query.

    The documents' language is identified. Queries in it, and those without a usable answer, are not translated. The
    language model caches its answers, so that a query is translated once.

    Args:
        retriever: any.
        translations: number per query; the first is decoded greedily, the others are sampled. Equal ones are merged,
            and each has the weight of its likelihood, the mean over its tokens.
        temperature: of the samples.
        demonstrations: number of (query, translation) pairs in the prompt once trained; untrained there are none.
        max_tokens: maximum length of a translation.
        depth: number of documents per translation if there are several.
        alternatives: other numbers of translations to try on judgments.

    Source: for several translations Darwish and Oard, SIGIR 2003, doi:10.1145/860435.860497, who weight terms; here
    whole translations are weighted.
    """

    kind = "translated"
    order = 76
    tunable = ("translations",)
    task = "translate"
    role = "translator"
    instruction = "Translate {source} into {target}."
    demonstration: ClassVar = {"query": str, "translation": str}

    def __init__(
        self,
        retriever: Retriever,
        translations: PositiveInt = 1,
        temperature: PositiveFloat = 0.7,
        demonstrations: NonNegativeInt = 10,
        max_tokens: PositiveInt = 96,
        depth: PositiveInt = 1000,
        alternatives: Sequence[PositiveInt] = (),
    ) -> None:
        self.retriever = retriever
        self.translations = translations
        self.temperature = temperature
        self.demonstrations = demonstrations
        self.max_tokens = max_tokens
        self.depth = depth
        self.alternatives = list(alternatives)

    def needs(self) -> set[str]:
        return super().needs() | {"lm"}

    def requires_learning(self) -> bool:
        """Whether the prompt is not optimized: a small language model cannot translate without demonstrations."""
        return not self.prompt.optimized

    def index(self, corpus: Corpus) -> Self:
        self.language = corpus.language
        require_translator(corpus, self.language)
        return super().index(corpus)

    def search(self, queries: Sequence[str], k: int, candidates: Candidates | None = None) -> Ranking:
        translated = self.translate(queries)
        if self.translations == 1 or not queries:
            return self.retriever.search(best_translations(translated), k, candidates)
        n_documents = len(self.corpus.documents)
        depth, scored = search_scope(self.depth, n_documents, candidates)
        repeated = None if scored is None else [scored[row] for row, each in enumerate(translated) for _ in each]
        ranking = self.retriever.search([text for row in translated for text, _ in row], depth, repeated)
        rows = iter(range(len(ranking.numbers)))
        rankings = []
        for number, row in enumerate(translated):
            references = [ScoreStatistics.from_ranking(ranking, next(rows)) for _ in row]
            own = None if candidates is None else candidates[number]
            rankings.append(fused(references, [weight for _, weight in row], n_documents, "z-score", k, own))
        return concatenate_rankings(rankings)

    def search_with_feedback(
        self, queries: Sequence[str], documents: np.ndarray, weight: float, k: int, candidates: Candidates | None = None
    ) -> Ranking:
        """Moves the translation of the highest weight."""
        return search_with_feedback(
            self.retriever, best_translations(self.translate(queries)), documents, weight, k, candidates
        )

    def score(self, queries: Sequence[str], candidates: Sequence[Sequence[str]]) -> list[np.ndarray]:
        """Returns the weighted mean over the translations."""
        translated = self.translate(queries)
        texts = [text for row in translated for text, _ in row]
        repeated = [own for own, row in zip(candidates, translated, strict=True) for _ in row]
        scores = iter(self.retriever.score(texts, repeated))
        return [np.sum([weight * next(scores) for _, weight in row], axis=0).astype(np.float32) for row in translated]

    def translate(self, queries: Sequence[str]) -> list[list[WeightedTranslation]]:
        """Returns each query's translations by falling weight, which sum to 1; the query itself if it needs none."""
        foreign = sorted({query for query in queries if query.strip() and self._is_foreign(query)})
        translations = dict(zip(foreign, self._translations(foreign), strict=True))
        return [translations.get(query) or [(query, 1.0)] for query in queries]

    def _is_foreign(self, query: str) -> bool:
        """Whether a query is not in the documents' language; with demonstrations, between their language and that."""
        among = (self._source, self.language) if self._source else ()
        return identify_language([query], among) not in ("", self.language)

    def _translations(self, queries: Sequence[str]) -> list[list[WeightedTranslation]]:
        if not queries:
            return []
        language_model = require_translator(self.corpus, self.language)
        logprobs = self.translations > 1 and "logprobs" in language_model.lm.supported_params
        fields = TranslationFields.between(self._source, self.language, self.prompt.instruction)
        writer = translator(fields, self.prompt.demos, self.max_tokens, logprobs)
        sampled = {"temperature": max(self.temperature, language_model.settings.temperature)}
        inputs = [
            {fields.text: normalise_nfc(query)} | ({"config": {"rollout_id": number, **sampled}} if number else {})
            for query in queries
            for number in range(self.translations)
        ]
        answers = language_model.map(writer, inputs, "translating")
        each = [answers[start : start + self.translations] for start in range(0, len(answers), self.translations)]
        return [weighted_translations(answers_of_one, fields.translation) for answers_of_one in each]

    @property
    def _source(self) -> str:
        """The language of the demonstrated queries; empty without demonstrations."""
        return identify_language([row["query"] for row in self.prompt.demos]) if self.prompt.demos else ""

    def learn(self, examples: Sequence[Example], seed: int) -> Self | None:
        """Draws demonstrations unless the prompt was optimized, and trains the retriever on translated queries."""
        useful = weighted_examples(examples)
        number = 0 if self.prompt.optimized else self.demonstrations
        demos = self.draw_demonstrations(useful, number, np.random.default_rng(seed))
        learner = self.with_prompt(self.prompt._replace(demos=tuple(demos)) if demos else self.prompt)
        untranslated = [example.query for example in useful if not example.translation]
        written = dict(zip(untranslated, best_translations(learner.translate(untranslated)), strict=True))
        translated = [example._replace(query=example.translation or written[example.query]) for example in useful]
        retriever = learn(self.retriever, translated, seed)
        if retriever is None and not demos:
            return None
        learner.retriever = retriever or self.retriever
        return learner

    def draw_demonstrations(
        self, examples: Sequence[Example], number: int, rng: np.random.Generator
    ) -> list[dict[str, Any]]:
        return parallel_demonstrations(examples, number, rng)

    def save(self, folder: Path) -> None:
        super().save(folder)
        write_json(folder / LANGUAGE_FILE, self.language)

    @classmethod
    def load(cls, folder: Path, corpus: Corpus) -> Self:
        translated = super().load(folder, corpus)
        translated.language = read_state(folder / LANGUAGE_FILE, str)
        return translated


def require_translator(corpus: Corpus, language: str) -> "LanguageModel":
    """Returns the language model that translates; without one raises an InputError that names alternatives."""
    if corpus.language_model is None or not corpus.language_model.available:
        raise InputError(
            f"translating queries into {language_of(language).name} needs a language model; choose lm=gemma3 "
            "(pip install 'zero2ir[gemma3]') or an endpoint (lm=openai, ollama, vllm), or a model without one: "
            "model=surface, model=aligned, or model=dense with encoder=hub and a multilingual encoder.model"
        )
    return corpus.language_model


class TranslationFields(NamedTuple):
    """The prompt's field names of a text and its translation: the languages if both are known, as small LMs need."""

    text: str
    translation: str
    instruction: str

    @classmethod
    def between(cls, source: str, target: str, wording: str = Translated.instruction) -> "TranslationFields":
        """Returns the fields for two languages, by their ISO 639-1 codes.

        ``source`` is empty if unknown; ``wording`` has "{source}" and "{target}" for the languages' names.
        """
        into = language_of(target).name
        name = "" if source in ("", target) else language_of(source).name
        instruction = wording.replace("{source}", name or "the query").replace("{target}", into)
        if not name or not (name + into).isidentifier():
            return cls("query", "translation", instruction)
        return cls(name.lower(), into.lower(), instruction)


def translator(
    fields: TranslationFields, demos: Sequence[Mapping[str, str]], max_tokens: int, logprobs: bool
) -> "dspy.Predict":
    """Returns the DSPy program that translates.

    Demonstrations have query and translation; ``logprobs`` requests the tokens' log-probabilities.
    """
    import dspy

    signature = dspy.Signature(f"{fields.text} -> {fields.translation}", fields.instruction)
    options: dict[str, Any] = {"logprobs": True, "top_logprobs": 1} if logprobs else {}
    writer = dspy.Predict(signature, max_tokens=max_tokens, **options)
    writer.demos = [
        dspy.Example({fields.text: row["query"], fields.translation: row["translation"]}).with_inputs(fields.text)
        for row in demos
    ]
    return writer


def parallel_demonstrations(examples: Sequence[Example], number: int, rng: np.random.Generator) -> list[dict[str, str]]:
    """Draws parallel pairs from the examples, in random order."""
    pairs = {example.query: example.translation for example in examples if example.translation}
    order = rng.permutation(len(pairs))[:number]
    return [
        {"query": normalise_nfc(query), "translation": normalise_nfc(translation)}
        for query, translation in (list(pairs.items())[place] for place in order)
    ]


def weighted_translations(answers: Sequence[Any], field: str) -> list[WeightedTranslation]:
    """Returns the weighted translations of one query, empty without a usable answer.

    ``answers`` are predictions or failures; without log-probabilities all have the same weight.
    """
    likelihood: dict[str, float] = {}
    for answer in answers:
        if text := str(getattr(answer, field, "")).strip():
            value = float(np.exp(log_likelihood(answer)))
            likelihood[text] = likelihood.get(text, 0.0) + (1.0 if np.isnan(value) else value)
    total = sum(likelihood.values())
    return sorted(((text, value / total) for text, value in likelihood.items()), key=lambda pair: -pair[1])


def best_translations(translated: Sequence[Sequence[WeightedTranslation]]) -> list[str]:
    """Returns each query's translation of the highest weight."""
    return [row[0][0] for row in translated]
