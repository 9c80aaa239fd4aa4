"""What a module of the firmware may import: the board's layer alone knows the board."""

import ast
from pathlib import Path

SOURCES = Path(__file__).resolve().parents[1] / "src"
OF_A_BOARD = {"machine", "network", "esp", "esp32", "pyb", "micropython"}


def imported(path):
    """Yield the first names of what a module imports, wherever it stands."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (one.name.partition(".")[0] for one in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield (node.module or "").partition(".")[0]


def test_the_hal_alone_imports_machine_and_network():
    found = {
        str(path.relative_to(SOURCES)): names
        for path in SOURCES.rglob("*.py")
        if (names := OF_A_BOARD & set(imported(path)))
    }
    assert found
    assert all(name.startswith("hal/") for name in found), found


def test_the_unix_port_needs_nothing_of_a_board():
    assert not OF_A_BOARD & set(imported(SOURCES / "hal/unix.py"))
