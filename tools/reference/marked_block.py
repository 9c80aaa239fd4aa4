"""The block between two marks of a page, which a generator writes or checks.

Neighbours: `figures`, `handover_flows` (what stands in their blocks).
"""

import argparse
import sys
from pathlib import Path

END = "<!-- end -->"


def run(description: str | None, page: Path, mark: str, block: str, differs: str) -> int:
    """Write the block after `mark`, or compare it with ``--check``; return the exit code.

    Args:
        description: of the program, for its help.
        page: the file.
        mark: the line before the block; after it stands `END`.
        block: what is to stand there.
        differs: what to say when it does not.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--check", action="store_true", help="fail on drift, write nothing")
    check = parser.parse_args().check
    before = page.read_text()
    head, rest = before.split(mark)
    after = f"{head}{mark}\n{block}\n{END}{rest.split(END, 1)[1]}"
    if after == before:
        return 0
    if check:
        print(differs, file=sys.stderr)
        return 1
    page.write_text(after)
    return 0
