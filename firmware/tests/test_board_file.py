"""A board's declaration says what is on it; what could not work there is refused by its field."""

import copy
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "firmware"))
import board_file


@pytest.mark.parametrize("name", board_file.names())
def test_the_boards_that_come_with_the_firmware_are_right(name):
    board = board_file.load_board(name)
    assert board["name"] == name
    assert board["capabilities"]["pq"] in {"none", "half-cycle"}


def test_the_three_boards_are_there():
    assert {"esp32", "esp8266", "unix"} <= set(board_file.names())


def test_the_sonoff_pow_drives_sel_through_a_transistor_and_has_five_resistors():
    """As xoseperez/hlw8012 (HLW8012_Interrupts), ESPHome and Tasmota have it."""
    board = board_file.load_board("esp8266")
    assert board["pins"]["sel"] == {"gpio": 5, "inverted": True}
    assert board["circuit"]["divider_ohm"] == [5 * 470000 + 1000, 1000]


def change(board_name, /, **changes):
    """Return a board in which `a__b` is another value, or left out if that is None."""
    board = copy.deepcopy(board_file.load_board(board_name))
    for path, value in changes.items():
        *parents, last = path.split("__")
        table = board
        for parent in parents:
            table = table[parent]
        if value is None:
            del table[last]
        else:
            table[last] = value
    return board


@pytest.mark.parametrize(
    ("board", "said"),
    [
        (change("esp32", colour="red"), "colour"),
        (change("esp32", chip=None), "chip"),
        (change("esp32", chip="bl0943"), "chip: 'bl0943'"),
        (change("esp32", pins__load1={"gpio": 34}), "pins.load1.gpio: 34 is an input only"),
        (change("esp32", pins__cover={"gpio": 35}), "pins.cover.gpio: 35 has no pull-up"),
        (change("esp32", pins__cover={"gpio": 7}), "pins.cover.gpio: 7 is no free pin"),
        (change("esp32", pins__cover={"gpio": 24}), "pins.cover.gpio: 24 is no free pin"),
        (change("esp32", pins__cover={"gpio": 26}), "is pins.load0.gpio already"),
        (change("esp32", pins__cover={"gpio": 3}), "is the console's"),
        (change("esp32", pins__load2={"gpio": 21}), "without a gap"),
        (change("esp32", pins__utility_pulse={"gpio": 32}), "pins.utility_pulse.counter: is missing"),
        (
            change("esp32", pins__utility_pulse={"gpio": 32, "counter": 1}),
            "pins.generator_pulse.counter: 1 counts utility_pulse already",
        ),
        (change("esp32", pins__generator_pulse=None), "pins.generator_pulse: pulses_per_kwh"),
        (change("esp32", uarts__chip=None), "uarts.chip: the chip bl0942 needs it"),
        (change("esp32", uarts__ems=None), "uarts.ems: capabilities.ems says serial"),
        (change("esp32", chip="waveform"), "pins.voltage: the chip waveform needs it"),
        (change("esp32", chip="waveform"), "circuit.uv_per_step: the chip waveform needs it"),
        (change("esp32", pins__voltage={"gpio": 27}), "27 is no pin of the converter ADC1"),
        (change("esp32", pins__cover={"gpio": 0}, pins__button=None), "0 closed keeps the board"),
        (
            change("esp32", pins__generator_pulse={"gpio": 0, "counter": 1}, pins__button=None),
            "0 closed keeps the board from starting",
        ),
        (
            change("esp32", pins__generator_pulse={"gpio": 12, "counter": 1}),
            "pins.generator_pulse.gpio: 12 high keeps the board from starting",
        ),
        (change("esp32", uarts__ems__rx=12), "uarts.ems.rx: 12 high keeps the board from starting"),
        (change("esp32", pins__load0={"gpio": 5}), "5 is high while the board starts"),
        (change("esp32", pins__supply={"gpio": 14}), "14 is high while the board starts"),
        (change("unix", chip="waveform"), "chip: the unix samples no waveform"),
        (change("esp8266", pins__sel=None), "pins.sel: the chip hlw8012 needs it"),
        (change("esp8266", pins__cf={"gpio": 16}), "16 has no interrupt"),
        (change("esp8266", capabilities__link="tls"), "the small profile has no TLS"),
        (change("esp8266", chip="simulated"), "chip: the small profile counts pulses"),
        (change("esp8266", pins__cover={"gpio": 16}), "pins.cover.gpio: 16 has no pull-up"),
        (change("esp8266", pins__cover={"gpio": 15}), "pins.cover.gpio: 15 has no pull-up"),
        (change("esp8266", pins__cf={"gpio": 2}), "2 closed keeps the board from starting"),
        (change("esp8266", pins__cover={"gpio": 2}), "2 closed keeps the board from starting"),
        (change("esp8266", pins__load0={"gpio": 2}), "2 is high while the board starts"),
        (change("esp8266", pins__supply={"gpio": 4}), "has one load and no supply"),
        (change("esp8266", pins__load1={"gpio": 4}), "has one load and no supply"),
        (change("unix", pins={"led": {"gpio": 2}}), "pins: the unix port has none"),
        ([], "board"),
    ],
)  # fmt: skip
def test_a_wrong_declaration_is_refused_by_its_field(board, said):
    faults = list(board_file.find_faults(board))
    assert faults
    assert any(said in fault for fault in faults), faults


@pytest.mark.parametrize(
    "board",
    [
        change("esp8266", pins__load0={"gpio": 2, "inverted": True}),
        change("esp8266", pins__load0={"gpio": 15}),
        change("esp8266", pins__cover={"gpio": 4}),
        change("esp32", pins__load0={"gpio": 12}),
        change("esp32", pins__load0={"gpio": 5, "inverted": True}),
        change("esp32", pins__cover={"gpio": 12}),
        change("esp32", uarts__ems__tx=12),
    ],
)
def test_what_the_port_can_do_is_taken(board):
    assert not list(board_file.find_faults(board))


def test_a_board_of_ones_own_is_a_file(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(change("esp32", name="mine")))
    assert board_file.load_board(str(path))["name"] == "mine"
    path.write_text("{")
    with pytest.raises(board_file.BoardFileError, match="is no JSON"):
        board_file.load_board(str(path))
    path.write_text(json.dumps(change("esp32", heap_bytes=1)))
    with pytest.raises(board_file.BoardFileError, match=r"mine\.json: heap_bytes"):
        board_file.load_board(str(path))


@pytest.mark.parametrize("name", ["esp31", "schema", "../build", "nowhere.json"])
def test_an_unknown_board_is_refused_with_the_known_ones(name):
    with pytest.raises(board_file.BoardFileError, match=r"take one of esp32, esp8266, unix"):
        board_file.load_board(name)
