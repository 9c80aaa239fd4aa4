"""Durable readings a second through the real service, and a plain COPY of the same rows; as JSON.

    python archive/bench/measure_ingest.py [--replicas 2] [--twins 64] [--rounds 3] [--quick]

PostgreSQL, the replicas and the pushing twins are processes of their own on one machine. A round:
the tables are emptied, the twins push all their entries, every row is counted in the table; then
the same rows, written to a file, go by one binary COPY in one transaction into another database
with the same tables, partitions and index. Before each of both there is a checkpoint.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
from meter_archive.migrate import migrate
from meter_archive.months import month_of
from meter_pki import identities
from pushing_twins import build_reading
from stage import World, build_server, memory_kib, spent_s

PERIOD_S = 900
PUSHING = Path(__file__).parent / "pushing_twins.py"
_EMPTY = "TRUNCATE metertwin.entry, metertwin.hole, metertwin.incarnation, metertwin.device CASCADE"


def write_plan(world: Any, twins: int, entries: int, batch: int) -> dict[str, Any]:
    """Return the plan of the pushing process; half of the twins for each of two replicas."""
    first_s = int(time.time()) // PERIOD_S * PERIOD_S - entries * PERIOD_S
    ports = []
    for number in range(twins):
        name = f"twin-{number}"
        if not (world.folder / name).exists():
            world.issue(name, identities.twin_identity(f"house-{number}", 1, "homes"))
        ports.append([str(world.folder / name), world.ports[number % len(world.ports)]])
    return {
        "ca": str(world.folder / "ca.crt"), "port_of": ports, "entries": entries, "batch": batch,
        "first_s": first_s, "period_s": PERIOD_S,
    }  # fmt: skip


async def push(world: Any, connection: Any, plan: dict[str, Any]) -> dict[str, Any]:
    """Empty the tables, have the twins push, and count what is durable."""
    await connection.execute(_EMPTY)
    path = world.folder / "plan.json"
    path.write_text(json.dumps(plan))
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(PUSHING), str(path),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, limit=1 << 24,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        if await process.stdout.readline() != b"ready\n":
            raise RuntimeError("the pushing twins did not connect")
        await connection.execute("CHECKPOINT")
        spent = [spent_s(one.process.pid) for one in world.replicas]
        process.stdin.write(b"go\n")
        found: dict[str, Any] = json.loads(await process.stdout.readline())
        found["service_s"] = [
            spent_s(one.process.pid) - before
            for one, before in zip(world.replicas, spent, strict=True)
        ]
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
    stored = await connection.fetchval("SELECT count(*) FROM metertwin.entry")
    if stored != found["rows"]:
        raise RuntimeError(f"{found['rows']} readings were answered, {stored} are stored")
    return found


async def copy(connection: Any, target: Any, file: Path) -> float:
    """Put the rows of one database into the other by one COPY; return the seconds."""
    months = await connection.fetch(
        "SELECT DISTINCT date_trunc('month', time) AS month FROM metertwin.entry"
    )
    await target.execute("TRUNCATE metertwin.entry")
    for row in months:
        month = month_of(row["month"])
        await target.execute(
            f"CREATE TABLE IF NOT EXISTS metertwin.{month.partition} PARTITION OF metertwin.entry"
            f" FOR VALUES FROM ('{month.start}') TO ('{month.next.start}')"
        )
    # In the order in which they came, as nobody sorts what arrives.
    await connection.copy_from_query(
        "SELECT * FROM metertwin.entry ORDER BY tableoid, ctid", output=file, format="binary"
    )
    await target.execute("CHECKPOINT")
    begun = time.monotonic()
    await target.copy_to_table("entry", schema_name="metertwin", source=file, format="binary")
    return time.monotonic() - begun


async def sizes(connection: Any) -> dict[str, float]:
    """Return bytes of table and index for each reading."""
    await connection.execute("VACUUM ANALYZE metertwin.entry")
    row = await connection.fetchrow(
        "SELECT sum(pg_table_size(inhrelid)) AS heap, sum(pg_indexes_size(inhrelid)) AS index,"
        " (SELECT count(*) FROM metertwin.entry) AS rows FROM pg_inherits"
        " WHERE inhparent = 'metertwin.entry'::regclass"
    )
    return {name: float(row[name]) / row["rows"] for name in ("heap", "index")}


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Return the figures of all rounds."""
    result: dict[str, Any] = {"rounds": [], "replicas": options.replicas, "twins": options.twins}
    with build_server() as postgres, tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder), postgres)
        other = postgres.new_database()
        await migrate(other)
        await world.start(options.replicas)
        connection = await asyncpg.connect(world.url, timeout=60)
        target = await asyncpg.connect(other, timeout=60)
        try:
            plan = write_plan(world, options.twins, options.entries, options.batch)
            singles = write_plan(world, options.many, options.singles, 1)
            await push(world, connection, plan | {"entries": 2 * options.batch})  # warms up
            for _ in range(options.rounds):
                pushed = await push(world, connection, plan)
                copied_s = await copy(connection, target, Path(folder) / "rows")
                result["rounds"].append(pushed | {"copy_s": copied_s})
            result["bytes"] = await sizes(connection)
            result["octets"] = len(build_reading(1, plan["first_s"], PERIOD_S))
            result["single"] = await push(world, connection, singles)
            result["memory_kib"] = [memory_kib(one.process.pid) for one in world.replicas]
        finally:
            await connection.close()
            await target.close()
            world.stop()
    result["measured"] = datetime.now(UTC).isoformat(timespec="seconds")
    return result


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicas", type=int, default=2)
    parser.add_argument("--twins", type=int, default=64)
    parser.add_argument("--many", type=int, default=256, help="twins with one reading a batch")
    parser.add_argument("--entries", type=int, help="of each twin in a round")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--singles", type=int, help="of each twin, one a batch")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--quick", action="store_true", help="one short round")
    options = parser.parse_args()
    options.entries = options.entries or (1024 if options.quick else 4096)
    options.singles = options.singles or (10 if options.quick else 60)
    options.rounds = options.rounds or (1 if options.quick else 3)
    print(json.dumps(asyncio.run(measure(options))))


if __name__ == "__main__":
    main()
