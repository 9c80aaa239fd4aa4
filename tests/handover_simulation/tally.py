"""An application that notes each reading it is handed, for the oracle of handovers.

It keeps one record for each entry, under the entry's own number, and a state that goes from twin to
twin. An entry that comes once more than its state knows of is counted: it would be billed twice.
"""

import json
import sqlite3
from collections.abc import Callable
from typing import ClassVar, NamedTuple

from meter_twin.application import Effect, Event, EventStored, ReadingStored, Record
from meter_twin.option_schema import Schema
from meter_twin.store import Store
from meter_twin.store_queries import START, Position
from meter_twin.store_records import find_state

from .ledger import Entry

NAME = "tally"
END = Position(2**31, 0)


class Tally:
    """By incarnation, the last number that it was handed."""

    name = NAME
    summary = "notes what it is handed"
    option_schema: ClassVar[Schema] = {}
    state_versions = (2, 1)
    queries = ()

    def __init__(self, handed: Callable[[Entry], None]) -> None:
        """`handed` is told of each entry that it is handed."""
        self._handed = handed
        self.last: dict[str, int] = {}
        self.twice = self.count = 0

    def handle(self, event: Event, now_s: int) -> list[Effect]:
        """Note an entry."""
        del now_s
        if not isinstance(event, ReadingStored | EventStored):
            return []
        series = event.incarnation.hex()
        if event.seq <= self.last.get(series, 0):
            self.twice += 1
        self.last[series] = event.seq
        self.count += 1
        self._handed((event.incarnation, event.seq))
        return [Record(series, event.seq, {})]

    def export_state(self, version: int) -> bytes:
        return json.dumps([version, self.last, self.twice, self.count]).encode()

    def import_state(self, version: int, state: bytes) -> None:
        told, last, twice, count = json.loads(state)
        if told != version:
            raise ValueError(f"a state of version {told}, said to be {version}")
        self.last, self.twice, self.count = last, twice, count


class Noted(NamedTuple):
    """What the application of a twin has noted, as its store has it."""

    entries: set[Entry]
    position: Position
    """How far it has come."""
    twice: int
    """How often an entry was handed to it again."""
    total: int
    """How many were handed to it in all, in its own life and in those that it goes on from."""


def read_noted(connection: sqlite3.Connection) -> set[Entry]:
    """Return the entries that a store's application has noted."""
    rows = connection.execute("SELECT series, time_s FROM record WHERE application = ?", (NAME,))
    return {(bytes.fromhex(series), seq) for series, seq in rows}


def find_noted(store: Store) -> Noted:
    """Return what was committed."""
    entries = read_noted(store.connection)
    saved = find_state(store, NAME)
    if saved is None:
        return Noted(entries, START, 0, 0)
    _, _, twice, total = json.loads(saved.state)
    return Noted(entries, saved.position, twice, total)


def find_between(store: Store, after: Position, last: Position) -> set[Entry]:
    """Return the entries that a store holds past one place and up to another."""
    rows = store.connection.execute(
        "SELECT id, seq FROM entry JOIN incarnation ON number = incarnation"
        " WHERE (number, seq) > (?, ?) AND (number, seq) <= (?, ?)",
        (*after, *last),
    )
    return set(rows)
