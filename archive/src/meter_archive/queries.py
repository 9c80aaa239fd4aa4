"""The questions that ports answer: by path the function that answers, and its description.

To register one, add a line to `list_queries`: a path, or a method and a path, and a `Query`. Its
description makes the OpenAPI document, the page docs/reference/archive-api.md and the columns of
CSV; `make generate` writes them. Each function checks its own parameters (`QueryError`), and finds
devices only by `find_tenures`, which knows the asker's scope. An answer names devices `device` and
metering points `meteringPoint`: the audit takes from there what was shown.

Neighbours: `query_port`, `schemas` (words of descriptions), `openapi`.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from meter_archive.database import Pool
from meter_archive.scope import Scope

Json = dict[str, Any]
_NOTHING: Mapping[str, Any] = MappingProxyType({})


class Asked(NamedTuple):
    """A request: its parameters as they came, who asks, the time (UTC second), and its body."""

    parameters: Sequence[tuple[str, str]]
    scope: Scope
    now_s: int
    body: Mapping[str, Any] = _NOTHING


Ask = Callable[[Pool, Asked], Awaitable[Json]]
"""Raises `QueryError` (a wrong parameter), `LookupError` (not known, or not allowed to be)."""


class Parameter(NamedTuple):
    """A parameter of a question: what it is, in words and as JSON schema."""

    name: str
    description: str
    schema: Json
    required: bool = False


class Query(NamedTuple):
    """How a question is answered, and its description.

    `answer` and `body` are JSON schemas. `rows` names the lists, each within the other, whose
    objects are the lines of its CSV; empty if there is none. With `operators` only the port of
    port-forwards has it, and with `changes` it may write.
    """

    ask: Ask
    summary: str
    parameters: tuple[Parameter, ...]
    answer: Json
    rows: tuple[str, ...] = ()
    operators: bool = False
    changes: bool = False
    body: Json | None = None


def list_queries() -> Mapping[str, Query]:
    """Return each question by its path; `POST /v1/…` if it is no GET."""
    # modules of answers need ours
    from meter_archive.audit_query import AUDIT  # noqa: PLC0415
    from meter_archive.demand_description import DEMAND  # noqa: PLC0415
    from meter_archive.history_description import HISTORY  # noqa: PLC0415
    from meter_archive.openapi import OPENAPI  # noqa: PLC0415
    from meter_archive.quality_descriptions import QUALITY  # noqa: PLC0415
    from meter_archive.token_commands import CREATE, END, REVOKE, TOKENS  # noqa: PLC0415
    from meter_archive.totals_description import TOTALS  # noqa: PLC0415

    return {
        "/v1/history": HISTORY,
        "/v1/totals": TOTALS,
        "/v1/demand": DEMAND,
        **QUALITY,
        "/v1/openapi.json": OPENAPI,
        "/v1/audit": AUDIT,
        "/v1/tokens": TOKENS,
        "POST /v1/tokens": CREATE,
        "POST /v1/tokens/end": END,
        "POST /v1/tokens/revoke": REVOKE,
    }


def split_route(route: str) -> tuple[str, str]:
    """Return method and path of a key of `list_queries`."""
    method, _, path = route.rpartition(" ")
    return method or "GET", path
