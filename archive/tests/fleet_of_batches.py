"""Batches of meters with known entries, and the oracle: what the archive has to hold."""

import asyncpg
from meter_wire.archive_batch import ArchiveBatch
from meter_wire.effects import Hole
from meter_wire.portable.entry import encode_event, encode_reading, encode_register

ACTIVE_IMPORT = bytes([1, 0, 1, 8, 0, 255])
START_S = 1_793_491_200
"""2026-11-01 00:00 UTC."""
A, B = bytes(range(8)), bytes(range(8, 16))


def reading(number, *, time_s=None, registers=2, salt=0):
    """Return the bytes of a reading whose content depends on its number."""
    time_s = START_S + number * 900 if time_s is None else time_s
    codes = [bytes([1, 0, group, 8, 0, 255]) for group in range(1, registers + 1)]
    return encode_reading(
        0,
        time_s,
        number * 900,
        1,
        [encode_register(code, 1000 * number + salt + at) for at, code in enumerate(codes)],
    )


def entries(first, last, **options):
    return tuple((number, reading(number, **options)) for number in range(first, last + 1))


def batch(first, last, *, stored=None, holes=(), **options):
    return ArchiveBatch(
        stored or last, tuple(Hole(*one) for one in holes), entries(first, last, **options)
    )


async def read_archive(url):
    """Return {(device, incarnation): {seq: raw}}; a number stored twice is an error here."""
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch(
            "SELECT d.name, i.identity, e.seq, e.raw FROM metertwin.entry e"
            " JOIN metertwin.incarnation i ON i.id = e.incarnation JOIN metertwin.device d ON d.id = i.device"
        )
    finally:
        await connection.close()
    found = {}
    for name, identity, seq, raw in rows:
        held = found.setdefault((name, identity), {})
        assert seq not in held, f"{name} {seq} is stored twice"
        held[seq] = raw
    return found


__all__ = [
    "ACTIVE_IMPORT",
    "START_S",
    "A",
    "B",
    "batch",
    "encode_event",
    "entries",
    "read_archive",
    "reading",
]
