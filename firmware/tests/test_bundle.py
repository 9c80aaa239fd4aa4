"""The bundle of the small profile drops what nothing asks for, and no two names of one class meet."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "firmware"))

import bundle_names
import firmware_sources
from bundle import bundle
from bundle_unused import remove_unused

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@pytest.fixture(scope="module")
def made():
    """Return ({file: syntax tree of the bundle}, {name: short name})."""
    own, wire = ROOT / "firmware/src", ROOT / "wire/src/meter_wire/portable"
    files = {
        file: [(name, own / f"{name}.py") for name in names]
        for file, names in firmware_sources.SMALL.items()
    }
    files["small"][:0] = [
        (f"meter_wire.portable.{name}", wire / f"{name}.py") for name in firmware_sources.PORTABLE
    ]
    texts, short = bundle(files)
    return {file: ast.parse(text) for file, text in texts.items()}, short


def globals_of(tree):
    """Return the names that a file defines, but for those of constants."""
    names = [node.name for node in tree.body if isinstance(node, (*FUNCTIONS, ast.ClassDef))]
    sets = [node.targets[0].id for node in tree.body if isinstance(node, ast.Assign)]
    return names + [name for name in sets if not name.startswith("_")]


def test_what_nothing_asks_for_goes_and_what_only_that_used():
    text = """
class Kept:
    def asked(self): return self.only_asked()
    def only_asked(self): pass
    def alone(self): helper()
    def calls_itself(self): self.calls_itself()
    def by_name(self): pass
    def __eq__(self, other): pass
def helper(): pass
def main(): return getattr(Kept(), "by_name"), Kept().asked
"""
    tree = ast.parse(text)
    assert set(remove_unused([tree], {"main"})) == {"alone", "calls_itself", "helper"}
    left = [node.name for node in ast.walk(tree) if isinstance(node, FUNCTIONS)]
    assert set(left) == {"main", "asked", "only_asked", "by_name", "__eq__"}


def test_no_class_has_two_members_of_one_name(made):
    for tree in made[0].values():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                names = [one.name for one in node.body if isinstance(one, FUNCTIONS)]
                assert len(names) == len(set(names))


def test_names_of_one_family_differ_and_those_of_the_interpreter_stay():
    text = """
class Base:
    def first(self): self.second = 1
class Derived(Base):
    def third(self): self.append = self.fourth = 1
class Other:
    def fifth(self): self.sixth = self.sixth.flush()
"""
    short = bundle_names.shorten_attributes([ast.parse(text)], bundle_names.KEPT, [])
    assert "append" not in short
    family = [short[name] for name in ("first", "second", "third", "fourth")]
    assert len(set(family)) == 4
    assert {short["fifth"], short["sixth"]} <= set(family), "another's are taken again"


def test_no_global_is_a_name_that_its_file_uses_for_something_else(made):
    for file, tree in made[0].items():
        names = globals_of(tree)
        assert len(names) == len(set(names)), file
        assert not set(names) & bundle_names.ASKED, "MicroPython's compiler asks for these"
        for function in (node for node in ast.walk(tree) if isinstance(node, FUNCTIONS)):
            bound = {one.arg for one in ast.walk(function) if isinstance(one, ast.arg)}
            bound |= {
                one.id
                for one in ast.walk(function)
                if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)
            }
            assert not bound & set(names), (file, function.name)


def test_what_is_only_there_where_it_is_configured_is_imported_in_a_function_alone(made):
    optional = set(firmware_sources.SMALL) - {"small"}
    for file, tree in made[0].items():
        top = {node.module for node in tree.body if isinstance(node, ast.ImportFrom)}
        assert not top & optional, file


def test_most_names_are_those_that_every_micropython_has(made):
    _, short = made
    ours = [name for name in short.values() if name[0] == "b" and name[1:].isdigit()]
    assert len(ours) == 0
