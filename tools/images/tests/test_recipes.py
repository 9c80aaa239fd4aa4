"""What decides whether an image is built again names all that goes into it."""

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tools/images"))

from recipes import BUILDER_OF_SMALL, RECIPES  # noqa: E402 - after the path

FIRMWARE = ROOT / "firmware"


def imported(name: str, seen: set[str]) -> set[str]:
    """Return the firmware's own modules that one imports, and what those import."""
    seen.add(name)
    for node in ast.walk(ast.parse((FIRMWARE / f"{name}.py").read_text())):
        names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        for one in names:
            if (FIRMWARE / f"{one}.py").is_file() and one not in seen:
                imported(one, seen)
    return seen


def test_each_module_that_makes_the_small_firmware_s_image_is_a_source_of_it() -> None:
    assert set(BUILDER_OF_SMALL) == imported("build_firmware", set())


def test_the_sources_of_each_image_are_there() -> None:
    for name, recipe in RECIPES.items():
        for source in recipe.sources:
            assert (ROOT / source).exists(), (name, source)
