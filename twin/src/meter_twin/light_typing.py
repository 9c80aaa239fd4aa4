"""What a starting twin takes from `typing`, without loading it: 0.5 MiB of private memory each.

While they run, our modules need names to annotate with, and `NamedTuple`; `postponed` gives both to
its stand-in of `typing`, where anything else loads the real module. Type checkers see the real one.
"""

import sys
from collections import namedtuple

_TAKEN = frozenset({"__annotations__", "__module__"})


class Annotation:
    """Stands in annotations: `Optional[int]`, `ClassVar[str]`, `Any | None`."""

    def __getitem__(self, _: object) -> "Annotation":
        """Return this again: what is in brackets is for type checkers."""
        return self

    def __or__(self, _: object) -> "Annotation":
        """Return this again."""
        return self

    __ror__ = __or__


class Protocol:
    """Base of classes that say what others have."""


class _Maker(type):
    """Makes a named tuple of what inherits from `NamedTuple`."""

    def __new__(cls, name: str, bases: tuple[type, ...], space: dict[str, object]) -> type:
        if not bases:
            return super().__new__(cls, name, bases, space)
        fields = space.get("__annotations__", {})
        assert isinstance(fields, dict)
        defaults = [space[field] for field in fields if field in space]
        module = str(space["__module__"])
        made: type = namedtuple(name, fields, defaults=defaults, module=module)  # type: ignore[misc] # noqa: PYI024 - this is the base of the typed one
        made.__annotations__ = fields
        for key, value in space.items():
            if key not in _TAKEN and key not in fields:
                setattr(made, key, value)
        return made


class NamedTuple(metaclass=_Maker):
    """`typing.NamedTuple` by inheritance: fields, defaults, methods, properties."""


def _final(found: object) -> object:
    return found


def _cast(_: object, value: object) -> object:
    return value


# Not ClassVar, which dataclasses look for. asyncio of Python 3.11 annotates with more.
_NAMES: tuple[str, ...] = ("Any", "Literal", "Optional", "TextIO", "Type")
if sys.version_info < (3, 12):
    _NAMES += ("Awaitable", "Callable", "Iterable", "List", "Tuple")
GIVEN: dict[str, object] = {
    **{name: Annotation() for name in _NAMES},
    "Protocol": Protocol,
    "NamedTuple": NamedTuple,
    "cast": _cast,
    "final": _final,
}
