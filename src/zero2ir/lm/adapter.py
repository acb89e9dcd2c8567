"""The DSPy adapter: formats prompts for small models and parses their answers."""

import json
import re
from collections.abc import Mapping
from typing import Any

import dspy
import pydantic
from dspy.adapters.utils import apply_output_field_defaults, serialize_for_json
from dspy.utils.exceptions import AdapterParseError

# Turn markers of chat templates: <|im_start|>, <start_of_turn>, </s>, [INST]. An inserted space makes them plain text.
_CONTROL = re.compile(
    r"<(?=[|｜])|(?<=[|｜])(?=>)|(?<=<)(?=/?(?:s|bos|eos|pad|unk|mask|\w+_\w+)>)|(?<=\[)(?=/?INST\])", re.I
)
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0e-\x1f\x7f\u200b-\u200f\u2060\ufeff]")
_QUOTES = "'’\"`*“”‘«»"
Signature = type[dspy.Signature]
Values = dict[str, Any]


class CompactAdapter(dspy.Adapter):
    """A DSPy adapter for small language models.

    The prompt holds the instructions, then each demonstration as a user and an assistant turn, then the input: only
    the last message differs between calls, so that the server's prompt cache serves the rest. For a signature with one
    string output the model answers with a bare line; otherwise it answers in JSON, and the request contains the schema
    (llama.cpp turns it into a grammar). A malformed answer raises ``AdapterParseError``; there is no second request.
    """

    def __call__(
        self, lm: dspy.BaseLM, lm_kwargs: Values, signature: Signature, demos: list[Values], inputs: Values
    ) -> list[Values]:
        """Sends one request and parses the answer; see ``dspy.Adapter``."""
        limits = {"stop": ["\n"]} if _answers_with_a_line(signature) else {"response_format": _answer_model(signature)}
        return super().__call__(lm, {**limits, **lm_kwargs}, signature, demos, inputs)

    def format(self, signature: Signature, demos: list[Values], inputs: Values) -> list[dict[str, str]]:
        """Returns the messages: system, demonstrations as turns, and the input as the only message that varies."""
        messages = [{"role": "system", "content": _instructions(signature)}]
        for demo in demos:
            if all(name in demo for name in signature.output_fields):
                messages.append({"role": "user", "content": _input_text(signature, demo)})
                messages.append({"role": "assistant", "content": _output_text(signature, demo)})
        messages.append({"role": "user", "content": _input_text(signature, inputs)})
        return messages

    def parse(self, signature: Signature, completion: str) -> Values:
        """Parses an answer into the output fields.

        Raises:
            AdapterParseError: the line is empty, or the JSON does not fit the signature.
        """
        if _answers_with_a_line(signature):
            (name,) = signature.output_fields
            line = bare_line(completion, name)
            if not line:
                raise AdapterParseError(type(self).__name__, signature, completion, "The answer is empty.")
            return {name: line}
        try:
            json_object = completion[completion.find("{") : completion.rfind("}") + 1]
            answer = _answer_model(signature).model_validate_json(json_object)
        except pydantic.ValidationError as error:
            raise AdapterParseError(type(self).__name__, signature, completion, str(error)) from None
        return apply_output_field_defaults(signature, {name: getattr(answer, name) for name in signature.output_fields})


def escape_untrusted_text(text: str) -> str:
    """Returns untrusted text as one line that can neither end nor start a turn."""
    text = text.encode("utf-8", "replace").decode("utf-8")  # replaces lone surrogates, which cannot be sent
    text = _UNPRINTABLE.sub("", text)
    return " ".join(_CONTROL.sub(lambda match: match.group() + " ", text).split())


def bare_line(answer: str, name: str) -> str:
    """Returns the first non-empty line of an answer, without label, quotes and markup."""
    label = re.compile(rf"^\W*(?:search |output )?(?:answer|{re.escape(_label(name))})\W*:[\s*_`]*", re.I)
    for line in answer.splitlines():
        line = " ".join(label.sub("", line).split())
        inner = line.strip(_QUOTES + " ")
        if inner:
            return line if any(quote in inner for quote in _QUOTES[2:]) else inner  # keeps both quotes of: print "a"
    return ""


def _label(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _answers_with_a_line(signature: Signature) -> bool:
    return [field.annotation for field in signature.output_fields.values()] == [str]


def _answer_model(signature: Signature) -> type[pydantic.BaseModel]:
    fields: dict[str, Any] = {name: (field.annotation, ...) for name, field in signature.output_fields.items()}
    return pydantic.create_model("Answer", **fields)


def _instructions(signature: Signature) -> str:
    lines = [signature.instructions]
    for name, field in signature.fields.items():
        description = (field.json_schema_extra or {}).get("desc", "")
        if description and description != f"${{{name}}}":  # DSPy's placeholder for "no description"
            lines.append(f"{_label(name)}: {description}")
    if not _answers_with_a_line(signature):
        lines.append(f"Answer with a JSON object with the keys {', '.join(signature.output_fields)}.")
    return "\n".join(lines)


def _input_text(signature: Signature, values: Mapping[str, Any]) -> str:
    return "\n".join(f"{_label(name)}: {_as_text(values[name])}" for name in signature.input_fields if name in values)


def _output_text(signature: Signature, values: Mapping[str, Any]) -> str:
    if _answers_with_a_line(signature):
        (name,) = signature.output_fields
        return escape_untrusted_text(str(values[name]))
    return json.dumps({name: serialize_for_json(values[name]) for name in signature.output_fields}, ensure_ascii=False)


def _as_text(value: Any) -> str:
    """Returns a string as one line, a list as numbered lines, any other value as JSON."""
    if isinstance(value, str):
        return escape_untrusted_text(value)
    if isinstance(value, list | tuple):
        return "".join(f"\n[{number}] {_as_text(item)}" for number, item in enumerate(value, start=1))
    return escape_untrusted_text(json.dumps(serialize_for_json(value), ensure_ascii=False))
