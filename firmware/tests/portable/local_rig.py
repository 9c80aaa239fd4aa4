"""A meter without link, twin or network: its local control over real parts, on played time.

Both Pythons. Neighbours: meter_rig.py, on which it stands; test_local_control.py, test_alone.py.
"""

from actuators import Loads
from front_end import FrontEnd
from local_control import LocalControl
from meter_rig import NOW_S, Config, PlayedTime, Rig, parse_event
from start_record import record_start
from state import LOADS

VERSION = 0x000100
STEP_MS = 1000


class LocalConfig(Config):
    """What `config.Config` has of local control besides."""

    trips = ()
    tick_ms = STEP_MS


class PlayedGrid(FrontEnd):
    """A front end that measures what the test says; one phase."""

    def __init__(self):
        self.frequency_mhz = 50000
        self.voltage_mv = 230000
        self.house_w = 2300

    def tick(self, _tick_ms):
        power_w = self.house_w * self.load_permille // 1000 if self.supply else 0
        current_ma = power_w * 1000000 // self.voltage_mv if self.voltage_mv else 0
        return self.frequency_mhz, [(power_w, 0, self.voltage_mv, current_ma)]


class LocalRig(Rig):
    """A meter that has booted at uptime 0; `pass_time` lets its tasks do what they do."""

    ring_bytes = 131072
    time = PlayedTime

    def __init__(self, medium=None, loads=(), trips=(), contacts=(), cause="power", rtc_s=NOW_S):
        super().__init__(medium, rtc_s=rtc_s)
        self.now_ms = 0
        self.timekeeper.uptime_ms = lambda: self.now_ms
        self.restarted_with = {"loads": loads, "trips": trips, "contacts": contacts}
        self.grid = self.measuring.front_end = PlayedGrid()
        self.measuring.restore()
        record_start(self.recorder, self.state, self.timekeeper, 7, VERSION, cause)
        self.measuring.save()
        self.loads = self.commands._loads = Loads(loads, bytes, self.state.get(LOADS))
        self.on = set()
        readers = {}
        for name in contacts:
            readers[name] = lambda name=name: name in self.on
        LocalConfig.trips = trips
        self.local = LocalControl(
            LocalConfig, self.state, self.commands, self.measuring, self.recorder, self.loads,
            readers,
        )  # fmt: skip
        self.local.poll_loads()

    def again(self, cause="power", away_s=60):
        """Return the meter as it starts after the power was away for so long."""
        now_s = self.rtc_s + self.now_ms // 1000 + away_s
        medium = self.medium.survive()
        return LocalRig(medium, cause=cause, rtc_s=now_s, **self.restarted_with)

    def step(self, ms):
        self.now_ms += ms
        self.measuring.tick()
        self.local.poll_inputs()
        self.local.poll_loads()

    def pass_time(self, ms, step_ms=STEP_MS):
        """Let time pass in steps; return the events that it brought, as `told`."""
        before = self.ring.head
        while ms > 0:
            self.step(min(ms, step_ms))
            ms -= step_ms
        return self.since(before)

    def since(self, head):
        """Return the events after a number of the ring, as `told`."""
        rows = [self.ring.read(seq)[0] for seq in range(head + 1, self.ring.head + 1)]
        events = [parse_event(row) for row in rows if row[0] == 2]
        return [event[:1] + event[2:] for event in events]
