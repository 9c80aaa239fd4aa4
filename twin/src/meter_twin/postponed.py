"""Postpones standard modules that asyncio imports and a twin never uses, before asyncio is loaded.

A stand-in takes the module's place in `sys.modules`; the first access to an attribute loads the
real one, so nothing breaks, it only comes later. `inspect` with `ast`, `dis` and `tokenize` is
0.9 MiB of private memory, `traceback`, `subprocess` and `locale` are 0.4 MiB together, times every
meter. What asyncio takes from them while it is imported is given to the stand-in. The package
imports this first of all; it helps as long as nothing on the way needs `inspect`, as dataclasses
do. (`importlib.util.LazyLoader` would load it at the second `import` statement already.)
"""

import sys
from importlib import import_module
from types import FrameType, ModuleType


class _StandIn(ModuleType):
    """Loads the module of its name at the first access to an attribute."""

    def __getattr__(self, name: str) -> object:
        if name.startswith("__") and name != "__all__":
            raise AttributeError(name)
        return getattr(_load(self.__name__), name)


def _load(name: str) -> ModuleType:
    if isinstance(sys.modules.get(name), _StandIn):
        del sys.modules[name]
    return import_module(name)


def _extract_stack(frame: FrameType | None = None, limit: int | None = None) -> object:
    """`traceback.extract_stack`, which the C part of asyncio fetches when it is loaded."""
    return _load("traceback").extract_stack(frame or sys._getframe(1), limit)  # noqa: SLF001


POSTPONED: dict[str, dict[str, object]] = {
    "inspect": {},
    "locale": {},
    "subprocess": {"PIPE": -1, "STDOUT": -2, "DEVNULL": -3},
    "traceback": {"extract_stack": _extract_stack},
}


def postpone(name: str, given: dict[str, object] | None = None) -> None:
    """Put a stand-in with these attributes into `sys.modules` unless the module is loaded."""
    if name not in sys.modules:
        module = _StandIn(name)
        module.__dict__.update(given or {})
        sys.modules[name] = module


for _name, _given in POSTPONED.items():
    postpone(_name, _given)
