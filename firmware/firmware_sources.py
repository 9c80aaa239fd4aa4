"""Which modules make a board's firmware, and where their sources are.

Those of `firmware/src` and the portable part of the wire, with the same module names on a board.
Neighbours: `bytecode` compiles them, `small_firmware` and `build_firmware` put them together,
`typecheck` looks at each port's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PORTABLE = [
    "tlv",
    "keys",
    "frame",
    "owner",
    "entry",
    "clock",
    "meter_commands",
    "meter_session",
    "meter_epochs",
    "meter_link",
    "brokers",
    "mqtt_packet",
    "mqtt_event",
    "mqtt",
]
PORTABLE_APART = {"small_cipher": ["frame_cipher"]}
SMALL = {
    "small": [
        "crc",
        "back_off",
        "mqtt_shell",
        "flash",
        "state",
        "segments",
        "ring",
        "periods",
        "small_energy",
        "untold",
        "small_record",
        "small",
    ],
    "small_start": ["unsaved", "small_start"],
    "small_local": ["actuators", "small_local"],
    "small_trips": ["trips"],
    "small_inputs": ["inputs", "small_inputs"],
    "small_watchdog": ["watchdog"],
    "small_sntp": ["sntp", "small_sntp"],
}
"""What the small profile (`small.py`, 38 KB of heap) bundles, each module after what it needs.

The first has `PORTABLE` too, the second goes from the heap after the start, the others are loaded
where they are configured, as is that of `PORTABLE_APART`.
"""
SIMULATED = ("simulation", "electricity.py")
"""What only a meter without a chip needs."""


def sources(board: dict[str, Any] | None = None) -> dict[str, Path]:
    """Return {path of the .mpy below the target: source}, of all modules or of a board's."""
    found = {}
    firmware = ROOT / "firmware" / "src"
    for path in sorted(firmware.rglob("*.py")):
        name = path.relative_to(firmware)
        if board is None or _is_needed(name, board):
            found[str(name.with_suffix(".mpy"))] = path
    wire = ROOT / "wire" / "src"
    found["meter_wire/__init__.mpy"] = wire / "meter_wire" / "__init__.py"
    for path in sorted((wire / "meter_wire" / "portable").glob("*.py")):
        found[str(path.relative_to(wire).with_suffix(".mpy"))] = path
    return found


def _is_needed(name: Path, board: dict[str, Any]) -> bool:
    if name.parts[0] == "hal" and name.stem != "__init__":
        ports = {"esp32": ("esp", "esp32"), "esp8266": ("esp", "esp8266", "esp8266_small")}
        return name.stem in ports.get(board["port"], ("unix",))
    if name.parts[0] in SIMULATED:
        return bool(board["chip"] == "simulated")
    return name.name != "small.py"
