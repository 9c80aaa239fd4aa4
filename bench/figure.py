"""What one measurement says, the machine it was made on, and the table that people read."""

import os
import platform
import statistics
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

MIB = 1 << 20


class Figure(NamedTuple):
    """One figure: `value` is the median of `values`; `goal` is (operator, number) or None."""

    name: str
    values: tuple[float, ...]
    unit: str
    method: str
    goal: tuple[str, float] | None = None

    @property
    def value(self) -> float:
        """The median."""
        return statistics.median(self.values)

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None without a goal."""
        if self.goal is None:
            return None
        sign, limit = self.goal
        value = self.value
        return {
            "<=": value <= limit,
            ">=": value >= limit,
            "<": value < limit,
            ">": value > limit,
        }[sign]

    def document(self) -> dict[str, Any]:
        """Return the figure for results.json."""
        return {
            "name": self.name,
            "value": rounded(self.value),
            "unit": self.unit,
            "spread": {
                "min": rounded(min(self.values)),
                "median": rounded(self.value),
                "max": rounded(max(self.values)),
                "samples": len(self.values),
            },
            "goal": " ".join(map(str, self.goal)) if self.goal else None,
            "met": self.met,
            "method": self.method,
        }


def figure(
    name: str,
    values: float | Sequence[float],
    unit: str,
    method: str,
    goal: tuple[str, float] | None = None,
) -> Figure:
    """Return a figure of one value or of several."""
    found = tuple(values) if isinstance(values, Sequence) else (values,)
    return Figure(name, found, unit, method, goal)


def rounded(value: float) -> float:
    """Return four significant digits, and whole numbers as such."""
    number = float(f"{value:.4g}") if abs(value) < 10_000 else round(value)  # noqa: PLR2004
    return int(number) if number == int(number) else number


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that `share` of all values do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -(-int(share * 1000) * len(ordered) // 1000) - 1))]


def describe_machine() -> dict[str, Any]:
    """Return date, commit and load of this moment, and this machine's CPU, memory and versions."""
    model = "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    date = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return {
        "date": date,
        "commit": commit.stdout.strip() or "unknown",
        "load_1m_before": round(os.getloadavg()[0], 2),
        "cpu": model,
        "cores": os.cpu_count(),
        "memory_gib": round(memory_info()["MemTotal"] / (1 << 30), 1),
        "kernel": platform.release().split("-")[0],
        "python": platform.python_version(),
    }


def memory_info() -> dict[str, int]:
    """Return /proc/meminfo in bytes."""
    found = {}
    for line in Path("/proc/meminfo").read_text().splitlines():
        name, rest = line.split(":")
        found[name] = int(rest.split()[0]) * 1024
    return found


def table(figures: Sequence[Figure]) -> str:
    """Return the figures as a table: name, median, spread, goal, verdict."""
    rows = [("figure", "value", "min … max", "goal", "")]
    for one in figures:
        spread = f"{rounded(min(one.values))} … {rounded(max(one.values))}"
        goal = f"{one.goal[0]} {one.goal[1]}" if one.goal else ""
        verdict = {None: "", True: "met", False: "MISSED"}[one.met]
        several = spread if len(one.values) > 1 else ""
        rows.append((one.name, f"{rounded(one.value)} {one.unit}", several, goal, verdict))
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
             for row in rows]  # fmt: skip
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])
