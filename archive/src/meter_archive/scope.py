"""What an asker may see: everything, the meters with a label, or points within a tenure. Pure.

All questions find their devices through installations, and `cut_tenures` leaves of those what a
scope allows: a tenant sees nothing of the one before. Neighbours: `readings_table`, `query_port`.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from meter_archive.directory import Installation


class Tenure(NamedTuple):
    """An installation, as far as it may be seen, and when that ended; None if it has not."""

    installation: Installation
    until: datetime | None


class Grant(NamedTuple):
    """A metering point from a moment (included) to another (not), None while it lasts."""

    point: str
    since: datetime
    until: datetime | None


class Scope(NamedTuple):
    """Who asks, and what that one may see; a scope that names nothing sees nothing."""

    name: str
    everything: bool = False
    label: tuple[str, str] | None = None
    grants: tuple[Grant, ...] = ()


def cut_tenures(tenures: Iterable[Tenure], scope: Scope) -> list[Tenure]:
    """Return what a scope allows of these, in their order."""
    if scope.everything:
        return list(tenures)
    if scope.label is not None:
        return [one for one in tenures if scope.label in one.installation.place.labels]
    return [
        cut
        for tenure in tenures
        for grant in scope.grants
        if grant.point == tenure.installation.point and (cut := _overlap(tenure, grant)) is not None
    ]


def _overlap(tenure: Tenure, grant: Grant) -> Tenure | None:
    since = max(tenure.installation.since, grant.since)
    ends = [end for end in (tenure.until, grant.until) if end is not None]
    until = min(ends) if ends else None
    if until is not None and until <= since:
        return None
    return Tenure(tenure.installation._replace(since=since), until)
