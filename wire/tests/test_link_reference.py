"""docs/reference/link-v1.md: what is written there by hand is what the golden bytes hold.

The numbered tables are generated (`wire/tools/link_reference.py`); this is about the others.
"""

import json
import pathlib
import re

import pytest
from meter_wire import tables
from meter_wire.portable.entry import MAX_ENTRY, encode_event
from meter_wire.portable.frame import MIN_LIMIT, fields_of, seal
from meter_wire.portable.keys import mac16
from meter_wire.portable.segments import Assembler

ROOT = pathlib.Path(__file__).parents[2]
PAGE = (ROOT / "docs/reference/link-v1.md").read_text()
VECTORS = json.loads((ROOT / "wire/vectors/link-v1.json").read_text())
TRANSCRIPT, ENCRYPTED = VECTORS["transcript"], VECTORS["encryption"]["transcript"]
FRAMES = [bytes.fromhex(step[2]) for step in TRANSCRIPT if step[0] in ("up", "down") and step[1]]
FRAMES += [
    bytes.fromhex(step[2])
    for step in ENCRYPTED
    if step[0] == "down" and step[1] and step[2][2:4] == "81"  # welcome is never encrypted
]
KEY, NONCES, BODY = b"k" * 32, b"n" * 16, b"\x1c\x01\x01"


def rows_after(text: str) -> list[list[str]]:
    """Return the cells of the first table after a text of the page, without its head."""
    lines = PAGE.split(text, 1)[1].splitlines()
    begin = next(place for place, line in enumerate(lines) if line.startswith("|")) + 2
    rows = []
    for line in lines[begin:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def parse_fields_of_frames() -> dict[str, tuple[set[str], set[str]]]:
    """Return (must be there, may be absent) by the name of a frame; `?` may follow a group."""
    found = {}
    for names, text in rows_after("What each frame carries"):
        flat = re.sub(r"\(([^)]*)\)\?", lambda group: f"{'? '.join(group[1].split())}?", text)
        may = {name[:-1] for name in flat.split() if name.endswith("?")}
        must = {name for name in flat.split() if not name.endswith("?")}
        found.update(dict.fromkeys(names.split(", "), (must, may)))
    return found


CARRIED = parse_fields_of_frames()


def cut(data: bytes, rows: list[list[str]]) -> dict[str, bytes]:
    """Return the parts of a layout by the first word of what they are; `n` is what is left."""
    fixed = sum(int(length) for _, length, _ in rows if length != "n")
    parts, at = {}, 0
    for offset, length, content in rows:
        plain = offset.replace("n", str(len(data) - fixed))
        assert sum(map(int, plain.split("+"))) == at, content
        size = len(data) - fixed if length == "n" else int(length)
        parts[content.split()[0].strip(";,")] = data[at : at + size]
        at += size
    assert at == len(data)
    return parts


def test_every_frame_type_is_in_the_table_of_fields():
    assert set(CARRIED) == {row.name for row in tables.FRAME_TYPES}


@pytest.mark.parametrize("name", CARRIED)
def test_frames_carry_the_fields_that_the_page_says(name):
    kind = tables.number_of(tables.FRAME_TYPES, name)
    seen = [
        {tables.name_of(tables.TAGS, tag) for tag in fields_of(frame)}
        for frame in FRAMES
        if frame[1] == kind
    ]
    must, may = CARRIED[name]
    assert set.union(*seen) == must | may
    assert must <= set.intersection(*seen)


def test_a_frame_is_laid_out_as_the_page_says():
    frame = seal(KEY, NONCES, 0x82, 0x01020304, BODY)
    assert cut(frame, rows_after("## Frames")) == {
        "version": b"\x01",
        "type": b"\x82",
        "counter": b"\x01\x02\x03\x04",
        "fields": BODY,
        "MAC": mac16(KEY, NONCES + frame[:-16]),
    }


def test_an_entry_is_laid_out_as_the_page_says():
    entry = encode_event(0x0102, 0x03040506, 0x0708090A, 0x0B0C0D, 2, [])
    assert cut(entry, rows_after("## Entries")) == {
        "kind": b"\x02",
        "status": b"\x01\x02",
        "UTC": b"\x03\x04\x05\x06",
        "uptime": b"\x07\x08\x09\x0a",
        "low": b"\x0c\x0d",
        "fields": bytes([2, 2, 0, 2, 3, 0]),
    }


@pytest.mark.parametrize(
    ("said", "limit"),
    [
        (r"A frame is at most (\d+)\s", MIN_LIMIT),
        (r"At most (\d+) bytes, so that each fits into every frame", MAX_ENTRY),
        (r"`item_limit` bytes \(never above (\d+)\)", Assembler()._limit),
    ],
)
def test_the_limits_of_the_page_are_those_of_the_code(said, limit):
    assert [int(number) for number in re.findall(said, PAGE)] == [limit]
