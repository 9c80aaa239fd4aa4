"""Who owns a meter, as the meter and its twins are told: owner record and `ctl` records. Pure.

Both follow from status alone, so a restarted operator publishes the same bytes again (but for the
term, the Lease's transition count, which only grows). Neighbour: `messenger`.
"""

import json
from collections.abc import Iterable
from typing import NamedTuple

from meter_wire.names import build_topic
from meter_wire.owner_record import OwnerRecord, encode_owner_record
from meter_wire.portable.keys import derive_key, mac16

from meter_operator.desired import Meter


class Message(NamedTuple):
    """A retained message; an empty payload removes it from the broker."""

    topic: str
    payload: bytes


def build_owner_message(meter: Meter, meter_key: bytes, broker: str, nonce: bytes = b"") -> Message:
    """Return the owner record of a meter; `nonce` answers the meter's own hello."""
    record = OwnerRecord(
        device=meter.device,
        active=meter.epoch,
        active_id=meter.epoch_id,
        candidate=0,
        candidate_id=b"",
        highest=meter.highest_epoch,
        broker=broker,
        counter=meter.owner_counter,
        nonce=nonce,
    )
    payload = encode_owner_record(record, derive_key(meter_key, "owner", meter.device))
    return Message(build_topic(meter.device, "owner"), payload)


def build_ctl_message(
    device: str,
    epoch: int,
    epoch_id: bytes,
    state: str,
    meter_key: bytes,
    *,
    term: int,
    counter: int,
) -> Message:
    """Return the control record of one epoch, with its MAC under K_ctl of that epoch."""
    record = {
        "epoch": epoch,
        "epochId": epoch_id.hex(),
        "state": state,
        "term": term,
        "counter": counter,
    }
    canonical = json.dumps(record, sort_keys=True, separators=(",", ":")).encode()
    key = derive_key(meter_key, "ctl", device, epoch, epoch_id)
    signed = {**record, "mac": mac16(key, canonical).hex()}
    payload = json.dumps(signed, sort_keys=True, separators=(",", ":")).encode()
    return Message(build_topic(device, "ctl", epoch), payload)


def build_state_removal(device: str, epochs: Iterable[int]) -> list[Message]:
    """Return what removes the last states of twins that are gone."""
    return [Message(build_topic(device, "state", epoch), b"") for epoch in epochs]


def build_removal(device: str, epochs: list[int]) -> list[Message]:
    """Return what removes every retained message of a meter that was deleted.

    The owner record goes last: as long as it is there, its highest epoch tells what else is.
    """
    controls = [Message(build_topic(device, "ctl", epoch), b"") for epoch in epochs]
    owner = Message(build_topic(device, "owner"), b"")
    return [*controls, *build_state_removal(device, epochs), owner]
