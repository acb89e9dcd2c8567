"""The base class of all settings, and schemas of constructors' parameters."""

import inspect
from collections.abc import Callable
from functools import cache
from typing import Annotated, Any, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from zero2ir.io.values import shown

MAX_SHOWN = 200  # characters of a value in a message
MAX_INT = 2**31 - 1  # no setting needs more, and arrays cannot hold much more

PositiveInt = Annotated[int, Field(ge=1, le=MAX_INT)]
NonNegativeInt = Annotated[int, Field(ge=0, le=MAX_INT)]
Fraction = Annotated[float, Field(ge=0, le=1)]


class Settings(BaseModel):
    """Immutable settings that reject unknown keys, NaN and infinity."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


@cache
def parameter_schema(target: Callable[..., Any]) -> type[BaseModel]:
    """Returns the schema of a callable's parameters without ``self``; it rejects unknown keys, NaN and infinity."""
    parameters = [one for one in inspect.signature(target, eval_str=True).parameters.values() if one.name != "self"]
    fields: Any = {
        one.name: (_typed(one.annotation), ... if one.default is one.empty else one.default) for one in parameters
    }
    config = ConfigDict(extra="forbid", arbitrary_types_allowed=True, allow_inf_nan=False)
    return create_model(target.__name__, __config__=config, **fields)


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
