"""Nodes that are emptied: twins leave a cordoned node a few at a time, when another can take them.

The disruption budget refuses every eviction, so the cordon is the sign to act on. Nodes are asked
for with a field selector, every few seconds: as long as none is cordoned the answer is empty,
however large the cluster. `plan` decides what leaving means for a twin's store. Neighbours:
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

log = logging.getLogger(__name__)
PERIOD_S = 10.0
FORBIDDEN_S = 300.0
MOST_AT_ONCE = 5
# One that does not become ready gives its place to the next after this time.
PATIENCE_S = 600.0
REASON = "NodeCordoned"
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
        self._tried: dict[Key, int] = {}
        self._said: set[tuple[str, str]] = set()
        self._forbidden = False

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
        if staying and len(self._moves) < MOST_AT_ONCE:
            if await self._has_taker():
                self._let_go(staying[: MOST_AT_ONCE - len(self._moves)], now_s)
            else:
                self._say_why_not(staying)
        leaving = {key: move.node for key, move in self._moves.items() if move.node in cordoned}
        self._cache.leaving = leaving
        for key in leaving:
            self._look(key)

    def _node_of(self, meter: Meter) -> str:
        pods = self._cache.pods_of(meter)
        return next((p.node for p in pods if p.epoch == meter.epoch and not p.gone), "")

    def _forget_arrived(self, cordoned: set[str], now_s: float) -> None:
        """Free the places of twins that are ready elsewhere, were deleted or took too long."""
        for key, move in list(self._moves.items()):
            meter = self._cache.meters.get(key)
            pods = self._cache.pods_of(meter) if meter else ()
            arrived = meter is None or any(
                p.epoch == meter.epoch and p.ready and not p.gone and p.node not in cordoned
                for p in pods
            )
            if arrived or now_s >= move.until_s:
                del self._moves[key]
        self._said = {(uid, node) for uid, node in self._said if node in cordoned}
        if not cordoned:
            self._tried.clear()

    def _staying(self, cordoned: set[str]) -> list[tuple[Meter, str]]:
        """Return the meters whose twins are on a cordoned node, those tried least first."""
        found = [
            (meter, self._node_of(meter))
            for meter in self._cache.meters.values()
            if meter.epoch and not meter.paused and not meter.deleting
        ]
        found = [row for row in found if row[1] in cordoned and row[0].key not in self._moves]
        return sorted(found, key=lambda row: (self._tried.get(row[0].key, 0), row[0].key))

    async def _has_taker(self) -> bool:
        nodes, _ = await self._cluster.list_all("Node", "", fields="spec.unschedulable%3Dfalse")
        return any(_can_take(node) for node in nodes)

    def _let_go(self, rows: list[tuple[Meter, str]], now_s: float) -> None:
        for meter, node in rows:
            self._moves[meter.key] = Move(node, now_s + PATIENCE_S)
            self._tried[meter.key] = self._tried.get(meter.key, 0) + 1
            self._events.add(meter, REASON, f"node {node} is cordoned: the twin moves to another")

    def _say_why_not(self, rows: list[tuple[Meter, str]]) -> None:
        for meter, node in rows:
            if (meter.uid, node) not in self._said:
                self._said.add((meter.uid, node))
                text = f"node {node} is cordoned: the twin stays, no other node can take it"
                self._events.add(meter, REASON, text, "Warning")


def _can_take(node: Json) -> bool:
    """Whether a twin, which tolerates nothing, could be scheduled there."""
    if node["spec"].get("unschedulable"):
        return False
    if any(taint["effect"] != "PreferNoSchedule" for taint in node["spec"].get("taints") or []):
        return False
    rows = (node.get("status") or {}).get("conditions") or []
    return any(row["type"] == "Ready" and row["status"] == "True" for row in rows)
