# ruff: noqa: B905 - MicroPython has no others
"""The front end over the boards' own layer, on a `machine` that does what its documentation says.

Neighbours: test_hal.py (the layer alone), test_chip_front_end.py (the front end alone).
"""

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
    "pins": {"cf": {"gpio": 14}, "cf1": {"gpio": 13}, "sel": {"gpio": 5}},
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


def test_a_hlw8012_at_an_esp8266():
    wires, _, esp8266 = plug_in()
    front_end = build_front_end(ESP8266, {}, esp8266.Board(ESP8266))
    energy_mj = 0
    for _ in range(12):
        wires.us += 1000000
        wires.pulse(14, 100)
        wires.pulse(13, 562 if wires.levels[5] else 690)
        sample = front_end.tick(1000)
        energy_mj += front_end.exact.energies_mj[0]
    frequency_mhz, ((power_w, _, voltage_mv, current_ma),) = sample
    assert frequency_mhz is None
    near(power_w, 1034, 1)
    near(voltage_mv, 229700, 500)
    near(current_ma, 9999, 30)
    near(energy_mj, 1200 * 10343, 1200)
