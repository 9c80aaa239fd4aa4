"""To which version a rollback goes: of a meter, and of all meters of a profile. Pure.

A rollback that is asked for again while it is on its way keeps its target: the version before would
be the one that it has just left. Nothing in the cluster names a rollback, so it is told from an
upgrade by what ran before and by which version is the older one; where tags do not say that,
nothing is changed. Neighbours: `rollout` (what is changed), `cli_rollout` (the command).
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from kubectl_meter.errors import MeterError
from kubectl_meter.rollout import OWN, Json, find_version
from kubectl_meter.twin import find_condition

_NUMBERS = re.compile(r"v?(\d+(?:\.\d+)*)")


class Target(NamedTuple):
    """Where a rollback goes; `kept`: it is on its way there already."""

    version: str
    kept: bool = False


class _Move(NamedTuple):
    """A twin was replaced by one of another version."""

    before: str
    after: str


def target_of_meter(meter: Json) -> Target:
    """Return the version to which a meter goes back.

    One that does not run yet what it asks for goes back to what it runs; else to what the handover
    under way, also one that soaks, or its last one came from. A way back goes on.

    Raises:
        MeterError: none is known, or this may be a way back already.
    """
    name, status = meter["metadata"]["name"], meter.get("status", {})
    handover, moves = status.get("handover") or {}, list(_moves(status))
    coming, wanted = str(handover.get("version") or ""), find_version(meter)
    running = str(status.get("twin", {}).get("version") or "")
    if handover.get("phase") == "Committed" and coming:  # `twin.version` may be behind
        running = coming
    before = next((move.before for move in moves if move.before != running), "")
    if running and wanted == running and coming not in {"", running}:
        return Target(running, kept=True)  # withdrawn, and not yet given up
    if running and (wanted or coming) not in {"", running}:
        if wanted == before:
            return _go_on(f"{name} runs {running}", name, left=running, wanted=wanted)
        return Target(running)
    if len(moves) > 1 and _is_fresh(meter, moves[0]) and moves[0] == moves[1][::-1]:
        what = f"{name} has just got {running}"
        return _go_on(what, name, left=moves[0].before, wanted=moves[0].after)
    if before:
        return Target(before)
    raise MeterError(
        f"{name} runs {running or 'nothing'}, and no handover from another version is known",
        field="status.handovers",
        remedy=f"name one: kubectl meter upgrade {name} --to VERSION",
    )


def _moves(status: Json) -> Iterator[_Move]:
    """Yield how a meter's version changed, the last change first; also one that soaks."""
    handover = status.get("handover") or {}
    rows = [handover] if handover.get("phase") == "Committed" else []
    rows += [row for row in status.get("handovers") or [] if row["result"] != "Aborted"]
    for row in rows:
        move = _parse_move(row)
        if move.before and move.before != move.after:
            yield move


def _parse_move(row: Json) -> _Move:
    return _Move(str(row.get("fromVersion") or ""), str(row.get("version") or ""))


def _is_fresh(meter: Json, move: _Move) -> bool:
    """Whether the last change of the version soaks, or was a takeover that is not ready yet."""
    status = meter["status"]
    handover = status.get("handover") or {}
    if handover.get("phase") == "Committed":
        return _parse_move(handover) == move
    is_ready = find_condition(meter, "Ready").get("status") == "True"
    return not handover and not is_ready and _parse_move(status["handovers"][0]) == move


def target_of_profile(profile: Json) -> Target:
    """Return the last version that the whole fleet has run and that the profile does not name.

    A way back goes on.

    Raises:
        MeterError: none is known, or this may be a way back already.
    """
    name, current = profile["metadata"]["name"], find_version(profile)
    status = profile.get("status", {})
    versions = [str(row["version"]) for row in status.get("history") or []]
    if versions[:1] == [current] and _is_withdrawn(profile):
        return Target(current, kept=True)
    under_way = status.get("wave") != "Done" or not _is_seen(profile)
    if versions[1:2] == [current] and under_way:
        what = f"the fleet of {name} has run {versions[0] or OWN} last"
        return _go_on(what, f"--profile {name}", left=versions[0], wanted=current)
    for version in versions:
        if version != current:
            return Target(version)
    raise MeterError(
        f"the fleet of {name} has run no other version than {current or OWN} to its end",
        field="status.history",
        remedy=f"name one: kubectl meter upgrade --profile {name} --to VERSION",
    )


def _is_seen(profile: Json) -> bool:
    """Whether the operator has seen what the profile says."""
    generation = profile["metadata"].get("generation", 0)
    return bool(profile.get("status", {}).get("observedGeneration", 0) >= generation)


def _is_withdrawn(profile: Json) -> bool:
    """Whether an upgrade is withdrawn: the profile says again what its whole fleet had last."""
    status = profile["status"]
    if not _is_seen(profile):
        return bool(status.get("targetVersion", find_version(profile)) != find_version(profile))
    is_same = status.get("target") == status["history"][0]["hash"]
    return bool(is_same and status.get("wave") != "Done")


def _go_on(what: str, subject: str, *, left: str, wanted: str) -> Target:
    """Return where to go from `left` when `wanted`, which ran before it, is on its way.

    Raises:
        MeterError: the tags do not tell whether that is an upgrade once more, or a way back.
    """
    versions = _parse_tag(left), _parse_tag(wanted)
    if versions[0] is None or versions[1] is None:
        command = f"kubectl meter upgrade {subject} --to"
        raise MeterError(
            f"{what}; {wanted or OWN}, which came before {left or OWN}, is asked for: a way back"
            " already, or an upgrade once more",
            field="spec.twin.version",
            remedy=f"say which one: {command} {wanted or repr('')} goes on with it,"
            f" {command} {left or repr('')} withdraws it",
        )
    return Target(wanted, kept=True) if versions[1] < versions[0] else Target(left)


def _parse_tag(tag: str) -> tuple[int, ...] | None:
    """Return the numbers of a tag such as 0.10.2, None for another."""
    found = _NUMBERS.fullmatch(tag)
    return tuple(int(part) for part in found[1].split(".")) if found else None
