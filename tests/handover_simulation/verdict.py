"""What must hold in a world at the end, when nothing goes wrong any more.

problem = find_problem(world)       # empty when all has come to rest as it should
verify_store(world)                 # the file of the twin that serves against the meter's own log

Neighbours: `oracle` and `ledger` (what must hold at any time), `tally` (what is asked of
applications).
"""

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from meter_operator.hashes import hash_spec
from meter_twin.store_queries import START

from .api_server import NAMESPACE
from .ledger import Entry
from .oracle import Broken
from .tally import find_between, find_noted
from .twin import Twin

if TYPE_CHECKING:
    from .world import World

IN_FLIGHT = 6


def find_problem(world: "World") -> str:
    """Return what has not come to rest, empty if everything has."""
    twin = world.active
    if world.status.get("handover"):
        return f"a handover does not end: {world.status['handover']['phase']}"
    if twin is None or not twin.ready:
        return f"no twin serves: {twin.gate.label if twin else 'there is none'}"
    if not twin.has_authority:
        return "the twin that serves has no authority"
    if not world.meter.link.serves():
        return "the meter does not speak to its twin"
    if world.nodes.leaving or len(world.nodes.twins) != 1:
        return f"older twins are left: {sorted(one.epoch for one in world.nodes.all)}"
    return _find_disagreement(world, twin) or _find_missing(world, twin)


def _find_disagreement(world: "World", twin: Twin) -> str:
    """Return in what status, meter and the user's wish differ."""
    status, owner = world.status, world.meter.link.owner
    if owner is None:
        return "the meter knows no owner"
    known = (owner.active, owner.active_id.hex(), owner.highest, owner.counter)
    told = (status["epoch"], status["epochId"], status["highestEpoch"], status["ownerCounter"])
    if known != told or owner.candidate:
        return f"the meter knows another decision: {known} and candidate {owner.candidate}"
    pod = world.cluster.objects["pods", NAMESPACE, f"{twin.device}-e{twin.epoch}"]
    made_for = pod["metadata"]["annotations"]["metertwin.io/spec-hash"]
    if made_for != hash_spec(world.resource["spec"]):
        return "the twin is not the one that the user wants"
    if twin.gate.memory.stopped != world.stops_loads:
        return f"load control is stopped: {world.stops_loads}, its twin knows otherwise"
    return ""


def _find_missing(world: "World", twin: Twin) -> str:
    """Return which entries the twin does not hold, or its application was not handed.

    Those of the last seconds may be on their way while the meter measures.
    """
    entries = list(world.meter.log)
    if world.meter.measures:
        del entries[-IN_FLIGHT:]
    known = twin.held | twin.find_expired(entries)
    missing = [one for one in entries if one not in known and one not in world.ledger.excused]
    if missing:
        return f"{len(missing)} entries are missing, the first {missing[0][1]}"
    if twin.host.failed or twin.store is None:
        return "an error has stopped the application"
    noted = find_noted(twin.store)
    if noted.twice:
        raise Broken(f"{noted.twice} entries were handed to the application twice")
    if noted.total < len(noted.entries):
        return f"its state knows of {noted.total} entries, {len(noted.entries)} were noted"
    if world.meter.measures:
        return ""
    lost = sorted(seq for _, seq in find_unread(twin) - find_late(world))
    return f"{len(lost)} entries were not handed to the application: {lost[:5]}" if lost else ""


def find_unread(twin: Twin) -> set[Entry]:
    """Return the entries that a twin holds in one piece and its application has not noted."""
    assert twin.store is not None
    rows = twin.store.connection.execute(
        "SELECT id, seq FROM entry JOIN incarnation ON number = incarnation WHERE seq <= stored"
    )
    return set(rows) - find_noted(twin.store).entries


def find_late(world: "World") -> set[Entry]:
    """Return the entries that came when the application had passed them as a hole, in every twin."""
    twin = world.active
    assert twin is not None
    assert twin.store is not None
    passed = find_between(twin.store, START, find_noted(twin.store).position)
    return (passed & find_unread(twin)) - world.nodes.handed


def verify_store(world: "World") -> None:
    """Compare the file of the serving twin with the meter's own log.

    Raises:
        Broken: it has other bytes, an entry that was never measured, or not what it says.
    """
    twin = world.active
    if twin is None:
        raise Broken("no twin serves")
    with closing(sqlite3.connect(twin.path)) as connection:
        rows = connection.execute(
            "SELECT i.id, e.seq, e.raw FROM entry e JOIN incarnation i ON i.number = e.incarnation"
        ).fetchall()
    held = {(incarnation, seq): raw for incarnation, seq, raw in rows}
    if len(held) != len(rows) or held.keys() != twin.held:
        raise Broken("the store's file is not what was committed")
    for entry, raw in held.items():
        if world.meter.log.get(entry) != raw:
            raise Broken(f"entry {entry[1]} has other bytes than were measured")
