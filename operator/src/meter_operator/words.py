"""Which of the twins' words about a handover are believed. Pure.

The broker lets only a twin itself write its `state`, and a decision that cannot be taken back rests
on two locks: each word has a MAC under K_ctl of its epoch. Neighbours: `meter_wire.word` (the
form), `handover` (what is decided from it), `observed` (where the states come from).
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

from meter_wire.portable.keys import derive_key
from meter_wire.word import open_word

from meter_operator.desired import Meter
from meter_operator.handover import find_open
from meter_operator.observed import TwinState


def open_words(
    meter: Meter, states: Mapping[int, TwinState], meter_key: Callable[[int], bytes]
) -> dict[int, TwinState]:
    """Return the states with the words of known epochs; one that is not authentic says nothing.

    Args:
        meter: from whose status the ids of the epochs are.
        states: by epoch, as they came.
        meter_key: K_meter by version of the device's key.
    """
    known = {row.epoch: (row.epoch_id, row.key_version) for row in meter.previous_epochs}
    known[meter.epoch] = meter.epoch_id, meter.epoch_key_version
    handover = find_open(meter.status)
    if handover is not None:
        known[handover.epoch] = handover.epoch_id, handover.key_version
    return {
        epoch: _open(state, meter.device, known[epoch], meter_key)
        if epoch in known and state.said
        else state
        for epoch, state in states.items()
    }


def _open(
    state: TwinState, device: str, row: tuple[bytes, int], meter_key: Callable[[int], bytes]
) -> TwinState:
    epoch_id, version = row
    key = derive_key(meter_key(version), "ctl", device, state.epoch, epoch_id)
    try:
        return replace(state, word=open_word(state.said, state.epoch, key))
    except ValueError:
        return state
