"""The body with which a twin gives entries to the archive, and the answer. Pure.

    POST /v1/batches/<incarnation, 16 hexadecimal digits>   over mutual TLS

A batch is idempotent: the identity of an entry is (device, incarnation, seq), and equal bytes under
a known identity change nothing. Layout, big-endian:

    version u8 = 1 | stored u32 | holes u16 | (first u32, last u32, reason u8) * holes
    | (seq u32, length u16, entry) * until the end

`stored` is the twin's stored mark; entries rise by their numbers, holes too. Neighbours: `coverage`
(how twins give entries to each other), the twin's `archive_line`, the archive's `ingest`.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from meter_wire.coverage import encode_entries, parse_entries
from meter_wire.effects import Hole
from meter_wire.names import MAX_SEQ
from meter_wire.portable.entry import MAX_ENTRY

PATH = "/v1/batches/"
VERSION = 1
MOST_ENTRIES = 512
MOST_HOLES = 256
_HEAD = 7
_HOLE = 9
MOST_BODY = _HEAD + MOST_HOLES * _HOLE + MOST_ENTRIES * (6 + MAX_ENTRY)

Numbered = tuple[int, bytes]


class ArchiveBatch(NamedTuple):
    """What one request gives: entries and holes of one incarnation; both may be empty."""

    stored: int
    holes: tuple[Hole, ...]
    entries: tuple[Numbered, ...]


class ArchiveAnswer(NamedTuple):
    """What became of a batch; `archived` is the end of the contiguous prefix that is durable.

    `holes` is what the archive lacks below its last number, the newest of them: told to who gives
    nothing, and so asks; a twin that has entries there gives them.
    """

    archived: int
    new: int
    duplicates: int
    conflicts: int
    holes: tuple[Hole, ...] = ()


_NUMBERS = ArchiveAnswer._fields[:4]


def encode_batch(stored: int, holes: Iterable[Hole], entries: Iterable[Numbered]) -> bytes:
    """Return the body of a request."""
    listed = list(holes)
    head = bytes([VERSION]) + stored.to_bytes(4, "big") + len(listed).to_bytes(2, "big")
    rows = [
        one.first.to_bytes(4, "big") + one.last.to_bytes(4, "big") + bytes([one.reason])
        for one in listed
    ]
    return head + b"".join(rows) + encode_entries(entries)


def parse_batch(body: bytes) -> ArchiveBatch:
    """Return the content of a body.

    Raises:
        ValueError: names the part that is wrong; nothing of the batch is to be stored.
    """
    if len(body) < _HEAD or len(body) > MOST_BODY:
        raise ValueError(f"batch: has {len(body)} bytes, {_HEAD} to {MOST_BODY} are possible")
    if body[0] != VERSION:
        raise ValueError(f"batch: version {body[0]} is not known here, {VERSION} is")
    stored = int.from_bytes(body[1:5], "big")
    count = int.from_bytes(body[5:_HEAD], "big")
    end = _HEAD + count * _HOLE
    if count > MOST_HOLES or end > len(body):
        raise ValueError(f"holes: {count} of them, at most {MOST_HOLES} that fit the body")
    holes = tuple(_parse_hole(body[at : at + _HOLE]) for at in range(_HEAD, end, _HOLE))
    entries = tuple(parse_entries(body[end:]))
    _check(stored, holes, entries)
    return ArchiveBatch(stored, holes, entries)


def _parse_hole(row: bytes) -> Hole:
    return Hole(int.from_bytes(row[:4], "big"), int.from_bytes(row[4:8], "big"), row[8])


def _check(stored: int, holes: tuple[Hole, ...], entries: tuple[Numbered, ...]) -> None:
    if stored > MAX_SEQ:
        raise ValueError(f"stored: {stored} is above {MAX_SEQ}")
    before = 0
    for hole in holes:
        if not before < hole.first <= hole.last <= MAX_SEQ:
            raise ValueError(f"holes: {hole.first} to {hole.last} is none, or not in rising order")
        before = hole.last
    if len(entries) > MOST_ENTRIES:
        raise ValueError(f"entries: {len(entries)}, at most {MOST_ENTRIES}")
    before = 0
    for seq, raw in entries:
        if not before < seq <= MAX_SEQ:
            raise ValueError(f"entries: number {seq} is none, or not in rising order")
        if not 0 < len(raw) <= MAX_ENTRY:
            raise ValueError(f"entries: number {seq} has {len(raw)} bytes, 1 to {MAX_ENTRY}")
        before = seq


def encode_answer(answer: ArchiveAnswer) -> dict[str, Any]:
    """Return the JSON document of an answer."""
    document: dict[str, Any] = {name: getattr(answer, name) for name in _NUMBERS}
    if answer.holes:
        document["holes"] = [list(hole) for hole in answer.holes]
    return document


def parse_answer(document: Any) -> ArchiveAnswer:
    """Return the answer of a JSON document; unknown fields are skipped.

    Raises:
        ValueError: names the field that is missing or no number, or that a hole is none.
    """
    values = document if isinstance(document, dict) else {}
    for name in _NUMBERS:
        value = values.get(name)
        if type(value) is not int or not 0 <= value <= MAX_SEQ:
            raise ValueError(f"answer: {name} is no number of entries")
    holes = values.get("holes", [])
    if not isinstance(holes, list) or len(holes) > MOST_HOLES:
        raise ValueError(f"answer: holes is no list of at most {MOST_HOLES}")
    archived, new, duplicates, conflicts = (values[name] for name in _NUMBERS)
    return ArchiveAnswer(archived, new, duplicates, conflicts, tuple(map(_read_hole, holes)))


def _read_hole(row: Any) -> Hole:
    numbers = row if isinstance(row, list) and all(type(one) is int for one in row) else []
    if len(numbers) != len(Hole._fields) or not 0 < numbers[0] <= numbers[1] <= MAX_SEQ:
        raise ValueError("answer: one of holes is none")
    return Hole(*numbers)
