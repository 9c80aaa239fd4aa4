"""A database with meters whose readings a test chooses, asked through the real HTTP application."""

import hashlib
from datetime import UTC, datetime, timedelta

import jsonschema
from aiohttp.test_utils import TestClient, TestServer
from fleet_of_batches import START_S, A
from meter_archive.database import open_pool
from meter_archive.directory import Installation, Place
from meter_archive.directory_table import save_directory
from meter_archive.group import Given, write_group
from meter_archive.migrate import migrate
from meter_archive.partitions import Partitions
from meter_archive.queries import list_queries
from meter_archive.query_port import QueryPort
from meter_archive.scope import Scope
from meter_wire.archive_batch import ArchiveBatch
from meter_wire.effects import Hole
from meter_wire.event_names import get_event_code
from meter_wire.obis import parse_code
from meter_wire.portable.entry import encode_event, encode_reading, encode_register

QUARTER_S = 900
ALL = Scope("all", everything=True)
IMPORT, EXPORT = parse_code("1-0:1.8.0*255"), parse_code("1-0:2.8.0*255")


def moment(time_s):
    return datetime.fromtimestamp(time_s, UTC)


def reading(time_s, values, status=0):
    """Return a reading's bytes; `values`: register by its six-byte code."""
    registers = [encode_register(code, value) for code, value in values.items()]
    return encode_reading(status, time_s, time_s % (1 << 31), 1, registers)


def event(time_s, name, *arguments):
    return encode_event(0, time_s, time_s % (1 << 31), 1, get_event_code(name), list(arguments))


class QualityWorld:
    """`scope` says what may be seen by who asks next."""

    def __init__(self, url):
        self.url = url
        self.scope = ALL

    async def __aenter__(self):
        await migrate(self.url)
        self.pool = await open_pool(self.url, size=4, statement_limit=timedelta(seconds=20))

        async def identify(_request):
            return self.scope

        self.client = TestClient(TestServer(QueryPort(self.pool, identify).build()))
        await self.client.start_server()
        return self

    async def __aexit__(self, *_):
        await self.client.close()
        self.pool.terminate()

    async def install(
        self, *rows, since=START_S - 90 * 86400, zone="Europe/Berlin", feeder="F", labels=()
    ):
        """Install (device, point, meter); what was installed before and is not given has ended."""
        seen = [
            Installation(
                device, point, moment(since), Place("homes", meter, zone, feeder, labels, QUARTER_S)
            )
            for device, point, meter in rows
        ]
        await save_directory(self.pool, ["homes"], seen, moment(since))

    async def give(self, numbered, *, device="abc", identity=A, holes=()):
        """Store numbered entries, as many batches as it takes."""
        rows = sorted(numbered)
        partitions = Partitions(self.pool)
        for at in range(0, max(1, len(rows)), 500):
            part = tuple(rows[at : at + 500])
            batch = ArchiveBatch(0, tuple(Hole(*one) for one in holes), part)
            given = Given(device, 1, identity, batch)
            (answer,) = await write_group(self.pool, partitions, {}, [given], 36500)
            assert (answer.new, answer.conflicts) == (len(part), 0)

    async def ask(self, path, status=200, **query):
        query = {name.rstrip("_"): str(value) for name, value in query.items()}
        answer = await self.client.get(f"/v1/{path}", params=query)
        document = await answer.json()
        assert answer.status == status, document
        if status == 200:
            jsonschema.validate(document, list_queries()[f"/v1/{path}"].answer)
        return document

    async def digest(self):
        """Return a digest of all that is stored of entries."""
        async with self.pool.acquire() as connection:
            rows = await connection.fetch("SELECT * FROM entry ORDER BY incarnation, time, seq")
        return hashlib.sha256("".join(repr(tuple(row)) for row in rows).encode()).hexdigest()


DAY_S = 86400
TODAY_S = 1_741_046_400
"""2025-03-04 00:00 UTC; a house in UTC has days as this."""
RATE_1, RATE_2 = parse_code("1-0:1.8.1*255"), parse_code("1-0:1.8.2*255")
HISTORY_DAYS = 14


def usual(at_s):
    """Return what the house takes in a quarter hour: more in the evening, a little by chance."""
    hour = moment(at_s).hour
    return 40 + (160 if 17 <= hour < 22 else 0) + at_s // QUARTER_S * 7919 % 13


def energies(changes=None, days=1, history=HISTORY_DAYS):
    """Return {end of the quarter hour: energy} of some weeks; `changes`: by quarter hour of today."""
    first_s = TODAY_S - history * DAY_S
    rows = {
        at_s + QUARTER_S: usual(at_s) for at_s in range(first_s, TODAY_S + days * DAY_S, QUARTER_S)
    }
    return rows | {TODAY_S + (place + 1) * QUARTER_S: one for place, one in (changes or {}).items()}


def house(rows, *, without=(), exported=None, rates=None, status=None, first=1):
    """Return numbered readings: one at the beginning, and one at the end of each quarter hour.

    Args:
        rows: energy by the end of its quarter hour.
        without: quarter hours of today at whose end there is no reading; its number is not given.
        exported: energy to the grid, likewise.
        rates: what moves rate 1 instead of all energy; the rest is rate 2.
        status: bits by quarter hour of today.
        first: number of the first reading.
    """
    times = [min(rows) - QUARTER_S, *sorted(rows)]
    missing = {TODAY_S + (place + 1) * QUARTER_S for place in without}
    bits = {TODAY_S + (place + 1) * QUARTER_S: one for place, one in (status or {}).items()}
    total = out = one = two = 10_000
    numbered = []
    for number, time_s in enumerate(times, first):
        energy = rows.get(time_s, 0)
        total += energy
        out += (exported or {}).get(time_s, 0)
        moved = energy if rates is None else rates.get(time_s, 0)
        one += moved if moment(time_s).hour < 12 else 0
        two += moved if moment(time_s).hour >= 12 else 0
        if time_s not in missing:
            values = {IMPORT: total, EXPORT: out, RATE_1: one, RATE_2: two}
            numbered.append((number, reading(time_s, values, bits.get(time_s, 0))))
    return numbered


TODAY = {"from_": "2025-03-04", "to": "2025-03-05"}


def place_s(place):
    """Return the beginning of a quarter hour of today, as documents have it."""
    return moment(TODAY_S + place * QUARTER_S).isoformat()
