"""What an agent is that speaks with a utility, whichever protocol that has.

Neighbours: `openadr2.agent`, `openadr3.agent` (the two), `agent_building` (builds one),
`utility_talk` (holds it).
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from .demand_response.event_book import EventBook
from .http_answer import HttpAnswer

OPENADR_2, OPENADR_3 = "openadr-2.0b", "openadr-3"


class Asked(Protocol):
    """A question of either OpenADR."""

    @property
    def method(self) -> str:
        """Of HTTP."""

    @property
    def path(self) -> str:
        """Below the VTN's URL, with its query."""

    @property
    def octets(self) -> bytes:
        """The body."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Those that belong to the question."""

    @property
    def is_repeatable(self) -> bool:
        """Whether it may reach its server twice."""

    @property
    def url(self) -> str:
        """A whole address at another server; empty: it is the VTN's."""


class Client(Protocol):
    """Who asks."""

    async def ask(self, question: Asked) -> HttpAnswer:
        """Return the answer to a question.

        Raises:
            HttpClientError: there is none.
        """

    async def close(self) -> None:
        """Drop the connection."""


class Trouble(Protocol):
    """What is in the way."""

    @property
    def message(self) -> str:
        """In words."""


class DueReport(Protocol):
    """A report that is to be made."""

    @property
    def key(self) -> str:
        """Which report it is."""

    @property
    def needs_profile(self) -> bool:
        """Whether it holds what the meter measured, or how it is."""

    @property
    def sent_until_s(self) -> int:
        """Where it begins."""

    @property
    def span_s(self) -> int:
        """How much it holds."""


class Reports(Protocol):
    """The reports that are asked for."""

    def give_up(self, due: Any) -> None:
        """Leave a `DueReport` that cannot be made."""


class UtilityAgent(Protocol):
    """What both agents can."""

    book: EventBook
    override_s: int

    @property
    def reporting(self) -> Reports:
        """The reports that are asked for."""

    @property
    def ven_id(self) -> str:
        """What the utility calls this meter, empty before it does."""

    @property
    def reason(self) -> str:
        """One word for the condition UtilityRegistered."""

    @property
    def trouble(self) -> Trouble | None:
        """What is in the way, None for nothing."""

    @property
    def broker(self) -> tuple[Any, ...] | None:
        """Where the utility publishes for this meter, None if it does not."""

    def find_next(self, now_s: int) -> Asked | None:
        """Return what to ask now."""

    def find_time_of_next(self) -> int | None:
        """Return when something is due."""

    def take(self, status: int, octets: bytes, now_s: int, chance: float) -> bool:
        """Take an answer; return whether there is something to keep."""

    def fail(self, reason: str, message: str, now_s: int, chance: float) -> bool:
        """Take that there was none; return whether there is something to keep."""

    def find_due_report(self, now_s: int, find_until: Callable[[Any], int]) -> Any | None:
        """Return a `DueReport`, None without one."""

    def send_report(self, due: Any, samples: Iterable[Any], status: Any, now_s: int) -> bool | None:
        """Make a report and send it; return False if too much waits.

        None: the request has ended with a report of nothing, which is not sent.
        """

    def override(self, until_s: int, now_s: int) -> None:
        """Take the house out until a time, or in again (0)."""

    def review(self, now_s: int) -> bool:
        """Decide again about the events; decisions that differ are told. Whether any does."""

    def describe(self, now_s: int) -> dict[str, Any]:
        """Return what `kubectl meter dr` shows."""

    def export(self) -> dict[str, Any]:
        """Return what a successor has to know."""

    def resume(self, memory: dict[str, Any] | None) -> None:
        """Go on from a memory.

        Raises:
            ValueError: it is damaged.
        """


def find_protocol(memory: dict[str, Any] | None) -> str:
    """Return the protocol of a memory; 2.0b's had no name for it at first."""
    return str(memory.get("protocol", OPENADR_2)) if memory else ""


def check_memory(memory: dict[str, Any] | None) -> None:
    """Check a memory before it is kept.

    Raises:
        ValueError: it is damaged or of another version.
    """
    if memory is not None and not isinstance(memory, dict):
        raise ValueError("damaged memory of the utility's agent")
    if find_protocol(memory) == OPENADR_2:
        from .openadr2.agent import check_memory as check_2  # noqa: PLC0415

        check_2(memory)
    else:
        from .openadr3.memory import restore_memory  # noqa: PLC0415

        restore_memory(memory)
