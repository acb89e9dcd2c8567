"""Classes that register themselves by the kind that saved files name."""

import pkgutil
from importlib import import_module
from typing import Generic, TypeVar

from zero2ir.errors import InputError

Class = TypeVar("Class")


class Registry(Generic[Class]):
    """The classes of one package, and those that users derive from them, by kind.

    A class is added when it is defined. A kind that no class has yet is imported from the package's module of the same
    name. Nothing else is ever imported, whatever a file says: opening a file runs no code of its choice.

    Args:
        package: whose modules define the kinds, e.g. "zero2ir.models".
        noun: what messages call a class, e.g. "model".
    """

    def __init__(self, package: str, noun: str) -> None:
        self.package = package
        self.noun = noun
        self._classes: dict[str, type[Class]] = {}

    def add(self, cls: type[Class]) -> None:
        """Adds a class that states its own ``kind``; one that inherits it is not to be saved.

        Raises:
            TypeError: another class has the same kind.
        """
        kind = vars(cls).get("kind")
        if kind is None:
            return
        other = self._classes.get(kind, cls)
        if (other.__module__, other.__qualname__) != (cls.__module__, cls.__qualname__):
            raise TypeError(f"{cls.__module__}.{cls.__qualname__}: {other.__module__} has the kind {kind!r} already")
        self._classes[kind] = cls

    def find(self, kind: str) -> type[Class]:
        """The class of a kind.

        Raises:
            InputError: there is none.
        """
        if kind not in self._classes and kind in self.modules():
            import_module(f"{self.package}.{kind}")
        if kind not in self._classes:
            raise InputError(f"no {self.noun} of the kind {kind!r} is known; import the module that defines it first")
        return self._classes[kind]

    def modules(self) -> list[str]:
        """The names of the package's modules."""
        return [module.name for module in pkgutil.iter_modules(import_module(self.package).__path__)]
