"""Calendars of the utility: passive until their quarter hour, kept over any cut. Both Pythons."""

import calendars as calendars_module
import registers as obis
from calendars import Calendars
from event_codes import CALENDAR, ORDER
from flash_with_cuts import CutFlash, Medium, PowerCutError
from meter_rig import NOW_S, Rig, encode_order
from meter_wire.portable.order import ACTION_DISCONNECT, ACTION_SET_CALENDAR
from meter_wire.portable.tlv import field, number
from metering import Meter
from state import State
from tariff import Calendar

OK, EXPIRED, REFUSED, REPEATED = 0, 2, 3, 4
EVERY_DAY = 0x7F
NIGHT = b"\x01\x05night\x01" + (EVERY_DAY << 2 | 1).to_bytes(2, "big") + b"\x00"
"""Rate 2 always."""
PEAK = b"\x01\x04peak\x01" + (EVERY_DAY << 2 | 2).to_bytes(2, "big") + b"\x00"
"""Rate 3 always."""
B = NOW_S // 900 * 900 + 900
"""The next quarter hour of the rig."""


LAST_QUARTER_S = 4294966500
"""2106-02-07T06:15:00Z."""


class World:
    """A rig whose time is moved by hand; its tick is a second."""

    def __init__(self, rig=None, now_s=NOW_S):
        self.rig = rig or Rig(rtc_s=now_s)
        self.begin_ms = self.rig.timekeeper.uptime_ms()
        self.passed_ms = 0
        self.rig.measuring.meter.capture_s = 900  # or the small ring is soon full of readings
        self.rig.timekeeper.uptime_ms = lambda: self.begin_ms + self.passed_ms
        self.begin_ms -= self.rig.timekeeper.utc()[1]  # what the start has taken
        self.rig.measuring._last_ms = self.begin_ms

    def order(self, calendar=NIGHT, activates=0, counter=1, **fields):
        extra = field(12, calendar) + number(11, activates)
        fields.setdefault("not_after", NOW_S + 10000)
        data = encode_order(ACTION_SET_CALENDAR, counter, extra=extra, **fields)
        return self.rig.handle("order", data, b"")

    def go(self, seconds, step_s=1):
        for _ in range(seconds // step_s):
            self.passed_ms += step_s * 1000
            self.rig.measuring.tick()

    def go_to(self, utc_s):
        self.go(utc_s - self.now_s())

    def now_s(self):
        return self.rig.timekeeper.utc()[0] or 0

    def reboot(self, **changes):
        changes.setdefault("rtc_s", self.now_s())
        return World(self.rig.reboot(**changes))

    def rate(self):
        return self.rig.register(obis.ACTIVE_TARIFF)

    def shown(self):
        rows = self.rig.measuring.snapshot([obis.ACTIVE_CALENDAR, obis.PASSIVE_CALENDAR])[1]
        return [row[1:] for row in rows]

    def told(self):
        return [event[1:] for event in self.rig.told() if event[0] == CALENDAR]

    def joules(self):
        """Return what each rate has counted, in joules."""
        return [rate.units * 3600 + rate.remainder // 1000 for rate in self.rig.measuring.meter.rates]  # fmt: skip


def test_a_calendar_is_passive_until_the_quarter_hour_and_switches_exactly_there():
    world = World()
    world.go(10)
    assert world.order(activates=B) == OK
    assert world.shown() == [(b"", None), (b"night", B)]
    world.go_to(B - 1)
    assert world.rate() == 1
    before = world.joules()
    world.go(1)
    assert world.rate() == 2
    world.go(60)
    after = world.joules()
    assert after[0] - before[0] == 230, "one second in the old rate"
    assert after[1] - before[1] == 60 * 230
    assert world.shown() == [(b"night", B), (b"", None)]
    assert [event[0] for event in world.rig.told()] == [ORDER, CALENDAR]
    assert world.told() == [(1, b"night")]


def test_an_activation_inside_a_quarter_hour_waits_for_the_next_one():
    for activates, expected in ((B - 1, B), (B, B), (B + 1, B + 900), (0, B), (B - 5000, B)):
        world = World()
        world.go(2)
        assert world.order(activates=activates) == OK
        assert world.shown()[1] == (b"night", expected), activates


def test_an_order_in_the_very_second_of_a_quarter_hour_waits_for_the_next_one():
    world = World(now_s=B)
    assert world.order(activates=0) == OK
    assert world.shown()[1] == (b"night", B + 900)


def test_a_tick_over_the_activation_is_divided_between_the_rates_to_the_millisecond():
    world = World()
    world.order(activates=B)
    world.go_to(B - 40)
    before = world.joules()
    world.passed_ms += 90500
    world.rig.measuring.tick()
    after = world.joules()
    assert after[0] - before[0] == 40 * 230
    assert after[1] - before[1] == 50500 * 230 // 1000


def test_an_activation_in_darkness_holds_from_the_first_tick_and_is_told_with_its_time():
    world = World()
    assert world.order(activates=B + 900) == OK
    world.go(3)
    world = world.reboot(rtc_s=B + 5000)
    world.go(1)
    assert world.rate() == 2
    assert world.joules()[0] <= 3 * 230
    assert world.told() == [(1, b"night")]
    assert [event[1] for event in world.rig.timed() if event[0] == CALENDAR] == [B + 900]
    world = world.reboot()
    world.go(5)
    assert world.told() == [(1, b"night")], "once"
    assert world.rate() == 2


def test_a_meter_without_a_clock_keeps_the_calendar_and_switches_with_the_first_time():
    world = World()
    assert world.order(activates=B) == OK
    world = world.reboot(rtc_s=None)
    world.go(2000, 10)
    assert world.told() == []
    assert world.shown()[1] == (b"night", B)
    world.rig.handle("time", (B + 50) * 1000)
    world.go(2)
    assert world.rate() == 2
    assert world.told() == [(1, b"night")]


def test_an_order_without_a_clock_is_taken_by_boot_and_uptime_and_decided_by_the_first_time():
    world = World(Rig(rtc_s=None))
    data = encode_order(
        ACTION_SET_CALENDAR, extra=number(9, 7) + number(10, 1 << 20) + field(12, NIGHT) + number(11, 0)
    )  # fmt: skip
    assert world.rig.handle("order", data, b"") == OK
    world.go(3)
    assert world.told() == []
    world.rig.handle("time", (B + 50) * 1000)
    world.go(2)
    assert world.rate() == 2


def test_a_newer_order_replaces_a_passive_calendar_and_keeps_the_one_in_force():
    world = World()
    assert world.order(NIGHT, B, 1) == OK
    assert world.order(PEAK, B + 900, 2) == OK
    assert world.shown() == [(b"", None), (b"peak", B + 900)]
    world.go_to(B + 60)
    assert (world.rate(), world.told()) == (1, [])
    world.go_to(B + 960)
    assert (world.rate(), world.told()) == (3, [(2, b"peak")])
    assert world.order(NIGHT, 0, 3) == OK
    assert world.shown() == [(b"peak", B + 900), (b"night", B + 1800)]
    world = world.reboot()
    world.go(1)
    assert world.rate() == 3, "the configuration's is the one before the first order"
    world.go_to(B + 1860)
    assert (world.rate(), world.told()) == (2, [(2, b"peak"), (3, b"night")])


def test_a_step_of_the_clock_over_the_activation_and_back_chooses_by_time():
    world = World()
    assert world.order(activates=B) == OK
    world.go_to(B - 30)
    world.rig.handle("time", (B + 20) * 1000)
    world.go(2)
    assert world.rate() == 2
    world.rig.handle("time", (B - 20 + 18) * 1000)
    world.go(1)
    assert world.rate() in (1, 2)
    world.go(40)
    assert world.rate() == 2


def test_what_is_repeated_expired_of_another_meter_or_no_calendar_changes_nothing():
    world = World()
    assert world.order(NIGHT, B, 5) == OK
    kept = dict(world.rig.state._items)
    head = world.rig.ring.head
    assert world.order(PEAK, B, 5) == REPEATED
    assert world.order(PEAK, B, 4) == REPEATED
    assert world.order(PEAK, B, 6, not_after=NOW_S - 1) == EXPIRED
    assert world.order(PEAK, B, 6, device="house-2") == REFUSED
    for bad in (b"\x01", PEAK + b"\x00", PEAK[:-1], b"\x02" + PEAK[1:], b""):
        assert world.order(bad, B, 6) == REFUSED, bad
    assert world.rig.state._items == kept
    assert world.rig.ring.head == head
    assert world.shown()[1] == (b"night", B)
    refused = world.rig.link.refused
    assert refused == {"repeated": 2, "expired": 1, "device": 1, "malformed": 4, "version": 1}
    assert world.order(PEAK, B, 6) == OK


def test_an_order_with_a_calendar_for_another_action_is_refused():
    world = World()
    for extra in (field(12, NIGHT), number(11, 5), field(12, NIGHT) + number(11, 5)):
        data = encode_order(ACTION_DISCONNECT, extra=extra)
        assert world.rig.handle("order", data, b"") == REFUSED
    data = encode_order(ACTION_SET_CALENDAR, extra=field(12, NIGHT))
    assert world.rig.handle("order", data, b"") == REFUSED
    assert world.rig.link.refused == {"malformed": 4}


def test_a_cut_at_any_operation_leaves_the_old_or_the_new_calendar_and_never_a_repeated_order():
    for cut_at in range(60):
        for keep in (0, 2, 4):
            world = World()
            world.order(NIGHT, 0, 1)
            world.go_to(B + 5)
            world.rig.medium.operations = 0
            world.rig.medium.cut_at, world.rig.medium.keep = cut_at, keep
            ordered = cut = False
            try:
                ordered = world.order(PEAK, B + 900, 2) == OK
                world.go_to(B + 910)
            except PowerCutError:
                cut = True
            world = world.reboot(rtc_s=B + 300)
            world.go(1)
            where = (cut_at, keep)
            assert world.rate() == 2, where
            active, passive = world.shown()
            assert active == (b"night", B), where
            assert passive in ((b"", None), (b"peak", B + 900)), where
            assert passive[0] == b"peak" or not ordered, where
            code = world.order(PEAK, B + 900, 2)
            assert code == (REPEATED if passive[0] else OK), where
            world.go_to(B + 905)
            assert world.rate() == 3, where
            told = world.told()
            assert (2, b"peak") in told, where
            assert told.count((2, b"peak")) <= 2, where
            if not cut:
                return
    raise AssertionError("no run without a cut")


SPRING, AUTUMN = 1806195600, 1824944400  # 2027-03-28T01:00:00Z, 2027-10-31T01:00:00Z
BRUSSELS = b"".join(
    [
        (start_s // 900).to_bytes(3, "big") + bytes([hours * 4])
        for start_s, hours in ((0, 1), (SPRING, 2), (AUTUMN, 1))
    ]
)
DAY_NIGHT = (
    b"\x01\x09day-night\x02"
    + (28 << 9 | EVERY_DAY << 2).to_bytes(2, "big")
    + (88 << 9 | EVERY_DAY << 2 | 1).to_bytes(2, "big")
    + b"\x03"
    + BRUSSELS
)
"""Rate 1 from 07:00, rate 2 from 22:00, local time."""


def test_a_day_of_92_or_100_quarter_hours_has_its_night_shortened_or_longer():
    days = ((SPRING - 7200, 92), (AUTUMN - 10800, 100), (SPRING - 7200 - 86400, 96))
    for midnight, quarters in days:
        calendars = Calendars(State(CutFlash(Medium())), Calendar([], []))
        calendars.take(DAY_NIGHT, 1, midnight - 900, None)
        meter = Meter(b"1", 1, calendars, 900)
        sample = (50000, [(4000, 0, 230000, 0)])
        meter.tick(sample, 1, midnight, 0)
        before = [rate.units for rate in meter.rates]
        for quarter in range(quarters):
            meter.tick(sample, 900000, midnight + (quarter + 1) * 900, 0)
        counted = [meter.rates[rate].units - before[rate] for rate in range(4)]
        assert counted == [60 * 1000, (quarters - 60) * 1000, 0, 0], (quarters, counted)


def test_calendars_that_cannot_be_read_count_as_none():
    world = World()
    world.order(NIGHT, B, 1)
    state = world.rig.state
    kept = state.get(10)
    told = b"\x00\x00\x00\x01"
    version_2 = told + kept[4:14] + b"\x02" + kept[15:]
    late = told + b"\x00\x48\xd1\x5a" + kept[8:]
    for unreadable in (version_2, late, told + kept[4:-3], told + kept[4:12], told + kept[4:14]):
        state.set(10, unreadable)
        calendars = Calendars(state, Calendar([], []))
        assert calendars.rate(B) == 1
        assert calendars.news() is None
        assert calendars.rows() == [
            (obis.ACTIVE_CALENDAR, b"", None),
            (obis.PASSIVE_CALENDAR, b"", None),
        ]
        assert state.get(10) == unreadable, "it stays for firmware that knows it"
    calendars.take(PEAK, 2, 0, B)
    assert (calendars.rate(B), calendars.news()) == (1, None)
    assert (calendars.rate(B + 900), calendars.news().counter) == (3, 2)
    assert Calendars(state, Calendar([], [])).rate(B + 900) == 3


def test_a_meter_without_memory_for_its_calendars_starts_and_keeps_them():
    world = World()
    world.order(NIGHT, B, 1)
    kept = world.rig.state.get(10)
    load_plan = calendars_module.load_plan

    def exhaust(*_arguments):
        raise MemoryError

    calendars_module.load_plan = exhaust
    try:
        calendars = Calendars(world.rig.state, Calendar([], []))
    finally:
        calendars_module.load_plan = load_plan
    assert (calendars.rate(B), calendars.news()) == (1, None)
    assert world.rig.state.get(10) == kept


def test_an_activation_beyond_the_last_quarter_hour_of_the_clock_is_refused():
    world = World()
    for activates in (LAST_QUARTER_S + 1, 0xFFFFFFFF):
        assert world.order(activates=activates) == REFUSED
    assert world.rig.link.refused == {"malformed": 2}
    assert world.shown() == [(b"", None), (b"", None)]
    assert world.order(activates=LAST_QUARTER_S) == OK
    assert world.shown()[1] == (b"night", LAST_QUARTER_S)
    assert world.rig.commands._entry([obis.PASSIVE_CALENDAR]) is not None


def test_the_largest_calendar_is_taken_and_one_row_more_is_refused():
    def largest(switches, offsets):
        rows = [(place << 9 | 1 << 2).to_bytes(2, "big") for place in range(switches)]
        changes = [(place + 1).to_bytes(3, "big") + b"\x04" for place in range(offsets)]
        head = b"\x01\x01x" + bytes([switches])
        return head + b"".join(rows) + bytes([offsets]) + b"".join(changes)

    world = World()
    assert world.order(largest(49, 40), B, 1) == REFUSED
    assert world.order(largest(48, 41), B, 1) == REFUSED
    assert world.rig.link.refused == {"malformed": 2}
    assert world.order(largest(48, 40), B, 1) == OK


def test_offsets_that_set_the_month_back_do_not_reset_the_demand_maximum_again():
    start_s = 1801436400  # 2027-01-31T23:00:00Z, midnight in Brussels
    calendars = Calendars(State(CutFlash(Medium())), Calendar([], [(0, 3600)]))
    calendars.take(NIGHT, 1, start_s + 900, start_s - 3600)
    meter = Meter(b"1", 1, calendars, 900)
    maxima = []
    meter.tick((50000, [(1000, 0, 230000, 0)]), 1, start_s - 3600, 0)
    for quarter, power_w in enumerate((3000, 3000, 3000, 3000, 2000, 1000, 1000, 1000, 1000)):
        end_s = start_s - 3600 + (quarter + 1) * 900
        meter.tick((50000, [(power_w, 0, 230000, 0)]), 900000, end_s, 0)
        maxima.append(meter.demand.maximum_w)
    assert maxima == [3000, 3000, 3000, 0, 2000, 2000, 2000, 2000, 2000]


def test_no_command_of_a_twin_and_no_price_switches_a_register():
    world = World()
    assert world.order(NIGHT, B, 1) == OK
    rig = world.rig
    kept = rig.state.get(10)
    for target in range(256):
        for value in (0, 1, 2, 4, 900, 1 << 30):
            rig.commands.handle(("write", 1, 1, target, 0, value, 60))
    rig.commands.handle(("time", 1, 1, (NOW_S + 30) * 1000))
    rig.commands.handle(("forward", 1, 1, b'{"prices": [{"value": 9000000}]}'))
    assert rig.state.get(10) == kept
    assert rig.measuring.calendars.rate(B - 1) == 1
    assert rig.measuring.calendars.rate(B) == 2
