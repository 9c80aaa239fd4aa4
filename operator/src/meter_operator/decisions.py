"""What each decision writes to status: one compare-and-swap, and everything else follows. Pure.

The counter of the owner record rises with every decision, so that no party can take an older word
for a newer one (design rule 1). An epoch that was allocated and not committed is burned: it is
kept among the previous ones, its twin is a donor like any other. Neighbours: `plan` (which
decision), `status` (the rest), `reconciler` (who writes).
"""

from collections.abc import Container, Iterable
from typing import Any

from meter_wire.names import build_twin_name

from meter_operator.desired import EPOCHS_KEPT, Desired, Json, Meter, PreviousEpoch
from meter_operator.handover import (
    COMMITTED,
    PREPARING,
    SUPERSEDED,
    Handover,
    encode_handover,
    parse_handover,
)
from meter_operator.observed import Pod

HANDOVERS_KEPT = 5
TAKEN_OVER = "TakenOver"
AUTHORITY_WAIT_S = 120
"""Twice the lease of authority: the twin before may act for so long after it was taken over."""


def build_allocation(
    meter: Meter,
    desired: Desired,
    epoch: int,
    epoch_id: str,
    counter: int,
    reason: str,
    now: str,
    *,
    pods: Iterable[Pod] = (),
    stores: Container[int] = (),
) -> Json:
    """Return a takeover, or the first epoch: it is active at once.

    `reason`, `now`: why and when, for the takeover's row in `status.handovers`.
    `pods`: the meter's; one of an epoch that status does not know (a restored cluster) has its
    identity from when it was made, and is a donor like any other. `stores`: as for `_previous`.
    """
    known = {meter.epoch, *(row.epoch for row in meter.previous_epochs)}
    unknown = (
        PreviousEpoch(pod.epoch, pod.epoch_id, pod.key_version or meter.epoch_key_version)
        for pod in pods
        if pod.epoch_id and pod.epoch not in known
    )
    return {
        "epoch": epoch,
        "epochId": epoch_id,
        "keyVersion": meter.key_version,
        "highestEpoch": epoch,
        "ownerCounter": counter,
        "previousEpochs": _previous(meter, _active(meter), _burned(meter), *unknown, stores=stores),
        # Above 1 somebody has seen another epoch, also where status knows of none (restored).
        "authorityWaitSeconds": AUTHORITY_WAIT_S if epoch > 1 else None,
        "storeClaim": build_twin_name(meter.device, epoch) if desired.is_persistent else None,
        "contentHash": desired.content_hash or None,
        **_taken_over(meter, desired, epoch, reason, now),
    }


def build_begin(
    meter: Meter, desired: Desired, *, epoch: int, epoch_id: bytes, reason: str, now: str
) -> Json:
    """Return the decision that a candidate is made; a soak that was under way ends with it."""
    handover = Handover(
        phase=PREPARING,
        epoch=epoch,
        epoch_id=epoch_id,
        key_version=meter.key_version,
        store_claim=build_twin_name(meter.device, epoch) if desired.is_persistent else "",
        source=meter.epoch,
        spec_hash=desired.spec_hash,
        reason=reason,
        version=desired.version,
        begun=now,
        from_version=str((meter.status.get("twin") or {}).get("version") or ""),
        profile_hash=desired.profile_hash,
        content_hash=desired.content_hash,
    )
    text = f"another twin is wanted: epoch {epoch} is to follow"
    return {
        "highestEpoch": epoch,
        "ownerCounter": meter.owner_counter + 1,
        **_ended(meter, SUPERSEDED, text, now),
        "handover": encode_handover(handover),
    }


def build_phase(meter: Meter, handover: Handover, phase: str) -> Json:
    """Return the decision that a handover is in its next phase."""
    return {
        "ownerCounter": meter.owner_counter + 1,
        "handover": encode_handover(handover._replace(phase=phase)),
    }


def build_commit(
    meter: Meter, handover: Handover, *, waits: bool, now: str = "", stores: Container[int] = ()
) -> Json:
    """Return the decision: from now on the candidate is the meter's twin.

    `waits`: an older twin may still act on others, because the one before was not frozen, or has
    not waited itself to the end. `now`: when, so that a restart forgets no soak. `stores`: as for
    `_previous`.
    """
    return {
        "epoch": handover.epoch,
        "epochId": handover.attempt,
        "keyVersion": handover.key_version,
        "storeClaim": handover.store_claim or None,
        "contentHash": handover.content_hash or None,
        "authorityWaitSeconds": AUTHORITY_WAIT_S if waits else None,
        "previousEpochs": _previous(meter, _active(meter), stores=stores),
        **build_phase(meter, handover._replace(committed=now), COMMITTED),
    }


def build_abort(meter: Meter, reason: str, now: str, *, stores: Container[int] = ()) -> Json:
    """Return the decision that the candidate is given up; its epoch is burned.

    `stores`: as for `_previous`.
    """
    return {
        "ownerCounter": meter.owner_counter + 1,
        "previousEpochs": _previous(meter, None, _burned(meter), stores=stores),
        **_ended(meter, "Aborted", reason, now),
    }


def build_finish(meter: Meter, reason: str, now: str) -> Json:
    """Return the end of a handover: the old twin may go."""
    return _ended(meter, "Lost" if reason.startswith("Lost") else "Done", reason, now)


def _ended(meter: Meter, result: str, reason: str, now: str) -> Json:
    handover = parse_handover(meter.status)
    if handover is None:
        return {}
    row: dict[str, Any] = {
        "from": handover.source,
        "to": handover.epoch,
        "version": handover.version or None,
        "fromVersion": handover.from_version or None,
        "specHash": handover.spec_hash,
        "profileHash": handover.profile_hash or None,
        "reason": handover.reason,
        "begunAt": handover.begun,
        "committedAt": handover.committed or None,
        "endedAt": now or handover.begun,
        "result": result,
        "message": reason[:300],
    }
    return {"handover": None, "handovers": _keep(row, meter.status.get("handovers") or [])}


def _taken_over(meter: Meter, desired: Desired, epoch: int, reason: str, now: str) -> Json:
    """Return the row of a takeover; a handover that was under way ends with one of its own.

    What was handed over keeps its version before, and a candidate that was given up its name.
    """
    if not (meter.epoch and reason):
        return _ended(meter, TAKEN_OVER, "", now)
    text = f"{reason}: epoch {epoch} replaces {meter.epoch}"
    ended = _ended(meter, TAKEN_OVER, text, now)
    row: dict[str, Any] = {
        "from": meter.epoch,
        "to": epoch,
        "version": desired.version or None,
        "fromVersion": str((meter.status.get("twin") or {}).get("version") or "") or None,
        "specHash": desired.spec_hash,
        "profileHash": desired.profile_hash or None,
        "reason": reason,
        "begunAt": now,
        "endedAt": now,
        "result": TAKEN_OVER,
        "message": text,
    }
    rows = ended.get("handovers") or meter.status.get("handovers") or []
    return {**ended, "handovers": _keep(row, rows)}


def _keep(row: Json, rows: list[Json]) -> list[Json]:
    """Return the last rows with one more above them.

    A takeover puts out the oldest takeover to the same version, if there is one: a twin that is
    lost again and again leaves what failed, and the version before, where they can be read.
    """
    kept = [{name: value for name, value in row.items() if value is not None}, *rows]
    if len(kept) > HANDOVERS_KEPT and row["result"] == TAKEN_OVER:
        alike = [at for at, old in enumerate(kept) if at and _is_plain_takeover(old)]
        del kept[alike[-1] if alike else -1]
    return kept[:HANDOVERS_KEPT]


def _is_plain_takeover(row: Json) -> bool:
    return row["result"] == TAKEN_OVER and row.get("version") == row.get("fromVersion")


def _active(meter: Meter) -> PreviousEpoch | None:
    if not meter.epoch:
        return None
    return PreviousEpoch(meter.epoch, meter.epoch_id, meter.epoch_key_version)


def _burned(meter: Meter) -> PreviousEpoch | None:
    handover = parse_handover(meter.status)
    if handover is None or not handover.is_open:
        return None
    return PreviousEpoch(handover.epoch, handover.epoch_id, handover.key_version)


def _previous(
    meter: Meter,
    active: PreviousEpoch | None,
    *burned: PreviousEpoch | None,
    stores: Container[int],
) -> list[Json]:
    """Return the epochs that are retired after a decision, the highest first.

    `active`: the one that acts until this decision; it is kept whatever else there is, because its
    twin would go on for ever if nobody told it. Then those of `stores`, whose twins may hold what
    nobody else does: out of this list they could give it to nobody. Then the highest.
    """
    rows = {row for row in (*burned, *meter.previous_epochs) if row is not None} - {active}
    ranked = sorted(rows, key=lambda row: (row.epoch in stores, row), reverse=True)
    kept = sorted([*([active] if active else []), *ranked][:EPOCHS_KEPT], reverse=True)
    return [
        {"epoch": row.epoch, "epochId": row.epoch_id.hex(), "keyVersion": row.key_version}
        for row in kept
    ]
