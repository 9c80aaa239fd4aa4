"""Which names the bundle's attributes and globals get: as few as can be, and those known already.

A name that the interpreter does not know costs its entry in the heap, once, and the table of such
names doubles when it is full. So attributes that no class has both of share a name, and most get
one that every MicroPython has. Neighbours: `bundle`, `bundle_rewriting` (which puts them in).
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import chain, count
from keyword import iskeyword

from bundle_rewriting import FUNCTIONS, PARAMETERS

_KEPT = """
    run main decode encode read write close open connect subscribe unsubscribe publish append
    get set clear wait add remove pop flush names seek cancel done drain retain args items
    values keys index send start s
"""
KEPT = set(_KEPT.split())
"""Names that objects of the interpreter have too: never renamed."""
_BOARD = "contacts count edge_ms generator_count memory output reset_cause watchdog"
BOARD = set(_BOARD.split())
"""Names of the board's own (`hal.esp8266_small`), which is not in the bundle."""
_KNOWN = """
    ArithmeticError AssertionError AttributeError BaseException EOFError Ellipsis GeneratorExit
    ImportError IndentationError IndexError KeyError KeyboardInterrupt LookupError NameError
    NoneType NotImplementedError OverflowError RuntimeError StopIteration SyntaxError SystemExit
    TypeError ZeroDivisionError abs all any bool bytearray bytes callable chr classmethod const
    copy dict dir divmod end endswith eval exec extend find format from_bytes getattr globals
    hasattr hash id insert int isalpha isdigit isinstance islower isspace issubclass isupper
    iter join key len list locals lower lstrip map micropython next object ord pow print range
    readinto readline replace repr reverse rfind round rstrip sep setattr sort sorted split
    startswith staticmethod step stop str strip sum super throw to_bytes tuple type update upper
    zip
"""
KNOWN = _KNOWN.split()
"""Names that every MicroPython has in its own memory (static_qstr_list of py/makeqstrdata.py).

mpy-cross writes them as numbers: who has one of these takes no heap for it.
"""
ASKED = {"AssertionError", "BaseException"}
"""Globals that MicroPython's compiler asks for by itself (`assert`, `async with`)."""
ROOTS = {"main", "Small"}
"""Globals that are asked for from outside; they stay as they are."""


def list_outside(tree: ast.Module) -> set[str]:
    """Return the attributes of the interpreter's modules that it uses, as `time.ticks_ms`."""
    imported = {
        one.asname or one.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for one in node.names
    }
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in imported
    }


def list_texts(trees: Iterable[ast.Module]) -> list[str]:
    """Return the texts of sources that could be names: they are known wherever these run."""
    texts = {
        node.value
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    return sorted(text for text in texts if text.isidentifier() and not iskeyword(text))


def spare_globals(trees: Iterable[ast.Module], texts: list[str]) -> Iterator[str]:
    """Return names for the globals of a file, none of which the file uses for something else.

    Args:
        trees: of the file.
        texts: what costs nothing as a name, besides `KNOWN`.
    """
    nodes = [node for tree in trees for node in ast.walk(tree)]
    used = {node.id for node in nodes if isinstance(node, ast.Name)}
    used |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    used |= {
        one.asname or one.name
        for node in nodes
        for one in getattr(node, "names", ())
        if isinstance(one, ast.alias)
    }
    return _free(used | ASKED | ROOTS, texts)


def _free(used: set[str], texts: list[str]) -> Iterator[str]:
    names = chain(KNOWN, texts, (f"b{number}" for number in count()))
    return (name for name in names if name not in used and name not in PARAMETERS)


def _members(node: ast.ClassDef) -> set[str]:
    """Return the names of a class's methods and of the attributes that it sets."""
    found = {one.name for one in node.body if isinstance(one, FUNCTIONS)}
    for one in ast.walk(node):
        if isinstance(one, ast.Attribute) and isinstance(one.ctx, ast.Store):
            if isinstance(one.value, ast.Name) and one.value.id == "self":
                found.add(one.attr)
        elif isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store) and one in _own(node):
            found.add(one.id)
    return found


def _own(node: ast.ClassDef) -> list[ast.expr]:
    return [target for one in node.body if isinstance(one, ast.Assign) for target in one.targets]


def shorten_attributes(
    trees: Iterable[ast.Module], kept: set[str], texts: list[str]
) -> dict[str, str]:
    """Return {name: short name} of the attributes and methods that only our own objects have.

    Args:
        trees: of all modules that run together.
        kept: names that must stay.
        texts: as of `spare_globals`.
    """
    trees = list(trees)
    nodes = [node for tree in trees for node in ast.walk(tree)]
    classes = {node.name: node for node in nodes if isinstance(node, ast.ClassDef)}
    asked = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    members = {name: _members(node) for name, node in classes.items()}
    own = {
        name
        for name in set().union(*members.values())
        if not name.startswith("__") and name not in kept and len(name) > 2  # noqa: PLR2004
    }
    beside: dict[str, set[str]] = defaultdict(set)
    for name in classes:
        family = set().union(*[members[one] for one in _family(name, classes)])
        for member in family & own:
            beside[member] |= family & own
    short: dict[str, str] = {}
    for name in sorted(own, key=lambda one: (-len(beside[one]), one)):
        used = {short[other] for other in beside[name] if other in short}
        short[name] = next(_free(used | (asked - own) | kept, texts))
    return short


def _family(name: str, classes: dict[str, ast.ClassDef]) -> list[str]:
    """Return a class and those that it is made of."""
    found = [name]
    for base in classes[name].bases:
        known = base.attr if isinstance(base, ast.Attribute) else getattr(base, "id", "")
        if known in classes:
            found += _family(known, classes)
    return found
