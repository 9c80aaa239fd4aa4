"""Write the tables of docs/reference/link-v1.md from `meter_wire.tables`; `--check` only compares.

The prose between the tables is written by hand; each table stands between two comments.
"""

import argparse
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "wire/src"))

from meter_wire import tables  # noqa: E402 - after the path

PAGE = ROOT / "docs/reference/link-v1.md"
NUMBERED = {
    "frame-types": (tables.FRAME_TYPES, "type", "direction", True),
    "tags": (tables.TAGS, "tag", "format", False),
    "entry-kinds": (tables.ENTRY_KINDS, "kind", "", False),
    "entry-tags": (tables.ENTRY_TAGS, "tag", "format", False),
    "status": (tables.STATUS, "bit", "", True),
    "form-bits": (tables.FORM_BITS, "bits", "", True),
    "holes": (tables.HOLES, "reason", "", False),
    "answers": (tables.ANSWERS, "code", "", False),
    "targets": (tables.TARGETS, "target", "unit", False),
    "capabilities": (tables.CAPABILITIES, "bit", "", True),
    "clock-states": (tables.CLOCK_STATES, "state", "", False),
    "signatures": (tables.SIGNATURES, "algorithm", "length", False),
    "order-tags": (tables.ORDER_TAGS, "tag", "format", False),
    "order-actions": (tables.ORDER_ACTIONS, "action", "", False),
    "owner-tags": (tables.OWNER_TAGS, "tag", "format", False),
    "owner-hello-tags": (tables.OWNER_HELLO_TAGS, "tag", "format", False),
    "renew-tags": (tables.RENEW_TAGS, "tag", "format", False),
    "renewed-tags": (tables.RENEWED_TAGS, "tag", "format", False),
    "refusals": (tables.REFUSALS, "", "by", False),
}


def build_table(name: str) -> str:
    """Return one table as Markdown."""
    rows, number, form, hexadecimal = NUMBERED[name]
    head = [title for title in (number, "name", form, "meaning") if title]
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    for row in rows:
        digits = f"0x{row.number:02X}" if hexadecimal else str(row.number)
        cells = [digits] * bool(number) + [f"`{row.name}`"] + [row.form] * bool(form)
        lines.append("| " + " | ".join([*cells, row.meaning]) + " |")
    return "\n".join(lines)


def build_page(page: str) -> str:
    """Return the page with every table replaced.

    Raises:
        KeyError: the page asks for a table that does not exist.
    """

    def replace(found: re.Match[str]) -> str:
        name = found.group(1)
        return f"<!-- table {name} -->\n{build_table(name)}\n<!-- end -->"

    built = re.sub(r"<!-- table ([a-z-]+) -->\n.*?<!-- end -->", replace, page, flags=re.DOTALL)
    for name in NUMBERED:
        if f"<!-- table {name} -->" not in built:
            raise KeyError(name)
    return built


def main() -> int:
    """Return 0 when the page is as the tables say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail on drift, write nothing")
    check = parser.parse_args().check
    page = PAGE.read_text()
    built = build_page(page)
    if not check:
        PAGE.write_text(built)
    elif built != page:
        print(f"{PAGE.relative_to(ROOT)} differs from meter_wire.tables", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
