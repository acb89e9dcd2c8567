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
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u200b-\u200f\u2060\ufeff]")
# Thoughts of reasoning models: up to their end, which may come without a start, or from their start if they do not end.
_THOUGHTS = re.compile(
    r"\A.*(?:</(?:think|thinking|thought|thoughts|reasoning)>|\[/THINK\]|◁/think▷|<\|channel\|>final<\|message\|>)"
    r"|\A\W*(?:<(?:think|thinking|thought|thoughts|reasoning)\b[^>]*>|\[THINK\]|◁think▷|<\|channel\|>analysis).*",
    re.DOTALL | re.IGNORECASE,
)
# Refusals; a query may start with "I can't", too, so that the words after it count.
_REFUSAL = re.compile(
    r"(?:unfortunately,? |my apologies,? (?:but )?|sorry,? (?:but )?|(?:i['’]m|i am) (?:\w+ )?sorry,? (?:but )?|"
    r"i apologi[sz]e,? (?:but )?)i(?:['’]m| am)? ?(?:can['’]?t|can ?not|unable|not able|won['’]t|do not|don['’]t)\b"
    r"|i(?:['’]m| am)? ?(?:can['’]?t|can ?not|unable to|not able to|won['’]t) "
    r"(?:help|assist|comply|fulfil+|engage|continue|provide|do) (?:with |in )?(?:that|this|you|your|such|the request)\b"
    r"|as an ai\b|i(?:['’]m| am) (?:just )?an ai\b"
    r"|es tut mir leid,? aber|tut mir leid,? (?:aber|ich kann)|je suis désolée?,? mais|lo siento,? pero"
    r"|mi dispiace,? ma|desculpe,? mas|sinto muito,? mas|het spijt me,? maar|извините,? но|к сожалению,? я не могу"
    r"|(?:很?抱歉|对不起)[，,]?\s*(?:但|我)|申し訳(?:ありません|ございません)が|죄송하지만",
    re.IGNORECASE,
)
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
            AdapterParseError: the answer is empty, only thoughts or a refusal, or the JSON does not fit the signature.
        """
        if reason := unusable_reason(completion):
            raise AdapterParseError(type(self).__name__, signature, completion, reason)
        text = _without_thoughts(completion)
        if _answers_with_a_line(signature):
            (name,) = signature.output_fields
            line = bare_line(text, name)
            if not line:
                raise AdapterParseError(type(self).__name__, signature, completion, "The answer is empty.")
            return {name: line}
        try:
            answer = _answer_model(signature).model_validate_json(text[text.find("{") : text.rfind("}") + 1])
        except pydantic.ValidationError as error:
            raise AdapterParseError(type(self).__name__, signature, completion, str(error)) from None
        return apply_output_field_defaults(signature, {name: getattr(answer, name) for name in signature.output_fields})


def escape_untrusted_text(text: str) -> str:
    """Returns untrusted text as one line that can neither end nor start a turn."""
    text = text.encode("utf-8", "replace").decode("utf-8")  # replaces lone surrogates, which cannot be sent
    text = _UNPRINTABLE.sub("", text)
    return " ".join(_CONTROL.sub(lambda match: match.group() + " ", text).split())


def unusable_reason(answer: str) -> str | None:
    """Returns why an answer of the language model is no answer to the request; None if it is one."""
    text = _without_thoughts(answer).strip()
    if not text:
        return "The answer holds only thoughts." if answer.strip() else "The answer is empty."
    return "The answer is a refusal." if _REFUSAL.match(text.lstrip(_QUOTES)) else None


def _without_thoughts(answer: str) -> str:
    return _THOUGHTS.sub("", answer)


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
