"""Packs the small profile's modules into one: a third less heap than the same modules apart.

On a board each module costs a dictionary of its globals, and each name that the interpreter does
not know costs its entry. The bundle resolves what the modules import from each other, drops
docstrings, annotations, asserts and checks of types, turns whole-number globals into constants
(which the compiler inlines) and gives methods, attributes and positional parameters short names.
The sources stay what everybody reads and tests; the memory test runs the bundle against real twins.
"""  # noqa: INP001

from __future__ import annotations

import ast
from pathlib import Path

KEPT = set(  # noqa: C405
    [
        "run",
        "main",
        "decode",
        "encode",
        "read",
        "write",
        "close",
        "open",
        "connect",
        "subscribe",
        "unsubscribe",
        "publish",
        "append",
        "get",
        "set",
        "clear",
        "wait",
        "add",
        "remove",
        "pop",
        "flush",
        "names",
        "seek",
        "cancel",
        "done",
        "drain",
        "retain",
        "args",
        "items",
        "values",
        "keys",
        "index",
        "send",
        "start",
        "s",
    ]
)
"""Names that objects of the interpreter have too: never renamed."""
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


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


def _take(module: Module, node: ast.ImportFrom, modules: dict[str, Module]) -> bool:
    """Record names that another module of the bundle defines; False if it is not in it."""
    source = node.module or ""
    if node.level:
        base = module.name.rsplit(".", node.level)[0]
        source = f"{base}.{source}" if source else base
    if source.endswith("portable.constant"):
        return True
    taken = False
    for one in node.names:
        if source in modules:
            module.aliases[one.asname or one.name] = (source, one.name)
            taken = True
        elif f"{source}.{one.name}" in modules:
            module.aliases[one.asname or one.name] = (f"{source}.{one.name}", None)
            taken = True
    node.module, node.level = source, 0
    return taken


def _imports(module: Module, modules: dict[str, Module], outside: set[str]) -> None:  # noqa: C901
    """Resolve imports; those of the interpreter's modules go to the bundle's top."""
    for parent in list(ast.walk(module.tree)):
        body = getattr(parent, "body", None)
        if not isinstance(body, list):
            continue
        top = parent is module.tree
        for node in list(body):
            if isinstance(node, ast.ImportFrom):
                if _take(module, node, modules):
                    body.remove(node)
                elif top:
                    outside.add(ast.unparse(node))
                    body.remove(node)
            elif isinstance(node, ast.Import) and top:
                body.remove(node)
                for one in node.names:
                    if one.name in modules:
                        module.aliases[one.asname or one.name] = (one.name, None)
                    else:
                        outside.add(ast.unparse(ast.Import([one])))
        if not body and not top:
            body.append(ast.Pass())


def _collect(module: Module, number: int) -> None:
    """Give each global of the module its name in the bundle; `main` and `Small` keep theirs."""
    names = []
    for node in module.tree.body:
        if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            names.append(node.name)
            continue
        for one in ast.walk(node):
            if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store):
                names.append(one.id)
            elif isinstance(one, FUNCTIONS):
                names.append(one.name)
    for name in names:
        if name not in {"main", "Small"}:
            module.defined.setdefault(name, f"_{number:x}_{len(module.defined):x}")


def _constants(tree: ast.Module) -> None:
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):  # noqa: SIM102
            if type(node.value.value) is int:
                node.value = ast.Call(ast.Name("const", ast.Load()), [node.value], [])


def _attributes(modules: dict[str, Module]) -> dict[str, str]:
    """Return short names of the attributes and methods that only our own objects have."""
    names = set()
    for module in modules.values():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ClassDef):
                names |= {one.name for one in node.body if isinstance(one, FUNCTIONS)}
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):  # noqa: SIM102
                if isinstance(node.value, ast.Name) and node.value.id == "self":
                    names.add(node.attr)
    own = sorted(n for n in names if not n.startswith("__") and n not in KEPT and len(n) > 2)  # noqa: PLR2004
    return {name: f"b{index:x}" for index, name in enumerate(own)}


def bundle(sources: list[tuple[str, Path]]) -> tuple[str, dict[str, str]]:
    """Return one module's source that holds all of `sources`, and {name: short name}.

    `sources` are (module name, path), each after those that it needs when it is imported.
    """
    modules = {name: Module(name, path) for name, path in sources}
    outside: set[str] = set()
    for number, module in enumerate(modules.values()):
        module.tree = Strip().visit(module.tree)
        _imports(module, modules, outside)
        _collect(module, number)
    short = _attributes(modules)
    keywords = {
        node.arg
        for module in modules.values()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.keyword) and node.arg
    }
    body = []
    for module in modules.values():
        module.tree = Rename(module, modules, short, keywords).visit(module.tree)
        _constants(module.tree)
        body.append(ast.unparse(ast.fix_missing_locations(module.tree)))
    head = sorted(one for one in outside if one and "micropython" not in one)
    return "\n".join(["from micropython import const", *head, *body]) + "\n", short
