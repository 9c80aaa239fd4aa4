"""Postpones standard modules that others import and a twin never uses, before asyncio is loaded.

A stand-in takes the module's place in `sys.modules`; the first access to an attribute loads the
real one, so nothing breaks, it only comes later. `inspect` with `ast`, `dis` and `tokenize` is 0.9
MiB of private memory, `traceback`, `subprocess` and `locale` are 0.4 MiB together, times every
meter; `logging` with `string` is 0.3 MiB and 5 ms of processor time at each start; `unicodedata`
and `stringprep`, which the broker's host name brings in, are 0.1 MiB and 1 ms; `typing` is 0.5 MiB
and 5 ms. What asyncio and our modules take from them while they are imported is given to the
stand-in. The package imports this first of all; it
helps as long as nothing on the way needs `inspect`, as dataclasses do. (`importlib.util.LazyLoader`
would load it at the second `import` statement already.)
"""

import sys
from collections.abc import Callable
from importlib import import_module
from types import FrameType, ModuleType

from . import light_typing

PACKAGES = frozenset({"logging"})


class _StandIn(ModuleType):
    """Loads the module of its name at the first access to an attribute."""

    def __getattr__(self, name: str) -> object:
        known = name == "__all__" or (name == "__path__" and self.__name__ in PACKAGES)
        if name.startswith("__") and not known:
            raise AttributeError(name)
        return getattr(_load(self.__name__), name)


def _is_postponed(name: str) -> bool:
    return isinstance(sys.modules.get(name), _StandIn)


def _load(name: str) -> ModuleType:
    if _is_postponed(name):
        del sys.modules[name]
    module = import_module(name)
    if name in _WAITING:
        _WAITING.pop(name)()
    return module


_WAITING: dict[str, Callable[[], None]] = {}


def when_loaded(name: str, then: Callable[[], None]) -> None:
    """Call `then` as soon as the real module is there: now, or right after it is loaded."""
    if _is_postponed(name):
        _WAITING[name] = then
    else:
        then()


def _extract_stack(frame: FrameType | None = None, limit: int | None = None) -> object:
    """`traceback.extract_stack`, which the C part of asyncio fetches when it is loaded."""
    return _load("traceback").extract_stack(frame or sys._getframe(1), limit)  # noqa: SLF001


class _Logger:
    """What asyncio and its futures keep; the first line that they log loads the real logger.

    Lines below a warning are nobody's as long as nobody has loaded `logging` to ask for them.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def debug(self, *given: object) -> None:
        """Each event loop says which selector it uses."""
        if not _is_postponed("logging"):
            _load("logging").getLogger(self._name).debug(*given)

    def __getattr__(self, name: str) -> object:
        return getattr(_load("logging").getLogger(self._name), name)


def _get_logger(name: str | None = None) -> object:
    """`logging.getLogger`, which asyncio calls while it is imported."""
    if name in {"asyncio", "concurrent.futures"} and _is_postponed("logging"):
        return _Logger(name)
    return _load("logging").getLogger(name)


class _UnicodeOfNames:
    """`unicodedata.ucd_3_2_0`, which the codec of host names takes; names in ASCII never use it."""

    def __getattr__(self, name: str) -> object:
        return getattr(_load("unicodedata").ucd_3_2_0, name)


POSTPONED: dict[str, dict[str, object]] = {
    "base64": {},
    "inspect": {},
    "locale": {},
    "logging": {"getLogger": _get_logger, "DEBUG": 10},
    "stringprep": {},
    "subprocess": {"PIPE": -1, "STDOUT": -2, "DEVNULL": -3},
    "traceback": {"extract_stack": _extract_stack},
    "unicodedata": {"ucd_3_2_0": _UnicodeOfNames()},
}


def postpone(name: str, given: dict[str, object] | None = None) -> None:
    """Put a stand-in with these attributes into `sys.modules` unless the module is loaded."""
    if name not in sys.modules:
        module = _StandIn(name)
        module.__dict__.update(given or {})
        sys.modules[name] = module


for _name, _given in POSTPONED.items():
    postpone(_name, _given)
# From 3.14 on a class tells its annotations in another way, which only the real module knows.
if sys.version_info < (3, 14):
    postpone("typing", light_typing.GIVEN)
