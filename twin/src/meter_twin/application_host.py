"""Runs the applications: feeds each the entries it has not seen, commits what it derives.

A step takes a bounded number of entries, so the loop is free in between; an application that
raises is stopped and reported, the others and the metering go on. Neighbours: `application` (the
interface), `store_records` (its tables), `shell` (calls `step` when entries were stored).
"""

from typing import Any

from meter_wire.entries import parse_entry
from meter_wire.portable.tlv import RemoteProtocolError

from . import log
from .application import (
    Answer,
    Application,
    ApplicationType,
    Effect,
    Event,
    EventStored,
    HoleSeen,
    Query,
    ReadingStored,
    RegistersDescribed,
)
from .register_units import Units
from .store import Store
from .store_queries import START, Position, Row, load_feed
from .store_records import (
    SavedState,
    find_state,
    forget_application,
    load_records,
    save_progress,
)

STEP_ENTRIES = 100


class _Running:
    """One application and how far it is."""

    def __init__(self, name: str, kind: ApplicationType, application: Application) -> None:
        self.name = name
        self.kind = kind
        self.application = application
        self.position: Position = START
        self.failed = False


class ApplicationHost:
    """All applications of this twin."""

    def __init__(self, store: Store, built: dict[str, tuple[ApplicationType, Application]]) -> None:
        """Bring each application to its saved state; a state nobody reads is derived anew."""
        self._store = store
        self._running = [_Running(name, *pair) for name, pair in built.items()]
        for running in self._running:
            self._restore(running)

    def _restore(self, running: _Running) -> None:
        saved = find_state(self._store, running.name)
        if saved is None:
            return
        try:
            running.application.import_state(saved.version, saved.state)
            running.position = saved.position
        except ValueError:
            log.log("warning", "application state is derived anew", application=running.name)
            forget_application(self._store, running.name)

    def describe(self, units: Units) -> None:
        """Tell each application what the meter's registers are."""
        for running in self._running:
            if running.failed:
                continue
            try:
                running.application.handle(RegistersDescribed(dict(units)), 0)
            except Exception as error:  # noqa: BLE001 - as in `_feed`
                running.failed = True
                log.log_exception("application stopped", error, application=running.name)

    @property
    def failed(self) -> list[str]:
        """Names of applications that were stopped."""
        return [running.name for running in self._running if running.failed]

    @property
    def beginners(self) -> list[str]:
        """Names of applications that have not seen an entry."""
        return [running.name for running in self._running if running.position == START]

    @property
    def state_versions(self) -> dict[str, list[int]]:
        """By application that runs, the versions in which its state can be written and read."""
        return {one.name: list(one.kind.state_versions) for one in self._running if not one.failed}

    def export(self, name: str, version: int) -> tuple[SavedState, bytes]:
        """Return the state of an application now, and the incarnation of its place.

        Raises:
            LookupError: it does not run here.
            ValueError: it does not write this version.
        """
        running = self._find(name)
        state = running.application.export_state(version)
        incarnation = self._store.find_incarnation(running.position.incarnation)
        return SavedState(version, state, running.position), incarnation

    def adopt(self, name: str, saved: SavedState) -> None:
        """Go on from the state of another twin's application.

        Raises:
            LookupError: it does not run here.
            ValueError: it does not read this state, and is as it was.
            StoreError: nothing was written.
        """
        running = self._find(name)
        running.application.import_state(saved.version, saved.state)
        version = running.kind.state_versions[0]
        state = running.application.export_state(version)
        save_progress(self._store, name, SavedState(version, state, saved.position), ())
        running.position = saved.position

    def _find(self, name: str) -> _Running:
        for running in self._running:
            if running.name == name and not running.failed:
                return running
        raise LookupError(name)

    def step(self, now_s: int) -> bool:
        """Feed each application at most `STEP_ENTRIES` entries; return whether there is more.

        Raises:
            StoreError: the step is repeated later; memory and store agree again after it.
        """
        more = [self._feed(one, now_s) for one in self._running if not one.failed]
        return True in more

    def _feed(self, running: _Running, now_s: int) -> bool:
        rows = load_feed(self._store, running.position, STEP_ENTRIES)
        if not rows:
            return False
        version = running.kind.state_versions[0]
        before = running.application.export_state(version)
        position = running.position
        effects: list[Effect] = []
        try:
            for row in rows:
                for event in _events(position, row):
                    effects += running.application.handle(event, now_s)
                position = row.position
            state = running.application.export_state(version)
        except Exception as error:  # noqa: BLE001 - a utility's code must not stop the metering
            running.failed = True
            log.log_exception("application stopped", error, application=running.name)
            return False
        try:
            save_progress(self._store, running.name, SavedState(version, state, position), effects)
        except Exception:
            running.application.import_state(version, before)
            raise
        running.position = position
        return len(rows) == STEP_ENTRIES

    def answer_or_none(
        self, name: str, parameters: dict[str, str], now_s: int
    ) -> dict[str, Any] | None:
        """Return the document of a query, None if no selected application answers it."""
        try:
            return self.answer(name, parameters, now_s)
        except LookupError:
            return None

    def answer(self, name: str, parameters: dict[str, str], now_s: int) -> dict[str, Any]:
        """Return the document of a query.

        Raises:
            LookupError: no selected application answers it.
            QueryError: a parameter is wrong.
        """
        for running in self._running:
            if name not in running.kind.queries:
                continue
            for effect in running.application.handle(Query(name, parameters), now_s):
                if isinstance(effect, Answer):
                    document = dict(effect.document)
                    for field, wanted in effect.ranges.items():
                        document[field] = load_records(self._store, running.name, wanted)
                    return document
        raise LookupError(name)


def _events(position: Position, row: Row) -> list[Event]:
    """Return what a stored row means: perhaps a hole before it, then the entry if it is known."""
    events: list[Event] = []
    same = row.position.incarnation == position.incarnation
    expected = position.seq + 1 if same else 1
    if row.position.seq > expected:
        events.append(HoleSeen(row.incarnation, expected, row.position.seq - 1))
    try:
        entry = parse_entry(row.raw)
    except RemoteProtocolError:
        return events
    kind = EventStored if entry.is_event else ReadingStored
    events.append(kind(row.incarnation, row.position.seq, entry))
    return events
