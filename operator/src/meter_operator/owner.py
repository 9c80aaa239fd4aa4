"""Who owns a meter, as the meter and its twins are told: owner record and `ctl` records. Pure.

Both follow from status alone, so a restarted operator publishes the same bytes again (but for the
term, the Lease's transition count, which only grows). Neighbour: `messenger`.
"""

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from meter_wire.control import MOST_PEERS, ControlRecord, Peer, encode_control
from meter_wire.names import build_topic
from meter_wire.owner_record import OwnerRecord, encode_owner_record
from meter_wire.portable.keys import derive_key

from meter_operator.desired import EPOCHS_KEPT, Meter, PreviousEpoch
from meter_operator.handover import FROZEN, find_open


class Message(NamedTuple):
    """A message; the broker keeps it if it is retained, and an empty payload removes that again."""

    topic: str
    payload: bytes
    retain: bool = True


def build_owner_message(meter: Meter, meter_key: bytes, nonce: bytes = b"") -> Message:
    """Return the owner record of a meter; `nonce` answers the meter's own hello.

    Its broker is empty: the meter's first. There is one broker only, and the name by which twins
    know it, inside of the cluster, is not the one that a meter outside can dial.
    """
    handover = find_open(meter.status)
    record = OwnerRecord(
        device=meter.device,
        active=meter.epoch,
        active_id=meter.epoch_id,
        candidate=handover.epoch if handover else 0,
        candidate_id=handover.epoch_id if handover else b"",
        highest=meter.highest_epoch,
        broker="",
        counter=meter.owner_counter,
        nonce=nonce,
    )
    payload = encode_owner_record(record, derive_key(meter_key, "owner", meter.device))
    return Message(build_topic(meter.device, "owner"), payload)


def build_ctl_message(device: str, record: ControlRecord, meter_key: bytes) -> Message:
    """Return the control record of one epoch, with its MAC under K_ctl of that epoch."""
    key = derive_key(meter_key, "ctl", device, record.epoch, record.epoch_id)
    return Message(build_topic(device, "ctl", record.epoch), encode_control(record, key))


def _build_controls(
    meter: Meter, term: int, live: Mapping[int, str]
) -> list[tuple[ControlRecord, int]]:
    """Return the control record of each epoch that status knows, with its key's version.

    The active twin takes from every older one that is still there; the candidate of a handover
    takes from the active one.
    """
    handover = find_open(meter.status)
    active = Peer(meter.epoch, meter.epoch_id, live.get(meter.epoch, ""))
    older = [row for row in sorted(meter.previous_epochs) if row.epoch in live]
    donors = tuple(Peer(row.epoch, row.epoch_id, live[row.epoch]) for row in older)[-MOST_PEERS:]
    attempt = handover.attempt if handover else ""
    frozen = handover is not None and handover.phase == FROZEN

    def build(
        row: PreviousEpoch, state: str, takers: tuple[Peer, ...] = (), donors: tuple[Peer, ...] = ()
    ) -> tuple[ControlRecord, int]:
        named = attempt if state != "retired" else ""
        wait_s = meter.authority_wait_s if state == "active" else 0
        unmet = state == "active" and not meter.status.get("lastSeen")
        record = ControlRecord(
            *(row.epoch, row.epoch_id, state, term, meter.owner_counter),
            *(named, takers, donors, wait_s, unmet),
        )
        return record, row.key_version

    found = [
        build(row, "retired", takers=(active._replace(address=""),) if row.epoch in live else ())
        for row in sorted(meter.previous_epochs)
    ]
    own = PreviousEpoch(meter.epoch, meter.epoch_id, meter.epoch_key_version)
    takers = (Peer(handover.epoch, handover.epoch_id),) if handover else ()
    found.append(build(own, "frozen" if frozen else "active", takers=takers, donors=donors))
    if handover:
        candidate = PreviousEpoch(handover.epoch, handover.epoch_id, handover.key_version)
        givers = (active,) if active.address else ()
        found.append(build(candidate, "candidate", donors=givers))
    return found


def build_ctl_removal(device: str, epochs: Iterable[int]) -> list[Message]:
    """Return what takes away any authority that a twin may find: without `ctl` it has none."""
    return [Message(build_topic(device, "ctl", epoch), b"") for epoch in epochs]


def build_messages(
    meter: Meter,
    meter_key: Callable[[int], bytes],
    term: int,
    nonce: bytes,
    live: Mapping[int, str] = MappingProxyType({}),
    *,
    stop: bool | None = None,
) -> list[Message]:
    """Return all that the broker has to hold for a meter, the *retired* `ctl` first.

    `meter_key` has K_meter of each key version. A twin keeps the keys that it was given, so its
    `ctl` is under those; the owner record is under the version that the meter is to have. `live`
    has the address of each epoch's twin that other twins may ask for what it has stored; `stop`:
    whether load control is stopped, None to say nothing of it.
    An epoch right below that status has no id of (burned unseen, or of a cluster before its
    restore) cannot be told that it is retired; its `ctl` is removed.
    """
    known = {row.epoch for row in meter.previous_epochs}
    lowest = max(1, meter.epoch - EPOCHS_KEPT)
    unknown = set(range(lowest, meter.epoch)) - known
    controls = [
        build_ctl_message(meter.device, record._replace(stop=stop), meter_key(version))
        for record, version in _build_controls(meter, term, live)
    ]
    removals = build_ctl_removal(meter.device, sorted(unknown))
    return [*removals, *controls, build_owner_message(meter, meter_key(meter.key_version), nonce)]


def build_overdue_removal(meter: Meter, before: Iterable[PreviousEpoch]) -> list[Message]:
    """Return what removes the `ctl` of epochs that were kept until a decision ago or little longer.

    `before`: those that were kept until then. Some below are removed too, so that a removal that
    was lost is made up.
    """
    kept = {row.epoch for row in meter.previous_epochs}
    lowest = max(1, min([meter.epoch - EPOCHS_KEPT, *kept]))
    below = range(max(1, lowest - EPOCHS_KEPT), lowest)
    gone = {row.epoch for row in before} - kept - {meter.epoch}
    return build_ctl_removal(meter.device, sorted({*below, *gone}))


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
