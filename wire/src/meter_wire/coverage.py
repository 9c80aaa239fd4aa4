"""What a store holds, said shortly, so that another store can tell whether it holds as much.

Entries are grouped into blocks of `BLOCK` numbers of one incarnation, each with a digest. A mark
would be no proof of possession: stores have holes, and two with the same mark may differ below it.
The root stands for all blocks and all holes that the meter declared; the donor of a handover names
it, the taker repeats it when it holds everything. Pure; neighbours: `meter_wire.taking` (who
compares), the twin's store (what is summed up).
"""

import hashlib
from collections.abc import Iterable, Iterator
from itertools import groupby
from struct import Struct
from typing import Any, NamedTuple

from meter_wire.effects import Hole
from meter_wire.names import MAX_SEQ

BLOCK = 512
_ENTRY = Struct(">IH")
_DIGEST = 16
_CHAIN = 16
_INCARNATION = 8

Numbered = tuple[int, bytes]


class Block(NamedTuple):
    """The entries of one incarnation with `first` ≤ seq < `first` + BLOCK: how many, which."""

    incarnation: bytes
    first: int
    size: int
    digest: bytes


class Stretch(NamedTuple):
    """One incarnation as a store has it, in the order in which it came to know them.

    `stored` is the end of the contiguous prefix and `chain` the chain hash there, b"" if it is not
    known; `pruned` is the highest number that was deleted because its time was over. `holes` are
    those that the meter declared (overflow, reserved); `missed` those that only this store has
    (released), which another one may fill.
    """

    incarnation: bytes
    stored: int
    pruned: int
    holes: tuple[Hole, ...]
    missed: tuple[Hole, ...] = ()
    chain: bytes = b""


class Coverage(NamedTuple):
    """All of a store."""

    stretches: tuple[Stretch, ...]
    blocks: tuple[Block, ...]

    @property
    def root(self) -> bytes:
        """Sixteen bytes that stand for every entry and declared hole, not for marks."""
        digest = hashlib.sha256(b"metertwin coverage 1")
        for block in sorted(self.blocks):
            digest.update(block.incarnation + block.first.to_bytes(4, "big"))
            digest.update(block.size.to_bytes(2, "big") + block.digest)
        for stretch in sorted(self.stretches):
            for hole in sorted(stretch.holes):
                digest.update(stretch.incarnation + hole.first.to_bytes(4, "big"))
                digest.update(hole.last.to_bytes(4, "big") + bytes([hole.reason]))
        return digest.digest()[:_DIGEST]


def first_of(seq: int) -> int:
    """Return the first number of the block that `seq` lies in."""
    return (seq - 1) // BLOCK * BLOCK + 1


def encode_entries(entries: Iterable[Numbered]) -> bytes:
    """Return entries as one twin sends them to another: seq u32, length u16, bytes, big-endian."""
    return b"".join(
        seq.to_bytes(4, "big") + len(raw).to_bytes(2, "big") + raw for seq, raw in entries
    )


def parse_entries(data: bytes) -> list[Numbered]:
    """Return the entries of `encode_entries`.

    Raises:
        ValueError: the last one is cut off.
    """
    entries: list[Numbered] = []
    place, size = 0, len(data)
    while place + _ENTRY.size <= size:
        seq, length = _ENTRY.unpack_from(data, place)
        begin = place + _ENTRY.size
        place = begin + length
        entries.append((seq, data[begin:place]))
    if place != size:
        raise ValueError("entries: the last one is cut off")
    return entries


def digest_entries(entries: Iterable[Numbered]) -> bytes:
    """Return the digest of entries in rising order of their numbers."""
    return hashlib.sha256(encode_entries(entries)).digest()[:_DIGEST]


def sum_up(incarnation: bytes, entries: Iterable[Numbered]) -> Iterator[Block]:
    """Yield the blocks of an incarnation's entries, which come in rising order."""
    for first, group in groupby(entries, key=lambda one: first_of(one[0])):
        held = list(group)
        yield Block(incarnation, first, len(held), digest_entries(held))


def encode_coverage(coverage: Coverage) -> dict[str, Any]:
    """Return the JSON document of a coverage."""
    return {
        "stretches": [
            {
                "incarnation": one.incarnation.hex(),
                "stored": one.stored,
                "pruned": one.pruned,
                "holes": [list(hole) for hole in one.holes],
                "missed": [list(hole) for hole in one.missed],
                "chain": one.chain.hex(),
            }
            for one in coverage.stretches
        ],
        "blocks": [
            [one.incarnation.hex(), one.first, one.size, one.digest.hex()]
            for one in coverage.blocks
        ],
        "root": coverage.root.hex(),
    }


def parse_coverage(document: Any) -> Coverage:
    """Return the coverage of a JSON document.

    Raises:
        ValueError: it is none, or its root is not that of its content.
    """
    try:
        coverage = Coverage(
            tuple(_parse_stretch(row) for row in document["stretches"]),
            tuple(_parse_block(row) for row in document["blocks"]),
        )
        root = document["root"]
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise ValueError(f"coverage: {error!r}") from error
    if root != coverage.root.hex():
        raise ValueError("coverage: root is not that of the blocks and holes")
    return coverage


def _parse_stretch(row: Any) -> Stretch:
    holes, missed = _parse_holes(row["holes"]), _parse_holes(row.get("missed", []))
    identity = _octets(row["incarnation"], _INCARNATION)
    stored, pruned = _number(row["stored"]), _number(row["pruned"])
    if pruned > stored:
        raise ValueError(f"coverage: {pruned} is pruned and not stored")
    chain = _octets(row["chain"], _CHAIN) if row.get("chain") else b""
    return Stretch(identity, stored, pruned, holes, missed, chain)


def _parse_holes(rows: Any) -> tuple[Hole, ...]:
    holes = tuple(Hole(*map(_number, row)) for row in rows)
    if any(not 0 < hole.first <= hole.last <= MAX_SEQ for hole in holes):
        raise ValueError("coverage: a hole's first and last are numbers of entries")
    return holes


def _parse_block(row: Any) -> Block:
    incarnation, first, size, digest = row
    if first_of(_number(first)) != first or not 0 < _number(size) <= BLOCK:
        raise ValueError(f"coverage: {first}, {size} is no block")
    return Block(_octets(incarnation, _INCARNATION), first, size, _octets(digest, _DIGEST))


def _number(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= MAX_SEQ:
        raise ValueError(f"coverage: {value!r} is no number")
    return value


def _octets(value: Any, length: int) -> bytes:
    found = bytes.fromhex(value)
    if len(found) != length:
        raise ValueError(f"coverage: {value!r} has not {length} bytes")
    return found
