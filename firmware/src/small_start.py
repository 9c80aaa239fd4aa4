"""What the small profile does once, at its start; its code is then let go, and its heap is free.

Registers of the flash, of a reading and of the board's memory; why the meter has started; the parts
that configuration and board declare. Neighbours: `small`, `small_energy`, `start_record` (the same
of the whole firmware).
"""

import struct

import state as items
from crc import crc32
from small_energy import HEAD_BYTES, ROW, ROW_BYTES
from small_record import IMPORT_ENERGY, REGISTER_BYTES
from unsaved import settle

READING = 1
POWER_UP = 2
INCARNATION_NEW = 16
RESET = 25
POWER_HELD = 26
RESETS = ("watchdog", "soft")
"""Causes of the board that are told as the event reset, by their place plus 1."""
HAS_LOAD = 2
"""Bit of the capabilities."""
INPUTS = 2
"""Bit of the beats, see `small`."""


def take_registers(meter) -> None:
    """Take the registers of the state, a later reading or the board; and what was told already."""
    settle(meter.ring, meter.state)
    kept = meter.state.get(items.REGISTERS)
    for place, one in enumerate(meter.registers):
        at = place * REGISTER_BYTES
        one.units = int.from_bytes(kept[at : at + REGISTER_BYTES], "big")
    for seq in range(meter.ring.unsaved, meter.ring.head + 1):
        got = meter.ring.read(seq)
        if got is not None and got[0][0] == READING and got[0][16:19] == IMPORT_ENERGY[2:5]:
            _take_reading(got[0], meter.registers)
    if meter.board:
        _take_memory(meter.board.memory(), meter.ring.incarnation, meter.registers)
    if "pulses" in meter.table:
        _take_display(meter.table["pulses"], meter)


def _take_reading(reading: bytes, registers: list) -> None:
    """Take a reading's registers: form, short code and value, then form, long code and value."""
    at = 15
    for place, one in enumerate(registers):
        length = reading[at] & 31 if at < len(reading) else 0
        at += 7 if place else 4
        one.units = max(one.units, int.from_bytes(reading[at : at + length], "big"))
        at += length


def _take_memory(data: bytes, incarnation: bytes, registers: list) -> None:
    """Take what `small_energy.pack` kept, unless it is behind or another ring's."""
    end = HEAD_BYTES + ROW_BYTES * len(registers)
    if len(data) != end + 4 or data[1:HEAD_BYTES] != incarnation:
        return
    if struct.unpack_from(">I", data, end)[0] != crc32(data[1:end]):
        return
    for place, one in enumerate(registers):
        row = struct.unpack_from(ROW, data, HEAD_BYTES + ROW_BYTES * place)
        if row[0] >= one.units:
            one.units, one.remainder, one.rest_uj = row


def _take_display(pulses: dict, meter) -> None:
    """Add what the display of a legacy meter is ahead of the last start value."""
    kept, begun = meter.state.get(items.FRONT_END), b""
    for place, one in enumerate(meter.registers):
        at = place * REGISTER_BYTES
        before_wh = int.from_bytes(kept[at : at + REGISTER_BYTES], "big")
        source = pulses.get("generator" if place else "utility", {})
        start_wh = max(before_wh, source.get("start_wh", 0))
        one.units += start_wh - before_wh
        begun += start_wh.to_bytes(REGISTER_BYTES, "big")
    meter.state.set(items.FRONT_END, begun)


def record_start(meter, cause: str) -> None:
    """Record why the meter has started, and what came before."""
    if not meter.ring.head:  # it is the first entry of each, even if the power failed before it
        meter.event(INCARNATION_NEW)
    has_gasped = bool(meter.state.get(items.GASP))
    if has_gasped:
        meter.state.set(items.GASP, b"")
        meter.state.save()
    if cause not in RESETS:
        meter.event(POWER_UP, -1)
        return
    if has_gasped:
        meter.event(POWER_HELD)
    meter.event(RESET, RESETS.index(cause) + 1, -1)


def load_parts(meter, board) -> None:
    """Load what configuration and board declare."""
    if meter.table.get("encrypt", True):
        meter.link.info.aes = find_aes()
        if meter.link.info.aes:  # now, while the heap is in one piece
            from meter_wire.portable import frame_cipher  # noqa: F401, PLC0415
    if meter.table.get("loads"):
        from small_local import Local  # noqa: PLC0415 - costs heap only when needed

        meter.local = Local(meter, board)
        meter.link.info.capabilities = HAS_LOAD
    contacts = board.contacts() if board else None
    if contacts:
        from small_inputs import Inputs  # noqa: PLC0415 - costs heap only when needed

        meter.inputs = Inputs(meter, contacts)
        meter.awaited |= INPUTS


def find_aes():
    """Return the board's AES, None if its Python has none."""
    try:
        from cryptolib import aes  # noqa: PLC0415 - not on CPython
    except ImportError:
        return None
    return aes


def make_watchdog(meter, board, cause: str):
    """Start the board's watchdog if the configuration wants it; return what feeds it, or None."""
    timeout_ms = meter.table.get("watchdog_s", 0) * 1000
    if not timeout_ms or board is None:
        return None
    from watchdog import Watchdog  # noqa: PLC0415 - costs heap only when needed

    return Watchdog(lambda: board.watchdog(timeout_ms), cause, meter.state, meter.uptime_ms).feed
