"""The serial number is a register of every reading: one that no entry can hold is refused."""

import pytest
from config import ConfigError

LONGEST = "m" * 31


def test_a_serial_of_31_octets_is_in_every_reading(make):
    meter = make(device=LONGEST)
    utc_s, rows = meter.measuring.snapshot()
    assert LONGEST.encode() in meter.recorder.encode(utc_s, rows)


def test_a_longer_serial_is_refused_also_the_one_that_a_device_id_gives(make):
    for change in ({"serial": LONGEST + "m"}, {"device": LONGEST + "m"}, {"serial": "ü" * 16}):
        with pytest.raises(ConfigError, match=r"^serial: .* more than 31 octets; give"):
            make(**change)
    assert make(device=LONGEST + "m", serial="MT-1").config.serial == "MT-1"
