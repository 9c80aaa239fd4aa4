"""The states of applications, taken over from the twin before: they do not begin anew.

A state is written by the donor at the highest version that both know, with the place in the entries
that it has reached; records follow page by page, the state last. What an application derives twice
because it went on meanwhile is the same again. Of several donors the newest one that has begun is
asked; what was given up may have nothing. Without a common version, or with a state that is not
read here, an application begins anew where there is no way back (a takeover); where there is one,
the candidate objects, as it does to an error that stops here what runs in the twin before. Nothing
that a donor sends or an application raises ends the twin. Neighbours: `successor` (when),
`application_host` (the applications, stops one that raises), `giving` (the donor).
"""

import sqlite3
from collections.abc import Iterable
from typing import Any

from meter_wire.names import MAX_SEQ

from . import log
from .application_host import ApplicationHost
from .peer_client import PeerClient, PeerError
from .store import Store
from .store_queries import START, Position
from .store_records import SavedState, save_record_page
from .store_schema import StoreError
from .taking import Donor

_MOST_TRIES = 5
_PAGE = 500
_ROW = 3  # series, time, body


class Inheritance:
    """Of one twin, once in its life."""

    def __init__(self, host: ApplicationHost, store: Store, client: PeerClient) -> None:
        """Applications that have a state of their own inherit nothing."""
        self._host = host
        self._store = store
        self._client = client
        self._beginners = tuple(host.beginners)
        self._wanted = list(self._beginners)
        self._theirs: dict[str, list[int]] | None = None
        self._tries = 0
        self._passed: set[int] = set()
        """Epochs of the donors that this round is done with."""
        self._unread: set[tuple[int, str]] = set()
        """Donors and applications whose state is not read here."""
        self.tried: frozenset[int] = frozenset()
        """Epochs of the donors that any round was done with."""

    @property
    def is_done(self) -> bool:
        """Whether every application has what it is going to get."""
        return not self._wanted

    @property
    def is_checked(self) -> bool:
        """Whether it is known what runs in the twin before."""
        return self._theirs is not None

    async def check(self, donor: Donor) -> None:
        """Learn which states the donor writes.

        Raises:
            PeerError: it does not answer; ask again.
        """
        self._theirs = await self._versions(donor)

    @property
    def objection(self) -> str:
        """Why this twin would do less than the one before, empty if it would not."""
        theirs = self._theirs or {}
        for name in self._host.failed:
            if name in theirs:
                return (
                    f"application {name}: runs in the twin before, an error has stopped it here "
                    "(see this twin's log)"
                )
        ours = self._host.state_versions
        for name in self._beginners:
            if name in theirs and not set(theirs[name]) & set(ours.get(name, [])):
                return (
                    f"application {name}: the twin before writes state versions {theirs[name]}, "
                    f"this one reads {ours.get(name, [])}"
                )
        for _, name in sorted(self._unread):
            if name in self._wanted:
                return f"application {name}: does not read the state of the twin before"
        return ""

    async def _versions(self, donor: Donor) -> dict[str, list[int]]:
        document = await self._client.get_json(donor, "/v1/handover/versions")
        if not isinstance(document, dict):
            raise PeerError("versions: no object")
        for row in document.values():
            if not isinstance(row, list) or not all(isinstance(one, int) for one in row):
                raise PeerError("versions: no lists of integers")
        return document

    async def take(self, donors: Iterable[Donor], *, may_begin: bool) -> None:
        """Take all that is wanted from the newest donor that has it.

        What nobody gives is derived anew from the entries, if `may_begin`; else it is asked for
        again. That the store fails does not count: it is tried again as often as that lasts.
        """
        asked = sorted(donors, reverse=True)
        for donor in asked:
            if donor.epoch not in self._passed:
                if not await self._take_from(donor):
                    return
                self._passed.add(donor.epoch)
                self.tried |= {donor.epoch}
                self._tries = 0
            if self.is_done:
                return
        self._passed.clear()
        if may_begin:
            if asked:
                names = " ".join(self._wanted)
                log.log("warning", "applications begin anew", application=names)
            self._wanted.clear()

    async def _take_from(self, donor: Donor) -> bool:
        """Take what a donor has; whether it is not to be asked again for now."""
        failed: Exception | None = None
        try:
            theirs = await self._versions(donor)
            for name in tuple(self._wanted):
                try:
                    if await self._take_one(donor, name, theirs):
                        self._wanted.remove(name)
                except (StoreError, sqlite3.Error):
                    raise
                except Exception as error:  # noqa: BLE001 - the others are not to wait for it
                    failed = error
        except (StoreError, sqlite3.Error) as error:
            log.log("error", "applications wait for the store", message=str(error))
            return False
        except Exception as error:  # noqa: BLE001 - what a donor sends must not stop the metering
            failed = error
        return failed is None or self._failed(donor, failed)

    def _failed(self, donor: Donor, error: Exception) -> bool:
        self._tries += 1
        if self._tries < _MOST_TRIES:
            return False
        if donor.epoch not in self.tried:
            names = " ".join(self._wanted)
            text = str(error) if isinstance(error, PeerError) else type(error).__name__
            log.log("warning", "states of applications did not come",
                    epoch=donor.epoch, message=text, application=names)  # fmt: skip
        return True

    async def _take_one(self, donor: Donor, name: str, theirs: dict[str, list[int]]) -> bool:
        """Take what a donor has of an application; whether there is nothing more to take of it."""
        both = set(theirs.get(name, [])) & set(self._host.state_versions.get(name, []))
        if not both or (donor.epoch, name) in self._unread:
            return False
        version = max(both)
        saved = await self._fetch(donor, name, version)
        if saved.position == START:
            return False  # it has not begun there
        await self._take_records(donor, name)
        try:
            self._host.adopt(name, saved)
        except LookupError:
            return True  # stopped: the host has said so
        except ValueError:
            self._unread.add((donor.epoch, name))
            log.log("warning", "application state is not read", application=name)
            return False
        log.log("info", "application state taken over", application=name, version=version)
        return True

    async def _fetch(self, donor: Donor, name: str, version: int) -> SavedState:
        path = f"/v1/handover/state?application={name}&version={version}"
        document: dict[str, Any] = await self._client.get_json(donor, path)
        incarnation = bytes.fromhex(document["incarnation"])
        number = self._store.find_number(incarnation) if incarnation else 0
        if number is None:
            raise PeerError(f"state of {name}: is of an incarnation that has not come yet")
        seq = int(document["seq"])
        if not 0 <= seq <= MAX_SEQ:
            raise PeerError(f"state of {name}: its place is none")
        state = bytes.fromhex(document["state"])
        return SavedState(int(document["version"]), state, Position(number, seq))

    async def _take_records(self, donor: Donor, name: str) -> None:
        series, time_s = "", 0
        while True:
            quoted = "".join(f"%{octet:02x}" for octet in series.encode())
            path = f"/v1/handover/records?application={name}&series={quoted}&time={time_s}"
            rows = await self._client.get_json(donor, f"{path}&limit={_PAGE}")
            if not isinstance(rows, list) or any(len(row) != _ROW for row in rows):
                raise PeerError(f"records of {name}: no rows of three")
            save_record_page(self._store, name, rows)
            if len(rows) < _PAGE:
                return
            series, time_s = str(rows[-1][0]), int(rows[-1][1])
