"""Tables of the documentation are whole: each row has as many cells as the head."""

import re
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
RULE = re.compile(r"^\s*\|( ?:?-+:? ?\|)+$")


def count_cells(row: str) -> int:
    """Return the cells of a row; an escaped pipe is text."""
    return len(re.findall(r"(?<!\\)\|", row)) - 1


def uneven_rows(text: str) -> list[str]:
    """Return the rows that are cut short or have a cell too many."""
    found, wanted = [], 0
    for before, line in pairwise(["", *text.splitlines()]):
        if RULE.match(line):
            wanted = count_cells(before)
        if not line.lstrip().startswith("|"):
            wanted = 0
        elif wanted and count_cells(line) != wanted:
            found.append(line)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_row_has_as_many_cells_as_the_head(page: Path) -> None:
    assert uneven_rows(page.read_text()) == []


def test_a_pipe_that_is_not_escaped_is_noticed() -> None:
    head = "| a | b |\n| --- | --- |\n"
    assert uneven_rows(f"{head}| 1 | \\|P\\| |") == []
    assert uneven_rows(f"{head}| 1 | |P| |") == ["| 1 | |P| |"]
