"""The connection to the endpoint of a language model: one address, one key, bounded answers and waits, no redirects."""

import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from ipaddress import ip_address
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

import dspy
import httpx
from dspy.clients.costs import estimate_cost
from dspy.clients.engines import LM15Engine
from dspy.lm15 import (
    ConfigurationError,
    LM15Error,
    Message,
    OpenAIChatLM,
    ProviderError,
    RefusalPart,
    Request,
    Response,
    RouterConfig,
    TransportError,
    UnknownModelError,
    UnsupportedFeatureError,
)
from dspy.utils.exceptions import LMServerError

from zero2ir.errors import InputError
from zero2ir.lm.limits import current_limits
from zero2ir.lm.settings import LMSettings

CHECK_SECONDS = 10.0  # how long an endpoint may take to list its models
CONNECT_SECONDS = 10.0
MAX_WAIT_SECONDS = 30.0  # the longest wait before a repeated request, whatever the endpoint asks for
MAX_ANSWER_BYTES = 4 << 20
MIN_SECRET = 8  # a shorter word, e.g. "none", is a placeholder for a key, and may be part of an answer
HIDDEN = "[hidden key]"
KEY_HEADERS = {"authorization", "x-api-key", "x-goog-api-key", "api-key"}


class MalformedAnswer(LMServerError):
    """An answer that is not in the form of the protocol, or too long; the request is repeated at once."""

    def __init__(self, text: str, **details: Any) -> None:
        super().__init__(text, **{**details, "retry_after": 0.0})


def is_loopback(url: str) -> bool:
    """Returns whether an address is on this machine."""
    host = (urlsplit(url).hostname or "").lower()
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


@dataclass(frozen=True)
class HttpAnswer:
    """A whole answer in the form that ``dspy.lm15`` reads from a transport."""

    status: int
    reason: str
    headers: list[tuple[str, str]]
    body: bytes
    http_version: str = "HTTP/1.1"

    def read(self) -> bytes:
        """Returns the body."""
        return self.body

    def __iter__(self) -> Iterator[bytes]:
        return iter([self.body])

    def iter_lines(self) -> Iterator[bytes]:
        """Yields the lines of the body."""
        yield from self.body.splitlines(keepends=True)

    def __enter__(self) -> "HttpAnswer":
        return self

    def __exit__(self, *error: object) -> None:
        pass


class Transport:
    """Sends HTTP requests to one endpoint.

    Requests to this machine bypass proxies. Redirects are not followed, because the key belongs to one address only.
    Answers are read up to ``MAX_ANSWER_BYTES`` and until the time-out, and the key is replaced in them before anything
    else sees them, so that an endpoint that echoes the key cannot put it into logs, traces or files.

    Args:
        key: the API key; None sends none.
        seconds: time-out of a request, from its start to the end of the answer.
        addresses: URLs of servers that give the same answers, if there are several, the endpoint's own first.
            ``stream`` sends a request to the one with the fewest.
    """

    def __init__(self, key: str | None, seconds: float, addresses: Sequence[str] = ()) -> None:
        self.key = key
        self.secret = None if key is None or (len(key) < MIN_SECRET and key.isalpha()) else key
        self.seconds = seconds
        self._requests = dict.fromkeys(addresses, 0)  # not yet answered
        self._lock = Lock()

    @cached_property
    def _direct(self) -> httpx.Client:
        return httpx.Client(trust_env=False)

    @cached_property
    def _through_proxies(self) -> httpx.Client:
        try:
            return httpx.Client()
        except (ImportError, ValueError, httpx.InvalidURL) as error:
            raise ConfigurationError(f"{error}; correct HTTP_PROXY, HTTPS_PROXY or ALL_PROXY") from None

    def stream(self, request: Any) -> HttpAnswer:
        """Sends a request of ``dspy.lm15``, with the time-out of the enclosing ``lm_limits``, if it is shorter.

        Raises:
            TransportError: there is no answer in time.
            ConfigurationError: the endpoint redirects to another address, or the proxy's address is invalid.
            MalformedAnswer: the answer is too long.
        """
        limits = current_limits()
        seconds = self.seconds if limits is None else min(self.seconds, limits.seconds)
        with self._least_busy(request.url) as url:
            return self.send(request.method, url, request.headers, request.body, seconds)

    @contextmanager
    def _least_busy(self, url: str) -> Iterator[str]:
        """Yields the URL at the server that has the fewest requests, the first of equal ones."""
        if not self._requests:
            yield url
            return
        with self._lock:
            address = min(self._requests, key=self._requests.__getitem__)
            self._requests[address] += 1
        try:
            yield address + url.removeprefix(next(iter(self._requests)))
        finally:
            with self._lock:
                self._requests[address] -= 1

    def send(self, method: str, url: str, headers: list[tuple[str, str]], body: bytes, seconds: float) -> HttpAnswer:
        """Sends a request; see ``stream``."""
        deadline = time.monotonic() + seconds
        shown = [(name, value) for name, value in headers if self.key is not None or name.lower() not in KEY_HEADERS]
        timeout = httpx.Timeout(seconds, connect=min(seconds, CONNECT_SECONDS))
        try:
            client = self._direct if is_loopback(url) else self._through_proxies
            with client.stream(method, url, headers=shown, content=body, timeout=timeout) as answer:
                if answer.is_redirect:
                    target = self._hidden(answer.headers.get("location", ""))
                    raise ConfigurationError(
                        f"{url} redirects to {target}, and a key is not sent to another address; correct lm.api_base"
                    )
                content = b"".join(self._chunks(answer, deadline))
                kept = [(name, str(self._hidden(value))) for name, value in answer.headers.items()]
                return HttpAnswer(answer.status_code, answer.reason_phrase, kept, self._hidden_bytes(content))
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise TransportError(f"no answer from {url} ({str(error) or type(error).__name__})") from None

    def _chunks(self, answer: httpx.Response, deadline: float) -> Iterator[bytes]:
        size = 0
        for chunk in answer.iter_bytes():
            size += len(chunk)
            if size > MAX_ANSWER_BYTES:
                raise MalformedAnswer(f"the answer has more than {MAX_ANSWER_BYTES:,} bytes")
            if time.monotonic() > deadline:
                raise httpx.ReadTimeout("the answer did not end in time")
            yield chunk

    def _hidden_bytes(self, content: bytes) -> bytes:
        if self.secret is None:
            return content
        try:
            return json.dumps(self._hidden(json.loads(content))).encode()  # finds the key in escaped form, too
        except (ValueError, RecursionError):
            return content.replace(self.secret.encode(), HIDDEN.encode())

    def _hidden(self, value: Any) -> Any:
        """Returns JSON without the key in its strings."""
        if self.secret is None:
            return value
        if isinstance(value, str):
            return value.replace(self.secret, HIDDEN)
        if isinstance(value, dict):
            return {self._hidden(name): self._hidden(one) for name, one in value.items()}
        return [self._hidden(one) for one in value] if isinstance(value, list) else value

    def close(self) -> None:
        """Closes the connections."""
        for name in ("_direct", "_through_proxies"):
            if client := self.__dict__.pop(name, None):
                client.close()


class EndpointEngine(LM15Engine):
    """The engine of a ``dspy.LM`` that asks one endpoint, and holds its key, which no other object knows.

    Args:
        model: the protocol and the model, e.g. "openai/gpt-4o-mini".
        url: the endpoint's URL; None for the public one of the protocol's owner.
        transport: sends the requests.

    Raises:
        InputError: the protocol is unknown.
    """

    def __init__(self, model: str, url: str | None, transport: Transport) -> None:
        try:
            self.resolution = LM15Engine(RouterConfig(env={})).resolve(model)
        except (UnknownModelError, UnsupportedFeatureError):
            raise InputError(
                f"lm.model={model}: unknown protocol; write openai/ and the server's model name, or start with "
                "anthropic/, gemini/, groq/, openrouter/, deepseek/, xai/, moonshot/, ollama/ or hosted_vllm/"
            ) from None
        self.url = url
        provider = self.resolution.provider
        super().__init__(
            RouterConfig(
                env={},  # no key of the environment is used unless the settings name it
                api_keys={provider: transport.key or "none"},
                base_urls=None if url is None else {provider: url},
                transport=transport,
            )
        )
        described = dspy.LM(model, engine="lm15")
        self.supported_params = described.supported_params
        self.supports_response_schema = described.supports_response_schema
        self.supports_function_calling = described.supports_function_calling
        self.supports_reasoning = described.supports_reasoning

    def complete(self, request: Request) -> Response:
        """Sends one request.

        Raises:
            MalformedAnswer: the answer is not in the form of the protocol.
            LM15Error: the request failed.
        """
        self.plan(request)  # problems of the request itself are raised here
        try:
            response = super().complete(request)
        except ProviderError as error:
            if error.status is None or error.status < 300:
                raise MalformedAnswer(str(error)) from None
            error.retry_after = None if error.retry_after is None else min(error.retry_after, MAX_WAIT_SECONDS)
            raise
        except LM15Error:
            raise
        except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError) as error:
            raise MalformedAnswer(f"the answer is not in the form of the protocol ({error})") from None
        if response.finish_reason == "content_filter":
            return replace(response, message=Message.assistant([RefusalPart("content filter")]))
        return response

    def speaks_openai(self) -> bool:
        """Returns whether the protocol is OpenAI's chat completions."""
        client = self.router.lm(f"{self.resolution.provider}:{self.resolution.model}")
        return isinstance(client, OpenAIChatLM)

    def cost(self, response: Any) -> float | None:
        """Returns the price of an answer in US dollars; None if it is unknown."""
        if not isinstance(response, Response):
            return None
        return estimate_cost(response, provider=self.resolution.provider, requested_model=self.resolution.model)[0]

    def __deepcopy__(self, memo: dict[int, Any]) -> "EndpointEngine":
        return self  # copies of a client share its connections


@contextmanager
def open_endpoint(
    model: str,
    url: str | None,
    key: str | None,
    seconds: float,
    name: str | None = None,
    copies: Sequence[str] = (),
) -> Iterator[EndpointEngine]:
    """Opens the connection for the duration of the block.

    Args:
        model: see ``EndpointEngine``.
        url: see ``EndpointEngine``.
        key: the API key; None for an endpoint that needs none.
        seconds: time-out of a request.
        name: the language model's name, to check first that the endpoint is there; None for no check.
        copies: URLs of further servers that give the same answers, for concurrent requests.

    Raises:
        InputError: the protocol is unknown, or the endpoint gives no answer in the form of the protocol.
    """
    transport = Transport(key, seconds, [url, *copies] if url and copies else [])
    engine = EndpointEngine(model, url, transport)
    try:
        if name is not None and url is not None and engine.speaks_openai():
            _check(name, url, transport)
        yield engine
    finally:
        transport.close()


def _check(name: str, url: str, transport: Transport) -> None:
    """Requests the list of models, so that a wrong URL or key is reported before any work."""
    headers = [] if transport.key is None else [("Authorization", f"Bearer {transport.key}")]
    seconds = min(CHECK_SECONDS, transport.seconds)
    try:
        answer = transport.send("GET", f"{url.rstrip('/')}/models", headers, b"", seconds)
    except (LM15Error, MalformedAnswer) as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(f"lm={name}: {reason}; start the server or correct lm.api_base") from None
    form = _json_object(answer.body)
    if answer.status == 401 or (answer.status == 403 and form):
        advice = "set lm.api_key_env to the name of the variable with the key" if transport.key is None else "check it"
        raise InputError(f"lm={name}: {url} rejects the API key (HTTP {answer.status}); {advice}")
    lists_models = answer.status == 200 and ("data" in form or "models" in form)
    if not lists_models and not (answer.status in (404, 405) and "error" in form):  # some servers have no list
        raise InputError(
            f"lm={name}: no answer from {url} in the form of its protocol (HTTP {answer.status}"
            f"{'' if is_loopback(url) else ', maybe from a proxy'}); start the server or correct lm.api_base"
        )


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def read_key(settings: LMSettings) -> str | None:
    """Returns the key in the environment variable that the settings name; None if they name none.

    Raises:
        InputError: the variable is not set, or its value cannot be a key.
    """
    if settings.api_key_env is None:
        return None
    key = os.environ.get(settings.api_key_env, "").strip()
    if not key:
        raise InputError(
            f"lm={settings.name}: the environment variable {settings.api_key_env} is not set; "
            "set it to the API key, or choose lm=smollm2, which needs none"
        )
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise InputError(
            f"lm={settings.name}: the value of {settings.api_key_env} is no API key; set it to the key only"
        )
    return key
