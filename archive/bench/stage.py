"""What the measurements stand on: PostgreSQL as the chart sets it, and replicas as processes.

Both are the tests' own (`archive/tests`); nothing of them is in memory or left out: fsync and
synchronous_commit are on. Neighbours: `measure_ingest`, `measure_questions`.
"""

import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
for folder in ("archive/tests", "tests/process"):
    sys.path.append(str(ROOT / folder))

import archive_world  # noqa: E402 - after the path
import postgres_server  # noqa: E402

World = archive_world.ArchiveWorld


def chart_settings() -> dict[str, str]:
    """Return the settings of the chart's PostgreSQL."""
    values = yaml.safe_load((ROOT / "charts/metertwin/values.yaml").read_text())
    given = values["archive"]["postgres"]["parameters"]
    always = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "jit": "off"}
    return {name: str(value) for name, value in given.items()} | always


def build_server(**settings: str) -> Any:
    """Return a PostgreSQL that is not started yet; its folder goes when it stops."""
    return postgres_server.PostgresServer(**(chart_settings() | settings))


def memory_kib(pid: int) -> dict[str, int]:
    """Return what a process has resident now (`VmRSS`) and had at most (`VmHWM`)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    return {name: int(fields[name].split()[0]) for name in ("VmRSS", "VmHWM")}


def spent_s(pid: int) -> float:
    """Return user and system time of all threads of a process."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(path.read_text().split()[0]) for path in tasks) / 1e9
