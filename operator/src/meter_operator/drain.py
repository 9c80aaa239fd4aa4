"""Nodes that are emptied: twins leave a cordoned node a few at a time, when another can take them.

The disruption budget refuses every eviction, so the cordon is the sign to act on. Nodes are asked
for with a field selector, every few seconds: as long as none is cordoned the answer is empty,
however large the cluster. `plan` decides what leaving means for a twin's store. Before another one
is given up, all that were given up have to be replaced somewhere: that is asked of the pods, which
an operator that restarts finds as they were (ADR 9). The first of each node goes alone. Neighbours:
`cache` (which meters leave which node), `reconciler`.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import NamedTuple

from meter_operator.cache import Cache
from meter_operator.cluster import Cluster, ClusterError
from meter_operator.desired import Json, Key, Meter
from meter_operator.events import Events
from meter_operator.observed import Pod
from meter_operator.status import find_violation_reason

log = logging.getLogger(__name__)
PERIOD_S = 10.0
FORBIDDEN_S = 300.0
MOST_AT_ONCE = 5
# One that has a node and does not become ready gives its place to the next after this time.
PATIENCE_S = 600.0
REASON = "NodeCordoned"
NO_TAKER = "the twin stays, no other node can take it"
NO_ROOM = "the twin stays until one that was replaced before it has found a node"
BY_HAND = (
    "may not list nodes (value operator.watchNodes): after a cordon delete the twins yourself,"
    " kubectl delete pod -l metertwin.io/role=twin --field-selector spec.nodeName=NODE, see"
    " docs/how-to/drain.md"
)


class Move(NamedTuple):
    """A twin that has been told to leave."""

    node: str
    until_s: float


class Drain:
    """Watches cordons and lets twins go."""

    def __init__(
        self, cluster: Cluster, cache: Cache, look: Callable[[Key], None], events: Events
    ) -> None:
        """Keep the parts; `run` polls."""
        self._cluster = cluster
        self._cache = cache
        self._look = look
        self._events = events
        self._moves: dict[Key, Move] = {}
        # How often each was told to leave which node that is still cordoned.
        self._tried: dict[tuple[Key, str], int] = {}
        self._said: set[tuple[str, str, str]] = set()
        self._forbidden = False
        self._held_up = 0

    async def run(self) -> None:
        """Poll for ever."""
        while True:
            pause_s = await self.step()
            await asyncio.sleep(pause_s)

    async def step(self) -> float:
        """Poll once, survive what the API says, and return how long to wait in seconds."""
        try:
            await self.poll(time.monotonic())
        except ClusterError as error:
            if error.status != HTTPStatus.FORBIDDEN:
                log.warning("nodes: %s", error)
                return PERIOD_S
            if not self._forbidden:
                log.warning("nodes: %s", BY_HAND)
            self._forbidden = True
            return FORBIDDEN_S
        return PERIOD_S

    async def poll(self, now_s: float) -> None:
        """Look at the nodes and let as many twins go as may be under way.

        Raises:
            ClusterError: the nodes could not be read.
        """
        nodes, _ = await self._cluster.list_all("Node", "", fields="spec.unschedulable%3Dtrue")
        cordoned = {n["metadata"]["name"] for n in nodes if n["spec"].get("unschedulable")}
        self._forget_arrived(cordoned, now_s)
        staying = self._staying(cordoned)
        self._held_up = 0 if not cordoned or self._has_room() else self._held_up + 1
        if self._held_up:
            # A pod that was made just now may have no node yet: worth a wait, but no words.
            self._say_why_not(staying if self._held_up > 1 else [], NO_ROOM)
        elif staying and len(self._moves) < MOST_AT_ONCE:
            if await self._has_taker():
                self._let_go(self._next_of(staying, cordoned), now_s)
            else:
                self._say_why_not(staying, NO_TAKER)
        leaving = {key: move.node for key, move in self._moves.items() if move.node in cordoned}
        self._cache.leaving = leaving
        for key in leaving:
            self._look(key)

    def _node_of(self, meter: Meter) -> str:
        """Return the node of the current pod; empty while it has none, or there is no pod."""
        pods = self._cache.pods_of(meter)
        return next((p.node for p in pods if p.epoch == meter.epoch and not p.gone), "")

    def _has_room(self) -> bool:
        """Whether every twin that was told to leave, or lost its store otherwise, has a node.

        Each further one would lose its store for a pod that nobody can start. A meter that is left
        as it is (paused, say) holds back nobody.
        """
        return not any(
            waits_for_node(meter, self._cache.pods_of(meter))
            or (meter.key in self._moves and not self._node_of(meter))
            for meter in self._cache.meters.values()
            if not meter.is_going and not find_violation_reason(meter)
        )

    def _next_of(
        self, staying: list[tuple[Meter, str]], cordoned: set[str]
    ) -> list[tuple[Meter, str]]:
        """Return who goes next: as many as there are places, of persistent twins only one.

        The first of a node goes alone: it costs one store to learn that there is no room, and each
        cordon takes some. A volume may be bound to its node, which shows when the pod that needs it
        finds none.
        """
        moved = [self._cache.meters[key] for key in self._moves if key in self._cache.meters]
        leaving = any(meter.store_claim and self._node_of(meter) in cordoned for meter in moved)
        free = [row for row in staying if not row[0].store_claim]
        bound = [row for row in staying if row[0].store_claim]
        rows = [*free, *bound[: 0 if leaving else 1]]
        left = self._left(cordoned)
        following = [row for row in rows if row[1] in left]
        first = [row for row in free if row[1] not in left] or ([] if following else rows)
        places = (1 if first else MOST_AT_ONCE) - len(self._moves)
        return (first or following)[: max(0, places)]

    def _left(self, cordoned: set[str]) -> set[str]:
        """Return the cordoned nodes that a twin was told to leave, and has another node since."""
        tried = [(self._cache.meters.get(key), node) for key, node in self._tried]
        now = [(node, self._node_of(meter)) for meter, node in tried if meter is not None]
        return {node for node, other in now if other and other not in cordoned}

    def _forget_arrived(self, cordoned: set[str], now_s: float) -> None:
        """Free the places of twins that are ready elsewhere, were deleted or took too long.

        One without a node keeps its place however long it takes: nothing has moved yet.
        """
        for key, move in list(self._moves.items()):
            meter = self._cache.meters.get(key)
            pods = self._cache.pods_of(meter) if meter else ()
            arrived = meter is None or any(
                p.epoch == meter.epoch and p.ready and not p.gone and p.node not in cordoned
                for p in pods
            )
            late = now_s >= move.until_s
            if arrived or (late and meter is not None and self._node_of(meter)):
                del self._moves[key]
        self._said = {row for row in self._said if row[1] in cordoned}
        self._tried = {row: times for row, times in self._tried.items() if row[1] in cordoned}

    def _staying(self, cordoned: set[str]) -> list[tuple[Meter, str]]:
        """Return the meters whose twins are on a cordoned node, those tried least first."""
        found = [
            (meter, self._node_of(meter))
            for meter in self._cache.meters.values()
            if meter.epoch and not meter.is_going and meter.key not in self._moves
        ]
        found = [row for row in found if row[1] in cordoned]
        for row in found:
            reason = find_violation_reason(row[0])
            if reason:
                self._say_why_not([row], f"the twin stays: {reason}")
        found = [row for row in found if not find_violation_reason(row[0])]
        return sorted(found, key=lambda row: (self._tried.get((row[0].key, row[1]), 0), row[0].key))

    async def _has_taker(self) -> bool:
        nodes, _ = await self._cluster.list_all("Node", "", fields="spec.unschedulable%3Dfalse")
        return any(_can_take(node) for node in nodes)

    def _let_go(self, rows: list[tuple[Meter, str]], now_s: float) -> None:
        for meter, node in rows:
            self._moves[meter.key] = Move(node, now_s + PATIENCE_S)
            self._tried[meter.key, node] = self._tried.get((meter.key, node), 0) + 1
            self._events.add(meter, REASON, f"node {node} is cordoned: the twin moves to another")

    def _say_why_not(self, rows: list[tuple[Meter, str]], why: str) -> None:
        for meter, node in rows:
            if (meter.uid, node, why) not in self._said:
                self._said.add((meter.uid, node, why))
                self._events.add(meter, REASON, f"node {node} is cordoned: {why}", "Warning")


def waits_for_node(meter: Meter, pods: tuple[Pod, ...]) -> bool:
    """Whether a meter's emptyDir was given up for a later epoch, which no node has taken yet.

    Pure, and true whoever gave it up and why; a first epoch has replaced nothing. It waits too
    before its pod is made, or when that is gone.
    """
    if meter.store_claim or not meter.previous_epochs:
        return False
    return not any(pod.epoch == meter.epoch and pod.node and not pod.gone for pod in pods)


def _can_take(node: Json) -> bool:
    """Whether a twin, which tolerates nothing, could be scheduled there."""
    if node["spec"].get("unschedulable"):
        return False
    if any(taint["effect"] != "PreferNoSchedule" for taint in node["spec"].get("taints") or []):
        return False
    rows = (node.get("status") or {}).get("conditions") or []
    return any(row["type"] == "Ready" and row["status"] == "True" for row in rows)
