"""Packs the small profile's modules into one: a third less heap than the same modules apart.

On a board each module costs a dictionary of its globals, and each name that the interpreter does
not know costs its entry. The bundle resolves what the modules import from each other, drops
docstrings, annotations, asserts and checks of types, turns whole-number globals into constants
(which the compiler inlines) and gives methods, attributes and positional parameters short names.
The sources stay what everybody reads and tests; the memory test runs the bundle against real twins.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from pathlib import Path

from bundle_rewriting import FUNCTIONS, Module, Rename, Silence, Strip

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


def _outside(module: Module) -> set[str]:
    """Return the attributes of the interpreter's modules that it uses, as `time.ticks_ms`."""
    imported = {
        one.asname or one.name
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Import)
        for one in node.names
    }
    return {
        node.attr
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in imported
    }


def _attributes(modules: dict[str, Module], kept: set[str]) -> dict[str, str]:
    """Return short names of the attributes and methods that only our own objects have."""
    names = set()
    for module in modules.values():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ClassDef):
                names |= {one.name for one in node.body if isinstance(one, FUNCTIONS)}
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):  # noqa: SIM102
                if isinstance(node.value, ast.Name) and node.value.id == "self":
                    names.add(node.attr)
    own = sorted(n for n in names if not n.startswith("__") and n not in kept and len(n) > 2)  # noqa: PLR2004
    return {name: f"b{index:x}" for index, name in enumerate(own)}


def shorten(text: str, names: Iterable[str], short: dict[str, str]) -> str:
    """Return a source that uses these attributes of the bundle's objects, by their short names."""
    for name in names:
        text = re.sub(rf"\.{name}\b", f".{short.get(name, name)}", text)
    return text


def name_of(module: Module) -> str:
    """Return the last part of a module's name."""
    return module.name.rsplit(".", 1)[-1]


def bundle(sources: list[tuple[str, Path]]) -> tuple[str, dict[str, str]]:
    """Return one module's source that holds all of `sources`, and {name: short name}.

    `sources` are (module name, path), each after those that it needs when it is imported.
    """
    modules = {name: Module(name, path) for name, path in sources}
    outside: set[str] = set()
    kept = set(KEPT)
    for number, module in enumerate(modules.values()):
        kept |= _outside(module)
        module.tree = Strip().visit(module.tree)
        if name_of(module).startswith("mqtt"):  # the link's errors carry the refusal's name
            module.tree = Silence().visit(module.tree)
        _imports(module, modules, outside)
        _collect(module, number)
    short = _attributes(modules, kept)
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
