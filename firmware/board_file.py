"""Reads a board's declaration (`boards/*.json`) and refuses what could not work on such a board.

Shape and words are `boards/schema.json`; what a schema cannot say (pins that the port does not
have, two purposes on one pin, a chip without its wires) is below, from Espressif's data sheets
(ESP32 2.2 "Pin Overview", "Strapping Pins"; ESP8266EX 2), ESP-IDF's "SD Pull-up Requirements" and
MicroPython's quick references. Pure but for `load_board`. Neighbours: `build_firmware`
and `provision_board`; on the board it is the module `board`.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema

FOLDER = Path(__file__).parent / "boards"


class BoardFileError(ValueError):
    """The declaration cannot be used; the text is `file: field: fault; remedy`."""


class Pins(NamedTuple):
    """Which pins a port has, and what they cannot do."""

    existing: frozenset[int]
    flash: frozenset[int]
    input_only: frozenset[int]
    console: frozenset[int]
    without_interrupt: frozenset[int]
    without_pull_up: frozenset[int]
    start: frozenset[int]
    """Low while the board starts, it does not run its program; all but a button may be then."""
    high_at_start: frozenset[int]
    low_at_start: frozenset[int]
    """High while the board starts, it does not: an ESP32 gives its flash 1.8 V for 3.3 V."""


PORTS = {
    "esp32": Pins(
        frozenset(range(40)) - {20, 24, 28, 29, 30, 31},
        frozenset(range(6, 12)),
        frozenset(range(34, 40)),
        frozenset({1, 3}),
        frozenset(),
        frozenset(range(34, 40)),
        frozenset({0}),
        frozenset({0, 5, 14, 15}),
        frozenset({12}),
    ),
    "esp8266": Pins(
        frozenset(range(17)),
        frozenset(range(6, 12)),
        frozenset(),
        frozenset({1, 3}),
        frozenset({16}),
        frozenset({15, 16}),
        frozenset({0, 2}),
        frozenset({0, 2, 16}),
        frozenset({15}),
    ),
}
CHIP_UARTS = {"bl0942": ("chip",)}
CHIP_PINS = {
    "hlw8012": ("cf", "cf1", "sel"),
    "bl0937": ("cf", "cf1", "sel"),
    "pulses": ("utility_pulse",),
    "waveform": ("voltage", "current"),
}
CHIP_CIRCUITS = {"waveform": ("uv_per_step", "ua_per_step")}
ADC1 = frozenset(range(32, 40))
"""Of the ESP32; ADC2 does not convert while the radio is on."""
ANALOG = ("voltage", "current")
OUTPUTS = ("supply", "load", "sel", "led")
SWITCHES = ("supply", "load")
CLOSED_AT_START = ("cover", "magnet", "power_fail")
"""Contacts that nobody can tell to be open at the start."""
COUNTED = ("utility_pulse", "generator_pulse", "cf", "cf1")
"""Inputs that are at either level at the start."""


def names() -> list[str]:
    """Return the names of the boards that come with the firmware."""
    return sorted(path.stem for path in FOLDER.glob("*.json") if path.stem != "schema")


def load_board(name: str) -> dict[str, Any]:
    """Return the declaration of a board that comes with the firmware, or of a file.

    Args:
        name: a name of `names()`, or the path of a `.json` file.

    Raises:
        BoardFileError: there is none, or it is wrong; naming the field.
    """
    path = Path(name) if name.endswith(".json") else FOLDER / f"{name}.json"
    if not path.is_file() or path.name == "schema.json":
        known = ", ".join(names())
        raise BoardFileError(f"{name}: no such board; take one of {known}, or a .json file")
    try:
        declaration = json.loads(path.read_text())
    except ValueError as error:
        raise BoardFileError(f"{path}: is no JSON ({error})") from error
    for fault in find_faults(declaration):
        raise BoardFileError(f"{path.name}: {fault}")
    assert isinstance(declaration, dict)
    return declaration


def find_faults(declaration: Any) -> Iterator[str]:
    """Find what is wrong with a declaration, each as `field: fault; remedy`."""
    schema = json.loads((FOLDER / "schema.json").read_text())
    wrong = sorted(jsonschema.Draft202012Validator(schema).iter_errors(declaration), key=str)
    for error in wrong:
        field = error.json_path.removeprefix("$").removeprefix(".") or "board"
        yield f"{field}: {error.message}; see boards/schema.json"
    if wrong:
        return
    yield from _find_lacking(declaration)
    port = PORTS.get(declaration["port"])
    if port is not None:
        yield from _find_pin_faults(declaration, port)
    elif declaration.get("pins") or declaration.get("uarts"):
        yield "pins: the unix port has none; leave pins and uarts out"


def _find_lacking(declaration: dict[str, Any]) -> Iterator[str]:
    yield from _find_lacking_of_chip(declaration)
    pins = declaration.get("pins", {})
    for source in declaration.get("pulses_per_kwh", {}):
        if f"{source}_pulse" not in pins:
            yield f"pins.{source}_pulse: pulses_per_kwh names it; declare it, or take the name out"
    loads = [name for name in pins if name.startswith("load")]
    if sorted(loads) != [f"load{number}" for number in range(len(loads))]:
        yield "pins: loads are load0, load1, … without a gap"
    yield from _find_too_much(declaration)


def _find_lacking_of_chip(declaration: dict[str, Any]) -> Iterator[str]:
    chip = declaration["chip"]
    for table, needs in (("uarts", CHIP_UARTS), ("pins", CHIP_PINS), ("circuit", CHIP_CIRCUITS)):
        for name in needs.get(chip, ()):
            if name not in declaration.get(table, {}):
                yield f"{table}.{name}: the chip {chip} needs it; declare it"
    if chip == "waveform" and declaration["port"] != "esp32":
        yield f"chip: the {declaration['port']} samples no waveform; choose another, or an esp32"


def _find_too_much(declaration: dict[str, Any]) -> Iterator[str]:
    """Find what the profile has no room for."""
    chip, can = declaration["chip"], declaration["capabilities"]
    if declaration["profile"] == "small" and (can["link"] != "constrained" or can.get("ems")):
        yield "capabilities: the small profile has no TLS and no EMS port; link is constrained"
    if declaration["profile"] == "small" and chip not in {"hlw8012", "bl0937", "pulses"}:
        yield f"chip: the small profile counts pulses, {chip} gives none; choose another"
    if declaration["profile"] == "small" and {"supply", "load1"} & set(declaration.get("pins", {})):
        yield "pins: the small profile has one load and no supply; leave load0 alone"
    if "serial" in can.get("ems", ()) and "ems" not in declaration.get("uarts", {}):
        yield "uarts.ems: capabilities.ems says serial; declare it"


def _find_pin_faults(declaration: dict[str, Any], port: Pins) -> Iterator[str]:
    used: dict[int, str] = {}
    counters: dict[int, str] = {}
    for field, gpio in _list_gpios(declaration):
        if gpio not in port.existing or gpio in port.flash:
            yield f"{field}: {gpio} is no free pin of the {declaration['port']}; choose another"
        if gpio in used:
            yield f"{field}: {gpio} is {used[gpio]} already; choose another"
        used[gpio] = field
    for name, pin in declaration.get("pins", {}).items():
        field, gpio = f"pins.{name}.gpio", pin["gpio"]
        yield from _find_level_faults(field, name, pin, port)
        if name in COUNTED:
            if gpio in port.without_interrupt:
                yield f"{field}: {gpio} has no interrupt; choose another"
            yield from _find_counter_faults(declaration["port"], name, pin, counters)
    for name, uart in declaration.get("uarts", {}).items():
        if uart["rx"] in port.low_at_start:
            yield _say_high(f"uarts.{name}.rx", uart["rx"])
    if declaration["port"] == "esp8266" and declaration.get("uarts", {}).get("chip", {}).get("id"):
        yield "uarts.chip.id: only UART 0 of the esp8266 can receive; give 0"


def _find_level_faults(field: str, name: str, pin: dict[str, Any], port: Pins) -> Iterator[str]:
    """Find what a pin cannot do for its purpose, or does while the board starts."""
    gpio = pin["gpio"]
    is_contact = not name.startswith(OUTPUTS)
    if name in ANALOG:
        if gpio not in ADC1:
            yield f"{field}: {gpio} is no pin of the converter ADC1; choose 32 to 39"
    elif is_contact and gpio in port.without_pull_up:
        yield f"{field}: {gpio} has no pull-up; choose another"
    elif gpio in port.input_only:
        yield f"{field}: {gpio} is an input only; choose another"
    if name in CLOSED_AT_START + COUNTED and gpio in port.start:
        yield f"{field}: {gpio} closed keeps the board from starting; choose another"
    if name in COUNTED and gpio in port.low_at_start:
        yield _say_high(field, gpio)
    if name.startswith(SWITCHES) and gpio in port.high_at_start and not pin.get("inverted"):
        yield f"{field}: {gpio} is high while the board starts; choose another, or invert it"
    if gpio in port.console:
        yield f"{field}: {gpio} is the console's; choose another"


def _say_high(field: str, gpio: int) -> str:
    return f"{field}: {gpio} high keeps the board from starting; choose another"


def _find_counter_faults(
    port: str, name: str, pin: dict[str, Any], counters: dict[int, str]
) -> Iterator[str]:
    if port != "esp32":
        return
    number = pin.get("counter")
    if number is None:
        yield f"pins.{name}.counter: is missing; give the number of a pulse counter, 0 to 7"
    elif number in counters:
        yield f"pins.{name}.counter: {number} counts {counters[number]} already; choose another"
    else:
        counters[number] = name


def _list_gpios(declaration: dict[str, Any]) -> Iterator[tuple[str, int]]:
    for name, pin in declaration.get("pins", {}).items():
        yield f"pins.{name}.gpio", pin["gpio"]
    for name, uart in declaration.get("uarts", {}).items():
        for line in ("tx", "rx"):
            yield f"uarts.{name}.{line}", uart[line]
