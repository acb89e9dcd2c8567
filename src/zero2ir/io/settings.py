"""The base class of all settings, schemas of constructors' parameters, and files that have to fit a schema."""

import inspect
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_origin

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    create_model,
    field_validator,
)

from zero2ir.errors import InputError
from zero2ir.io.files import read_json
from zero2ir.io.values import shown

StateT = TypeVar("StateT")
MAX_SHOWN = 200  # characters of a value in a message
MAX_INT = 2**31 - 1  # no setting needs more, and arrays cannot hold much more

PositiveInt = Annotated[int, Field(ge=1, le=MAX_INT)]
NonNegativeInt = Annotated[int, Field(ge=0, le=MAX_INT)]
Fraction = Annotated[float, Field(ge=0, le=1)]


def _no_truth_value_as_number(schema: type[BaseModel], value: Any, info: ValidationInfo) -> Any:
    """Rejects true and false for a number, which pydantic would take for 1 and 0."""
    annotation = schema.model_fields[str(info.field_name)].annotation
    kinds = [one.__origin__ if get_origin(one) is Annotated else one for one in (annotation, *get_args(annotation))]
    if isinstance(value, bool) and (int in kinds or float in kinds) and bool not in kinds:
        raise ValueError(f"Input should be a number, not {str(value).lower()}")
    return value


class Settings(BaseModel):
    """Immutable settings that reject unknown keys, NaN, infinity, and truth values in place of numbers."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    _numbers = field_validator("*", mode="before")(classmethod(_no_truth_value_as_number))


@cache
def parameter_schema(target: Callable[..., Any]) -> type[BaseModel]:
    """Returns the schema of a callable's parameters without ``self``; it rejects what ``Settings`` reject."""
    parameters = [one for one in inspect.signature(target, eval_str=True).parameters.values() if one.name != "self"]
    fields: Any = {
        one.name: (_typed(one.annotation), ... if one.default is one.empty else one.default) for one in parameters
    }
    config = ConfigDict(extra="forbid", arbitrary_types_allowed=True, allow_inf_nan=False)
    numbers: Any = field_validator("*", mode="before")(classmethod(_no_truth_value_as_number))
    return create_model(target.__name__, __config__=config, __validators__={"numbers": numbers}, **fields)


def _typed(annotation: Any) -> Any:
    """Drops ``Mapping`` from a union with a schema, so that keys are checked."""
    if annotation is inspect.Parameter.empty:
        return Any
    schema = schema_in(annotation)
    return annotation if schema is annotation else schema | None


def first_mistake(error: ValidationError, schema: type) -> str:
    """Returns the first error of a validation by ``schema`` as ``key: message``."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])[:MAX_SHOWN]
    if first["type"] == "extra_forbidden":
        parent = _schema_at(schema, first["loc"][:-1])
        if not hasattr(parent, "model_fields"):
            return f"{where}: unknown key"
        valid = ", ".join(sorted(parent.model_fields))
        return f"{where}: unknown key; {f'valid keys are {valid}' if valid else f'{parent.__name__} has no keys'}"
    message = first["msg"].removeprefix("Value error, ")
    value = "" if first["type"] in ("missing", "value_error") else f", not {shown(first['input'])}"
    return f"{where}: {message}{value}" if where else message


def _schema_at(schema: Any, path: tuple[Any, ...]) -> Any:
    """Returns the schema at ``path`` inside ``schema``."""
    for part in path:
        field = schema.model_fields.get(part) if inspect.isclass(schema) and issubclass(schema, BaseModel) else None
        if field is not None:
            schema = schema_in(field.annotation)
    return schema


def schema_in(annotation: Any) -> Any:
    """Returns the schema in a field's annotation, also inside a union; the annotation itself if it has none."""
    kinds = (annotation, *get_args(annotation))
    return next((kind for kind in kinds if inspect.isclass(kind) and issubclass(kind, BaseModel)), annotation)


def read_state(path: Path, schema: type[StateT]) -> StateT:
    """Reads a file of JSON that fits a type.

    Raises:
        InputError: as ``read_json``, or a value does not fit; names its key.
    """
    value = read_json(path)
    try:
        return TypeAdapter(schema).validate_python(value)
    except ValidationError as error:
        raise InputError(f"{path}: {first_mistake(error, schema)}") from None
