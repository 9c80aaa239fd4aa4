"""A MemoryError anywhere costs a restart and nothing else: each task, each step. Both Pythons."""

import asyncio

from actuators import PROTECTION
from ems import EmsPort
from event_codes import RELAY_LOAD, TAMPER_COVER, TRIP
from link_task import LinkTask
from local_rig import LocalRig
from meter_rig import DEVICE
from meter_wire.portable.meter_link import MeterInfo, MeterLink
from scarcity import ScarceLooks, ScarceMedium, go_on, sweep_looks, sweep_writes
from supervisor import Supervisor

try:
    from types import coroutine
except ImportError:  # MicroPython's coroutines are generators

    def coroutine(function):
        return function


LOADS = [(None, 500, 0)]
TRIPS = [(0, 0, 253000, 250000, 0)]
CONTACTS = ["cover", "power_fail"]
MINUTE_S = 60
STEPS = {
    "ems": (1, 2),
    "inputs": (1, 2, 3, 7, 20),
    "link": (1, 2),
    "loads": (1, 2, 3, 7, 20),
    "measuring": (1, 2, 3, 7, 20),
}
"""Steps of each task that it comes to within the test."""


@coroutine
def failing(work, at):
    """Take the steps of a task; before step `at` there is no memory."""
    step = 0
    try:
        while True:
            step += 1
            if step == at:
                raise MemoryError
            try:
                waiting = work.send(None)
            except StopIteration:
                return
            yield waiting
    finally:
        work.close()


class Net:
    """What link and EMS port have of the configuration; nobody listens on the broker's port."""

    device = DEVICE
    host, port = "127.0.0.1", 1
    user = tls = None
    keep_alive_s = 60
    ems_host, ems_port = "127.0.0.1", 0
    ems_period_s, ems_clients = 1, 2
    serial = "MT-1"


class Meter(LocalRig):
    """All tasks of a meter under their supervisor, as `main` adds them."""

    def __init__(self):
        super().__init__(loads=LOADS, trips=TRIPS, contacts=CONTACTS)
        self.measuring._tick_ms = self.local._loads_ms = self.local._inputs_ms = 1
        info = MeterInfo(7, "0.1.0", b"")
        link = MeterLink(DEVICE, bytes(32), self.ring, info, bytes, b"", None)
        uptime_ms = self.timekeeper.uptime_ms
        quiet = lambda text: None  # noqa: ARG005, E731
        self.restarts = []
        self.works = {
            "measuring": self.measuring.run,
            "link": LinkTask(Net, link, self.commands, uptime_ms, None, quiet).run,
            "loads": self.local.run_loads,
            "inputs": self.local.run_inputs,
            "ems": EmsPort(Net, self.measuring.snapshot, lambda: False).run,
        }
        self.supervisor = Supervisor(uptime_ms, lambda *row: self.restarts.append(row), None, quiet)

    def start(self, bad, at):
        """Add the tasks; the first life of one ends before its step `at`."""
        lives = []

        def first_fails(beat):
            lives.append(1)
            work = self.works[bad](beat)
            return failing(work, at) if len(lives) == 1 else work

        for name in sorted(self.works):
            self.supervisor.add(name, first_fails if name == bad else self.works[name], 600000)

    async def seconds(self, number):
        for _ in range(number):
            self.now_ms += 1000
            self.supervisor.poll(self.now_ms)
            await asyncio.sleep(0.001)

    def stop(self):
        for watched in self.supervisor.tasks:
            if watched.running:
                watched.task.cancel()

    def boundaries(self):
        """Return the UTC seconds of all readings."""
        rows = [self.ring.read(seq)[0] for seq in range(1, self.ring.head + 1)]
        return [int.from_bytes(row[3:7], "big") for row in rows if row[0] == 1]


def play(bad, at):
    """Let a task fail; meanwhile the voltage rises and the cover is opened."""

    async def run():
        meter = Meter()
        meter.start(bad, at)
        await meter.seconds(20)
        meter.grid.voltage_mv = 254000
        meter.on = {"cover"}
        await meter.seconds(110)
        meter.stop()
        await asyncio.sleep(0.05)
        return meter

    return asyncio.run(run())


def test_a_memory_error_at_any_step_of_any_task_costs_one_restart_and_no_reading():
    for place, name in enumerate(sorted(STEPS)):
        for at in STEPS[name]:
            meter = play(name, at)
            assert meter.restarts == [(place, 1)], (name, at)
            boundaries = meter.boundaries()
            assert len(boundaries) == 2, (name, at)
            assert [at_s % MINUTE_S for at_s in boundaries] == [0, 0]
            told = meter.told()
            assert (TAMPER_COVER, 1) in told, (name, at)
            assert (TRIP, 1, 1, 0, 254000) in told, (name, at)
            assert told.count((RELAY_LOAD, 0, 0, PROTECTION)) == 1, (name, at)
            assert meter.grid.load_permille == 500


class ScarceBytes(bytes):
    """Cannot be put together with others."""

    def __add__(self, other):
        raise MemoryError


def try_twice(work):
    """Do it again after the MemoryError that there must be."""
    try:
        work()
    except MemoryError:
        work()
        return
    raise AssertionError


def test_no_memory_for_the_chain_gives_no_number_twice():
    rig = LocalRig()
    link, head = rig.ring._chain, rig.ring.head
    rig.ring._chain = ScarceBytes(link)

    def record():
        try:
            rig.recorder.event_now(TRIP, 1)
        finally:
            rig.ring._chain = link if rig.ring.head == head else rig.ring._chain

    try_twice(record)
    rig.recorder.event_now(TRIP, 2)
    assert rig.since(head) == [(TRIP, 1), (TRIP, 2)]
    again = rig.again()
    assert again.ring.lost == 0
    assert again.told()[: len(rig.told())] == rig.told()


def test_what_is_in_the_ring_is_not_recorded_again_whatever_fails_after_it():
    rig = LocalRig()
    head = rig.ring.head
    short = [1]

    def wake():
        if short:
            short.pop()
            raise MemoryError

    rig.recorder.on_entry = wake
    rows = [(TRIP, 1), (TRIP, 2)]
    try_twice(lambda: rig.recorder.drain(rows, rig.recorder.event_now))
    assert rig.since(head) == [(TRIP, 1), (TRIP, 2)]
    assert rows == []


class Scarce(LocalRig, ScarceLooks):
    """A meter whose tasks go on after a MemoryError, as under a supervisor."""

    def __init__(self):
        super().__init__(ScarceMedium(), loads=LOADS, trips=TRIPS, contacts=CONTACTS)
        self.timekeeper.uptime_ms = self.uptime_ms

    def uptime_ms(self):
        self.look_at_time()
        return self.now_ms

    def step(self, ms):
        self.now_ms += ms
        for work in (self.measuring.tick, self.local.poll_inputs, self.local.poll_loads):
            go_on(work)

    def play(self):
        """Two minutes of a bad voltage, an open cover and a short failure of the power."""
        before = self.ring.head
        self.pass_time(10000, 2000)
        self.grid.voltage_mv = 254000
        self.on = {"cover"}
        self.pass_time(20000, 2000)
        self.on = {"power_fail"}
        self.pass_time(4000, 2000)
        self.on = set()
        self.grid.voltage_mv = 230000
        self.pass_time(100000, 2000)
        events = self.since(before)
        rows = [self.ring.read(seq)[0] for seq in range(before + 1, self.ring.head + 1)]
        return sorted(events), [row[3:7] for row in rows if row[0] == 1]


def check_against_a_rich_one():
    """Return what judges a meter that memory was short for: it has recorded the same."""
    expected = Scarce().play()
    assert len(expected[1]) == 2

    def check(meter, found, place):
        assert found == expected, place
        head, lost = meter.ring.head, meter.ring.lost
        again = meter.again()
        assert (again.ring.lost, again.ring.incarnation) == (lost, meter.ring.incarnation)
        assert again.ring.head > head

    return check


def test_no_memory_in_any_write_loses_no_entry_and_makes_none_twice():
    assert sweep_writes(Scarce, check_against_a_rich_one()) > 20


def test_no_memory_at_any_look_at_the_time_loses_no_entry_and_makes_none_twice():
    assert sweep_looks(Scarce, check_against_a_rich_one()) > 200
