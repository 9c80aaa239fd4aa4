"""The small profile's clock and capture period: right for longer than ticks last. Both Pythons."""

import gc

from flash_with_cuts import CutFlash, Medium
from small import Small

NOW_MS = 1_800_000_000_000
DAY_S = 86400
OK, REFUSED, UNKNOWN, UNSIGNED, OUT_OF_RANGE = 0, 3, 5, 6, 9
POWER_UP, CLOCK_STEP, CLOCK_SET, CONFIGURATION, CLOCK_REFUSED = 2, 3, 4, 18, 20
RING_OVERFLOW, OWNER_CHANGE, INCARNATION_NEW = 14, 15, 16
CAPTURE_PERIOD, REPORT_SPREAD, LOAD = 1, 2, 3
TABLE = {
    "device": "house-1",
    "key": "00" * 32,
    "broker": {"host": "127.0.0.1", "port": 1883},
    "capture_period_s": 900,
    "ring_bytes": 65536,
    "ring_segments": 4,
}


class Board:
    """A meter on a board whose ticks wrap after 12.4 days and drift against the true time."""

    def __init__(self, drift_ppm=0, medium=None):
        self.medium = medium or Medium()
        self.true_ms = 0
        self.drift_ppm = drift_ppm
        self.meter = Small(TABLE, CutFlash(self.medium), self.ticks)
        if hasattr(gc, "threshold"):  # MicroPython's, set for 38 KB; the flash is in this heap
            gc.threshold(-1)

    def ticks(self):
        board_ms = self.true_ms + self.true_ms * self.drift_ppm // 1_000_000
        return (board_ms + 5000) & 0x3FFFFFFF

    def wait(self, seconds):
        """Let time pass, with a reading each quarter of an hour."""
        end_ms = self.true_ms + seconds * 1000
        while self.true_ms < end_ms:
            self.true_ms = min(self.true_ms + 900_000, end_ms)
            self.meter.record()

    def run(self, seconds, late_ms=7):
        """Let `measure` run, each of its sleeps `late_ms` too long."""
        end_ms = self.true_ms + seconds * 1000
        while self.true_ms < end_ms:
            self.true_ms += self.meter.tick() + late_ms

    def write(self, target, value):
        """Have a twin change a period; return the answer's code."""
        codes = []
        self.meter.link.answer = lambda *answer: codes.append(answer[2])
        self.meter.handle(("write", 1, 7, target, 0, value, 0))
        return codes[0]

    def times(self):
        """Return the times of the readings, and None for those without a clock."""
        return [
            None if row[2] & 0x80 else int.from_bytes(row[3:7], "big") for row in self.entries(1)
        ]

    def tell(self, offset_ms=0):
        """Tell the meter the true time, or one that is wrong by an offset; return its decision."""
        return self.meter.set_clock(NOW_MS + self.true_ms + offset_ms)

    def error_s(self):
        status, time_s = self.meter.stamp()
        assert status == 0
        return time_s - (NOW_MS + self.true_ms) // 1000

    def entries(self, kind):
        ring = self.meter.ring
        rows = [ring.read(seq)[0] for seq in range(ring.oldest, ring.head + 1)]
        return [row for row in rows if row[0] == kind]

    def events(self):
        return [row[15] << 8 | row[16] for row in self.entries(2)]


class Owner:
    """What the link knows of the owner record."""

    active = 3
    candidate = 4


def test_time_goes_on_over_thirteen_days_without_a_word_from_the_twin():
    board = Board()
    assert board.tell() == OK
    board.wait(13 * DAY_S)
    assert board.error_s() == 0
    uptimes = [int.from_bytes(row[7:11], "big") for row in board.entries(1)]
    times = [int.from_bytes(row[3:7], "big") for row in board.entries(1)]
    assert uptimes[-1] == 13 * DAY_S
    assert {times[at + 1] - times[at] for at in range(len(times) - 1)} == {900}


def test_a_clock_that_drifts_is_kept_right_by_each_welcome_over_thirteen_days():
    board = Board(drift_ppm=60)  # 5 s a day
    board.tell()
    for _day in range(13):
        board.wait(DAY_S)
        board.meter.handle(("time", 1, 0, NOW_MS + board.true_ms))
        assert board.error_s() == 0
    board.wait(900)
    assert CLOCK_STEP in board.events()
    assert board.events().count(CLOCK_REFUSED) == 0
    flagged = [row for row in board.entries(1) if row[2] & 2]
    assert len(flagged) == board.events().count(CLOCK_STEP) + board.events().count(CLOCK_SET)


def test_three_seconds_slew_without_a_flag_and_sixty_step_with_flag_and_event():
    board = Board()
    board.tell()
    board.wait(1)
    assert board.tell(3000) == OK
    assert board.events() == [INCARNATION_NEW, POWER_UP, CLOCK_SET]
    board.wait(900)
    assert board.error_s() == 3
    assert [row[2] & 2 for row in board.entries(1)] == [2, 0]
    assert board.tell(40000) == OK
    assert board.error_s() == 40
    assert board.events() == [INCARNATION_NEW, POWER_UP, CLOCK_SET, CLOCK_STEP]
    board.wait(1)
    assert board.entries(1)[-1][2] & 2


def test_a_time_more_than_sixty_seconds_off_is_refused_and_an_event_once_an_hour():
    board = Board()
    board.tell()
    for _ in range(5):
        assert board.tell(61000) == UNSIGNED
        assert board.tell(-61000) == UNSIGNED
    assert board.error_s() == 0
    assert board.events() == [INCARNATION_NEW, POWER_UP, CLOCK_SET, CLOCK_REFUSED]
    assert board.meter.link.refused == {"unsigned": 10}
    board.wait(3600)
    assert board.tell(DAY_S * 1000) == UNSIGNED
    assert board.events() == [INCARNATION_NEW, POWER_UP, CLOCK_SET, CLOCK_REFUSED, CLOCK_REFUSED]


def test_many_small_steps_make_no_large_one():
    board = Board()
    board.tell()
    total_s = 0
    for _ in range(100):
        if board.tell((board.error_s() + 10) * 1000) == OK:
            total_s += 10
        board.wait(60)
    assert total_s == 60


def test_hello_says_whether_the_clock_is_set():
    board = Board()
    assert board.meter.stamp() == (0x90, 0)
    assert board.meter.link.info.clock_state == 0
    board.tell()
    assert board.meter.link.info.clock_state == 1


def test_captures_are_at_utc_multiples_of_the_period_however_late_the_task_wakes():
    board = Board()
    board.true_ms = 412_345
    board.tell()
    board.run(5 * 900)
    first_s = NOW_MS // 1000 + 900
    assert board.times() == [first_s + 900 * at for at in range(5)]
    board.run(3 * 900, late_ms=1900)
    assert board.times() == [first_s + 900 * at for at in range(8)]


def test_without_a_clock_the_period_runs_on_the_uptime_and_changes_over_with_the_first_time():
    board = Board()
    board.run(2 * 900 + 400)
    assert board.times() == [None, None]
    board.tell()
    board.run(900)
    assert board.times() == [None, None, NOW_MS // 1000 + 2700]


def test_a_clock_step_over_a_boundary_is_no_capture():
    board = Board()
    board.tell()
    board.run(880)
    assert board.tell(40_000) == OK
    board.run(870)
    assert board.times() == []
    board.run(20)
    assert board.times() == [NOW_MS // 1000 + 1800]


def test_every_pulse_is_in_the_energy_of_the_next_capture():
    board = Board()
    board.tell()
    board.meter.pulses = 1600
    board.run(901)
    assert board.meter.pulses == 0
    assert board.meter.energy.units == 1000


def test_a_boards_counter_is_asked_and_no_part_of_a_pulse_is_lost():
    board = Board()
    board.meter.energy.pulse_uj = 10342967
    count = [7]
    board.meter.count = lambda: count[0]
    board.tell()
    board.run(901)
    for _ in range(40):
        count[0] += 997
        board.run(900)
    energy = board.meter.energy
    counted_mj = energy.units * 3600000 + energy.remainder
    assert counted_mj * 1000 + energy.rest_uj == count[0] * 10342967


def test_a_register_that_only_a_reading_has_survives_a_power_cut_and_the_next_one():
    board = Board()
    board.tell()
    board.write(CAPTURE_PERIOD, 60)
    saved = board.medium.survive().files
    for _minute in range(5):
        board.meter.pulses = 150
        board.run(60)
    kept = [name for name in saved if name.startswith("state")]
    assert all(board.medium.files[name] == saved[name] for name in kept), "no save a minute"
    shown = board.meter.energy.units
    assert shown >= 400
    for _start in range(2):
        board = Board(medium=board.medium.survive())
        assert board.meter.energy.units == shown


def test_a_twin_sets_period_and_spread_recorded_once_and_kept_over_a_start():
    board = Board()
    board.tell()
    for _ in range(2):
        assert board.write(CAPTURE_PERIOD, 60) == OK
        assert board.write(REPORT_SPREAD, 30) == OK
    assert board.events() == [INCARNATION_NEW, POWER_UP, CLOCK_SET, CONFIGURATION, CONFIGURATION]
    board.run(200)
    assert board.times() == [NOW_MS // 1000 + 60 * at for at in (1, 2, 3)]
    assert board.write(CAPTURE_PERIOD, 61) == OUT_OF_RANGE
    assert board.write(REPORT_SPREAD, 3601) == OUT_OF_RANGE
    assert board.write(LOAD, 500) == REFUSED
    again = Board(medium=board.medium).meter
    assert (again.periods.capture_s, again.periods.spread_s) == (60, 30)
    assert again.link.spread_ms == 30_000


def test_device_key_and_broker_are_enough():
    table = {key: TABLE[key] for key in ("device", "key")}
    table["broker"] = {"host": "127.0.0.1"}
    meter = Small(table, CutFlash(Medium()), Board().ticks)
    if hasattr(gc, "threshold"):
        gc.threshold(-1)
    assert (meter.periods.capture_s, meter.periods.spread_s) == (900, 0)
    assert meter.brokers.at == "127.0.0.1:1883"
    meter.record()
    assert meter.ring.head == 3, "a new ring, the start and the reading"


def test_a_start_on_what_was_kept_begins_no_new_incarnation():
    board = Board()
    again = Board(medium=board.medium.survive())
    assert again.events() == [INCARNATION_NEW, POWER_UP, POWER_UP]
    assert again.meter.ring.incarnation == board.meter.ring.incarnation


def test_what_is_overwritten_before_its_acknowledgement_is_an_event_with_the_number():
    board = Board()
    board.tell()
    while not board.meter.ring.lost:
        board.meter.record()
    lost = board.meter.ring.lost
    board.meter.tick()
    assert board.events()[-1] == RING_OVERFLOW
    assert board.entries(2)[-1][-2:] == bytes((lost >> 8, lost & 255))
    told = board.events().count(RING_OVERFLOW)
    board.meter.record()
    board.meter.tick()
    assert board.events().count(RING_OVERFLOW) == told, "nothing more was lost"


def test_what_the_event_of_an_overflow_overwrites_itself_is_the_next_event():
    board = Board()
    ring = board.meter.ring
    while ring.oldest == 1:
        ring.lost += 1  # as if another damaged entry had been found
        board.meter.tick()
    for _ in range(2):
        board.meter.tick()
        assert board.entries(2)[-1][-2:] == bytes((ring.lost >> 8, ring.lost & 255))


def test_another_owner_is_kept_and_an_event():
    board = Board()
    board.meter.handle(("owner", b"record"))
    assert board.events() == [INCARNATION_NEW, POWER_UP], "the record of nobody"
    board.meter.link.owner = Owner()
    board.meter.handle(("owner", b"record"))
    assert board.events() == [INCARNATION_NEW, POWER_UP, OWNER_CHANGE]
    assert list(board.entries(2)[-1][-4:]) == [1, 3, 1, 4]
