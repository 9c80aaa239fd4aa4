"""What goes onto a board: the firmware, and the bundle of `kubectl meter provision`, checked first.

Everything is judged here, on the machine, before an octet goes over the wire: a board in a wall
shows no error. Neighbours: `provision_board` (puts it there), `board_file`, `build_firmware`.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "firmware/src"))
from chip_front_end import build_front_end
from config import Config, ConfigError

FOLDERS = {"whole": "/meter", "small": ""}
"""Where a profile of the firmware has its configuration, certificates and state."""
WATCHDOG_S = 120
NOT_OF_SMALL = ("rtc", "supply_relay", "calibration")
"""What the small profile does not read, and would only keep in its heap."""
PULSES = 1_000_000
SSID_BYTES = 32
"""IEEE 802.11, 9.4.2.2."""
PASSWORD_BYTES = range(8, 64)
"""A passphrase of WPA2 (IEEE 802.11, annex J.4.1)."""


class BundleError(ValueError):
    """The bundle cannot be used; the text names the field and the remedy, never a secret."""


class Wifi(NamedTuple):
    """How a board joins the wireless network."""

    ssid: str
    password: str


def load_settings(folder: Path) -> dict[str, Any]:
    """Return the `meter.json` of a bundle.

    Raises:
        BundleError: it is not there or no JSON object.
    """
    path = folder / "meter.json"
    if not path.is_file():
        raise BundleError(f"{path}: is missing; `kubectl meter provision NAME --out …` writes it")
    try:
        settings = json.loads(path.read_text())
    except ValueError:
        settings = None
    if not isinstance(settings, dict):
        raise BundleError(f"{path}: is no JSON object; provision the meter again")
    return settings


def complete(
    settings: dict[str, Any],
    board: dict[str, Any],
    wifi: Wifi | None = None,
    calibration: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the settings of a meter on a board: what the bundle says, then what the board does.

    Args:
        settings: of the bundle.
        board: its declaration.
        wifi: the network to join.
        calibration: of this very board.

    Raises:
        BundleError: the network's name or password cannot be right.
    """
    found = {
        "rtc": board.get("rtc", False),
        "ring_bytes": board.get("ring_bytes", 262144),
        "watchdog_s": WATCHDOG_S,
        "supply_relay": "supply" in board.get("pins", {}),
    }
    if board["port"] == "unix":
        found = {"rtc": True}
    found |= settings
    if wifi is not None:
        _check_wifi(wifi)
        found["wifi"] = {"ssid": wifi.ssid, "password": wifi.password}
    if calibration is not None:
        found["calibration"] = calibration
    if board["profile"] == "small":
        found = _find_pulses_uj(found, board) | found
        if "load0" in board["pins"]:
            found = {"loads": [{}]} | found
        for key in NOT_OF_SMALL:
            found.pop(key, None)
    return found


def _find_pulses_uj(settings: dict[str, Any], board: dict[str, Any]) -> dict[str, int]:
    """Return what a pulse of each source is worth to the small profile, in µJ.

    It has no room to reckon it.

    Raises:
        BundleError: the calibration or the pulses are wrong, or the chip has no pulses.
    """
    try:
        front_end = build_front_end(board, settings, Unwired())
    except ConfigError as error:
        raise BundleError(str(error)) from None
    found = {"pulse_uj": front_end.driver.energy.split(PULSES)[0] * 1000 // PULSES}
    if front_end.generator is not None:
        found["generator_uj"] = front_end.generator.energy.split(PULSES)[0] * 1000 // PULSES
    return found


def _check_wifi(wifi: Wifi) -> None:
    if not 1 <= len(wifi.ssid.encode()) <= SSID_BYTES:
        raise BundleError(f"wifi: the network's name has 1 to {SSID_BYTES} octets")
    if wifi.password and len(wifi.password.encode()) not in PASSWORD_BYTES:
        raise BundleError("wifi: a password has 8 to 63 octets; leave it empty for an open network")


class Unwired:
    """A board whose wires lead nowhere: enough to build its front end, and so to judge settings."""

    def uart(self, _name: str) -> "Unwired":
        """Return a line that says nothing."""
        return self

    counter = output = sampler = uart

    def read(self) -> bytes:
        """Return nothing."""
        return b""

    def count(self) -> int:
        """Return that no pulse has come."""
        return 0

    period_us = count

    def write(self, _data: bytes) -> None:
        """Let it go."""

    set = write

    def reset_cause(self) -> str:
        """Return that the board has just got its power."""
        return "power"


def list_files(
    settings: dict[str, Any], board: dict[str, Any], folder: Path, key: Path | None = None
) -> dict[str, bytes]:
    """Return {path on the board: content} of a meter, checked as the firmware will check it.

    Args:
        settings: of `complete`.
        board: its declaration.
        folder: the bundle, with the files that `tls` names.
        key: the private key, if the bundle has none (its request was made elsewhere).

    Raises:
        BundleError: naming the field.
    """
    files = {}
    where = FOLDERS[board["profile"]]
    _check_link(settings, board)
    for name, file in _credentials(settings.get("tls", {})):
        path = key if name == "key" and key is not None else folder / file
        if not path.is_file():
            remedy = "give --key" if name == "key" else "provision the meter again"
            raise BundleError(f"tls.{name}: no file {path.name} in the bundle; {remedy}")
        files[f"{where}/{file}"] = path.read_bytes()
    check(settings, board, folder, key)
    files[f"{where}/meter.json"] = json.dumps(settings, indent=1).encode() + b"\n"
    return files


def _check_small(settings: dict[str, Any], board: dict[str, Any]) -> None:
    """Refuse what the small profile does not do; it would say nothing of it."""
    loads = settings.get("loads", [])
    if len(loads) > 1:
        raise BundleError(f"loads: the small profile has one, not {len(loads)}; take the rest out")
    pulses = settings.get("pulses") or {}
    if "utility" in pulses and "utility_pulse" not in board["pins"]:
        raise BundleError(
            f"pulses.utility: the board counts its {board['chip']}; take it out, or choose a board "
            "with a pin utility_pulse and the chip pulses"
        )
    if "generator" in pulses and "generator_pulse" not in board["pins"]:
        raise BundleError("pulses.generator: the board has no pin generator_pulse; declare it")
    for kind in settings.get("trips") or {}:
        if kind != "load_limit":
            raise BundleError(
                f"trips.{kind}: {board['chip']} gives the small profile pulses and so the power "
                "alone; take it out, or use load_limit"
            )
        if not loads:
            raise BundleError("trips: there is no load; give loads, and the board a pin load0")


def _credentials(tls: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (key of `tls`, file) of each file that it names."""
    for name in ("ca", "cert", "key"):
        value = tls.get(name, [])
        yield from ((name, str(file)) for file in (value if isinstance(value, list) else [value]))


def _check_link(settings: dict[str, Any], board: dict[str, Any]) -> None:
    wanted = board["capabilities"]["link"]
    if wanted == "constrained" and "tls" in settings:
        raise BundleError("tls: this board has none; provision the meter with --constrained")
    if wanted == "tls" and "tls" not in settings and board["port"] != "unix":
        raise BundleError("tls: is missing, and this board has it; provision without --constrained")


def check(
    settings: dict[str, Any], board: dict[str, Any], folder: Path, key: Path | None = None
) -> None:
    """Have the firmware's own code judge the settings.

    Raises:
        BundleError: what it says.
    """
    if board["profile"] == "small":
        _check_small(settings, board)
    judged = dict(settings)
    if "tls" in settings and key is not None:
        judged["tls"] = settings["tls"] | {"key": str(key.resolve())}
    try:
        Config(judged, str(folder))
        if board["chip"] != "simulated":
            build_front_end(board, settings, Unwired())
    except ConfigError as error:
        raise BundleError(str(error)) from None
