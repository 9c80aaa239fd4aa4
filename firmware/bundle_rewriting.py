"""Rewrites the syntax trees of the bundled modules: drops what is not needed, shortens names.

Neighbour: `bundle`, which says which names are whose.
"""

from __future__ import annotations

import ast
from pathlib import Path

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


PROTOCOL_ERRORS = {"LocalProtocolError", "RemoteProtocolError"}


class Module:
    """A source: what it defines at its top, and what it takes from the others."""

    def __init__(self, name: str, path: Path) -> None:  # noqa: D107
        self.name = name
        self.tree = ast.parse(path.read_text())
        self.defined: dict[str, str] = {}
        self.aliases: dict[str, tuple[str, str | None]] = {}


def _is_needless(node: ast.AST) -> bool:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return isinstance(node.value.value, str)
    if isinstance(node, ast.If) and isinstance(node.test, ast.Name):
        return node.test.id == "TYPE_CHECKING"
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
        return node.targets[0].id == "TYPE_CHECKING"
    return isinstance(node, ast.Assert)


class Strip(ast.NodeTransformer):
    """Removes what is not needed at run time."""

    def generic_visit(self, node: ast.AST) -> ast.AST:
        """Visit the children, then drop needless statements of the body."""
        super().generic_visit(node)
        if isinstance(getattr(node, "body", None), list):
            node.body = [one for one in node.body if not _is_needless(one)]
            if not node.body and not isinstance(node, ast.Module):
                node.body = [ast.Pass()]
        return node

    def visit_arg(self, node: ast.arg) -> ast.arg:
        """Drop an annotation."""
        node.annotation = None
        return node

    def visit_FunctionDef(self, node):  # noqa: ANN001, ANN201
        """Drop the annotation of the result."""
        node.returns = None
        return self.generic_visit(node)

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        """Make it a plain assignment."""
        if node.value is None:
            return None
        return self.generic_visit(ast.Assign([node.target], node.value, lineno=0))


class Silence(ast.NodeTransformer):
    """Removes the texts of errors that nobody reads: the meter's log names the class alone."""

    def visit_Call(self, node: ast.Call) -> ast.Call:
        """Make `RemoteProtocolError("text")` a `RemoteProtocolError()`."""
        self.generic_visit(node)
        if isinstance(node.func, ast.Name) and node.func.id in PROTOCOL_ERRORS:
            node.args = [one for one in node.args if not _is_text(one)]
        return node


def _is_text(node: ast.AST) -> bool:
    formatted = isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod)
    return formatted or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _bound(function: ast.AST) -> set[str]:
    """Return the names that a function binds itself."""
    names = set()
    for node in ast.walk(function):
        if isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif (isinstance(node, ast.ExceptHandler) and node.name) or (
            isinstance(node, FUNCTIONS) and node is not function
        ):
            names.add(node.name)
    return names


class Rename(ast.NodeTransformer):
    """Gives the names of one module their place in the bundle."""

    def __init__(self, module: Module, modules: dict[str, Module], short, keywords) -> None:  # noqa: ANN001, D107
        self.module = module
        self.modules = modules
        self.short = short
        self.keywords = keywords
        self.scopes: list[tuple[set[str], dict[str, str]]] = []

    def visit_Name(self, node: ast.Name) -> ast.Name:
        """Rename a global or a parameter; other locals cost nothing."""
        for bound, parameters in reversed(self.scopes):
            if node.id in parameters:
                node.id = parameters[node.id]
                return node
            if node.id in bound:
                return node
        source, name = self.module.aliases.get(node.id, ("", None))
        if name is not None:
            node.id = self.modules[source].defined[name]
        else:
            node.id = self.module.defined.get(node.id, node.id)
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        """Resolve `module.name`; shorten the names of our own attributes."""
        if isinstance(node.value, ast.Name):
            source, name = self.module.aliases.get(node.value.id, ("", ""))
            if name is None and not any(node.value.id in bound for bound, _ in self.scopes):
                return ast.Name(self._global(source, node.attr), node.ctx)
        self.generic_visit(node)
        node.attr = self.short.get(node.attr, node.attr)
        return node

    def _global(self, source: str, name: str) -> str:
        module = self.modules[source]
        if name in module.defined:
            return module.defined[name]
        return self._global(*module.aliases[name])

    def _function(self, node):  # noqa: ANN001, ANN202
        if getattr(node, "in_class", False):
            node.name = self.short.get(node.name, node.name)
        elif not self.scopes:
            node.name = self.module.defined.get(node.name, node.name)
        node.decorator_list = [self.visit(one) for one in node.decorator_list]
        node.args.defaults = [self.visit(one) for one in node.args.defaults]
        bound = _bound(node)
        parameters = {}
        if not node.args.kwonlyargs and not node.args.vararg:
            for index, one in enumerate(node.args.args):
                if one.arg not in self.keywords:
                    parameters[one.arg] = one.arg = f"a{index}"
        self.scopes.append((bound, parameters))
        node.body = [self.visit(one) for one in node.body]
        self.scopes.pop()
        return node

    visit_FunctionDef = _function  # noqa: N815
    visit_AsyncFunctionDef = _function  # noqa: N815

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.ClassDef:
        """Rename the class, its bases and its methods."""
        node.name = self.module.defined.get(node.name, node.name)
        node.bases = [self.visit(one) for one in node.bases]
        for one in node.body:
            one.in_class = True
        node.body = [self.visit(one) for one in node.body]
        return node

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.ImportFrom:
        """Leave what stayed: modules that are not in the bundle."""
        return node
