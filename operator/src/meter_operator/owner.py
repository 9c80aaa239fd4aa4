"""Who owns a meter, as the meter and its twins are told: owner record and `ctl` records. Pure.

Both follow from status alone, so a restarted operator publishes the same bytes again (but for the
term, the Lease's transition count, which only grows). Neighbour: `messenger`.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from meter_wire.control import ControlRecord, encode_control
from meter_wire.names import build_topic
from meter_wire.owner_record import OwnerRecord, encode_owner_record
from meter_wire.portable.keys import derive_key

from meter_operator.desired import EPOCHS_KEPT, Meter, PreviousEpoch


class Message(NamedTuple):
    """A retained message; an empty payload removes it from the broker."""

    topic: str
    payload: bytes


def build_owner_message(meter: Meter, meter_key: bytes, nonce: bytes = b"") -> Message:
    """Return the owner record of a meter; `nonce` answers the meter's own hello.

    Its broker is empty: the meter's first. There is one broker only, and the name by which twins
    know it, inside of the cluster, is not the one that a meter outside can dial.
    """
    record = OwnerRecord(
        device=meter.device,
        active=meter.epoch,
        active_id=meter.epoch_id,
        candidate=0,
        candidate_id=b"",
        highest=meter.highest_epoch,
        broker="",
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
    key = derive_key(meter_key, "ctl", device, epoch, epoch_id)
    payload = encode_control(ControlRecord(epoch, epoch_id, state, term, counter), key)
    return Message(build_topic(device, "ctl", epoch), payload)


def build_ctl_removal(device: str, epochs: Iterable[int]) -> list[Message]:
    """Return what takes away any authority that a twin may find: without `ctl` it has none."""
    return [Message(build_topic(device, "ctl", epoch), b"") for epoch in epochs]


def build_messages(
    meter: Meter, meter_key: Callable[[int], bytes], term: int, nonce: bytes
) -> list[Message]:
    """Return all that the broker has to hold for a meter, the *retired* `ctl` first.

    `meter_key` has K_meter of each key version. A twin keeps the keys that it was given, so its
    `ctl` is under those; the owner record is under the version that the meter is to have.
    An epoch right below that status has no id of (burned unseen, or of a cluster before its
    restore) cannot be told that it is retired; its `ctl` is removed.
    """
    known = sorted(meter.previous_epochs)
    lowest = max(1, meter.epoch - EPOCHS_KEPT)
    unknown = set(range(lowest, meter.epoch)) - {row.epoch for row in known}
    active = PreviousEpoch(meter.epoch, meter.epoch_id, meter.epoch_key_version)
    controls = [
        build_ctl_message(
            meter.device,
            row.epoch,
            row.epoch_id,
            "active" if row is active else "retired",
            meter_key(row.key_version),
            term=term,
            counter=meter.owner_counter,
        )
        for row in [*known, active]
    ]
    removals = build_ctl_removal(meter.device, sorted(unknown))
    return [*removals, *controls, build_owner_message(meter, meter_key(meter.key_version), nonce)]


def build_overdue_removal(meter: Meter) -> list[Message]:
    """Return what removes the `ctl` of epochs that were kept until a decision ago or little longer.

    One decision lets one go; more than one is removed, so that a removal that was lost is made up.
    """
    lowest = min([meter.epoch - EPOCHS_KEPT, *(row.epoch for row in meter.previous_epochs)])
    return build_ctl_removal(meter.device, range(max(1, lowest - EPOCHS_KEPT), max(1, lowest)))


def build_state_removal(device: str, epochs: Iterable[int]) -> list[Message]:
    """Return what removes the last states of twins that are gone."""
    return [Message(build_topic(device, "state", epoch), b"") for epoch in epochs]


def build_removal(device: str, epochs: list[int]) -> list[Message]:
    """Return what removes every retained message of a meter that was deleted.

    The owner record goes last: as long as it is there, its highest epoch tells what else is.
    """
    controls = build_ctl_removal(device, epochs)
    owner = Message(build_topic(device, "owner"), b"")
    return [*controls, *build_state_removal(device, epochs), owner]
