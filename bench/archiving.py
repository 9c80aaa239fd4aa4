"""What the archive does: durable readings a second, bytes of a reading, memory, questions.

Programs of `archive/bench` measure, with real processes on this machine; this makes figures of
what they say.
"""

import json
import sys
from typing import Any

import cluster
from figure import Figure, figure, percentile

PROGRAMS = cluster.ROOT / "archive/bench"
KIB_PER_MIB = 1024
RATE_GOAL = 12_000
"""A billion readings a day are 11,600 a second."""
COPY_GOAL = 50
QUESTION_GOALS_MS = {
    "a meter's month by quarter hour": 1000,
    "a meter's month by day": 1000,
    "a feeder's day by quarter hour": 2000,
    "a fleet's day by quarter hour": 10_000,
}
"""p99."""
_STAGE = (
    "PostgreSQL with the chart's settings (fsync and synchronous_commit on), {replicas} replicas "
    "of the service and {twins} pushing twins over mutual TLS on loopback, each part a process, "
    "all on this machine's cores (archive/bench/measure_ingest.py); readings of 10 registers"
)
_SIZE = (
    "after VACUUM; {octets} octets of a reading are the meter's own bytes, its values are kept "
    "beside them"
)
_COPY = (
    "the same rows by one binary COPY in one transaction into the same tables, partitions and "
    "index of another database of the same server, right after"
)


def measure(*, quick: bool = False) -> list[Figure]:
    """Return the figures of ingest and of questions.

    Raises:
        RuntimeError: they could not be measured; the text is the program's.
    """
    more = ["--quick"] if quick else []
    ingest, questions = (
        json.loads(cluster.run(sys.executable, str(PROGRAMS / name), *more, timeout_s=3600))
        for name in ("measure_ingest.py", "measure_questions.py")
    )
    return [*_rates(ingest), *_room(ingest), *_questions(questions)]


def _rates(said: dict[str, Any]) -> list[Figure]:
    rounds, single = said["rounds"], said["single"]
    stage = _STAGE.format(**said)
    rates = [one["rows"] / one["seconds"] for one in rounds]
    copies = [one["rows"] / one["copy_s"] for one in rounds]
    shares = [100 * own / plain for own, plain in zip(rates, copies, strict=True)]
    spent = [1e6 * sum(one["service_s"]) / one["rows"] for one in rounds]
    how = f"{stage}; batches of 256, first batch to last answer, counted in the table"
    processor = "user and system time of all replicas by readings of the round"
    alone = f"{stage}, but 256 twins with one reading in each batch"
    pushes = single["rows"] / single["seconds"]
    wait = percentile(single["batch_ms"], 0.99)
    goal = (">=", float(COPY_GOAL))
    return [
        figure("archive: durable readings a second", rates, "/s", how, (">=", RATE_GOAL)),
        figure("archive: a plain COPY of the same rows", copies, "rows/s", _COPY),
        figure("archive: durable readings against a plain COPY", shares, "%", _COPY, goal),
        figure("archive: processor time of the service for a reading", spent, "µs", processor),
        figure("archive: pushes of one reading each", pushes, "/s", alone),
        figure("archive: wait for the answer of those, p99", wait, "ms", "256 wait at a time"),
    ]


def _room(said: dict[str, Any]) -> list[Figure]:
    bytes_, how = said["bytes"], _SIZE.format(**said)
    memory = [one["VmHWM"] / KIB_PER_MIB for one in said["memory_kib"]]
    grown = "as it grew while they came"
    return [
        figure("archive: bytes of a reading, table", bytes_["heap"], "bytes", how),
        figure("archive: bytes of a reading, index", bytes_["index"], "bytes", grown),
        figure("archive: memory of a replica", memory, "MiB", "VmHWM, the most it had resident"),
    ]


def _questions(said: dict[str, Any]) -> list[Figure]:
    stage = (
        f"{said['meters']} meters, {said['days']} days of quarter hours, {said['rows']} readings "
        "of 10 registers that SQL wrote in the order of their time; one replica, one connection, "
        "another meter each time, HTTP and JSON included (archive/bench/measure_questions.py)"
    )
    figures = []
    for name, found in said["questions"].items():
        goal = QUESTION_GOALS_MS.get(name)
        method = f"{stage}; {len(found['ms'])} questions, {found['octets']} octets an answer"
        for share, label in ((0.5, "p50"), (0.99, "p99")):
            value = percentile(found["ms"], share)
            limit = ("<=", goal) if goal and label == "p99" else None
            figures.append(figure(f"archive: {name}, {label}", value, "ms", method, limit))
    return figures
