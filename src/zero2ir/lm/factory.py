"""Opens the language model that the settings name and reports problems before any work starts."""

import contextvars
import hashlib
import json
import logging
import os
import time
import warnings
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any

import dspy
from dspy.clients.cache import Cache
from dspy.utils.exceptions import (
    AdapterParseError,
    ContextWindowExceededError,
    LMAuthError,
    LMBillingError,
    LMConfigurationError,
    LMError,
    is_retryable_lm_error,
)

from zero2ir.errors import DataWarning, InputError
from zero2ir.io.files import sha256
from zero2ir.io.paths import open_cache
from zero2ir.io.terminal import progress
from zero2ir.lm.adapter import CompactAdapter, unusable_reason
from zero2ir.lm.endpoint import EndpointEngine, MalformedAnswer, open_endpoint, read_key
from zero2ir.lm.limits import current_limits
from zero2ir.lm.server import embedded_server
from zero2ir.lm.settings import LMSettings
from zero2ir.lm.usage import Usage
from zero2ir.lm.weights import fit_to_weights, weights_file

SECOND_TRY_TEMPERATURE = 0.7  # greedy decoding would give the same unusable answer again
CACHE_BYTES = 10 << 30
MAX_UNUSABLE_SHARE = 0.5  # nothing is trained on answers of which more are unusable


@dataclass(frozen=True)
class LMFailure:
    """Takes the place of a missing answer in a list of answers."""

    reason: str


class MeteredLM(dspy.LM):
    """A ``dspy.LM`` that counts its usage, seeds each sampled request from its content, and has its own answer cache.

    The seed of a request depends only on the experiment's seed and the request, so that order, concurrency and
    interruptions do not change an answer. Greedy requests have no seed: their cached answers serve every seed.
    DSPy's process-wide cache is not used. ``endpoint`` tells apart the cached answers of servers that have equal names
    for their models.
    """

    def __init__(
        self,
        model: str,
        usage: Usage,
        seed: int,
        answers: Cache | None = None,
        endpoint: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(model, **options)
        self.usage = usage
        self.seed = seed
        self.answers = answers
        self.endpoint = endpoint

    def __call__(
        self, prompt: str | None = None, *, messages: list[dict[str, Any]] | None = None, **options: Any
    ) -> Any:
        """Returns the cached answer or sends the request; see ``dspy.LM``."""
        request = {**self.kwargs, **options, "model": self.model, "prompt": prompt, "messages": messages}
        if (request.get("temperature") or 0) > 0 and "seed" not in request and "seed" in self.supported_params:
            content = [self.seed, self.model, prompt, messages, request.get("rollout_id")]
            digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).digest()
            request["seed"] = options["seed"] = int.from_bytes(digest[:4], "big") >> 1  # all servers accept 31 bits
        if self.endpoint is not None:
            request["endpoint"] = self.endpoint
        answers = self.answers if self.cache else None
        if answers is not None and (cached := answers.get(request)) is not None:
            self.usage.add(cached=1)
            return cached
        start = time.perf_counter()
        try:
            outputs = super().__call__(prompt, messages=messages, cache=False, **options)
        finally:
            self.usage.add(seconds=time.perf_counter() - start)
        if answers is not None and not any(map(_is_unusable, outputs)):  # a server may be corrected
            answers.put(request, _plain(outputs))
        return outputs

    def update_history(self, entry: dict[str, Any]) -> None:
        """Adds a finished request to the usage counters."""
        tokens = entry["usage"] or {}
        if isinstance(self.engine, EndpointEngine):
            entry["cost"] = self.engine.cost(entry["response"])
        self.usage.add_call(tokens.get("prompt_tokens", 0), tokens.get("completion_tokens", 0), entry["cost"])
        super().update_history(entry)

    def dump_state(self) -> dict[str, Any]:
        """Returns the settings of the model without its connection, which ``open_lm`` makes."""
        return dspy.BaseLM.dump_state(self)


@dataclass(frozen=True)
class LanguageModel:
    """A language model, created by ``open_lm`` or ``lazy_lm``.

    Use ``lm`` and ``adapter`` with ``dspy.context(lm=..., adapter=...)``. ``connect`` returns the DSPy client; it is
    called at the first use, and is None for ``lm=none``. ``seed`` is the experiment's seed, for sampled answers.
    """

    settings: LMSettings
    seed: int = 0
    usage: Usage = field(default_factory=Usage)
    adapter: CompactAdapter = field(default_factory=CompactAdapter)
    connect: Callable[[], MeteredLM] | None = field(default=None, repr=False)
    _lock: Any = field(default_factory=Lock, init=False, repr=False, compare=False)

    @property
    def available(self) -> bool:
        """Whether there is a model; false only for ``lm=none``."""
        return self.connect is not None

    @property
    def lm(self) -> MeteredLM:
        """The DSPy client.

        Raises:
            InputError: the settings say "none", or the model cannot be opened.
        """
        if self.connect is None:
            raise InputError(
                "this step needs a language model, but lm=none; choose another with lm=smollm2 (see conf/lm)"
            )
        with self._lock:  # starts one server only, even with several threads
            return self._client

    @cached_property
    def _client(self) -> MeteredLM:
        assert self.connect is not None
        return self.connect()

    def map(
        self, module: dspy.Predict, inputs: Sequence[Mapping[str, Any]], description: str
    ) -> list[dspy.Prediction | LMFailure]:
        """Runs a DSPy module on every input, ``settings.concurrency`` at a time.

        If an answer is unusable (empty, a refusal, only thoughts, or not in the expected form), the request is sampled
        once more; if that answer is unusable, too, or the prompt exceeds the model's context, the result is an
        ``LMFailure``.

        Args:
            module: called with each input's values as keyword arguments.
            inputs: one mapping per call; its "config" holds request options such as "rollout_id", 0 or more.
            description: the text of the progress bar.

        Returns:
            One prediction or failure per input, in the order of ``inputs``.

        Raises:
            InputError: there is no model, it cannot be reached, or it reports an error; or, within ``lm_limits``, the
                share of unusable answers is too high.
        """
        limits = current_limits()
        lm = self.lm if limits is None else self.lm.copy(num_retries=0)  # the connection keeps the time limit
        context = contextvars.copy_context()  # passes the caller's dspy.context and MLflow trace to the threads

        def ask(values: Mapping[str, Any]) -> dspy.Prediction:
            with dspy.context(lm=lm, adapter=self.adapter):
                return module(**values)

        def answer(values: Mapping[str, Any]) -> dspy.Prediction | LMFailure:
            try:
                try:
                    return ask(values)
                except (AdapterParseError, MalformedAnswer):
                    self.usage.add(retries=1)
                    return ask(self._once_more(module, values))
            except (AdapterParseError, LMError) as error:
                if is_unusable(error):
                    self.usage.add(failures=1)
                    return LMFailure(_one_line(error))
                raise self.failure(error) from None

        with ThreadPoolExecutor(self.settings.concurrency) as pool:
            pending = pool.map(lambda values: context.copy().run(answer, values), inputs)
            answers = list(progress(pending, description, total=len(inputs)))
        reasons = [one.reason for one in answers if isinstance(one, LMFailure)]
        self.usage.add_inputs(len(inputs), [reason.partition(" Adapter ")[0] for reason in reasons])
        if limits is not None and len(reasons) > limits.max_unusable_share * len(inputs):
            raise InputError(
                f"lm={self.settings.name}: {len(reasons)} of {len(inputs)} answers are unusable; search again later"
            )
        return answers

    def failure(self, error: BaseException | None) -> InputError:
        """Returns the error of a request as one line that says what to do."""
        if isinstance(error, LMConfigurationError):
            advice = ""  # its message says it
        elif isinstance(error, LMAuthError | LMBillingError):
            advice = "; check the key and its account, see lm.api_key_env"
        elif isinstance(error, Exception) and is_retryable_lm_error(error):
            advice = "; do the same again later, which keeps the answers so far, or raise lm.retries"
        else:
            advice = "; correct lm.model or another setting of lm"
        return InputError(f"lm={self.settings.name}: {_one_line(error)}{advice}")

    def require_usable_answers(self) -> None:
        """Warns of unusable answers so far, and raises ``InputError`` if they are most: nothing is trained on them."""
        unusable, inputs, reason = self.usage.unusable()
        message = f"lm={self.settings.name}: {unusable} of {inputs} answers are unusable ({reason.rstrip('.')})"
        if unusable > MAX_UNUSABLE_SHARE * inputs:
            raise InputError(
                f"{message}; if the model thinks aloud, switch that off at its server or raise lm.max_tokens; else "
                "choose another model"
            )
        if unusable:
            warnings.warn(message, DataWarning, stacklevel=2)

    def _once_more(self, module: dspy.Predict, values: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the same call with sampling and a rollout id that no caller uses."""
        own = values.get("config", {})  # overrides the client's options
        options = {"temperature": self.settings.temperature, "rollout_id": 0, **module.config, **own}
        sampled = max(options["temperature"], SECOND_TRY_TEMPERATURE)
        return {**values, "config": {**own, "rollout_id": -1 - options["rollout_id"], "temperature": sampled}}


@contextmanager
def open_lm(settings: LMSettings, cache_folder: Path, seed: int) -> Iterator[LanguageModel]:
    """Opens a language model for the duration of the block.

    ``cache_folder`` keeps the answers by the content of the request, so that a repeated run sends no request.

    Raises:
        InputError: a package, file, environment variable or endpoint is missing.
    """
    with ExitStack() as stack:
        language_model = _opened_into(stack, settings, cache_folder, seed)
        if language_model.available:
            _ = language_model.lm  # reports problems before any work starts
        yield language_model


def lazy_lm(settings: LMSettings, cache_folder: Path, seed: int) -> LanguageModel:
    """Returns a language model like ``open_lm`` that opens at its first use and closes when it is garbage-collected."""
    stack = ExitStack()
    language_model = _opened_into(stack, settings, cache_folder, seed)
    weakref.finalize(language_model, stack.close)
    return language_model


def _opened_into(stack: ExitStack, settings: LMSettings, cache_folder: Path, seed: int) -> LanguageModel:
    """Returns the language model, not yet opened; the stack closes what its use opens."""
    if settings.provider == "none":
        return LanguageModel(settings, seed)
    usage = Usage()

    def connect() -> MeteredLM:
        stack.enter_context(_quiet_logs())
        answers = stack.enter_context(_answer_cache(cache_folder))  # first: weights are cached in the same folder
        embedded = settings.provider == "embedded"
        engine, model = stack.enter_context(
            _embedded(settings, cache_folder / "weights") if embedded else _remote(settings)
        )
        try:
            return MeteredLM(
                model,
                usage,
                seed,
                answers,
                None if embedded or settings.api_base is None else settings.api_base.rstrip("/"),
                engine=engine,
                temperature=settings.temperature,
                max_tokens=settings.max_tokens,
                num_retries=settings.retries,
            )
        except LMError as error:
            raise InputError(f"lm={settings.name}: {_one_line(error)}") from None

    return LanguageModel(settings, seed, usage, connect=connect)


@contextmanager
def _embedded(settings: LMSettings, folder: Path) -> Iterator[tuple[EndpointEngine, str]]:
    """Yields the connection to the embedded server and the model's name, with digests of weights and template."""
    weights = weights_file(settings, folder)
    own = settings.own_file is not None
    if own:
        settings = fit_to_weights(settings, weights)
    # Half of the cores: llama.cpp's threads wait for each other in every layer, so that one thread on a busy core slows
    # all of them (two threads on two busy cores took five times as long as one). Servers do not wait for each other.
    threads = settings.threads or max(1, (os.cpu_count() or 1) // (2 * settings.slots))
    identity = sha256(weights)[:12]
    if settings.chat_template is not None:  # it changes the prompt of a request
        identity += f"-{hashlib.sha256(settings.chat_template.encode()).hexdigest()[:8]}"
    model = f"openai/{settings.name}-{identity}"
    with ExitStack() as stack:
        addresses = [
            stack.enter_context(embedded_server(weights, settings.context, threads, settings.chat_template, not own))
            for _ in range(settings.slots)
        ]
        urls = [f"{address}/v1" for address in addresses]
        yield stack.enter_context(open_endpoint(model, urls[0], None, settings.timeout, copies=urls[1:])), model


@contextmanager
def _remote(settings: LMSettings) -> Iterator[tuple[EndpointEngine, str]]:
    """Yields the connection to an endpoint, after a check of its URL and key, and the model's name."""
    model, key = str(settings.model), read_key(settings)
    with open_endpoint(model, settings.api_base, key, settings.timeout, settings.name) as engine:
        yield engine, model


@contextmanager
def _answer_cache(folder: Path) -> Iterator[Cache]:
    """Opens the cache of answers by request, in ``folder`` and in memory; it does not unpickle arbitrary types."""
    answers = Cache(True, True, str(open_cache(folder)), disk_size_limit_bytes=CACHE_BYTES, restrict_pickle=True)
    try:
        yield answers
    finally:
        answers.disk_cache.close()


@contextmanager
def _quiet_logs() -> Iterator[None]:
    """Silences the log lines of each request (httpx), of headers, and of each answer that reached ``max_tokens``."""
    levels = {"httpx": logging.WARNING, "httpcore": logging.WARNING, "dspy.clients.lm": logging.ERROR}
    former = {name: logging.getLogger(name).level for name in levels}
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    try:
        yield
    finally:
        for name, level in former.items():
            logging.getLogger(name).setLevel(level)


def _plain(outputs: Any) -> Any:
    """Returns the outputs as plain lists and dictionaries, the only types that the cache can read back."""
    if isinstance(outputs, dict):
        return {key: _plain(value) for key, value in outputs.items()}
    return [_plain(value) for value in outputs] if isinstance(outputs, list) else outputs


def _is_unusable(output: str | dict[str, Any] | None) -> bool:
    text = output.get("text") if isinstance(output, dict) else output
    return unusable_reason(text or "") is not None


def is_unusable(error: BaseException | None) -> bool:
    """Returns whether only this request has no usable answer: it is malformed, or the prompt exceeds the context."""
    if isinstance(error, AdapterParseError | MalformedAnswer | ContextWindowExceededError):
        return True
    return "exceeds the available context size" in str(error)  # llama.cpp's message, which DSPy does not recognise


def _one_line(error: BaseException | None) -> str:
    return " ".join(str(error).split())[:300]
