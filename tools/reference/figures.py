"""Write the tables of figures from bench/results.json, README's, the handover's and the paper's.

The table of the handover matrix is from bench/handover_matrix.json, which a run of all its cells
writes.

`--check` fails on drift.

Neighbours: `make bench` writes the source, `tools/generate.py` calls this. What the paper measured
stands beside ours: Liu et al. 2021, two containers (Python: image 110 MB, 40 MB of memory, 800
twins on 32 GB; C: 5 MB, less than 1 MB, 30,000).
"""

import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

import marked_block

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "bench/results.json"
README = ROOT / "README.md"
README_BEGIN = "<!-- figures of bench/results.json -->"
HANDOVER = ROOT / "docs/explanation/handover.md"
HANDOVER_BEGIN = "<!-- figures of a handover -->"
MATRIX_SOURCE = ROOT / "bench/handover_matrix.json"
MATRIX_BEGIN = "<!-- figures of the handover matrix -->"
PAPER = ROOT / "docs/explanation/reference-paper.md"
DELAYS_BEGIN = "<!-- delays of the scenarios -->"
SERVICES_BEGIN = "<!-- services of Table II -->"
SERVICE = "Table II, "
HANDOVER_GROUPS = ("handover", "upgrade")


class Row(NamedTuple):
    """A row of the table: which figure, what it is called, and the paper's two containers."""

    group: str
    name: str
    title: str
    paper: str = ""


ROWS = (
    Row("image", "twin image, uncompressed", "twin image, uncompressed", "110 MB; 5 MB"),
    Row(
        "twins after work",
        "private memory of a twin, after the readings",
        "private memory of a twin, mutual TLS",
        "40 MB; < 1 MB",
    ),
    Row(
        "utility",
        "private memory of a twin, OpenADR 2.0b and mutual TLS",
        "the same, and OpenADR 2.0b with mutual TLS",
    ),
    Row(
        "utility",
        "private memory of a twin, OpenADR 3.1, TLS and notifications over MQTT",
        "the same, or OpenADR 3.1 with its notifications",
    ),
    Row("twins after work", "RSS of a twin, after the readings", "resident memory of a twin"),
    Row(
        "twins",
        "marginal host memory per twin pod",
        "host memory for each further twin, at 100 twins, before their meters speak",
    ),
    Row("twins", "twins per 32 GB", "twins per 32 GB, from that", "800; 30,000"),
    Row(
        "rollout",
        "rate of SmartMeters against bare pods",
        "rate of 100 SmartMeters to Ready, against bare pods",
    ),
    Row(
        "latency",
        "cached read through the cluster network, p99",
        "cached read through the cluster network, p99",
        "40 ms",
    ),
    Row("latency", "live read inside the pod, p50", "live read, asked from the meter, p50"),
    Row("startup", "a second make demo", "a second `make demo`"),
    Row(
        "startup",
        "local cluster until its nodes and DNS are ready",
        "local Kubernetes of two nodes from the cache until it is ready",
    ),
    Row("fleet", "readings stored by 100 twins", "readings stored by 100 twins"),
    Row("fleet", "readings not stored at the end", "of these, missing"),
    Row(
        "reconnect",
        "100 meters are back",
        "100 simulated meters and their twins back after kill -9 of the broker",
    ),
    Row(
        "archive",
        "archive: durable readings a second",
        "durable readings a second in the archive, 10 registers each",
    ),
    Row(
        "archive",
        "archive: durable readings against a plain COPY",
        "the same, against a plain COPY into the same table",
    ),
    Row(
        "archive",
        "archive: a fleet's day by quarter hour, p99",
        "a day of 10,000 meters out of 28.8 million readings, p99",
    ),
    Row("scale", "reconciles per second", "reconciles, 2,000 meters"),
    Row("scale", "p99 of a reconcile", "p99 of a reconcile"),
    Row(
        "scale",
        "API writes after a restart without a change",
        "API writes after an operator restart, 2,000 meters",
    ),
)


def find_figure(results: dict[str, Any], row: Row) -> dict[str, Any] | None:
    """Return the measured figure of a row, or None when it was not measured."""
    figures = results["groups"].get(row.group, {}).get("figures", [])
    return next((figure for figure in figures if figure["name"] == row.name), None)


def line_of(row: Row, figure: dict[str, Any]) -> str:
    """Return the table's line of one figure."""
    goal = figure["goal"] or ""
    if figure["met"] is False:
        goal = f"{goal}, **missed**"
    value = f"{figure['value']:,} {figure['unit']}"
    return f"| {row.title} | {value} | {goal} | {row.paper} |"


def describe_runs(results: dict[str, Any]) -> str:
    """Return on which machines, which days and of which commits the groups were measured."""
    runs: dict[str, set[tuple[str, str]]] = {}
    for group in results["groups"].values():
        machine = f"{group['cpu']}, {group['cores']} shared cores, {group['memory_gib']} GiB"
        runs.setdefault(machine, set()).add((group["date"][:10], group["commit"]))
    said = []
    for machine, times in sorted(runs.items(), key=lambda one: min(one[1])):
        taken = " and ".join(f"{day} of `{commit}`" for day, commit in sorted(times))
        said.append(f"{machine}; taken {taken}")
    return ". ".join(said)


def render(results: dict[str, Any]) -> str:
    """Return the block between the marks."""
    lines = [f"{describe_runs(results)}:", ""]
    lines += ["| figure | measured | goal | paper (Python; C) |", "| --- | --- | --- | --- |"]
    for row in ROWS:
        figure = find_figure(results, row)
        if figure is not None:
            lines.append(line_of(row, figure))
    return "\n".join(lines)


def render_handover(results: dict[str, Any]) -> str:
    """Return the table of all that was measured of handovers, with spread."""
    lines = ["", "| figure | median | least to most | goal |", "| --- | --- | --- | --- |"]
    for group in HANDOVER_GROUPS:
        for figure in results["groups"].get(group, {}).get("figures", []):
            spread, unit = figure["spread"], figure["unit"]
            goal = (figure["goal"] or "") + (", **missed**" if figure["met"] is False else "")
            extent = f"{spread['min']:,} to {spread['max']:,}" if spread["samples"] > 1 else ""
            lines.append(f"| {figure['name']} | {figure['value']:,} {unit} | {extent} | {goal} |")
    return "\n".join(lines)


def render_matrix(results: dict[str, Any]) -> str:
    """Return the table of flows and faults: how each handover ended, and after how long."""
    cells = {tuple(name.split(":", 1)): cell for name, cell in results["cells"]["cells"].items()}
    flows = list(dict.fromkeys(flow for flow, _ in cells))
    faults = sorted({fault for _, fault in cells})
    machine = results["cells"]["machine"]
    passed = sum(cell["passed"] for cell in cells.values())
    lines = [
        f"{passed} of {len(cells)} cells were hit and have passed ({machine['cpu']},",
        f"{machine['cores']} shared cores, {machine['date'][:10]} of `{machine['commit']}`).",
        "Seconds from the fault until the meter is served and no handover is under way, a soak of",
        "8 s over; D: the handover was done, L: done, and what the old twin stored last is not",
        "known, A: given up, S: superseded, T: a takeover.",
        "",
        "| flow | " + " | ".join(faults) + " |",
        "| --- |" + " --- |" * len(faults),
    ]
    for flow in flows:
        row = [_cell(cells.get((flow, fault))) for fault in faults]
        lines.append(f"| {flow} | " + " | ".join(row) + " |")
    if "fifty" in results:
        rollouts = results["fifty"]["rollouts"]
        times = ", ".join(f"{what} {seconds:.0f} s" for what, seconds in rollouts)
        commit = results["fifty"]["machine"]["commit"]
        lines += ["", f"Fifty meters, real firmware, five at a time, of `{commit}`: {times}."]
    return "\n".join(lines)


def render_delays(results: dict[str, Any]) -> str:
    """Return the table of the paper's delays, ours beside its own."""
    figures = _find_paper(results)
    lines = ["", "| delay | median | 99th percentile | n | the paper |", "| --- |" + " --- |" * 4]
    for name, figure in figures.items():
        _, is_compared, said = figure["method"].partition("the paper: ")
        if is_compared and not name.endswith(", p99"):
            late = figures.get(f"{name}, p99")
            values = f"{_value(figure)} | {_value(late) if late else ''}"
            lines.append(f"| {name} | {values} | {figure['spread']['samples']:,} | {said} |")
    return "\n".join(lines)


def render_services(results: dict[str, Any]) -> str:
    """Return the table of services: delay, and how many were in time."""
    figures = _find_paper(results)
    head = "| service | median | 99th percentile | arrived | in time | needed |"
    lines = ["", head, "| --- |" + " --- |" * 5]
    for name, figure in figures.items():
        service, _, limit = name.removeprefix(SERVICE).rpartition(", within ")
        if not name.startswith(SERVICE) or not service:
            continue
        delay = figures[f"{SERVICE}{service}, delay"]
        late = figures[f"{SERVICE}{service}, delay, p99"]
        needed = f"{figure['goal']} %" if figure["goal"] else figure["method"].rpartition("; ")[2]
        needed += ", **missed**" if figure["met"] is False else ""
        share = f"{delay['spread']['samples']:,} | {figure['value']} % within {limit}"
        lines.append(f"| {service} | {_value(delay)} | {_value(late)} | {share} | {needed} |")
    return "\n".join(lines)


def _find_paper(results: dict[str, Any]) -> dict[str, dict[str, Any]]:
    figures = results["groups"].get("paper", {}).get("figures", [])
    return {figure["name"]: figure for figure in figures}


def _value(figure: dict[str, Any]) -> str:
    return f"{figure['value']:,} {figure['unit']}"


def _cell(cell: dict[str, Any] | None) -> str:
    if cell is None:
        return ""
    if not cell["passed"]:
        return "**failed**"
    return f"{cell['result'][:1]} {cell['seconds']:.0f}"


def main() -> int:
    """Return 0 unless a table differs from the results."""
    results = json.loads(SOURCE.read_text())
    differs = "{}: its figures differ from those in bench/"
    blocks = [
        (README, README_BEGIN, render(results)),
        (HANDOVER, HANDOVER_BEGIN, render_handover(results)),
        (PAPER, DELAYS_BEGIN, render_delays(results)),
        (PAPER, SERVICES_BEGIN, render_services(results)),
    ]
    matrix = json.loads(MATRIX_SOURCE.read_text()) if MATRIX_SOURCE.exists() else {}
    if "cells" in matrix:
        blocks.append((HANDOVER, MATRIX_BEGIN, render_matrix(matrix)))
    ends = [
        marked_block.run(__doc__, page, mark, block, differs.format(page.relative_to(ROOT)))
        for page, mark, block in blocks
    ]
    return max(ends)


if __name__ == "__main__":
    sys.exit(main())
