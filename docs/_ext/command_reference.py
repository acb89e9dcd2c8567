"""The reference of the command line, from its own parser."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

KINDS: dict[Any, str] = {str: "text", int: "number", float: "number", Path: "path"}


def commands_markdown() -> str:
    """Every command of ``zero2ir``."""
    from typer.main import get_command

    from zero2ir import cli

    return tree_markdown(get_command(cli.app), "zero2ir")


def tree_markdown(group: Any, program: str) -> str:
    """Every command of a group, a section each.

    Args:
        group: a click group, such as ``typer.main.get_command(app)``.
        program: its name on the command line.
    """
    return "\n".join("\n".join(_section(f"{program} {name}", command)) for name, command in group.commands.items())


def _section(path: str, command: Any) -> Iterator[str]:
    context = command.make_context(path, [], resilient_parsing=True)
    yield f"## `{path}`\n"
    yield f"{_prose(command.help)}\n"
    yield f"```text\n{path} {' '.join(command.collect_usage_pieces(context))}\n```\n"
    shown = [one for one in command.get_params(context) if not getattr(one, "hidden", False) and one.name != "help"]
    if shown:
        yield ":::{container} settings\n| option | value | default | meaning |\n|---|---|---|---|"
        yield from (_row(one) for one in shown)
        yield ":::"
    if command.epilog:
        yield f"\n{_prose(command.epilog)}"
    yield ""


def _row(option: Any) -> str:
    is_option = option.param_type_name == "option"
    named = option.opts if is_option else [option.metavar or option.name.upper()]
    repeated = ", repeated" if getattr(option, "multiple", False) or option.nargs == -1 else ""
    value = f"{_value(option)}{repeated}"
    cells = [", ".join(f"`{one}`" for one in named), value, _default(option), _prose(option.help)]
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _value(option: Any) -> str:
    """What is written behind the option; nothing for a flag."""
    if getattr(option, "is_flag", False):
        return ""
    if option.param_type_name == "option" and option.metavar:
        return str(option.metavar)
    annotation = option.type_descriptor.annotation
    (kind, *_) = get_args(annotation) or (annotation,)
    return KINDS.get(kind, getattr(kind, "__name__", str(kind)))


def _default(option: Any) -> str:
    if option.required:
        return "required"
    if option.default is None or getattr(option, "is_flag", False) or callable(option.default):
        return ""
    many = option.default if isinstance(option.default, list | tuple) else [option.default]
    return ", ".join(f"`{one}`" for one in many)


def _prose(text: str | None) -> str:
    """Help text without the marks of the terminal, on one line for each paragraph."""
    paragraphs = (text or "").replace("\b", "").replace("\f", "").split("\n\n")
    return "\n\n".join(" ".join(one.split()) for one in paragraphs)
