"""What each meter is to the rollout of its profile, read from its status and its pod. Pure.

Failures and proofs are read from `status.handovers`, so an operator that restarts knows them too.
Neighbours: `rollout` (which decides from it), `rollouts` (which keeps what did not change).
"""

import math
import zlib
from typing import NamedTuple

from meter_wire.names import build_twin_name

from meter_operator.cache import Cache
from meter_operator.desired import Json, Key, Meter
from meter_operator.handover import (
    COMMITTED,
    SUPERSEDED,
    parse_handover,
)
from meter_operator.hashes import hash_profile
from meter_operator.moments import parse_moment
from meter_operator.observed import Pod, TwinState, has_never_spoken
from meter_operator.plan import PROFILE_CHANGED
from meter_operator.rollout import Member
from meter_operator.selection import SelectionError
from meter_operator.status import find_ready_since, find_violation_reason
from meter_operator.tries import find_retry_pause_s, is_excused, list_given_up


class Target(NamedTuple):
    """What a profile says now: its content, and what twins of unknown content count as.

    `baseline` is the content when an operator first saw the profile: a pod without a hash, made by
    an operator that wrote none, has that.
    """

    profile: Json
    content: str
    baseline: str


class Known(NamedTuple):
    """A member that was read, and what it was read from."""

    meter: Meter
    pods: dict[str, Pod] | None
    name: str
    epoch: int
    pod: Pod | None
    state: TwinState | None
    member: Member


class Members:
    """The members of one profile; a meter is read again only when it or its twin has changed."""

    def __init__(self, target: Target) -> None:
        """Begin with none."""
        self.target = target
        self._known: dict[str, Known] = {}
        self._hashes: dict[tuple[str, str, bool], str | SelectionError] = {}

    def read(self, cache: Cache, meters: list[Meter]) -> list[Member]:
        """Return the members for the meters of the profile.

        Ten thousand of which nothing has changed take some ten milliseconds.
        """
        before, after = self._known, {}
        for meter in meters:
            known = before.get(meter.uid)
            if known is None or known.meter is not meter or not _is_same(known, cache):
                known = self._read(cache, meter)
            after[meter.uid] = known
        self._known = after
        return [known.member for known in after.values()]

    def _read(self, cache: Cache, meter: Meter) -> Known:
        pods = cache.pods.get(Key(meter.key.namespace, meter.device))
        name = build_twin_name(meter.device, meter.epoch)
        pod = pods.get(name) if pods else None
        own = pod if pod is not None and pod.meter_uid == meter.uid else None
        state = (cache.states.get(meter.device) or {}).get(meter.epoch)
        member = self._parse(meter, own, state)
        return Known(meter, pods, name, meter.epoch, pod, state, member)

    def _parse(self, meter: Meter, pod: Pod | None, state: TwinState | None) -> Member:
        wanted = self._hash(meter)
        if isinstance(wanted, SelectionError):
            return Member(meter.key, current=True, held=str(wanted))
        return parse_member(meter, pod, state, wanted, self.target)

    def _hash(self, meter: Meter) -> str | SelectionError:
        """Return the profile's hash for a meter; those that select the same have the same."""
        spec = meter.spec
        pinned = bool((spec.get("twin") or {}).get("version"))
        selected = (repr(spec.get("applications")), repr(spec.get("engines")), pinned)
        if selected not in self._hashes:
            try:
                self._hashes[selected] = hash_profile(spec, self.target.profile)
            except SelectionError as error:
                self._hashes[selected] = error
        return self._hashes[selected]


def _is_same(known: Known, cache: Cache) -> bool:
    """Whether pod and state of a meter are the objects that its member was read from."""
    if known.pods is None or known.pods.get(known.name) is not known.pod:
        return False
    states = cache.states.get(known.meter.device)
    return (states.get(known.epoch) if states else None) is known.state


def parse_member(
    meter: Meter, pod: Pod | None, state: TwinState | None, wanted: str, target: Target
) -> Member:
    """Return what a meter is to the rollout of its profile.

    Args:
        meter: its resource.
        pod: the pod of the active epoch.
        state: what the active twin says.
        wanted: hash of what its twin has to have from the profile.
        target: the profile.
    """
    handover = parse_handover(meter.status)
    absent = has_never_spoken(meter, state)
    ready = pod is not None and pod.ready and not pod.gone
    rows = meter.status.get("handovers") or []
    ours = [row for row in rows if _is_of(row, wanted)]
    failed = [row for row in ours if row["result"] == "Aborted" and not is_excused(row)]
    moved = [row for row in ours if row["result"] in {"Done", "Lost"}]
    return Member(
        key=meter.key,
        current=_is_current(meter, pod, wanted, target),
        held=find_violation_reason(meter),
        busy=handover is not None,
        committed=handover is not None and handover.phase == COMMITTED,
        rolling=handover is not None and handover.reason == PROFILE_CHANGED,
        ready=ready,
        since_s=find_ready_since(meter, ready=ready),
        moved_s=parse_moment(moved[0]["endedAt"]) if moved else math.inf,
        failed=tuple(parse_moment(row["endedAt"]) for row in failed),
        retry_s=_retry_s(rows, wanted),
        online=state is not None and state.online,
        speaks=absent or (state is not None and state.meter == "connected"),
        # A meter that was never there proves little: it is no canary while there are others.
        order=zlib.crc32(f"{target.content}/{meter.device}".encode()) + (absent << 32),
        trouble=str(failed[0].get("message") or "no reason known") if failed else "",
    )


def _is_of(row: Json, wanted: str) -> bool:
    return bool(row["reason"] == PROFILE_CHANGED and row.get("profileHash") == wanted)


def _is_current(meter: Meter, pod: Pod | None, wanted: str, target: Target) -> bool:
    """Whether a twin has what the profile says; one that is yet to be made has what was decided."""
    if pod is None:
        if meter.content_hash or not meter.epoch:
            return meter.content_hash in {"", target.content}
        return target.content == target.baseline
    if not pod.profile_hash:
        return target.content == target.baseline
    return pod.profile_hash == wanted


def _retry_s(rows: list[Json], wanted: str) -> float:
    """Return when the next try may begin: later with each that was given up.

    What the profile said before counts no more, nor does a change of mind; a meter that was silent
    does, though it is no failure: nothing is gained by trying it at once.
    """
    tried = [
        row
        for row in list_given_up(rows, wanted)
        if not str(row.get("message") or "").startswith(SUPERSEDED)
    ]
    pause_s = find_retry_pause_s(tried)
    return parse_moment(tried[0]["endedAt"]) + pause_s if pause_s else 0.0
