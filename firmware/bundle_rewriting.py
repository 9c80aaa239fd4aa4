"""Rewrites the syntax trees of the bundled modules: drops what is not needed, shortens names.

Neighbour: `bundle`, which says which names are whose.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TypeVar

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
Function = TypeVar("Function", ast.FunctionDef, ast.AsyncFunctionDef)


PARAMETERS = ("self", "bytecode", "builtins", "little", "popitem", "rindex", "rsplit", "setdefault")
"""Of each function, by their place: names that every MicroPython has, and no source uses."""
PROTOCOL_ERRORS = {"LocalProtocolError", "RemoteProtocolError"}


class Module:
    """A source: what it defines at its top, and what it takes from the others."""

    def __init__(self, name: str, path: Path, file: str) -> None:  # noqa: D107
        self.name = name
        self.file = file
        self.tree = ast.parse(path.read_text())
        self.defined: dict[str, str] = {}
        self.aliases: dict[str, tuple[str, str | None]] = {}
        self.needed: set[str] = set()
        """Imports of what other files of the bundle define."""

    def constant(self, name: str) -> int | str | bytes | None:
        """Return the number, text or octets that a global is, None if it is something else."""
        for node in self.tree.body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):  # noqa: SIM102
                if node.targets[0].id in {name, self.defined[name]}:
                    return value_of(node.value)
        return None


def value_of(node: ast.expr) -> int | str | bytes | None:
    """Return the value of a constant, `const(…)` around it or not; None of everything else."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "const":
        node = node.args[0]
    value = node.value if isinstance(node, ast.Constant) else None
    if isinstance(value, bool) or not isinstance(value, (int, str, bytes)):
        return None
    return value


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
        body = getattr(node, "body", None)
        if isinstance(body, list):
            body[:] = [one for one in body if not _is_needless(one)]
            if not body and not isinstance(node, ast.Module):
                body.append(ast.Pass())
        return node

    def visit_arg(self, node: ast.arg) -> ast.arg:
        """Drop an annotation."""
        node.annotation = None
        return node

    def _function(self, node: Function) -> ast.AST:
        """Drop the annotation of the result."""
        node.returns = None
        return self.generic_visit(node)

    visit_FunctionDef = _function  # noqa: N815
    visit_AsyncFunctionDef = _function  # noqa: N815

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
    names: set[str] = set()
    for node in ast.walk(function):
        if isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.ExceptHandler):
            names |= {node.name} if node.name else set()
        elif isinstance(node, FUNCTIONS) and node is not function:
            names.add(node.name)
    return names


class Rename(ast.NodeTransformer):
    """Gives the names of one module their place in the bundle."""

    def __init__(
        self, module: Module, modules: dict[str, Module], short: dict[str, str], keywords: set[str]
    ) -> None:
        """`short`: {attribute: short name}; `keywords`: parameters that a call names."""
        self.module = module
        self.modules = modules
        self.short = short
        self.keywords = keywords
        self.scopes: list[tuple[set[str], dict[str, str]]] = []
        self.methods: set[ast.stmt] = set()

    def visit_Name(self, node: ast.Name) -> ast.expr:
        """Rename a global or a parameter; other locals cost nothing."""
        for bound, parameters in reversed(self.scopes):
            if node.id in parameters:
                node.id = parameters[node.id]
                return node
            if node.id in bound:
                return node
        source, name = self.module.aliases.get(node.id, ("", None))
        if name is not None:
            return self._global(source, name)
        node.id = self.module.defined.get(node.id, node.id)
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        """Resolve `module.name`; shorten the names of our own attributes."""
        if isinstance(node.value, ast.Name):
            source, name = self.module.aliases.get(node.value.id, ("", ""))
            if name is None and not any(node.value.id in bound for bound, _ in self.scopes):
                return self._global(source, node.attr)
        self.generic_visit(node)
        node.attr = self.short.get(node.attr, node.attr)
        return node

    def _global(self, source: str, name: str) -> ast.expr:
        """Return what stands for a global of another module; a file imports it, but for numbers."""
        module = self.modules[source]
        if name not in module.defined:
            further, there = module.aliases[name]
            if there is None:
                raise ValueError(f"{self.module.name}: {source}.{name} is a module, no global")
            return self._global(further, there)
        if module.file != self.module.file:
            value = module.constant(name)
            if value is not None:
                return ast.Constant(value)
            other = module.defined[name]
            self.module.needed.add(f"from {module.file} import {other} as {module.file}_{other}")
            return ast.Name(f"{module.file}_{other}", ast.Load())
        return ast.Name(module.defined[name], ast.Load())

    def _function(self, node: Function) -> Function:
        if node in self.methods:
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
                    short = PARAMETERS[index] if index < len(PARAMETERS) else f"a{index}"
                    parameters[one.arg] = one.arg = short
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
        self.methods.update(node.body)
        node.body = [self.visit(one) for one in node.body]
        return node

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.ImportFrom:
        """Leave what stayed, but that a name of another file has become a short one there."""
        module = self.modules.get(node.module or "")
        if module is not None:
            node.module = module.file
            node.names = [
                ast.alias(module.defined[one.name], one.asname or one.name) for one in node.names
            ]
        return node
