"""What a twin may change without the utility: periods, kept over a reboot. Both Pythons.

Neighbour: test_clock_steps.py.
"""

from event_codes import CONFIGURATION
from meter_rig import Rig

OK, OUT_OF_RANGE = 0, 9
CAPTURE_PERIOD, REPORT_SPREAD = 1, 2


def write(rig, target, value):
    return rig.handle("write", target, 0, value, 0)


def test_periods_that_were_set_are_kept_over_a_reboot():
    rig = Rig()
    assert write(rig, REPORT_SPREAD, 300) == OK
    assert rig.link.spread_ms == 300000
    assert rig.reboot().link.spread_ms == 300000
    assert rig.reboot().measuring.meter.capture_s == 60
    assert write(rig, CAPTURE_PERIOD, 900) == OK
    again = rig.reboot()
    assert (again.link.spread_ms, again.measuring.meter.capture_s) == (300000, 900)
    assert write(again, REPORT_SPREAD, 0) == OK
    assert again.reboot().link.spread_ms == 0
    assert rig.events() == [CONFIGURATION, CONFIGURATION]


def test_periods_that_were_not_set_are_those_of_the_configuration():
    assert Rig().link.spread_ms == 0
    rig = Rig()
    assert write(rig, CAPTURE_PERIOD, 900) == OK
    assert rig.reboot().measuring.periods.spread_s == 0


def test_a_period_that_is_set_again_is_no_event_and_one_out_of_range_is_refused():
    rig = Rig()
    assert write(rig, REPORT_SPREAD, 0) == OK
    assert write(rig, CAPTURE_PERIOD, 60) == OK
    assert write(rig, REPORT_SPREAD, 3601) == OUT_OF_RANGE
    assert write(rig, REPORT_SPREAD, -1) == OUT_OF_RANGE
    assert write(rig, CAPTURE_PERIOD, 7) == OUT_OF_RANGE
    assert rig.events() == []
