"""Carries out what was decided about handovers, and remembers since when what has been seen.

Deadlines count on this process's own clock: a restart gives what is not committed its whole time
again, which costs time and never data. A soak, which may be of days, goes on.
Neighbours: `handover` (what is decided), `decisions` (what is
written), `reconciler` (who calls).
"""

import math
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from typing import NamedTuple

from meter_wire.word import Cover, Word

from meter_operator import decisions
from meter_operator.desired import Desired, Json, Meter
from meter_operator.events import Events
from meter_operator.flows import may_follow
from meter_operator.handover import (
    ABORT,
    ANNOUNCE,
    COMMIT,
    COMMITTED,
    FINISH,
    FREEZE,
    FROZEN,
    Decision,
    Handover,
    Patience,
    adapt_patience,
    parse_handover,
)
from meter_operator.moments import format_now, parse_moment
from meter_operator.observed import Observed, Pod, TwinState
from meter_operator.status import find_ready_since
from meter_operator.under_way import Clock

_UNREADY, _SERVING, _STEADY = "unready", "serving", "steady"
_DONOR, _BARREN, _TRIED = "donor", "barren", "tried"
BARREN_TIMES = 6
"""So many times the time to give is the most for a twin that comes and goes and gives nothing."""
Sighting = tuple[str, int, str]  # uid, epoch, what is seen
Decide = Callable[[Meter, Json], Awaitable[Meter | None]]
Publish = Callable[[Meter], Awaitable[None]]


class Heard(NamedTuple):
    """What was heard last of an older twin, and all that it and its taker have ever said."""

    online: bool
    word: Word
    taken: Cover | None
    known: frozenset[object] = frozenset()


class Succession:
    """The handovers of all meters."""

    def __init__(
        self,
        decide: Decide,
        publish: Publish,
        events: Events,
        random: Callable[[int], bytes],
        patience: Patience,
    ) -> None:
        """`decide` writes a decision, None when the meter was changed; `publish` says it."""
        self._decide = decide
        self._publish = publish
        self._events = events
        self._patience = patience
        self._random = random
        self._since: dict[Sighting, float] = {}
        self._heard: dict[str, dict[int, Heard]] = {}
        self._announced: set[tuple[str, str]] = set()
        self._addresses: dict[str, dict[int, str]] = {}

    def clock(self, observed: Observed, now_s: float, permit: str = "") -> Clock:
        """Return what a plan needs of time; `permit`: how the rollout lets the meter begin."""
        meter = observed.meter
        handover = parse_handover(meter.status)
        rollout = (observed.profile or {}).get("rollout") or {}
        patience = adapt_patience(self._patience, rollout)
        # The time of an older twin begins when it is one, not when its pod was first seen.
        needed = {meter.epoch, *((handover.epoch, handover.source) if handover else ())}
        older = [pod.epoch for pod in observed.pods if pod.epoch not in needed]
        # Its time to give runs only while there is somebody who takes.
        state = observed.states.get(meter.epoch)
        takes = state is not None and state.online
        seen = {(meter.uid, epoch, kind) for epoch in older if takes for kind in (_DONOR, _BARREN)}
        self._restart_donors(observed, older)
        seen |= self._find_tries(meter, now_s)
        if handover is not None:
            if handover.phase == COMMITTED:
                seen |= self._find_service(observed, now_s)
                self._remember(meter, handover, now_s, patience.soak_s)
            seen.add((meter.uid, handover.epoch, handover.phase))
        for key in [one for one in self._since if one[0] == meter.uid and one not in seen]:
            del self._since[key]
        age = {key: now_s - self._since.setdefault(key, now_s) for key in seen}
        limit_s = BARREN_TIMES * self._patience.final_s
        barren = {key[1]: age[key] for key in age if key[2] == _BARREN and age[key] >= limit_s}
        return Clock(
            patience=patience,
            phase_s=age[meter.uid, handover.epoch, handover.phase] if handover else 0.0,
            unready_s=age.get((meter.uid, meter.epoch, _UNREADY), 0.0),
            served_s=age.get((meter.uid, meter.epoch, _SERVING), 0.0),
            steady_s=age.get((meter.uid, meter.epoch, _STEADY), 0.0),
            older_s={key[1]: value for key, value in age.items() if key[2] == _DONOR} | barren,
            tried_s={key[1]: value for key, value in age.items() if key[2] == _TRIED},
            permit=permit,
            offline_commits=rollout.get("offlineMeters") == "Commit",
        )

    def _restart_donors(self, observed: Observed, older: list[int]) -> None:
        """Give an older twin its whole time again whenever it, or who takes from it, says more.

        One that comes back late still has what nobody else may have; silence alone is a loss. One
        that comes and goes and never says anything new has a longer time, but not for ever.
        """
        meter = observed.meter
        active = observed.states.get(meter.epoch)
        before = self._heard.get(meter.uid, {})
        heard: dict[int, Heard] = {}
        for epoch in older:
            state = observed.states.get(epoch) or TwinState(epoch, online=False)
            taken = active.word.covers.get(epoch) if active is not None else None
            said = {("word", state.word.root, state.word.retired), ("taken", taken)}
            last = before.get(epoch)
            known = last.known if last is not None else frozenset[object]()
            heard[epoch] = Heard(state.online, state.word, taken, known | said)
            if last is not None and last[:3] != heard[epoch][:3]:
                self._since.pop((meter.uid, epoch, _DONOR), None)
            if last is not None and not said <= known:
                self._since.pop((meter.uid, epoch, _BARREN), None)
        if heard:
            self._heard[meter.uid] = heard
        else:
            self._heard.pop(meter.uid, None)

    def _find_tries(self, meter: Meter, now_s: float) -> set[Sighting]:
        """Return the candidates that were given up, each since then.

        Status says when, so a restart forgets none; a moment that is still to come is a wrong
        clock's, and counts from now.
        """
        found = set()
        for row in meter.status.get("handovers") or []:
            if row["result"] == "Aborted":
                key = (meter.uid, int(row["to"]), _TRIED)
                past_s = datetime.now(UTC).timestamp() - parse_moment(row.get("endedAt"))
                self._since.setdefault(key, now_s - max(0.0, past_s))
                found.add(key)
        return found

    def _remember(self, meter: Meter, handover: Handover, now_s: float, soak_s: float) -> None:
        """Go on with the soak that another process began, as status says since when.

        Only with the soak: who takes what the old twin has gets the whole time for it again.
        """
        uid, epoch = meter.uid, handover.epoch
        if (uid, epoch, COMMITTED) in self._since:
            return
        wall_s = datetime.now(UTC).timestamp()
        past_s = max(0.0, wall_s - (parse_moment(handover.committed) or math.inf))
        self._since[uid, epoch, COMMITTED] = now_s - past_s
        served_s = max(0.0, wall_s - find_ready_since(meter, ready=True))
        soaked_s = min(past_s, served_s, soak_s)
        for kind in (_SERVING, _STEADY):
            self._since[uid, epoch, kind] = now_s - soaked_s

    def _find_service(self, observed: Observed, now_s: float) -> set[Sighting]:
        """Return how the new twin of a committed handover serves."""
        uid, epoch = observed.meter.uid, observed.meter.epoch
        pod = observed.find_pod(epoch)
        if pod is not None and pod.ready:
            return {(uid, epoch, _SERVING), (uid, epoch, _STEADY)}
        unready = (uid, epoch, _UNREADY)
        broken = now_s - self._since.get(unready, now_s) >= self._patience.frozen_s
        return {unready} if broken else {unready, (uid, epoch, _STEADY)}

    def forget(self, uid: str) -> None:
        """Forget a meter that is gone."""
        self._addresses.pop(uid, None)
        self._heard.pop(uid, None)
        self._announced = {one for one in self._announced if one[0] != uid}
        for key in [one for one in self._since if one[0] == uid]:
            del self._since[key]

    def has_moved(self, observed: Observed) -> bool:
        """Whether twins that ask each other have other addresses than when this was asked last.

        The last one that others could ask moves too when it goes: nobody is to ask for it any more.
        """
        addresses = find_addresses(observed.pods)
        uid, active = observed.meter.uid, observed.meter.epoch
        # An older twin is asked also while the active one has no address itself: its pod is new.
        asked = addresses if addresses.keys() - {active} else {}
        before = self._addresses.pop(uid, {})
        if asked:
            self._addresses[uid] = asked
        return before != asked

    async def begin(self, observed: Observed, desired: Desired, reason: str) -> Meter | None:
        """Decide on a candidate; None when the meter was changed meanwhile."""
        meter = observed.meter
        status = decisions.build_begin(
            meter,
            desired,
            epoch=observed.highest_witness + 1,
            epoch_id=self._random(16),
            reason=reason,
            now=format_now(),
        )
        decided = await self._decide(meter, status)
        if decided is not None:
            text = f"epoch {status['highestEpoch']} is to replace {meter.epoch}: {reason}"
            self._events.add(decided, "HandoverBegun", text)
            await self._publish(decided)
        return decided

    async def follow(self, observed: Observed, decision: Decision) -> bool:
        """Carry out a decision; whether the meter is to be looked at again at once."""
        meter = observed.meter
        handover = parse_handover(meter.status)
        if handover is None:
            return False
        if decision.verb == ANNOUNCE:
            if (meter.uid, handover.attempt) not in self._announced:
                self._announced.add((meter.uid, handover.attempt))
                await self._publish(meter)
            return False
        before = observed.states.get(handover.source)
        waits = bool(decision.reason) or before is None or before.word.waits
        status = {
            FREEZE: lambda: decisions.build_phase(meter, handover, FROZEN),
            COMMIT: lambda: decisions.build_commit(
                meter, handover, waits=waits, now=format_now(), stores=observed.stores
            ),
            ABORT: lambda: decisions.build_abort(
                meter, decision.reason, format_now(), stores=observed.stores
            ),
            FINISH: lambda: decisions.build_finish(meter, decision.reason, format_now()),
        }.get(decision.verb)
        if status is None or not may_follow(handover.phase, decision.verb):
            return False
        decided = await self._decide(meter, status())
        if decided is not None:
            self._say(decided, decision, handover.source, handover.epoch)
            await self._publish(decided)
        return True

    def _say(self, meter: Meter, decision: Decision, source: int, epoch: int) -> None:
        texts = {
            FREEZE: ("HandoverFrozen", f"epoch {source} acts on nobody until the decision"),
            COMMIT: ("HandoverCommitted", f"epoch {epoch} is the meter's twin"),
            ABORT: ("HandoverAborted", f"epoch {source} goes on: {decision.reason}"),
            FINISH: ("HandoverDone", decision.reason or f"epoch {epoch} has all that {source} had"),
        }
        reason, text = texts[decision.verb]
        self._events.add(meter, reason, text, "Warning" if decision.verb == ABORT else "Normal")


def find_addresses(pods: Iterable[Pod]) -> dict[int, str]:
    """Return by epoch where twins can be asked for what they hold."""
    return {pod.epoch: pod.address for pod in pods if pod.address and not pod.gone}
