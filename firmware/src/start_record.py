"""What the start of the firmware records: the power cut or the reset before it, and itself.

A power cut is told once: by the last gasp if the meter saw it coming, else here, at the time of
the last sign of life. A reset by the watchdog or by software is no power cut and never told as
one. Neighbours: `local_control` (last gasp), `main`.
"""

import event_codes as codes
import state as items
from meter_wire.portable.entry import KIND_EVENT, STATUS_POWER_DOWN, encode_event
from unsaved import settle
from untold import tell_owner

RESETS = {"watchdog": 1, "soft": 2}
"""Causes of `hal` that are told as the event reset; every other one is a return of the power."""
_HEAD = 13


def _gasp_is_last(ring) -> bool:
    """Return whether the newest entry is the last gasp, whose mark a power cut left out."""
    row = ring.read(ring.head)
    if row is None or row[0][0] != KIND_EVENT:
        return False
    return row[0][_HEAD:] == encode_event(0, 0, 0, 0, codes.POWER_DOWN, [0])[_HEAD:]


def record_start(recorder, state, timekeeper, boot: int, version: int, cause: str) -> None:
    """Record the start; the caller saves registers and state.

    Args:
        recorder: see `recorder.Recorder`.
        state: the durable items.
        timekeeper: see `timekeeper.Timekeeper`.
        boot: number of this boot.
        version: of the firmware, as in the event firmware_start.
        cause: why the board has started, as of `hal`.
    """
    ring = recorder.ring
    settle(ring, state)
    has_gasped = bool(state.get(items.GASP)) or _gasp_is_last(ring)
    if state.get(items.GASP):
        state.set(items.GASP, b"")
        state.save()  # before the power's return is told, or the next cut would pass for told
    if not ring.head:  # it is the first entry of each, even if the power failed before it
        recorder.event_now(codes.INCARNATION_NEW)
    tell_owner(ring, state, recorder.event_now)
    alive_ms = timekeeper.last_alive_ms
    utc_s, utc_ms = timekeeper.utc()
    away_ms = -1
    if alive_ms is not None and utc_s is not None:
        away_ms = max(-1, utc_s * 1000 + utc_ms - alive_ms)
    if cause in RESETS:
        if has_gasped:
            recorder.event_now(codes.POWER_HELD)
        recorder.event_now(codes.RESET, RESETS[cause], away_ms)
    else:
        if alive_ms is not None:
            recorder.status |= STATUS_POWER_DOWN
            if not has_gasped:
                recorder.event(codes.POWER_DOWN, alive_ms // 1000, 1)
        recorder.event_now(codes.POWER_UP, away_ms)
    recorder.event_now(codes.FIRMWARE_START, boot, version)
