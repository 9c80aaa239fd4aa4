"""How long questions take over a month of a fleet's quarter hours; as JSON.

    python archive/bench/measure_questions.py [--meters 10000] [--days 30] [--quick]

The service is a process of its own; questions go to its port 8081 over one connection, one after
the other, each about another meter by chance. `QUESTIONS` names them. The file system's cache is as
the filling left it, so most of what is read comes from memory if the machine has as much.
"""

import argparse
import asyncio
import json
import random
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
from fill import FEEDERS, Fleet, connect, fill
from stage import World, build_server, memory_kib

_HTTP_OK = 200


class Question(NamedTuple):
    """A path with places for what is drawn by chance, and how often it is asked."""

    path: str
    samples: int


_METER = "/v1/history?device=house-{meter}&zone=Europe/Brussels"
_FEEDER = "/v1/totals?feeder={feeder}&zone=Europe/Brussels"
_FLEET = "/v1/totals?fleet=1&zone=Europe/Brussels"
_DAY = "from={day}&to={next_day}"
QUESTIONS = {
    "a meter's month by quarter hour": Question(_METER + "&every=15m&from={first}&to={last}", 200),
    "a meter's month by day": Question(_METER + "&every=1d&from={first}&to={last}", 200),
    "a meter's day by quarter hour": Question(_METER + "&every=15m&from={day}&to={next_day}", 200),
    "a feeder's day by quarter hour": Question(_FEEDER + "&every=15m&" + _DAY, 50),
    "a fleet's day": Question(_FLEET + "&every=1d&" + _DAY, 10),
    "a fleet's day by quarter hour": Question(_FLEET + "&every=15m&" + _DAY, 10),
}
"""By what they ask: `{feeder}` is one of `feeder-0` to `feeder-99`."""


def draw(question: Question, fleet: Fleet, chance: random.Random) -> str:
    """Return a path about a meter, a feeder and a day by chance."""
    first = datetime.fromtimestamp(fleet.first_s, UTC) + timedelta(hours=2)  # a day in Brussels
    day = first + timedelta(days=chance.randrange(fleet.days))
    return question.path.format(
        meter=chance.randint(1, fleet.meters), feeder=f"feeder-{chance.randrange(FEEDERS)}",
        first=first.date(), last=(first + timedelta(days=fleet.days)).date(),
        day=day.date(), next_day=(day + timedelta(days=1)).date(),
    )  # fmt: skip


async def ask(
    session: aiohttp.ClientSession, base: str, question: Question, fleet: Fleet
) -> dict[str, Any]:
    """Ask as often as wanted; return milliseconds in rising order and octets of an answer."""
    chance = random.Random(question.path)
    spent, octets = [], 0
    for _ in range(question.samples):
        begun = time.monotonic()
        async with session.get(base + draw(question, fleet, chance)) as answer:
            body = await answer.read()
        spent.append((time.monotonic() - begun) * 1000)
        octets = len(body)
        if answer.status != _HTTP_OK:
            raise RuntimeError(f"{answer.status} {answer.url}: {body[:500].decode()}")
    _check(json.loads(body), fleet, question)
    return {"ms": sorted(spent), "octets": octets}


def _check(document: dict[str, Any], fleet: Fleet, question: Question) -> None:
    """See that the answer holds every reading, so that no time is that of an empty answer."""
    devices = document.get("devices", ())
    if "{meter}" not in question.path:
        qualities = {one["quality"] for one in document["buckets"]}
        if qualities != {"metered"}:
            raise RuntimeError(f"{qualities}: {question.path}")
        return
    readings = sum(one["readings"] for device in devices for one in device["buckets"])
    days = fleet.days if "{last}" in question.path else 1
    if readings < days * 96:
        raise RuntimeError(f"{readings} readings in {days} days: {question.path}")


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Fill a database and ask."""
    fleet = Fleet(options.meters, options.days)
    result: dict[str, Any] = {"meters": fleet.meters, "days": fleet.days, "rows": fleet.rows}
    # Without a log of its pages a table that is made and filled in one transaction is synced once.
    server = build_server(wal_level="minimal", max_wal_senders="0")
    with server as postgres, tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder), postgres)
        begun = time.monotonic()
        await fill(world.url, fleet)
        result["fill_s"] = time.monotonic() - begun
        connection = await connect(world.url)
        result["bytes"] = dict(
            await connection.fetchrow(
                "SELECT sum(pg_table_size(inhrelid))::float8 / $1 AS heap,"
                " sum(pg_indexes_size(inhrelid))::float8 / $1 AS index"
                " FROM pg_inherits WHERE inhparent = 'entry'::regclass",
                float(fleet.rows),
            )
        )
        await connection.close()
        await world.start(1)
        try:
            base = f"http://127.0.0.1:{world.query_ports[0]}"
            async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=600)) as session:
                result["questions"] = {
                    name: await ask(session, base, one, fleet) for name, one in QUESTIONS.items()
                }
            result["memory_kib"] = memory_kib(world.replicas[0].process.pid)
        finally:
            world.stop()
    return result


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--meters", type=int)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--quick", action="store_true", help="500 meters")
    options = parser.parse_args()
    options.meters = options.meters or (500 if options.quick else 10_000)
    print(json.dumps(asyncio.run(measure(options))))


if __name__ == "__main__":
    main()
