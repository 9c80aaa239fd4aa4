"""The story of one meter: observe, check, plan, act, say. Any event means "look again".

Pure parts decide (`policies`, `plan`, `status`, `owner`); `cluster` and `messenger` act. What was
allocated by this very process is remembered, because only then may a pod be created for it.
"""

import logging
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

from meter_wire.names import build_twin_name

from meter_operator import builders, plan
from meter_operator.announcements import Announcements, Publisher
from meter_operator.cache import Cache
from meter_operator.cluster import Cluster, ConflictError
from meter_operator.decisions import build_allocation
from meter_operator.deletion import Obstacle, find_finalizers
from meter_operator.desired import Desired, Json, Key, Meter, parse_meter
from meter_operator.events import Events, build_given_up
from meter_operator.fleet import Fleet
from meter_operator.handover import Patience, describe_wait, parse_handover
from meter_operator.hold import Hold
from meter_operator.moments import format_moment
from meter_operator.observed import Observed
from meter_operator.observer import Observer, find_newest
from meter_operator.owner import (
    Message,
    build_overdue_removal,
    build_state_removal,
)
from meter_operator.policies import find_violation
from meter_operator.relist import read_again
from meter_operator.reporter import Reporter
from meter_operator.rollout_metrics import count_end
from meter_operator.settings import Settings
from meter_operator.status import build_decision_status
from meter_operator.succession import Succession
from meter_operator.twins import Twins
from meter_operator.under_way import Clock, decide_left_alone
from meter_operator.wishes import Permits, Wishes

log = logging.getLogger(__name__)
LOOK_S = 1.0
_USUAL = Patience()


class Reconciler:
    """Makes one meter at a time as it should be."""

    def __init__(
        self,
        cache: Cache,
        cluster: Cluster,
        fleet: Fleet,
        publisher: Publisher,
        settings: Settings,
        events: Events,
        *,
        clock: Callable[[], float] = time.monotonic,
        random: Callable[[int], bytes] = secrets.token_bytes,
        patience: Patience = _USUAL,
        rollouts: Permits | None = None,
        raise_term: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Keep the parts; nothing is read yet. `clock` in seconds, `random` n → n bytes.

        Without `rollouts` a changed profile replaces no twin. `raise_term`: as in `Announcements`.
        """
        self.announcements = Announcements(
            cache, fleet, publisher, raise_term, handover=settings.handover
        )
        self._rollouts = rollouts
        self._observer = Observer(cache, cluster, fleet)
        self._time_s = clock
        self._random = random
        self._events = events
        self._cache = cache
        self._cluster = cluster
        self._publisher = publisher
        self._settings = settings
        self._wishes = Wishes(settings, rollouts)
        self._hold = Hold(cache, cluster, events)
        self._reporter = Reporter(cache, cluster, events)
        self._twins = Twins(cache, cluster, fleet, settings, events)
        self._allocated: set[tuple[str, int]] = set()
        publish = self._publish = self.announcements.publish
        self._succession = Succession(self._decide, publish, events, random, patience)

    async def reconcile(self, key: Key) -> bool:
        """Bring one meter closer to what it should be; True when there is more to do at once.

        A decision is followed up at once: behind the others in the queue, a meter's twin would
        begin only when the last meter of a new street has its epoch.

        Raises:
            ClusterError: the API refused; try again later.
        """
        again = await self._look(key)
        meter = self._cache.meters.get(key)
        if again and meter is not None and (meter.uid, find_newest(meter)) in self._allocated:
            again = await self._look(key)
        return again

    def forget(self, gone: Meter) -> None:
        """Forget a SmartMeter that was deleted."""
        self._succession.forget(gone.uid)
        self.announcements.forget(gone)
        self._allocated = {row for row in self._allocated if row[0] != gone.uid}

    def pause_s(self, key: Key) -> float | None:
        """Return when to look again though nothing happens: deadlines pass by themselves."""
        meter = self._cache.meters.get(key)
        if meter is None or not self._settings.handover:
            return None
        busy = meter.status.get("handover") or len(self._cache.pods_of(meter)) > 1
        return LOOK_S if busy else None

    async def _look(self, key: Key) -> bool:
        meter = self._cache.meters.get(key)
        if meter is None:
            return False
        await self.announcements.follow([meter])
        finalizers = find_finalizers(meter)
        if finalizers is not None:  # before anything is made that it is to keep
            return await self._hold.write(meter, finalizers)
        if meter.is_going:
            return False
        public_keys = await self._observer.read_public_keys(meter)
        new = (meter.uid, find_newest(meter)) in self._allocated
        observed = self._observer.observe(meter, public_keys, newly_allocated=new)
        obstacle = await self._hold.find_obstacle(observed) if meter.is_held else None
        if meter.is_held and obstacle is None:
            return await self._hold.release(meter)
        return await self._bring(observed, public_keys, obstacle)

    async def _bring(
        self, observed: Observed, public_keys: dict[str, str], obstacle: Obstacle | None
    ) -> bool:
        """Check, plan and act, then say how it was; `obstacle`: why its deletion waits."""
        violation = find_violation(observed)
        if violation or observed.profile is None:
            # Deadlines run in any case: a twin that is frozen must not stay so.
            why, clock = violation.reason if violation else "", self._clock(observed)
            if await self._succession.follow(observed, decide_left_alone(observed, clock, why)):
                return True
            await self._reporter.report(observed, None, violation, obstacle)
            return False
        wish = partial(self._wishes.wish, observed, public_keys)
        desired = wish()
        pod = observed.find_pod(observed.meter.epoch)
        clock = self._clock(observed)
        due = pod is not None and pod.is_renewal_due(datetime.now(UTC))
        steps = plan.build_plan(observed, desired, renewal_due=due, clock=clock)
        again = await self._act(observed, desired, wish, steps)
        if not again:
            waits_for = describe_wait(steps.decision, clock.phase_s) if clock else ""
            await self._reporter.report(observed, desired, None, obstacle, waits_for)
        return again

    async def _act(
        self, observed: Observed, desired: Desired, wish: Callable[..., Desired], steps: plan.Plan
    ) -> bool:
        """Act; `wish` says what another twin of the meter is to be, as `Wishes` does."""
        if self._rollouts is not None and steps.is_rollout:
            self._rollouts.reserve(observed.meter)
        if steps.takeover_reason == plan.POD_GONE and await self._find_unseen(observed.meter):
            return True
        if await self._write(observed, desired, wish, steps):
            return True
        if self._settings.handover and self._succession.has_moved(observed):
            await self._publish(observed.meter)
        if steps.create_candidate:
            await self._make_candidate(observed, desired)
        if steps.create_pod:
            await self._make(observed, wish(named=observed.meter.content_hash))
        await self._tidy(observed, steps)
        return False

    async def _write(
        self, observed: Observed, desired: Desired, wish: Callable[..., Desired], steps: plan.Plan
    ) -> bool:
        """Write the decision that is due, if there is one; whether there was."""
        if steps.allocate_epoch:
            await self._allocate(observed, wish(named=""), steps)
            return True
        if steps.amend:
            await self._decide(observed.meter, dict(steps.amend))
            return True
        if steps.begin:
            decided = await self._succession.begin(observed, desired, steps.begin)
            if decided is not None:
                self._allocated.add((decided.uid, find_newest(decided)))
            return True
        return await self._succession.follow(observed, steps.decision)

    async def _tidy(self, observed: Observed, steps: plan.Plan) -> None:
        """Do what is left to do about twins that are there."""
        pod = observed.find_pod(observed.meter.epoch)
        for old in steps.retire:
            # One that is made again in its epoch keeps its Secret.
            passed = self._settings.handover and old.epoch != observed.meter.epoch
            spent = passed and plan.is_passed_on(observed, old)
            if passed and not spent and old.epoch in observed.stores:
                self._events.add(*build_given_up(observed.meter, old.epoch))
            await self._twins.remove(observed.meter, old, is_older=passed, with_claim=spent)
        if steps.renew_certificate and pod is not None:
            await self._twins.renew(observed.meter, pod)
        if steps.clear_states:
            device = observed.meter.device
            await self._publisher.publish(build_state_removal(device, steps.clear_states))

    async def _make_candidate(self, observed: Observed, desired: Desired) -> None:
        meter = observed.meter
        handover = parse_handover(meter.status)
        if handover is not None:
            await self._twins.create_candidate(observed, desired, handover)
            self._allocated.discard((meter.uid, handover.epoch))

    async def _make(self, observed: Observed, desired: Desired) -> None:
        meter = observed.meter
        if meter.store_claim:  # made again in its epoch, with other keys perhaps
            await self._publish(meter)
        await self._twins.create(observed, desired)
        self._allocated.discard((meter.uid, meter.epoch))

    def _clock(self, observed: Observed) -> Clock | None:
        if not self._settings.handover:
            return None
        permit = self._rollouts.permit(observed.meter) if self._rollouts else ""
        return self._succession.clock(observed, self._time_s(), permit)

    async def _find_unseen(self, meter: Meter) -> bool:
        """Ask the API itself before a takeover: the watch may be behind, or have just begun."""
        name = build_twin_name(meter.device, meter.epoch)
        body = await self._cluster.find("Pod", meter.key.namespace, name)
        if body is None or not builders.is_owned(body, meter):
            return False
        self._cache.store_pod(body)
        return any(pod.epoch == meter.epoch for pod in self._cache.pods_of(meter))

    async def _allocate(self, observed: Observed, desired: Desired, steps: plan.Plan) -> None:
        """Decide: one compare-and-swap on the status; everything else follows from it.

        The conditions that follow from the decision are in the same write.
        """
        meter = observed.meter
        epoch, reason = steps.allocate_epoch, steps.takeover_reason
        identity, now = self._random(16).hex(), datetime.now(UTC)
        decision = build_allocation(
            *(meter, desired, epoch, identity, steps.owner_counter),
            *(reason, format_moment(now)),
            pods=observed.pods,
            stores=observed.stores,
        )
        decided = await self._decide(meter, build_decision_status(observed, desired, decision, now))
        if decided is None:
            return
        self._allocated.add((decided.uid, epoch))
        log.info("epoch decided", extra={"meter": meter.key.name, "epoch": epoch, "reason": reason})
        if meter.epoch:
            self._events.add(decided, "Takeover", f"epoch {epoch} replaces {meter.epoch}: {reason}")
        overdue = build_overdue_removal(decided, meter.previous_epochs)
        await self._publisher.publish([*overdue, *self.messages_of(decided)])

    async def _decide(self, meter: Meter, status: Json) -> Meter | None:
        """Write a decision; None when the meter was changed since, which is looked at again."""
        try:
            body = await self._cluster.write_status(meter, status, decision=True)
        except ConflictError:
            await read_again(self._cluster, self._cache, meter.key)
            return None
        count_end(status)
        decided = parse_meter(body)
        known = self._cache.store_meter(body)
        if known.owner_counter >= decided.owner_counter:
            decided = known  # changed again, upon our decision
        # A status that is put back below this is known at once, before anybody else tells.
        self._cache.raise_witness(decided.device, decided.highest_epoch, decided.owner_counter)
        return decided

    def messages_of(self, meter: Meter, nonce: bytes = b"") -> list[Message]:
        """Return what the broker has to hold for a meter; `nonce` is that of its hello."""
        return self.announcements.messages_of(meter, nonce)
