# ruff: noqa: B905 - MicroPython has no others
"""The front end over the boards' own layer, on a `machine` that does what its documentation says.

Neighbours: test_hal.py (the layer alone), test_chip_front_end.py (the front end alone).
"""

from math import pi, sin, sqrt

from chip_front_end import build_front_end
from fake_board import plug_in
from fake_chips import Bl0942Chip

ESP32 = {
    "port": "esp32",
    "chip": "bl0942",
    "pulses_per_kwh": {"utility": 1600, "generator": 300},
    "pins": {
        "utility_pulse": {"gpio": 32, "counter": 0},
        "generator_pulse": {"gpio": 33, "counter": 1},
    },
    "uarts": {"chip": {"id": 2, "baud": 4800, "tx": 17, "rx": 16}},
}
ESP8266 = {
    "port": "esp8266",
    "chip": "hlw8012",
    "circuit": {"divider_ohm": [2351000, 1000]},
    "pins": {"cf": {"gpio": 14}, "cf1": {"gpio": 13}, "sel": {"gpio": 5, "inverted": True}},
}
SAMPLED = {
    "port": "esp32",
    "chip": "waveform",
    "circuit": {"uv_per_step": 250000, "ua_per_step": 15000},
    "pins": {"voltage": {"gpio": 34}, "current": {"gpio": 35}},
}


def near(value, expected, most):
    assert abs(value - expected) <= most, (value, expected)


def test_a_bl0942_and_a_generator_s_input_at_an_esp32():
    wires, esp32, _ = plug_in()
    front_end = build_front_end(ESP32, {}, esp32.Board(ESP32))
    chip = Bl0942Chip()
    chip.set(231, 5, -1155)
    counted = [0, 0, 0]
    for _ in range(60):
        wires.us += 1000000
        chip.advance(1000)
        wires.pulse(33, 2)
        frequency_mhz, ((power_w, reactive_var, voltage_mv, current_ma),) = front_end.tick(1000)
        counted = [one + more for one, more in zip(counted, front_end.exact.energies_mj)]
        chip.write(wires.sent)
        wires.sent, wires.received = b"", chip.read()
    assert (frequency_mhz, reactive_var) == (50000, None)
    near(power_w, -1155, 1)
    near(voltage_mv, 231000, 1)
    near(current_ma, 5000, 1)
    assert counted[0] == 0
    near(counted[1], 1155 * 58 * 1000, 2 * 672818)
    assert counted[2] == 120 * 12000000
    assert front_end.generator.power_w() == 24000


def test_the_pulses_of_a_legacy_meter_at_an_esp32():
    wires, esp32, _ = plug_in()
    front_end = build_front_end(ESP32, {"pulses": {"utility": {}}}, esp32.Board(ESP32))
    for _ in range(10):
        wires.us += 1000000
        wires.pulse(32)
        front_end.tick(1000)
        assert front_end.exact.energies_mj == (2250000, 0, 0)
    assert front_end.tick(0) == (None, [(2250, None, None, None)])
    assert wires.opened == []


def test_a_hlw8012_at_an_esp8266_that_drives_sel_through_a_transistor():
    wires, _, esp8266 = plug_in()
    front_end = build_front_end(ESP8266, {}, esp8266.Board(ESP8266))
    energy_mj = 0
    for _ in range(12):
        wires.us += 1000000
        wires.pulse(14, 100)
        wires.pulse(13, 690 if wires.levels[5] else 562)
        sample = front_end.tick(1000)
        energy_mj += front_end.exact.energies_mj[0]
    frequency_mhz, ((power_w, _, voltage_mv, current_ma),) = sample
    assert frequency_mhz is None
    near(power_w, 1034, 1)
    near(voltage_mv, 229700, 500)
    near(current_ma, 9999, 30)
    near(energy_mj, 1200 * 10343, 1200)


def test_an_esp32_samples_a_voltage_and_a_current_itself():
    for conversion_us, degrees in ((20, 0), (40, 60), (90, -90), (200, 180)):
        wires, esp32, _ = plug_in()
        wires.conversion_us, wires.look_us = conversion_us, 1
        late = degrees * pi / 180
        wires.analog[34] = lambda us: int(2048.5 + 1300 * sin(2 * pi * 50 * us / 1000000))
        wires.analog[35] = lambda us, late=late: int(
            1900.5 + 900 * sin(2 * pi * 50 * us / 1000000 - late)
        )
        front_end = build_front_end(SAMPLED, {}, esp32.Board(SAMPLED))
        frequency_mhz, ((power_w, reactive_var, voltage_mv, current_ma),) = front_end.tick(1000)
        apparent_va = 1300 * 0.25 * 900 * 0.015 / 2
        near(frequency_mhz, 50000, 20)
        near(voltage_mv, 1300 * 250 / sqrt(2), 1300)
        near(current_ma, 900 * 15 / sqrt(2), 60)
        near(power_w, apparent_va * (1, 0.5, 0, -1)[(0, 60, -90, 180).index(degrees)], 60)
        near(reactive_var, apparent_va * sin(late), 60)


def test_a_converter_that_python_had_no_time_for_gives_no_block():
    wires, esp32, _ = plug_in()
    wires.conversion_us = 2000
    wires.analog[34] = wires.analog[35] = lambda _us: 2048
    assert esp32.Board(SAMPLED).sampler("chip").read() is None
