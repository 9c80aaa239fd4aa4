"""The interface of applications: services inside a twin, pure, fed with the meter's entries.

An application is a fold over the stored entries: it is handed each entry of the contiguous prefix
exactly once and in order, and what it derives is committed together with the place it has reached.
It does no I/O, reads no clock and draws no random numbers; `now_s` is an argument. Entry-point
group `metertwin.applications`; a failing application stops itself, never the metering.
Neighbours: `registry` finds applications, `application_host` runs them.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from meter_wire.entries import Entry

from .option_schema import Schema
from .register_units import Units


class Context(NamedTuple):
    """What an application is told about its twin."""

    device: str
    metering_point: str
    timezone: str
    capture_period_s: int


class ReadingStored(NamedTuple):
    """A reading of the contiguous prefix."""

    incarnation: bytes
    seq: int
    entry: Entry


class EventStored(NamedTuple):
    """An event of the contiguous prefix."""

    incarnation: bytes
    seq: int
    entry: Entry


class HoleSeen(NamedTuple):
    """Numbers of the prefix that have no entry."""

    incarnation: bytes
    first: int
    last: int


class Query(NamedTuple):
    """A question of the local API, `GET /v1/<name>`; answered with one `Answer`."""

    name: str
    parameters: Mapping[str, str]


class RegistersDescribed(NamedTuple):
    """What the meter's registers are, told at the start and at each change; not in the state."""

    units: Units


Event = ReadingStored | EventStored | HoleSeen | Query | RegistersDescribed


class Record(NamedTuple):
    """Keep a derived document under (series, time); a later one with the same key replaces it."""

    series: str
    time_s: int
    body: dict[str, Any]


class Forget(NamedTuple):
    """Delete the records of a series before a time."""

    series: str
    before_s: int


class RecordRange(NamedTuple):
    """Records of a series with `since_s` <= time < `until_s` in order of time, at most `limit`."""

    series: str
    since_s: int
    until_s: int
    limit: int = 3000
    newest: bool = False
    """Of more than `limit` the last ones, else the first."""


class Answer(NamedTuple):
    """The answer to a query; each range is put into the document under its name."""

    document: dict[str, Any]
    ranges: Mapping[str, RecordRange] = {}


Effect = Record | Forget | Answer


class QueryError(ValueError):
    """A query with a wrong parameter."""

    def __init__(self, field: str, message: str, remedy: str) -> None:
        """Name the parameter and what to do."""
        super().__init__(message)
        self.field, self.message, self.remedy = field, message, remedy


class Application(Protocol):
    """One running application.

    `handle` returns effects; queries must not change the state, nor does `RegistersDescribed`.
    `export_state` writes each version of `state_versions` (newest first, the previous one included
    once there is one), so that a handover to an older twin is possible; `import_state` reads each
    of them.
    """

    def handle(self, event: Event, now_s: int) -> list[Effect]:
        """Take one event."""

    def export_state(self, version: int) -> bytes:
        """Return the state as of this version of its format.

        Raises:
            ValueError: the version is not one of `state_versions`.
        """

    def import_state(self, version: int, state: bytes) -> None:
        """Take over a state.

        Raises:
            ValueError: unknown version or damaged state; the application is as it was.
        """


class ApplicationType(Protocol):
    """What an entry point names: the class of an application, with its catalogue entry."""

    name: str
    summary: str
    option_schema: Schema
    state_versions: tuple[int, ...]
    queries: tuple[str, ...]

    def __call__(self, options: dict[str, Any], context: Context) -> Application:
        """Build the application; options have passed the schema."""
