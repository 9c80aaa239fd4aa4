"""Runs cells: a handover until its flow is seen, the fault, then serving again with all readings.

Each house is a worker that takes the next cell of its build: the whole firmware's, or the small
one's, whose meters have the heap of an ESP8266. What all houses share is broken by one cell at a
time; the others go on meanwhile, which is one more trouble for them. Neighbours: `flows`, `faults`,
`watcher`.
"""

import collections
import contextlib
import json
import threading
import time
import traceback
from dataclasses import asdict, dataclass, field
from typing import NamedTuple

import pytest
from api import METERS
from demo import BOARDS, HOUSES, ROOT, Record, answers, ask_meter, condition, get, until
from faults import FAULTS, OF_A_METER, SHARED, SHORT, SHORT_OF_BOARDS, UnsuitedError
from flows import FLOWS
from holds import hold, lock

NEXT = "next"
WHOLE, SMALL = "whole", "esp8266"
BUILDS = {WHOLE: HOUSES, SMALL: BOARDS}
"""Build → the houses that take its cells."""
LOG = ROOT / "build/handover-matrix.jsonl"
SEEN_S = 180
SERVING_S = 300
READY_S = 420
"""A candidate that was given up stays as a donor for five minutes."""
AS_ASKED_S = 1200
"""After five tries that were given up the operator waits for 16 minutes before the next."""
MOST_TRIES = 6
FIRST_ASKED = ("rollback", "new-twin-killed")
"""Faults that mean nothing before the change is asked for, even in flow 1."""


class Name(NamedTuple):
    """Names a cell: as FLOW:FAULT for the whole firmware, FLOW:FAULT:esp8266 for the small one."""

    flow: str
    fault: str
    build: str = WHOLE

    def __str__(self):
        return ":".join(self[:2] if self.build == WHOLE else self)


@dataclass
class Outcome:
    """What a cell has shown; `seconds` from the fault until the meter is served, all tries over."""

    cell: str
    device: str = ""
    tries: int = 0
    hit: bool = False
    result: str = ""
    epochs: str = ""
    seconds: float = 0.0
    note: str = ""
    marks: list[str] = field(default_factory=list)
    unsuited: str = ""
    error: str = ""


def version_of(meter):
    return (meter["spec"].get("twin") or {}).get("version") or None


class Cell:
    """One try of one cell on one house."""

    def __init__(self, api, timeline, folder, name, *, hold=False):
        self.api, self.timeline, self.device = api, timeline, timeline.device
        self.name, self._hold = name, hold
        self.flow, self.fault = name.flow, name.fault
        self.record = Record(folder, self.device)
        self.version_before = self.version_after = None
        self.generation = 0
        self.asked = None

    def ask(self, version):
        """Ask for a version of the twin; None is the installation's own."""
        twin = None if version is None else {"version": version}
        path = f"{METERS}/{self.device}"
        change = {"spec": {"twin": twin}}
        body = until(lambda: self.api.patch(path, change), "the change is accepted")
        self.generation = body["metadata"]["generation"]
        self.asked = version

    def make_ready(self):
        """Wait until one twin serves the meter as the spec asks for; a try given up is over."""

        def ready():
            meter = self.timeline.meter
            status = meter["status"]
            assert not status.get("handover"), status["handover"]
            running = status["twin"].get("version")
            wanted = NEXT if running == NEXT else None
            if version_of(meter) != wanted:
                self.ask(wanted)
                return False
            assert condition(meter).get("status") == "True", status["conditions"]
            assert len(self.timeline.pods) == 1, "an older twin is still there"
            fresh = get("smartmeter", self.device)["metadata"]["resourceVersion"]
            return fresh == meter["metadata"]["resourceVersion"]

        until(ready, f"one twin serves {self.device} as asked", READY_S, 1)
        self.version_before = version_of(self.timeline.meter)
        self.version_after = None if self.version_before == NEXT else NEXT

    def run(self):
        """Return the outcome of one try.

        Raises:
            UnsuitedError: the fault is not possible on this cluster.
            AssertionError: the meter is not served again, never gets the version asked for, or a
                reading is lost, twice or changed.
        """
        self.make_ready()
        fault, flow = FAULTS[self.fault](self.api, self), FLOWS[self.flow]
        is_first = self.flow == "1" and self.fault not in FIRST_ASKED
        holds = self._hold and flow.held_from
        with contextlib.ExitStack() as stack:
            stack.enter_context(SHARED if fault.is_shared else contextlib.nullcontext())
            stack.enter_context(lock(flow) if holds else contextlib.nullcontext())
            fault.prepare()
            self.timeline.begin()
            if not is_first:
                self.ask(self.version_after)
            with hold(self.timeline, flow, SEEN_S) if holds else contextlib.nullcontext():
                seen = self.timeline.wait(flow.begins, SEEN_S)
                fault.inflict()
                hit_s = fault.fell_s or time.time()
            if is_first:
                self.ask(self.version_after)
            fault.heal()
        self._wait_until_it_serves()
        took = time.time() - hit_s
        until(self._is_as_asked, f"{self.device} has what was asked for last", AS_ASKED_S, 1)
        until(lambda: self.record.verify() is None, f"the oracle of {self.device}", SERVING_S, 1)
        until(self._has_rising_epochs, f"the meter's own events of {self.device}")
        return self._describe(fault, flow, hit_s, took, seen=seen)

    def _wait_until_it_serves(self):
        source = self.timeline.epochs[0]

        def serves():
            meter = self.timeline.meter
            status = meter["status"]
            assert meter["metadata"]["generation"] >= self.generation, "the watch is behind"
            assert not status.get("handover"), status["handover"]
            assert condition(meter, "TwinReady").get("status") == "True", status["conditions"]
            tried = [row for row in status.get("handovers", []) if row["from"] >= source]
            as_asked = condition(meter).get("status") == "True"
            assert tried or as_asked, "nothing has been tried yet"
            return answers(self.device)

        until(serves, f"{self.device} is served", SERVING_S)

    def _is_as_asked(self):
        """Whether its twin is what was asked for last: a fault may cost a try, never the change."""
        meter = self.timeline.meter
        status = meter["status"]
        assert meter["metadata"]["generation"] >= self.generation, "the watch is behind"
        assert not status.get("handover"), status["handover"]
        assert condition(meter).get("status") == "True", status["conditions"]
        return (status["twin"].get("version") == NEXT) == (self.asked == NEXT)

    def _has_rising_epochs(self):
        rows = [row for row in ask_meter("events", self.device, "--since", "1h")
                if row["code"] == "owner_change"]  # fmt: skip
        epochs = [row["arguments"]["active_epoch"] for row in rows]
        assert epochs == sorted(epochs), f"the meter was given back to an older epoch: {epochs}"
        return True

    def _describe(self, fault, flow, hit_s, took, *, seen):
        marks = self.timeline.marks()
        ends = flow.ends
        if self.flow == "1" and self.fault in FIRST_ASKED:
            ends = FLOWS["2"].ends  # right after the question is as early as it can be
        ended = min((marks[one] for one in ends if one in marks), default=hit_s + 1)
        status = until(lambda: get("smartmeter", self.device)["status"], "its status")
        source, candidate = self.timeline.epochs
        rows = {row["to"]: row for row in status.get("handovers", [])}
        row = rows.get(candidate, {"result": "TakenOver", "message": ""})
        return Outcome(
            cell=str(self.name),
            device=self.device,
            hit=seen and fault.fell and ended > hit_s,
            result=row["result"],
            epochs=f"{source} -> {status['epoch']}",
            seconds=round(took, 1),
            note="; ".join(filter(None, (fault.note, row.get("message", "")))),
            marks=[f"{one} {moment - hit_s:+.3f}" for one, moment in
                   sorted(marks.items(), key=lambda pair: pair[1])],
        )  # fmt: skip


def option(config, name, *, default):
    """Return an option; without this folder on the command line there are none."""
    return config.getoption(name, default) or default


def chosen_cells(config):
    """Return the cells to run, as options say; a few that cover every row and column if none do."""
    wanted = option(config, "cell", default=[])
    if wanted:
        return [parse_name(one) for one in wanted]
    if option(config, "all_cells", default=False):
        small = [Name(flow, fault, SMALL) for flow in FLOWS for fault in OF_A_METER]
        return [*(Name(flow, fault) for flow in FLOWS for fault in FAULTS), *small]
    return [*(Name(*one) for one in SHORT), *(Name(*one, SMALL) for one in SHORT_OF_BOARDS)]


def parse_name(text):
    """Return the name of a cell.

    Raises:
        pytest.UsageError: there is none of that name; what there is.
    """
    words = text.split(":")
    name = Name(*words) if len(words) in (2, 3) else Name("", "")
    if name.flow not in FLOWS or name.fault not in FAULTS or name.build not in BUILDS:
        known = f"flows: {', '.join(FLOWS)}; faults: {', '.join(FAULTS)}; builds: {SMALL} or none"
        raise pytest.UsageError(f"--cell {text}: no such cell; {known}")
    return name


class Matrix:
    """Runs cells on all houses at the same time."""

    def __init__(self, api, watcher, folder):
        self._api, self._watcher, self._folder = api, watcher, folder
        self.outcomes = {}
        self._lock = threading.Lock()
        LOG.parent.mkdir(exist_ok=True)
        LOG.unlink(missing_ok=True)

    def run(self, cells):
        """Run cells by their names; each has its outcome afterwards."""
        waiting = {build: collections.deque() for build in BUILDS}
        for cell in cells:
            waiting[cell.build].append(cell)
        workers = [
            threading.Thread(target=self._work, args=(device, waiting[build]))
            for build, houses in BUILDS.items()
            for device in houses
        ]
        for worker in workers:
            worker.start()
        try:
            for worker in workers:
                worker.join()
        finally:
            for rows in waiting.values():  # who interrupts us waits for the cells under way only
                rows.clear()

    def _work(self, device, waiting):
        while True:
            try:
                name = waiting.popleft()
            except IndexError:
                return
            outcome = self._try(device, name)
            self.outcomes.setdefault(name, []).append(outcome)
            with self._lock, LOG.open("a") as log:  # long runs can be looked at
                log.write(json.dumps(asdict(outcome)) + "\n")

    def _try(self, device, name):
        outcome = Outcome(str(name), device)
        for number in range(1, MOST_TRIES + 1):
            timeline = self._watcher.timelines[device]
            cell = Cell(self._api, timeline, self._folder, name, hold=number > 1)
            try:
                outcome = cell.run()
            except UnsuitedError as reason:
                outcome.unsuited = str(reason)
            except Exception:  # noqa: BLE001 - the test of this cell says it
                marks = json.dumps(cell.timeline.marks())
                outcome = Outcome(outcome.cell, device, note=marks, error=traceback.format_exc())
            outcome.tries = number
            if outcome.hit or outcome.unsuited or outcome.error:
                break
        return outcome
