"""Runs the applications: feeds each the entries it has not seen, commits what it derives.

A step takes a bounded number of entries, so the loop is free in between; an application that
raises is stopped and reported, the others and the metering go on. What is saved of a stopped one
stays: a repaired version goes on from there. Neighbours: `application` (the interface),
`store_records` (its tables), `shell` (calls `step` when entries were stored), `inheritance`.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
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
    RecordRange,
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
from .store_schema import StoreError

STEP_ENTRIES = 100


class StoppedError(LookupError):
    """An application raised; it is stopped and that is reported already."""


class _Running:
    """One application and how far it is; its code is called inside of `guarded`."""

    def __init__(self, name: str, kind: ApplicationType, application: Application) -> None:
        self.name = name
        self.kind = kind
        self.application = application
        self.position: Position = START
        self.versions: list[int] = []
        self.failed = False

    def stop(self, error: Exception) -> StoppedError:
        """Stop after what it raised; a utility's code must not stop the metering."""
        self.failed = True
        log.log_exception("application stopped", error, application=self.name)
        return StoppedError(self.name)

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Stop the application if it raises.

        Raises:
            StoppedError: it did.
        """
        try:
            yield
        except Exception as error:
            raise self.stop(error) from error

    def export_state(self, version: int) -> bytes:
        """Return its state.

        Raises:
            StoppedError: it cannot write it.
        """
        with self.guarded():
            state = self.application.export_state(version)
            if not isinstance(state, bytes):
                raise TypeError("state: no bytes")
        return state

    def import_state(self, saved: SavedState) -> None:
        """Take a state.

        Raises:
            ValueError: it does not read this state, and is as it was.
            StoppedError: it raised anything else, and what it holds now nobody knows.
        """
        try:
            self.application.import_state(saved.version, saved.state)
        except ValueError:
            raise
        except Exception as error:
            raise self.stop(error) from error


class ApplicationHost:
    """All applications of this twin."""

    def __init__(self, store: Store, built: dict[str, tuple[ApplicationType, Application]]) -> None:
        """Bring each application to its saved state; a state nobody reads is derived anew."""
        self._store = store
        self._running = [_Running(name, *pair) for name, pair in built.items()]
        for running in self._running:
            with suppress(StoppedError):
                self._restore(running)

    def _restore(self, running: _Running) -> None:
        with running.guarded():
            running.versions = [int(one) for one in running.kind.state_versions]
            if not running.versions:
                raise ValueError("state_versions: none")
        saved = find_state(self._store, running.name)
        if saved is None:
            return
        try:
            running.import_state(saved)
            running.position = saved.position
        except ValueError:
            log.log("warning", "application state is derived anew", application=running.name)
            forget_application(self._store, running.name)

    def describe(self, units: Units) -> None:
        """Tell each application what the meter's registers are."""
        for running in self._running:
            if not running.failed:
                with suppress(StoppedError), running.guarded():
                    running.application.handle(RegistersDescribed(dict(units)), 0)

    @property
    def failed(self) -> list[str]:
        """Names of applications that were stopped."""
        return [running.name for running in self._running if running.failed]

    @property
    def handed(self) -> Position | None:
        """How far the slowest application that runs is in the entries, None if none runs."""
        return min((one.position for one in self._running if not one.failed), default=None)

    @property
    def beginners(self) -> list[str]:
        """Names of applications that run and have not seen an entry."""
        return [one.name for one in self._running if one.position == START and not one.failed]

    @property
    def state_versions(self) -> dict[str, list[int]]:
        """By application that runs, the versions in which its state can be written and read."""
        return {one.name: list(one.versions) for one in self._running if not one.failed}

    def export(self, name: str, version: int) -> tuple[SavedState, bytes]:
        """Return the state of an application now, and the incarnation of its place.

        Raises:
            LookupError: it does not run here, or no more as it raised.
            ValueError: it does not write this version.
        """
        running = self._find(name)
        if version not in running.versions:
            raise ValueError(f"{name}: state version {version} is not written")
        state = running.export_state(version)
        incarnation = self._store.find_incarnation(running.position.incarnation)
        return SavedState(version, state, running.position), incarnation

    def adopt(self, name: str, saved: SavedState) -> None:
        """Go on from the state of another twin's application.

        Raises:
            LookupError: it does not run here, or no more as it raised.
            ValueError: it does not read this state, and is as it was.
            StoreError: nothing was written, and it is as it was.
        """
        running = self._find(name)
        version = running.versions[0]
        before = SavedState(version, running.export_state(version), running.position)
        running.import_state(saved)
        state = running.export_state(version)
        self._save(running, before, SavedState(version, state, saved.position), ())

    def _save(
        self, running: _Running, before: SavedState, saved: SavedState, effects: Iterable[Effect]
    ) -> None:
        """Commit what an application has reached.

        Raises:
            StoreError: nothing was written; memory is as `before` again.
            StoppedError: what it derived cannot be written, or `before` not be read.
        """
        try:
            save_progress(self._store, running.name, saved, effects)
        except StoreError:
            with running.guarded():
                running.application.import_state(before.version, before.state)
            raise
        except Exception as error:
            raise running.stop(error) from error
        running.position = saved.position

    def keep(self, name: str, effects: Iterable[Effect] = ()) -> None:
        """Write the state of an application that changed by itself, not by an entry.

        Raises:
            LookupError: it does not run here.
            StoreError: nothing was written; what it holds stays.
        """
        running = self._find(name)
        version = running.versions[0]
        saved = SavedState(version, running.export_state(version), running.position)
        save_progress(self._store, name, saved, effects)

    def load(self, name: str, wanted: RecordRange) -> list[dict[str, Any]]:
        """Return records of an application in order of time."""
        return load_records(self._store, name, wanted)

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
        is_more = False
        for running in self._running:
            if not running.failed:
                with suppress(StoppedError):
                    is_more |= self._feed(running, now_s)
        return is_more

    def _feed(self, running: _Running, now_s: int) -> bool:
        rows = load_feed(self._store, running.position, STEP_ENTRIES)
        if not rows:
            return False
        version = running.versions[0]
        before = SavedState(version, running.export_state(version), running.position)
        position = running.position
        effects: list[Effect] = []
        with running.guarded():
            for row in rows:
                for event in _events(position, row):
                    effects += running.application.handle(event, now_s)
                position = row.position
        state = running.export_state(version)
        self._save(running, before, SavedState(version, state, position), effects)
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
