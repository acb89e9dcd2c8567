"""Labelling in the terminal: one key per answer."""

import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.rule import Rule
from rich.text import Text

from zero2ir.data.highlight import Segment
from zero2ir.errors import InputError
from zero2ir.io.terminal import printable
from zero2ir.labelling.session import GRADE_NAMES, Session, View

KEYS = "  ".join([*(f"{grade} {name}" for grade, name in GRADE_NAMES.items()), "s skip", "u undo", "q quit"])
MORE = "m whole document"
AROUND = 16  # screen lines not used by the document
CTRL_D = "\x04"
# Escape sequences of non-letter keys, e.g. arrows or F9: several bytes, some of them digits.
ESCAPE = re.compile(r"\x1b(?:[\[O][0-?]*[ -/]*[@-~]|.)?", re.DOTALL)


def require_terminal() -> None:
    """Raises InputError if standard input or output is not a terminal."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise InputError("standard input or output is not a terminal; use a terminal, or --web")


def label_in_terminal(session: Session) -> None:
    """Labels in the terminal until the labelling stops or the person quits, then reviews suspicious judgments."""
    console = Console()
    with pressed_keys() as keys, suppress(KeyboardInterrupt):
        run_in_terminal(session, console, keys)
        review_suspicious_judgments(session, console, keys)
    console.clear()


def run_in_terminal(session: Session, console: Console, keys: Iterator[str]) -> None:
    """Shows items and takes answers until the labelling stops or the person quits."""
    view, whole = _fitted(session, console), False
    while view.item is not None:
        console.clear()
        console.print(screen(view, console, whole))
        key = next(keys, "q")
        if key in ("q", CTRL_D):
            return
        if key == "m":
            whole = not whole
            continue
        if key == "u":
            session.undo(view.answer_count)
        elif key == "s":
            session.answer(None, view.answer_count)
        elif key in map(str, GRADE_NAMES):
            session.answer(int(key), view.answer_count)
        else:
            continue
        view, whole = _fitted(session, console), False


def _fitted(session: Session, console: Console) -> View:
    with console.status("fitting the model"):
        return session.view()


def screen(view: View, console: Console, whole: bool = False) -> RenderableType:
    """Renders the item of a view, cut to the size of the console unless ``whole``."""
    assert view.item is not None
    document = _text([*view.title, ("\n\n", False), *view.text] if view.title else view.text)
    lines = document.wrap(console, console.width - 4)
    room = max(5, console.height - AROUND)
    cut = len(lines) > room and not whole
    again = " (again)" if view.item.repeat else ""
    title = Text(f"{printable(view.item.doc_id)}{again}")
    parts: list[RenderableType] = [
        Text(view.progress),
        Rule(),
        Text.assemble(("Query  ", "dim"), (printable(view.item.query), "bold")),
        Panel(Text("\n").join(lines[:room] if cut else lines), title=title, title_align="left"),
        Text("current ranking", style="dim"),
        *(_ranked(place, view, console.width) for place in range(len(view.ranking))),
    ]
    parts += [Text(line, style="dim") for line in (view.effect, view.agreement) if line]
    if view.doubts:
        parts.append(Text(f"{len(view.doubts)} suspicious judgments; they are listed at the end", "yellow"))
    return Group(*parts, Text(f"{KEYS}  {MORE}" if cut else KEYS, style="reverse"))


def _ranked(place: int, view: View, width: int) -> Text:
    document = view.ranking[place]
    grade = " " if document.grade is None else str(document.grade)
    line = Text(f" {place + 1}. [{grade}] {printable(document.doc_id)}  ")
    line.append(printable(document.snippet), style="dim")
    line.truncate(width, overflow="ellipsis")
    return line


def _text(segments: Sequence[Segment]) -> Text:
    """Renders segments with highlights; markup and control sequences in documents have no effect."""
    return Text.assemble(*((printable(piece), "bold black on yellow" if mark else "") for piece, mark in segments))


def review_suspicious_judgments(session: Session, console: Console, keys: Iterator[str]) -> None:
    """Shows each suspicious judgment for regrading; nothing changes without a key."""
    for number, doubt in enumerate(doubts := session.doubts(), start=1):
        document = session.document(doubt.doc_id)
        console.clear()
        content = _text(session.highlighted(document.content, doubt.query))
        console.print(
            Text(f"Suspicious judgment {number} of {len(doubts)}: {printable(doubt.reason)}", style="yellow"),
            Text.assemble(("Query  ", "dim"), (printable(doubt.query), "bold")),
            Panel(content, title=Text(printable(doubt.doc_id)), title_align="left"),
            Text(f"It is graded {doubt.grade}.  0, 1 or 2 regrades it  s keeps it  q quits", style="reverse"),
        )
        key = next((key for key in keys if key in ("0", "1", "2", "s", "q", CTRL_D)), "q")
        if key in ("q", CTRL_D):
            return
        if key != "s":
            session.judge_again(doubt.query_id, doubt.doc_id, int(key), len(session.annotations.rows))


@contextmanager
def pressed_keys() -> Iterator[Iterator[str]]:
    """Yields the pressed keys one at a time, unbuffered and without echo."""
    import termios
    import tty

    number = sys.stdin.fileno()
    before = termios.tcgetattr(number)
    tty.setcbreak(number)
    try:
        yield _keys(number)
    finally:
        termios.tcsetattr(number, termios.TCSADRAIN, before)


def _keys(number: int) -> Iterator[str]:
    while pressed := os.read(number, 64):
        yield from letters(pressed)


def letters(pressed: bytes) -> str:
    """Drops escape sequences from raw key input; the bytes of one key arrive together."""
    return ESCAPE.sub("", pressed.decode("ascii", "replace"))
