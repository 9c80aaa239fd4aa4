"""Packs the small profile's modules into few files: a third less heap than the same modules apart.

On a board each module costs a dictionary of its globals, and each name that the interpreter does
not know costs its entry. The bundle resolves what the modules import from each other, drops
docstrings, annotations, asserts, checks of types and functions that nothing asks for
(`bundle_unused`), turns globals that are numbers or texts into constants (which the compiler
inlines) and gives globals, methods, attributes and positional parameters names that take less heap
(`bundle_names`).
What is only needed where it is configured is a file of its own: a function that imports one of its
modules loads it. The sources stay what everybody reads and tests; the memory test runs the bundle
against real twins.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from bundle_names import (
    BOARD,
    KEPT,
    ROOTS,
    list_outside,
    list_texts,
    shorten_attributes,
    spare_globals,
)
from bundle_rewriting import FUNCTIONS, Module, Rename, Silence, Strip, value_of
from bundle_unused import list_names, remove_unused


def _take(module: Module, node: ast.ImportFrom, modules: dict[str, Module], *, top: bool) -> bool:
    """Record names that another module of the bundle defines; False if the import has to stay."""
    source = node.module or ""
    if node.level:
        base = module.name.rsplit(".", node.level)[0]
        source = f"{base}.{source}" if source else base
    if source.endswith("portable.constant"):
        return True
    taken = False
    for one in node.names:
        if source in modules and not top and modules[source].file != module.file:
            continue  # it loads that file
        if source in modules:
            module.aliases[one.asname or one.name] = (source, one.name)
            taken = True
        elif f"{source}.{one.name}" in modules:
            module.aliases[one.asname or one.name] = (f"{source}.{one.name}", None)
            taken = True
    node.module, node.level = source, 0
    return taken


def _imports(module: Module, modules: dict[str, Module], outside: set[str]) -> None:  # noqa: C901
    """Resolve imports; those of the interpreter's modules go to the file's top."""
    used = set(list_names(module.tree))
    for parent in list(ast.walk(module.tree)):
        body = getattr(parent, "body", None)
        if not isinstance(body, list):
            continue
        top = parent is module.tree
        for node in list(body):
            if isinstance(node, ast.ImportFrom):
                if _take(module, node, modules, top=top):
                    body.remove(node)
                elif top:
                    if used & {one.asname or one.name for one in node.names}:
                        outside.add(ast.unparse(node))
                    body.remove(node)
            elif isinstance(node, ast.Import) and top:
                body.remove(node)
                for one in node.names:
                    if one.name in modules:
                        module.aliases[one.asname or one.name] = (one.name, None)
                    elif used & {one.asname or one.name}:
                        outside.add(ast.unparse(ast.Import([one])))
        if not body and not top:
            body.append(ast.Pass())


def _collect(module: Module, number: int, spare: Iterator[str]) -> None:
    """Give each global of the module its name in the bundle; constants are compiled in.

    Args:
        module: its imports are resolved.
        number: of the module.
        spare: names that no global of the file has; `ROOTS` keep theirs.
    """
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
    constants = {_constant_name(node) for node in module.tree.body}
    for name in names:
        if name in constants:
            module.defined.setdefault(name, f"_{number:x}_{len(module.defined):x}")
        elif name not in ROOTS and name not in module.defined:
            module.defined[name] = next(spare)


def _constant_name(node: ast.stmt) -> str | None:
    """Return the global that a statement sets to a number, a text or octets; None for others."""
    if not isinstance(node, ast.Assign) or not isinstance(node.targets[0], ast.Name):
        return None
    return None if value_of(node.value) is None else node.targets[0].id


def _constants(tree: ast.Module) -> None:
    for node in tree.body:
        if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Constant):
            continue
        if _constant_name(node):
            node.value = ast.Call(ast.Name("const", ast.Load()), [node.value], [])


def shorten(text: str, names: Iterable[str], short: dict[str, str]) -> str:
    """Return a source that uses these attributes of the bundle's objects, by their short names."""
    for name in names:
        text = re.sub(rf"\.{name}\b", f".{short.get(name, name)}", text)
    return text


def name_of(module: Module) -> str:
    """Return the last part of a module's name."""
    return module.name.rsplit(".", 1)[-1]


def bundle(files: dict[str, list[tuple[str, Path]]]) -> tuple[dict[str, str], dict[str, str]]:
    """Return {file: source} of modules that hold all of `files`, and {name: short name}.

    `files` are {file: [(module name, path)]}, each module after those that it needs when it is
    imported; what files share is in the first.
    """
    modules = {
        name: Module(name, path, file) for file, rows in files.items() for name, path in rows
    }
    kept = KEPT | BOARD
    outside: dict[str, set[str]] = {file: set() for file in files}
    for module in modules.values():
        kept |= list_outside(module.tree)
        module.tree = Strip().visit(module.tree)
        if name_of(module).startswith("mqtt"):  # the link's errors carry the refusal's name
            module.tree = Silence().visit(module.tree)
    remove_unused([module.tree for module in modules.values()], ROOTS)
    trees = {file: [one.tree for one in modules.values() if one.file == file] for file in files}
    texts = list_texts(trees[next(iter(files))])
    spare = {file: spare_globals(trees[file], texts) for file in files}
    for number, module in enumerate(modules.values()):
        _imports(module, modules, outside[module.file])
        _collect(module, number, spare[module.file])
    short = shorten_attributes([module.tree for module in modules.values()], kept, texts)
    keywords = {
        node.arg
        for module in modules.values()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.keyword) and node.arg
    }
    bodies: dict[str, list[str]] = {file: [] for file in files}
    for module in modules.values():
        module.tree = Rename(module, modules, short, keywords).visit(module.tree)
        _constants(module.tree)
        bodies[module.file].append(ast.unparse(ast.fix_missing_locations(module.tree)))
        outside[module.file] |= module.needed
    sources = {}
    for file, body in bodies.items():
        head = sorted(one for one in outside[file] if one and "micropython" not in one)
        sources[file] = "\n".join(["from micropython import const", *head, *body]) + "\n"
    return sources, short
