"""Everything that a twin has stored, in one file, and the proof that nothing is missing. No click.

Readings and events of a meter have numbers of one sequence in each incarnation. So the file is
whole when every number up to the twin's stored mark is in it, or in a hole that the twin names. It
is enough for a deletion when its newest entry was stamped by the meter after the deletion: a twin
stores in order, so what came before is there as well. Neighbour: `cli_export` (asks and writes).
"""

import json
import os
import pathlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import IO, Any, NamedTuple

from kubectl_meter.errors import MeterError
from kubectl_meter.twin import Twin

Json = dict[str, Any]
KINDS = ("readings", "events")
MOST_HOLES = 1000
STEP = 1000


class Summary(NamedTuple):
    """What is in a file."""

    readings: int
    events: int
    holes: tuple[Json, ...]
    conflicts: int
    newest: datetime | None


class Numbers:
    """Numbers of one incarnation as ranges: few, however many there are."""

    def __init__(self) -> None:
        """Begin empty."""
        self.ranges: list[tuple[int, int]] = []
        self.count = 0

    def add(self, first: int, last: int | None = None) -> None:
        """Add a number, or all from `first` to `last`."""
        end = first if last is None else last
        self.count += end - first + 1
        if self.ranges and self.ranges[-1][1] + 1 == first:
            self.ranges[-1] = (self.ranges[-1][0], end)
        else:
            self.ranges.append((first, end))

    def find_gap(self, last: int) -> tuple[int, int] | None:
        """Return the first range between the lowest number and `last` that is not here."""
        rows = sorted(self.ranges)
        reached = rows[0][0] - 1 if rows else last
        for first, end in rows:
            if first > reached + 1:
                break
            reached = max(reached, end)
        following = min((first for first, _ in rows if first > reached), default=last + 1)
        return (reached + 1, min(following - 1, last)) if reached < last else None


class Contents:
    """What has been written to a file so far."""

    def __init__(self, marks: list[Json]) -> None:
        """`marks`: of the twin's status before; entries that come later do not count."""
        self.stored = {row["incarnation"]: int(row["stored"]) for row in marks}
        self.found = {incarnation: Numbers() for incarnation in self.stored}
        self.counts = dict.fromkeys(KINDS, 0)
        self._newest: dict[str, tuple[int, str]] = {}

    def add(self, kind: str, entry: Json) -> None:
        """Note an entry; one beyond the stored mark may have others missing below it."""
        incarnation, seq = entry["incarnation"], entry["seq"]
        self.counts[kind] += 1
        if seq > self.stored.get(incarnation, 0):
            return
        self.found[incarnation].add(seq)
        if entry["time"] and seq > self._newest.get(incarnation, (0, ""))[0]:
            self._newest[incarnation] = (seq, entry["time"])

    def newest(self) -> datetime | None:
        """Return the time of the last entry of an incarnation, the latest if there are several."""
        times = [datetime.fromisoformat(text) for _, text in self._newest.values()]
        return max(times, default=None)

    def check(self, expected: int, holes: list[Json]) -> None:
        """Compare with what the twin says that it has.

        Raises:
            MeterError: something is missing.
        """
        got = sum(numbers.count for numbers in self.found.values())
        if got != expected:
            raise MeterError(
                f"the twin had {expected} entries when the export began, {got} of them came",
                field="--out",
                remedy="run it again: the oldest may have reached the end of their retention",
            )
        for hole in holes:
            if hole["incarnation"] in self.found:
                self.found[hole["incarnation"]].add(hole["first"], hole["last"])
        for incarnation, numbers in self.found.items():
            gap = numbers.find_gap(self.stored[incarnation])
            if gap is not None:
                raise MeterError(
                    f"numbers {gap[0]} to {gap[1]} of incarnation {incarnation} are missing, and"
                    f" the twin names {_at_least(len(holes))} without them",
                    field="--out",
                    remedy="run it again; if it stays so, report it with the twin's log",
                )


def _at_least(holes: int) -> str:
    return f"{holes} holes" if holes < MOST_HOLES else f"only the first {MOST_HOLES} holes"


def write_export(
    twin: Twin, path: pathlib.Path, until: datetime | None, progress: Callable[[str], None]
) -> Summary:
    """Write all entries of a twin to a file, durable and complete, or none at all.

    Args:
        twin: whose entries.
        path: the file; beside it, while it grows, one with `.part` behind its name.
        until: the last entry has to be stamped then or later; None if any will do.
        progress: told now and then how far it is.

    Raises:
        MeterError: something is missing, or the file could not be written.
    """
    part = path.with_name(path.name + ".part")
    try:
        # Readings tell how people live: the file is for whoever exports only.
        part.unlink(missing_ok=True)
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            summary = _write(twin, file, progress)
            _check_newest(summary, until)
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)
        _sync_folder(path.parent)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise MeterError(
            f"{error.filename or path}: {error.strerror}", field="--out",
            remedy="name a file in a folder that you may write to, with room for the readings",
        ) from None  # fmt: skip
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return summary


def _write(twin: Twin, file: IO[str], progress: Callable[[str], None]) -> Summary:
    status = twin.get("/v1/status")
    contents = Contents(status["marks"])
    total = status["entries"]
    done = 0
    for kind in KINDS:
        for entry in twin.entries(kind, None, None):
            contents.add(kind, entry)
            file.write(json.dumps(entry, ensure_ascii=False) + "\n")
            done += 1
            if done % STEP == 0:
                progress(f"{done} of {total} entries …")
    holes = twin.get("/v1/gaps")["holes"]
    contents.check(total, holes)
    return Summary(
        contents.counts["readings"],
        contents.counts["events"],
        tuple(holes),
        int(status.get("conflicts") or 0),
        contents.newest(),
    )


def _check_newest(summary: Summary, until: datetime | None) -> None:
    if until is not None and (summary.newest is None or summary.newest < until):
        last = format_time(summary.newest) if summary.newest else "none"
        raise MeterError(
            f"the last entry with a time ({last}) is older than {format_time(until)}",
            field="--without-meter",
            remedy="run it again when the meter has sent its next reading; its clock may be wrong",
        )


def _sync_folder(folder: pathlib.Path) -> None:
    """Make a rename durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def format_time(moment: datetime) -> str:
    """Return RFC 3339 in UTC, whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
