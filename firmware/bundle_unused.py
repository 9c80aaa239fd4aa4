"""Removes from the bundled modules what nothing in them asks for: each function is heap on a board.

By name alone, so with care: a function, class or method goes only if its name stands nowhere in
what is left, neither as a name nor as an attribute. Neighbours: `bundle`, which keeps the roots.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def remove_unused(trees: Iterable[ast.Module], roots: set[str]) -> list[str]:
    """Drop unused definitions, those that only they used too; return the names that went.

    Args:
        trees: of all modules that run together.
        roots: names that are asked for from outside.
    """
    trees = list(trees)
    gone: list[str] = []
    while True:
        mentioned = Counter(name for tree in trees for name in list_names(tree))
        before = len(gone)
        for tree in trees:
            classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
            gone += _remove(tree.body, mentioned, roots)
            for one in classes:
                gone += _remove(one.body, mentioned, roots)
                one.body = one.body or [ast.Pass()]
        if len(gone) == before:
            return gone


def _remove(body: list[ast.stmt], mentioned: Counter[str], roots: set[str]) -> list[str]:
    """Drop the unused definitions of a module's or a class's body; return their names."""
    gone = []
    for node in list(body):
        if isinstance(node, DEFINITIONS) and _is_unused(node, mentioned, roots):
            body.remove(node)
            gone.append(node.name)
    return gone


def _is_unused(node: Definition, mentioned: Counter[str], roots: set[str]) -> bool:
    if node.name in roots or node.name.startswith("__"):
        return False
    own = Counter(list_names(node))[node.name]  # it calls itself
    return mentioned[node.name] == own


def list_names(tree: ast.AST) -> Iterable[str]:
    """Return every name that is asked for: read, taken as an attribute, imported or spelt out."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value  # getattr
        elif isinstance(node, ast.ImportFrom):
            yield from [one.name for one in node.names if one.asname]
