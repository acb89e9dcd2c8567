"""Registers classes by kind, the name that saved files use."""

import pkgutil
from importlib import import_module
from importlib.metadata import entry_points
from typing import Generic, TypeVar

from zero2ir.errors import InputError
from zero2ir.io.values import shown

Class = TypeVar("Class")


class Registry(Generic[Class]):
    """The classes of a package and those that users derive from them, by kind.

    A class is registered when it is defined. An unregistered kind is imported from the package's module of the same
    name, or from an installed package with an entry point of this name in the group ``package``. Nothing else is
    imported, so that a saved file cannot run arbitrary code.

    Args:
        package: the package whose modules define the kinds, e.g. "zero2ir.models".
        noun: the name of a class in messages, e.g. "model".
    """

    def __init__(self, package: str, noun: str) -> None:
        self.package = package
        self.noun = noun
        self._classes: dict[str, type[Class]] = {}

    def add(self, cls: type[Class]) -> None:
        """Registers a class that defines ``kind`` itself; classes that inherit it cannot be saved.

        Raises:
            TypeError: another class has the same kind.
        """
        kind = vars(cls).get("kind")
        if kind is None:
            return
        other = self._classes.get(kind, cls)
        if (other.__module__, other.__qualname__) != (cls.__module__, cls.__qualname__):
            raise TypeError(f"{cls.__module__}.{cls.__qualname__}: {other.__module__} already has the kind {kind!r}")
        self._classes[kind] = cls

    def find(self, kind: str) -> type[Class]:
        """Returns the class of a kind.

        Raises:
            InputError: the kind is unknown.
        """
        if kind not in self._classes and kind in self.modules():
            import_module(f"{self.package}.{kind}")
        if kind not in self._classes:
            for entry in entry_points(group=self.package, name=kind):
                entry.load()
        if kind not in self._classes:
            raise InputError(f"unknown kind of {self.noun}: {shown(kind)}; import the module that defines it first")
        return self._classes[kind]

    def modules(self) -> list[str]:
        """Returns the names of the package's modules."""
        return [module.name for module in pkgutil.iter_modules(import_module(self.package).__path__)]
