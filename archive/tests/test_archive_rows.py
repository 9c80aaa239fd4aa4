"""The quick way to a row says what the parser that knows everything says, or says nothing."""

import asyncpg
import pytest
from fleet_of_batches import A, encode_event
from hypothesis import given
from hypothesis import strategies as st
from meter_archive import sheets
from meter_archive.copy_rows import COLUMNS, Shared, build_copy
from meter_archive.group import Given, write_group
from meter_archive.migrate import migrate
from meter_archive.partitions import Partitions
from meter_archive.rows import build_row, read_anything, read_plainly, time_octets
from meter_archive.sheets import sort_entries
from meter_wire.archive_batch import ArchiveBatch
from meter_wire.entries import parse_entry
from meter_wire.portable.entry import encode_reading, encode_register

SHORT = st.tuples(*[st.integers(0, 255)] * 3).map(lambda one: bytes([1, 0, *one, 255]))
LONG = st.binary(min_size=6, max_size=6)
EDGES = [
    sign * (1 << bits) + by
    for bits in (0, 7, 8, 15, 31, 62, 63)
    for sign in (1, -1)
    for by in (-1, 0, 1)
]
INTEGER = st.integers(-(1 << 63), (1 << 63) - 1) | st.sampled_from(EDGES)
PLAIN = st.lists(st.builds(encode_register, SHORT, INTEGER), min_size=1, max_size=24)
ANY = st.lists(
    st.builds(
        encode_register,
        SHORT | LONG,
        INTEGER | st.binary(max_size=12),
        st.none() | st.integers(0, 9),
    ),
    max_size=12,
)

SHARED = Shared(received=1, incarnation=2, layout=None, epoch=3)


def build(registers, status=0, time_s=1_793_491_200):
    return encode_reading(status, time_s, 7, 1, registers)


@given(PLAIN, st.integers(0, 0xFFFF), st.integers(0, 2**32 - 1))
def test_the_quick_way_says_the_same(registers, status, time_s):
    raw = build(registers, status, time_s)
    assert build_row(raw) == read_anything(raw)
    assert int.from_bytes(time_octets(raw), "big") == parse_entry(raw).time_s


@given(ANY, st.data())
def test_octets_that_were_changed_are_read_alike_or_left_to_the_parser(registers, data):
    raw = bytearray(build(registers))
    for _ in range(data.draw(st.integers(0, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    raw = bytes(raw[: data.draw(st.integers(0, len(raw)))]) + data.draw(st.binary(max_size=3))
    quick = read_plainly(raw)
    assert quick is None or quick == read_anything(raw)


NATURAL = st.lists(st.tuples(SHORT, st.integers(0, (1 << 63) - 1)), min_size=1, max_size=12)


@given(NATURAL, st.data())
def test_rows_of_readings_together_are_those_of_each_alone(registers, data):
    """Some with the same registers and other values, some with changed octets, in one batch."""
    raws = []
    for _ in range(data.draw(st.integers(1, 6))):
        likes = [
            encode_register(code, data.draw(st.integers(-3, 2 * value + 3)))
            for code, value in registers
        ]
        raw = bytearray(
            build(likes, data.draw(st.integers(0, 0xFFFF)), data.draw(st.integers(0, 99)))
        )
        for _ in range(data.draw(st.sampled_from([0, 0, 0, 1, 2]))):
            raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(
                st.sampled_from([0, 1, 127, 128, 255])
            )
        raws.append(bytes(raw))
    entries = list(enumerate(raws, data.draw(st.integers(1, 1 << 31))))
    together = [
        (sheet.codes, sheet._replace(columns=[[piece] for piece in row]).build(SHARED))
        for sheet in sort_entries(entries)
        for row in zip(*sheet.columns, strict=True)
    ]
    alone = [(sheet.codes, sheet.build(SHARED)) for sheet in map(read_alone, entries)]
    assert sorted(together, key=str) == sorted(alone, key=str)
    for sheet in sort_entries(entries):
        rows = [
            sheet._replace(columns=[[piece] for piece in row]).build(SHARED)
            for row in zip(*sheet.columns, strict=True)
        ]
        assert sheet.build(SHARED) == b"".join(rows)


def read_alone(entry):
    """The row by the parser that knows everything."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sheets, "build_row", read_anything)
        return sheets._lone_sheet(entry)


def test_what_nearly_all_meters_send_goes_the_quick_way():
    assert read_plainly(build([encode_register(bytes([1, 0, 1, 8, 0, 255]), 1234)])) is not None


async def test_rows_come_out_of_the_database_as_they_were_meant(url):
    await migrate(url)
    code, far = bytes([1, 0, 1, 8, 0, 255]), bytes([1, 1, 1, 8, 0, 255])
    entries = [
        build([encode_register(code, value) for value in EDGES if -(1 << 63) <= value < 1 << 63], 3),
        build([encode_register(code, -5), encode_register(far, b"name"), encode_register(code, 1 << 63)]),
        encode_event(16, 0, 7, 1, 9, [1]),
        b"\x00 not understood at all",
    ]  # fmt: skip
    batch = ArchiveBatch(4, (), tuple(enumerate(entries, 1)))
    async with asyncpg.create_pool(url, server_settings={"search_path": "metertwin"}) as pool:
        await write_group(pool, Partitions(pool), {}, [Given("house-1", 3, A, batch)], 36500)
        rows = await pool.fetch(f"SELECT {', '.join(COLUMNS)}, now() - received < '1h' AS fresh FROM entry ORDER BY seq")  # fmt: skip
    assert [row["raw"] for row in rows] == entries
    assert [list(row["values"] or ()) for row in rows] == [
        [value for value in EDGES if -(1 << 63) <= value < 1 << 63], [-5, None, None], [], [],
    ]  # fmt: skip
    told = [
        (row["seq"], row["epoch"], row["status"], row["kind"], row["event"], row["signed"])
        for row in rows
    ]
    assert told == [
        (1, 3, 3, 1, None, False),
        (2, 3, 0, 1, None, False),
        (3, 3, 16, 2, 9, False),
        (4, 3, 0, 0, None, False),
    ]
    assert [row["layout"] is None for row in rows] == [False, False, True, True]
    assert [row["time"].year for row in rows[:3]] == [2026, 2026, 1]
    assert all(row["fresh"] for row in rows)


class Forgetful(dict):
    """What another writer's new connection does meanwhile: everything known is forgotten."""

    def update(self, *found):
        self.clear()
        super().update(*found)


async def test_layouts_that_are_forgotten_meanwhile_are_still_those_of_this_batch(url):
    await migrate(url)
    one, other = (encode_register(bytes([1, 0, code, 8, 0, 255]), 7) for code in (1, 2))
    layouts = Forgetful()
    async with asyncpg.create_pool(url, server_settings={"search_path": "metertwin"}) as pool:
        for registers in ([[one]], [[one], [other]]):
            batch = ArchiveBatch(9, (), tuple(enumerate(map(build, registers), len(registers))))
            (answer,) = await write_group(
                pool, Partitions(pool), layouts, [Given("house-1", 1, A, batch)], 36500
            )
        assert answer.new == 2
        assert await pool.fetchval("SELECT count(DISTINCT layout) FROM entry") == 2


def test_a_copy_has_its_head_and_end():
    (sheet,) = sort_entries([(1, build([encode_register(bytes([1, 0, 1, 8, 0, 255]), 1)]))])
    copy = build_copy([sheet.build(SHARED)])
    assert copy[:11] == b"PGCOPY\n\xff\r\n\0"
    assert copy.endswith(b"\xff\xff")


def test_a_value_with_an_octet_too_many_is_left_to_the_parser():
    code = bytes([1, 0, 1, 8, 0, 255])
    proper = build([encode_register(code, 1000)])
    wrong = proper[:-2] + b"\0\x07"
    assert [sheet.codes for sheet in sort_entries([(1, proper)])] == [code]
    entries = [(1, proper), (2, wrong), (3, proper)]
    told = {sheet.columns[1][0][-1]: sheet.codes for sheet in sort_entries(entries)}
    assert told == {1: code, 2: None, 3: code}


def test_readings_of_one_shape_are_one_sheet():
    code = bytes([1, 0, 1, 8, 0, 255])
    entries = [(seq, build([encode_register(code, 1000 + seq)])) for seq in range(1, 9)]
    (sheet,) = sort_entries(entries)
    assert [len(column) for column in sheet.columns] == [8] * len(sheet.columns)
