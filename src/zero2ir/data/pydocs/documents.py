"""Documents from the running Python's standard library: its docstrings and its language topics.

The documents depend on the Python version only. Therefore this file imports only the standard library and runs in a
fresh interpreter that ignores environment variables, site-packages and the caller's imports and patches.
"""

import importlib
import inspect
import json
import re
import subprocess
import sys
import warnings
from collections.abc import Iterator
from types import ModuleType
from typing import Any, NamedTuple

# Excluded top-level modules, by reason.
EXCLUDED = frozenset(
    " ".join(
        (
            "antigravity this",  # Easter eggs that act when imported
            "idlelib test turtledemo pydoc_data ensurepip encodings",  # applications, tests, tables; see _topics
            "aifc audioop cgi cgitb chunk crypt imghdr mailcap msilib nis nntplib ossaudiodev pipes sndhdr spwd sunau "
            "telnetlib uu xdrlib asynchat asyncore imp smtpd distutils lib2to3",  # removed in Python 3.12 or 3.13
            "tkinter turtle curses readline dbm rlcompleter",  # optional parts of an installation
            "fcntl grp msvcrt nt posix pty pwd resource syslog termios tty winreg winsound",  # platform-specific
            "posixpath ntpath genericpath nturl2path sre_compile sre_constants sre_parse",  # inside os.path, re
            "bdb pyclbr pyexpat symtable xmlrpc zipimport",  # machinery that other modules wrap
        )
    ).split()
)
# Submodules that users import by name; other submodules are re-exported by their package.
SUBMODULES = [
    "collections.abc",
    "concurrent.futures",
    *(f"email.{part}" for part in ("header", "message", "mime.image", "mime.multipart", "mime.text", "utils")),
    *(f"html.{part}" for part in ("entities", "parser")),
    *(f"http.{part}" for part in ("client", "cookiejar", "cookies", "server")),
    *(f"importlib.{part}" for part in ("metadata", "resources", "util")),
    *(f"logging.{part}" for part in ("config", "handlers")),
    *(f"multiprocessing.{part}" for part in ("managers", "pool", "shared_memory")),
    "os.path",
    "unittest.mock",
    *(f"urllib.{part}" for part in ("error", "parse", "request", "robotparser")),
    "wsgiref.simple_server",
    *(f"xml.{part}" for part in ("dom.minidom", "etree.ElementTree", "sax.saxutils")),
]
MINIMUM_WORDS = 3  # "Greatest Common Divisor." is a useful document
# The default docstring of a dataclass or a named tuple.
BARE_SIGNATURE = re.compile(r"[\w.]+\([^()]*(\([^()]*\)[^()]*)*\)")
# Object representations, which may hold addresses, and absolute paths.
UNSTABLE = re.compile(r"<[^>]*>|[\"'][/\\]")


class DocumentedObject(NamedTuple):
    """A documented object; ``depth`` is the number of classes its docstring may come from, 0 outside of classes."""

    depth: int
    doc_id: str
    text: str
    value: object


def read_pydocs() -> tuple[list[tuple[str, str, str]], int]:
    """Reads the standard library's documents in a fresh interpreter.

    Returns:
        (doc_id, title, text) in order of doc_id, and how many modules could not be imported.

    Raises:
        subprocess.CalledProcessError: the interpreter failed; see standard error.
    """
    command = [sys.executable, "-I", "-S", "-B", "-X", "utf8", __file__]
    answer = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    return [(doc_id, title, text) for doc_id, title, text in answer["documents"]], answer["failed"]


def collect() -> tuple[list[tuple[str, str, str]], int]:
    """Returns the result of ``read_pydocs``, computed in this interpreter."""
    objects, failed = list(_topics()), 0
    for name in _module_names():
        try:
            module = importlib.import_module(name)
        except ImportError:  # this build or platform lacks the module
            failed += 1
            continue
        objects += _of_module(module)
    return _distinct(objects), failed


def _module_names() -> list[str]:
    public = {name for name in sys.stdlib_module_names if not name.startswith("_")}
    return sorted({*public - EXCLUDED, *SUBMODULES})


def _topics() -> Iterator[DocumentedObject]:
    topics: dict[str, str] = importlib.import_module("pydoc_data.topics").topics
    for name, text in topics.items():
        yield DocumentedObject(0, f"topics.{name}", text.strip(), text)


def _of_module(module: ModuleType) -> Iterator[DocumentedObject]:
    name = "os.path" if module.__name__ in ("posixpath", "ntpath") else module.__name__
    prefix = "" if name == "builtins" else f"{name}."
    for key in getattr(module, "__all__", dir(module)):
        value = getattr(module, key, None)
        if key.startswith("_") or not (inspect.isroutine(value) or inspect.isclass(value)):
            continue
        if prefix == "" or hasattr(module, "__all__") or _defined_in(value, name):
            yield from _of_class(prefix + key, value) if inspect.isclass(value) else _of_object(prefix + key, value)
    yield from _of_object(name, module)


def _defined_in(value: object, module: str) -> bool:
    """Returns whether the object is defined in the module's package or its C part, not just imported there."""
    home = getattr(value, "__module__", None) or ""
    return home.partition(".")[0].lstrip("_") == module.partition(".")[0]


def _of_class(doc_id: str, owner: type) -> Iterator[DocumentedObject]:
    depth = len(owner.__mro__)
    yield from _of_object(doc_id, owner, depth)
    members = {key: value for base in reversed(owner.__mro__) for key, value in vars(base).items()}
    for key, member in members.items():
        value = member.__func__ if isinstance(member, (classmethod, staticmethod)) else member
        if not key.startswith("_") and (inspect.isroutine(value) or isinstance(value, property)):
            yield from _of_object(f"{doc_id}.{key}", value, depth)


def _of_object(doc_id: str, value: object, depth: int = 0) -> Iterator[DocumentedObject]:
    text = (inspect.getdoc(value) or "").strip()
    if len(text.split()) >= MINIMUM_WORDS and not BARE_SIGNATURE.fullmatch(text):
        yield DocumentedObject(depth, doc_id, text, value)


def _distinct(objects: list[DocumentedObject]) -> list[tuple[str, str, str]]:
    """Returns one document per text and id; of names with the same text, the defining or else the shortest one."""
    by_text: dict[str, DocumentedObject] = {}
    for item in sorted(objects, key=lambda item: (item.depth, len(item.doc_id), item.doc_id)):
        by_text.setdefault(item.text, item)
    by_id = {item.doc_id: item for item in reversed(by_text.values())}
    return [(doc_id, doc_id + _signature(item.value), item.text) for doc_id, item in sorted(by_id.items())]


def _signature(value: Any) -> str:
    """Returns the object's signature; "" if it has none or if it differs between runs or machines."""
    try:
        text = str(inspect.signature(value))
    except (TypeError, ValueError, AttributeError, NameError):
        return ""  # not callable, a C function without a signature, or an undefined default or annotation
    return "" if UNSTABLE.search(text) else text


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # deprecated modules are read too
    documents, failed = collect()
    json.dump({"documents": documents, "failed": failed}, sys.stdout)
