"""What the utility has seen of its customers: registrations, polls, opts, reports; pure.

Kept in memory: it is what `state` shows and what tests of the demo assert. Moments are UTC seconds.
Neighbours: `vtn` (sees), `control` (shows).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from .programme import format_moment


class Value(NamedTuple):
    """A value of a report, of the point `r_id` for what begins at `start_s`."""

    r_id: str
    start_s: int
    value: float


@dataclass
class Ven:
    """One customer; `newest` has the newest value of each point."""

    ven_id: str
    registrations: int = 0
    polls: int = 0
    last_poll_s: int | None = None
    requested: int = 0
    reports: int = 0
    values: int = 0
    repeated: int = 0
    newest: dict[str, Value] = field(default_factory=dict)

    def describe(self) -> dict[str, Any]:
        """Return it as `state` shows it."""
        return {
            "ven_id": self.ven_id,
            "registrations": self.registrations,
            "polls": self.polls,
            "last_poll": _write(self.last_poll_s),
        }

    def describe_reports(self) -> dict[str, Any]:
        """Return its reports as `state` shows them; `newest` is the beginning of the newest."""
        newest = max((one.start_s for one in self.newest.values()), default=None)
        return {
            "requested": self.requested,
            "count": self.reports,
            "newest": _write(newest),
            "values": self.values,
            "repeated": self.repeated,
            "points": {one.r_id: one.value for one in self.newest.values()},
        }


@dataclass
class Answer:
    """What a VEN has answered to one modification of an event: how often, and was it ever else."""

    opt: str
    modification: int
    code: int = 200
    answers: int = 1
    changes: int = 0


class Observations:
    """Of one utility."""

    def __init__(self, ven_ids: dict[str, str]) -> None:
        """`ven_ids`: name → venID of each VEN that may register."""
        self.vens = {name: Ven(ven_id) for name, ven_id in ven_ids.items()}
        self._answers: dict[str, dict[str, Answer]] = {}

    def note_registration(self, name: str) -> None:
        """It has registered, perhaps again."""
        self.vens[name].registrations += 1

    def note_poll(self, name: str, now_s: int) -> None:
        """It has asked whether there is anything new."""
        self.vens[name].polls += 1
        self.vens[name].last_poll_s = now_s

    def note_request(self, name: str) -> None:
        """It was asked for a row of values."""
        self.vens[name].requested += 1

    def note_report(self, name: str, values: Iterable[Value]) -> None:
        """A report has come; a value that is not newer than what was there is a repeated one."""
        ven = self.vens[name]
        ven.reports += 1
        for one in values:
            before = ven.newest.get(one.r_id)
            ven.values += 1
            if before is not None and one.start_s <= before.start_s:
                ven.repeated += 1
            else:
                ven.newest[one.r_id] = one

    def note_answer(self, name: str, event_id: str, answer: Answer) -> None:
        """It has answered an event; each modification is counted on its own."""
        rows = self._answers.setdefault(event_id, {})
        before = rows.get(name)
        if before is not None and before.modification == answer.modification:
            before.answers += 1
            before.changes += before.opt != answer.opt
            before.opt, before.code = answer.opt, answer.code
        else:
            rows[name] = answer

    def find_answers(self, event_id: str) -> dict[str, dict[str, Any]]:
        """Return what was answered to an event, by the name of the VEN."""
        return {name: dict(vars(one)) for name, one in self._answers.get(event_id, {}).items()}

    def forget(self, event_ids: Iterable[str]) -> None:
        """Drop what was answered to events that nobody asks for any more."""
        for event_id in event_ids:
            self._answers.pop(event_id, None)


def _write(moment_s: int | None) -> str | None:
    return None if moment_s is None else format_moment(moment_s)
