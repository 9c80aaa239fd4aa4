"""Feeds the rollouts from the cache once a second, and answers who may begin.

A profile is looked at again each second while something is to do, else every few; a look at ten
thousand meters takes some 20 ms, whatever the number of reconciles (ADR 13). Whoever begins is
reserved until status says so, so that two looks never permit more than `maxConcurrent`.
Neighbours: `rollout` (decides), `members` (reads), `rollout_news` (tells), `reconciler` (asks).
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import NamedTuple

from meter_operator.cache import Cache
from meter_operator.cluster import Cluster, ClusterError
from meter_operator.content import Offer, list_named
from meter_operator.desired import Json, Key, Meter
from meter_operator.events import PROFILE, Events, Subject
from meter_operator.hashes import hash_content
from meter_operator.load_control import count_stopped
from meter_operator.members import Members, Target
from meter_operator.moments import format_moment, parse_moment
from meter_operator.rollout import DONE, Outlook, decide_rollout, parse_policy
from meter_operator.rollout_news import find_news
from meter_operator.rollout_status import build_profile_status, find_contents

log = logging.getLogger(__name__)
PERIOD_S = 1.0
IDLE_S = 5.0
WRITE_S = 5.0
RESERVED_S = 120.0
OFFERED_S = 15.0
ASIDE_S = 60.0
NEVER_S = float("-inf")
FORBIDDEN = (
    "may not write the status of TwinProfiles, so no profile is rolled out: the operator's role"
    " needs twinprofiles/status (upgrade the chart)"
)


class Permit(NamedTuple):
    """How a meter may begin, and for which content of its profile."""

    kind: str
    content: str


class Reservation(NamedTuple):
    """A meter that was told to begin: how, when, and the version of its resource at that time."""

    permit: Permit
    version: str
    at_s: float


class Course:
    """One profile's rollout between two looks."""

    def __init__(self, target: Target) -> None:
        """Begin for a target."""
        self.members = Members(target)
        self.permits: dict[Key, Permit] = {}
        self.offered: dict[Key, float] = {}
        self.aside: dict[Key, float] = {}
        self.is_proven = False
        self.next_s = NEVER_S
        self.written_s = NEVER_S


class Rollouts:
    """The rollouts of all profiles."""

    def __init__(
        self,
        cache: Cache,
        cluster: Cluster,
        look: Callable[[Key], None],
        events: Events,
        *,
        clock: Callable[[], float] = time.time,
        hears: Callable[[], bool] = lambda: True,
    ) -> None:
        """`look` asks for a reconcile of a meter; `clock` gives seconds since 1970.

        `hears`: whether this process has a session with the broker. What it has heard before says
        nothing of now, and no handover could be led to its end.
        """
        self._hears = hears
        self._cache = cache
        self._cluster = cluster
        self._look = look
        self._events = events
        self._time_s = clock
        self._courses: dict[Key, Course] = {}
        self._reserved: dict[Key, Reservation] = {}
        self._forbidden = False

    async def run(self) -> None:
        """Look for ever; what is wrong with one look ends neither the next nor the operator."""
        while True:
            try:
                await self.step()
            except Exception:
                log.exception("rollouts")
            await asyncio.sleep(PERIOD_S)

    def permit(self, meter: Meter) -> str:
        """Return how a meter may get what its profile says now; empty if it has to wait."""
        key = Key(meter.key.namespace, meter.spec["profile"])
        course, profile = self._courses.get(key), self._cache.profiles.specs.get(key)
        found = course.permits.get(meter.key) if course else None
        row = self._reserved.get(meter.key)
        if row is not None and row.version == meter.resource_version:
            found = row.permit  # its first try has failed: the place is still its own
        if found is None or profile is None or parse_policy(profile).paused:
            return ""
        return found.kind if found.content == hash_content(profile) else ""

    def offer(self, meter: Meter) -> Offer | None:
        """Return what a meter's profile has for it; None where there is no profile."""
        key = Key(meter.key.namespace, meter.spec["profile"])
        course, profile = self._courses.get(key), self._cache.profiles.specs.get(key)
        if profile is None:
            return None
        is_known = course is not None and course.members.target.profile is profile
        now = course.members.target.content if course and is_known else hash_content(profile)
        earlier, contents = find_contents(self._cache.profiles.bodies[key].get("status") or {})
        if earlier in {"", now} and meter.content_hash in {"", now}:
            return Offer(profile, now)
        is_proven = course is not None and is_known and course.is_proven
        permitted = bool(self.permit(meter))
        return Offer(profile, now, earlier, contents, is_proven, permitted)

    def reserve(self, meter: Meter) -> None:
        """Note that a meter begins now, before anything is awaited; its permit is used up."""
        key = Key(meter.key.namespace, meter.spec["profile"])
        course = self._courses.get(key)
        permit = course.permits.pop(meter.key, None) if course else None
        if permit is None:
            permit = self._reserved[meter.key].permit
        now_s = self._time_s()
        self._reserved[meter.key] = Reservation(permit, meter.resource_version, now_s)

    async def step(self) -> None:
        """Look at each profile that is due, say how it is, and let meters begin."""
        now_s = self._time_s()
        bodies = self._cache.profiles.bodies
        for gone in self._courses.keys() - bodies.keys():
            del self._courses[gone]
        due = {key for key in bodies if self._is_due(key, now_s)}
        if not due:
            return
        self._forget_reservations(now_s)
        groups: dict[tuple[str, str], list[Meter]] = {key: [] for key in due}
        for meter in self._cache.meters.values():
            group = groups.get((meter.key[0], meter.spec["profile"]))
            if group is not None and not meter.deleting:
                group.append(meter)
        for key in sorted(due):
            if key in bodies:
                await self._roll(key, bodies[key], groups[key], now_s)

    def _is_due(self, key: Key, now_s: float) -> bool:
        course = self._courses.get(key)
        if course is None or course.members.target.profile is not self._cache.profiles.specs.get(
            key
        ):
            return True
        return now_s >= course.next_s

    def _forget_reservations(self, now_s: float) -> None:
        """Forget those whose status has changed since: it tells the truth now."""
        for key, row in list(self._reserved.items()):
            meter = self._cache.meters.get(key)
            if (
                meter is None
                or meter.resource_version != row.version
                or not 0 <= now_s - row.at_s < RESERVED_S
            ):
                del self._reserved[key]

    async def _roll(self, key: Key, body: Json, meters: list[Meter], now_s: float) -> None:
        status = body.get("status") or {}
        course = self._course(key, body)
        target = course.members.target
        same = status.get("target") == target.content
        started = status.get("startedAt") if same else None
        started = started or format_moment(now_s)
        policy = parse_policy(target.profile)
        outlook = decide_rollout(
            policy,
            course.members.read(self._cache, meters),
            now_s=now_s,
            started_s=parse_moment(started),
            proven=any(row["hash"] == target.content for row in status.get("history") or []),
            reserved=self._reserved,
            aside=self._aside(course, now_s),
        )
        named = {one for meter in meters for one in list_named(meter)}
        wanted = build_profile_status(
            body, target, policy, outlook, started=started, now_s=now_s, named=named,
            stopped=count_stopped(self._cache, meters),
        )  # fmt: skip
        course.next_s = now_s + (IDLE_S if outlook.wave == DONE else PERIOD_S)
        course.is_proven = outlook.is_proven and not outlook.stopped
        course.permits = {}  # those of the look before: nobody begins with one meanwhile
        await self._say(key, course, wanted, now_s)
        said = (self._cache.profiles.bodies.get(key) or {}).get("status") or {}
        # Failures count from when status says that it began: nothing begins before it does.
        known = said.get("target") == target.content and said.get("startedAt") == started
        self._offer(course, outlook if known and self._hears() else None, now_s)

    def _course(self, key: Key, body: Json) -> Course:
        """Return the profile's course, with members for what it says now."""
        profile: Json = self._cache.profiles.specs.get(key) or body["spec"]
        content = hash_content(profile)
        baseline = str((body.get("status") or {}).get("baseline") or content)
        course = self._courses.get(key)
        if course is None:
            course = self._courses[key] = Course(Target(profile, content, baseline))
        elif course.members.target.profile is not profile or (
            course.members.target.baseline != baseline
        ):
            course.members = Members(Target(profile, content, baseline))
            course.permits = {}
        return course

    def _aside(self, course: Course, now_s: float) -> Iterable[Key]:
        """Return who was permitted for a while and did not begin, for whatever reason."""
        for key, since_s in list(course.offered.items()):
            if now_s - since_s >= OFFERED_S:
                course.aside[key] = now_s + ASIDE_S
                del course.offered[key]
        course.aside = {key: end for key, end in course.aside.items() if end > now_s}
        return course.aside

    def _offer(self, course: Course, outlook: Outlook | None, now_s: float) -> None:
        permits = outlook.permits if outlook is not None else {}
        content = course.members.target.content
        course.permits = {key: Permit(kind, content) for key, kind in permits.items()}
        course.offered = {key: course.offered.get(key, now_s) for key in permits}
        for key in permits:
            self._look(key)

    async def _say(self, key: Key, course: Course, wanted: Json, now_s: float) -> None:
        """Write the status if it differs: at once for a new spec, else every few seconds.

        What is new to people is told when it is written, and only then.
        """
        body = self._cache.profiles.bodies[key]
        status = body.get("status") or {}
        different = {name: value for name, value in wanted.items() if status.get(name) != value}
        urgent = different.keys() & {"target", "baseline", "startedAt", "observedGeneration"}
        if not different or (not urgent and 0 <= now_s - course.written_s < WRITE_S):
            return
        course.written_s = now_s
        try:
            written = await self._cluster.report_status("TwinProfile", key, different)
        except ClusterError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return
            forbidden = error.status == HTTPStatus.FORBIDDEN
            if not forbidden or not self._forbidden:
                log.warning("%s", FORBIDDEN if forbidden else error)
            self._forbidden = forbidden
            return
        self._cache.profiles.store(written)
        subject = Subject(PROFILE, key, str(body["metadata"]["uid"]))
        for news in find_news(key.name, status, wanted):
            self._events.add(subject, *news)
