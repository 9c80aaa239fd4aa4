"""Postpones standard modules that asyncio imports and a twin never uses, before asyncio is loaded.

A stand-in takes the module's place in `sys.modules`; the first access to an attribute loads the
real one, so nothing breaks, it only comes later. `inspect` with `ast`, `dis` and `tokenize` is
0.9 MiB of private memory, times every meter. (`importlib.util.LazyLoader` would load it at the
second `import` statement already.) The package imports this first of all; it helps as long as
nothing on the way needs `inspect`, as dataclasses do.
"""

import sys
from importlib import import_module
from types import ModuleType

POSTPONED = ("inspect",)


class _StandIn(ModuleType):
    """Loads the module of its name at the first access to an attribute."""

    def __getattr__(self, name: str) -> object:
        if name.startswith("__") and name != "__all__":
            raise AttributeError(name)
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(import_module(self.__name__), name)


def postpone(name: str) -> None:
    """Put a stand-in into `sys.modules` unless the module is loaded already."""
    sys.modules.setdefault(name, _StandIn(name))


for _name in POSTPONED:
    postpone(_name)
