"""What a starting twin takes from `typing`, without loading it: 0.5 MiB of private memory each.

While they run, our modules need names to annotate with, and `NamedTuple`; `postponed` gives both to
its stand-in of `typing`, where anything else loads the real module. Type checkers see the real one.
"""

import sys
from _collections import _tuplegetter  # type: ignore[import-not-found]


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


class _Row(tuple[object, ...]):
    """What `collections.namedtuple` makes, without compiling a constructor for each class.

    That is a tenth of the processor time of a twin's imports.
    """

    __slots__ = ()
    _fields: "tuple[str, ...]" = ()
    _field_defaults: "dict[str, object]" = {}  # noqa: RUF012 - of a class, as in the standard

    def __new__(cls, *values: object, **named: object) -> "_Row":  # noqa: PYI034 - Self is typing's
        if named or len(values) != len(cls._fields):
            values = _complete(cls, values, named)
        return tuple.__new__(cls, values)

    @classmethod
    def _make(cls, values: "tuple[object, ...]") -> "_Row":
        made = tuple.__new__(cls, values)
        if len(made) != len(cls._fields):
            raise TypeError(f"{cls.__name__} has {len(cls._fields)} fields, not {len(made)}")
        return made

    def _replace(self, **changes: object) -> "_Row":
        pairs = zip(self._fields, self, strict=True)
        values = [changes.pop(name, value) for name, value in pairs]
        if changes:
            raise TypeError(f"{type(self).__name__} has no field {', '.join(changes)}")
        return tuple.__new__(type(self), values)

    def _asdict(self) -> "dict[str, object]":
        return dict(zip(self._fields, self, strict=True))

    def __repr__(self) -> str:
        pairs = zip(self._fields, self, strict=True)
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in pairs)})"

    def __getnewargs__(self) -> "tuple[object, ...]":
        return tuple(self)


def _complete(
    cls: type[_Row], values: "tuple[object, ...]", named: "dict[str, object]"
) -> "tuple[object, ...]":
    """Return the values of all fields.

    Raises:
        TypeError: one is missing, unknown, given twice or too many.
    """
    fields, defaults = cls._fields, cls._field_defaults
    lacking = len(fields) - len(values)
    if not named and 0 < lacking <= len(defaults):
        return values + tuple(defaults.values())[-lacking:]
    given = dict(zip(fields, values, strict=False))
    if len(values) > len(fields) or given.keys() & named.keys() or named.keys() - set(fields):
        raise TypeError(f"{cls.__name__} takes each of {', '.join(fields)} once")
    known = {**defaults, **given, **named}
    missing = [field for field in fields if field not in known]
    if missing:
        raise TypeError(f"{cls.__name__} needs {', '.join(missing)}")
    return tuple(known[field] for field in fields)


class _Maker(type):
    """Makes a named tuple of what inherits from `NamedTuple`."""

    def __new__(cls, name: str, bases: tuple[type, ...], space: dict[str, object]) -> type:
        if not bases:
            return super().__new__(cls, name, bases, space)
        annotations = space.get("__annotations__", {})
        assert isinstance(annotations, dict)
        fields = tuple(annotations)
        made = {
            **{key: value for key, value in space.items() if key not in fields},
            **{field: _tuplegetter(at, "") for at, field in enumerate(fields)},
            "__slots__": (),
            "__match_args__": fields,
            "_fields": fields,
            "_field_defaults": {field: space[field] for field in fields if field in space},
        }
        return type(name, (_Row,), made)


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
