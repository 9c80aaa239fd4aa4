"""Which meters of a profile get their new twin now: the waves of a fleet. Pure.

A changed TwinProfile replaces the twins of its meters in waves: *Canary*, a few meters first, then
*Fleet*, never more than `maxConcurrent` at once, then *Done*. Everything follows from what status
says of each meter, so an operator that restarts goes on with the same bounds (ADR 13).
Neighbours: `members` (what a meter is to a rollout), `rollout_status` (what is said of it),
`rollouts` (which feeds this once a second), `plan` (which begins what is permitted).
"""

import heapq
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from meter_operator.desired import Json, Key
from meter_operator.moments import parse_moment

CANARY, FLEET, DONE = "Canary", "Fleet", "Done"
HANDOVER, REPLACE = "Handover", "Replace"
BY_USER, TOO_MANY_FAILURES = "ByUser", "TooManyFailures"
BROKEN_S = 60.0
"""A twin that is not ready for so long is not handed over, it is replaced."""
NEVER_S = math.inf
TROUBLES_SHOWN = 3


class Policy(NamedTuple):
    """`spec.rollout` of a profile; failures up to `resumed_s` (seconds since 1970) are forgiven."""

    max_concurrent: int = 10
    canary: int = 1
    soak_s: float = 30.0
    progress_s: float = 600.0
    max_failures: int = 3
    offline_commits: bool = False
    paused: bool = False
    resumed_s: float = 0.0


def parse_policy(profile: Json) -> Policy:
    """Return the policy of a profile's spec; what is left out has its default."""
    found = profile.get("rollout") or {}
    usual = Policy()
    return Policy(
        max_concurrent=int(found.get("maxConcurrent", usual.max_concurrent)),
        canary=int(found.get("canary", usual.canary)),
        soak_s=float(found.get("soakSeconds", usual.soak_s)),
        progress_s=float(found.get("progressDeadlineSeconds", usual.progress_s)),
        max_failures=int(found.get("maxFailures", usual.max_failures)),
        offline_commits=found.get("offlineMeters") == "Commit",
        paused=bool(found.get("paused")),
        resumed_s=parse_moment(found.get("resumedAt")),
    )


class Member(NamedTuple):
    """One meter as a rollout sees it; times are seconds since 1970.

    `current`: its twin has what the profile says; `held`: why the operator leaves it alone;
    `busy`: a handover is under way, `committed`: and its new twin is the meter's, `rolling`: it is
    one of a rollout; `ready`, `since_s`: whether its twin is ready, and since when; `moved_s`: when
    a rollout had it at what the profile says; `failed`: when a rollout's tries to get it there
    ended; `retry_s`: no further try before; `online`: its twin has a session with the broker;
    `speaks`: its meter does; `order`: who is first; `trouble`: why the last try failed.
    """

    key: Key
    current: bool
    held: str = ""
    busy: bool = False
    committed: bool = False
    rolling: bool = False
    ready: bool = True
    since_s: float = 0.0
    moved_s: float = NEVER_S
    failed: tuple[float, ...] = ()
    retry_s: float = 0.0
    online: bool = True
    speaks: bool = True
    order: int = 0
    trouble: str = ""


@dataclass(slots=True)
class Counts:
    """How many meters are how; each is in one of the first six, or is still to come.

    `updated` have what the profile says; `failed` have a try behind them, or have not become ready
    in time; `offline` cannot be asked now; `held` are left alone.
    """

    total: int = 0
    updated: int = 0
    in_progress: int = 0
    failed: int = 0
    offline: int = 0
    held: int = 0
    outdated: int = 0
    busy: int = 0
    starting: int = 0
    failures: int = 0
    moved: int = 0
    proved: int = 0


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a rollout does next: who may begin and how, and what people are told.

    `is_proven`: whether the canary has served for its soak, or the whole fleet has run it before.
    """

    wave: str
    counts: Counts
    permits: dict[Key, str] = field(default_factory=dict)
    stopped: str = ""
    troubles: tuple[str, ...] = ()
    still_to_come: int = 0
    is_proven: bool = False

    @property
    def is_stuck(self) -> bool:
        """Whether nothing is left but meters that have failed."""
        others = self.counts.in_progress or self.counts.offline or self.still_to_come
        return bool(self.counts.failed) and not others


class _Look:
    """One pass over the members: counts, and who could begin."""

    def __init__(
        self, policy: Policy, now_s: float, started_s: float, reserved: Iterable[Key]
    ) -> None:
        self.policy, self.now_s, self.started_s = policy, now_s, started_s
        self.reserved = frozenset(reserved)
        self.counts = Counts()
        self.troubles: list[str] = []
        self.broken: dict[Key, str] = {}
        self.placed: set[Key] = set()
        self.untried: list[tuple[int, Key, str]] = []
        self.again: list[tuple[int, Key, str]] = []
        self.still_to_come = 0

    def add(self, member: Member) -> None:
        """Count one member."""
        counts = self.counts
        # One that is committed and never serves is a failure, though its old twin is kept.
        ends = member.committed and member.current and self._is_overdue(member)
        busy = (member.busy and not ends) or member.key in self.reserved
        counts.total += 1
        counts.busy += busy
        if member.held:
            counts.held += 1
        elif busy and (member.rolling or not member.current) and not self._may_leave(member):
            counts.in_progress += 1
            counts.outdated += not member.current
            counts.failures += self._failures(member)
        elif member.current:
            self._add_current(member, busy=busy)
        else:
            counts.outdated += 1
            self._add_outdated(member, has_place=busy)

    def _may_leave(self, member: Member) -> bool:
        """Whether a twin whose handover is not over is not worth its end: another is wanted."""
        settled = member.ready or self._is_broken(member)
        is_free = member.committed and member.key not in self.reserved
        return is_free and not member.current and settled

    def _is_broken(self, member: Member) -> bool:
        return not member.ready and self.now_s - member.since_s >= BROKEN_S

    def _is_overdue(self, member: Member) -> bool:
        return not member.ready and self.now_s - member.since_s >= self.policy.progress_s

    def _failures(self, member: Member) -> int:
        """Return how many tries of this rollout failed and are not forgiven."""
        since_s, resumed_s = self.started_s, self.policy.resumed_s
        return sum(end >= since_s and end > resumed_s for end in member.failed)

    def _fail(self, member: Member, why: str) -> None:
        self.counts.failed += 1
        if len(self.troubles) < TROUBLES_SHOWN:
            self.troubles.append(f"{member.key.name}: {why}")

    def _add_current(self, member: Member, *, busy: bool) -> None:
        counts, policy = self.counts, self.policy
        moved = self.started_s <= member.moved_s < NEVER_S
        if self._is_overdue(member):
            age_s = self.now_s - member.since_s
            counts.failures += member.since_s + policy.progress_s > policy.resumed_s
            self._fail(member, f"its twin has not been ready for {int(age_s // 60)} min")
            return
        counts.updated += 1
        counts.moved += moved
        if not member.ready:
            counts.busy += not busy
            counts.starting += not moved
        elif moved:
            begun_s = max(member.moved_s, member.since_s)
            counts.proved += self.now_s - begun_s >= policy.soak_s

    def _add_outdated(self, member: Member, *, has_place: bool) -> None:
        failures = self._failures(member) if member.failed else 0
        if failures:
            self.counts.failures += failures
            self._fail(member, member.trouble)
        kind = HANDOVER
        if not member.ready:
            kind = REPLACE if self._is_broken(member) else ""
        elif not member.online or not (member.speaks or self.policy.offline_commits):
            kind = ""
        if not kind:
            self.counts.offline += not failures
            return
        self.still_to_come += not failures
        if has_place:
            self.placed.add(member.key)
            if kind == REPLACE:
                self.broken[member.key] = kind
                return
        if self.now_s >= member.retry_s:
            rows = self.again if failures else self.untried
            rows.append((member.order, member.key, kind))

    def choose(self, room: int, most: int, aside: frozenset[Key]) -> dict[Key, str]:
        """Return who begins and how: the untried first, so that failures hold up nobody.

        At most `most`, of them `room` that need a place; the others go on in the one they have.
        """
        chosen: list[tuple[int, Key, str]] = []
        for rows in (self.untried, self.again):
            free = [row for row in rows if row[1] not in aside] if aside else rows
            placed = [row for row in free if row[1] in self.placed] if self.placed else []
            others = [row for row in free if row[1] not in self.placed] if placed else free
            found = heapq.nsmallest(most - len(chosen), placed + heapq.nsmallest(room, others))
            room -= sum(row[1] not in self.placed for row in found)
            chosen += found
        return {key: kind for _, key, kind in chosen}


def decide_rollout(
    policy: Policy,
    members: Iterable[Member],
    *,
    now_s: float,
    started_s: float,
    proven: bool = False,
    reserved: Iterable[Key] = (),
    aside: Iterable[Key] = (),
) -> Outlook:
    """Return who of a profile's meters may begin now, and how the rollout is.

    Args:
        policy: the profile's `spec.rollout`.
        members: all its meters.
        now_s: seconds since 1970, as the times of the members are.
        started_s: when the profile began to say what it says; older failures and proofs are not
            this rollout's.
        proven: the whole fleet has run this before, so no canary is needed.
        reserved: those that were told to begin and whose status does not say so yet.
        aside: those that were permitted and did not begin; others go first.
    """
    look = _Look(policy, now_s, started_s, reserved)
    for member in members:
        look.add(member)
    counts = look.counts
    wave = FLEET
    room = max(0, policy.max_concurrent - counts.busy)
    most = room + len(look.placed)
    if not counts.outdated and not counts.in_progress:
        wave = DONE
    elif counts.proved < policy.canary and not proven:
        wave = CANARY
        most = policy.canary - counts.moved - counts.in_progress - counts.starting
    stopped = BY_USER if policy.paused else ""
    if counts.failures >= policy.max_failures and not stopped:
        stopped = TOO_MANY_FAILURES
    permits = {} if stopped else look.broken
    if not stopped and most > 0:
        permits = permits | look.choose(room, most, frozenset(aside))
    # A small fleet proves it with all that it has; one that is held back has proved nothing.
    needed = min(policy.canary, counts.moved) if wave == DONE and not counts.held else policy.canary
    is_proven = proven or counts.proved >= needed
    troubles = tuple(look.troubles)
    return Outlook(wave, counts, permits, stopped, troubles, look.still_to_come, is_proven)
