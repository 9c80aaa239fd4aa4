"""The questions that ports answer: path, and the function that makes the answer's document.

Each function checks its own parameters (`QueryError`), and finds devices only by `find_tenures`,
which knows the asker's scope. Neighbours: `query_port`, `history`.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple

from meter_archive.database import Pool
from meter_archive.scope import Scope

Json = dict[str, Any]


class Asked(NamedTuple):
    """A request: its parameters as they came, who asks, and the time (UTC second)."""

    parameters: Sequence[tuple[str, str]]
    scope: Scope
    now_s: int


Query = Callable[[Pool, Asked], Awaitable[Json]]
"""Raises `QueryError` (a wrong parameter), `LookupError` (not known, or not allowed to be)."""


def list_queries() -> Mapping[str, Query]:
    """Return each question's function by its path."""
    # modules of answers need ours
    from meter_archive.drift_answer import answer_drift  # noqa: PLC0415
    from meter_archive.entry_pages import answer_events, answer_readings  # noqa: PLC0415
    from meter_archive.findings_answer import answer_findings  # noqa: PLC0415
    from meter_archive.gaps_answer import answer_gaps  # noqa: PLC0415
    from meter_archive.history import answer_history  # noqa: PLC0415
    from meter_archive.intervals_answer import answer_intervals  # noqa: PLC0415
    from meter_archive.performance_answer import answer_performance  # noqa: PLC0415

    return {
        "/v1/drift": answer_drift,
        "/v1/events": answer_events,
        "/v1/findings": answer_findings,
        "/v1/gaps": answer_gaps,
        "/v1/history": answer_history,
        "/v1/intervals": answer_intervals,
        "/v1/performance": answer_performance,
        "/v1/readings": answer_readings,
    }
