"""The file of the store: its tables, how it is opened, and how a damaged one is refused.

Neighbour: `store` writes what the link brings, `store_records` what applications derive.

Durability. WAL with synchronous=FULL: a commit returns after an fsync of the log, so an
acknowledged entry survives a power cut of the node, not only the death of the process. Group
commit keeps that affordable: one fsync a batch (0.1 to 4 ms here), not one an entry.
"""

import os
import sqlite3

APPLICATION_ID = 0x4D545731
SCHEMA_VERSION = 1
_HEADER = b"SQLite format 3\0"

_TABLES = """
CREATE TABLE property (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE incarnation (
    number INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, first_seen_s INTEGER NOT NULL,
    stored INTEGER NOT NULL DEFAULT 0, archived INTEGER NOT NULL DEFAULT 0,
    pruned INTEGER NOT NULL DEFAULT 0, chain BLOB NOT NULL DEFAULT (zeroblob(16)),
    hello_boot INTEGER NOT NULL DEFAULT 0, hello_count INTEGER NOT NULL DEFAULT 0);
CREATE TABLE entry (
    incarnation INTEGER NOT NULL, seq INTEGER NOT NULL, kind INTEGER NOT NULL,
    time_s INTEGER NOT NULL, raw BLOB NOT NULL,
    PRIMARY KEY (incarnation, seq)) WITHOUT ROWID;
CREATE INDEX entry_of_time ON entry (kind, time_s);
CREATE TABLE hole (
    incarnation INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
    reason INTEGER NOT NULL, PRIMARY KEY (incarnation, first)) WITHOUT ROWID;
CREATE TABLE conflict (
    incarnation INTEGER NOT NULL, seq INTEGER NOT NULL, raw BLOB NOT NULL,
    PRIMARY KEY (incarnation, seq, raw)) WITHOUT ROWID;
CREATE TABLE application (
    name TEXT PRIMARY KEY, version INTEGER NOT NULL, state BLOB NOT NULL,
    incarnation INTEGER NOT NULL, seq INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE record (
    application TEXT NOT NULL, series TEXT NOT NULL, time_s INTEGER NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY (application, series, time_s)) WITHOUT ROWID;
"""


class StoreError(Exception):
    """The store cannot be used; the text says what was found, `remedy` what to do."""

    def __init__(self, message: str, remedy: str) -> None:
        """Keep the remedy beside the message."""
        super().__init__(message)
        self.remedy = remedy


class StoreFullError(StoreError):
    """No space for a write: nothing of the batch was stored, so nothing may be acknowledged."""


def make_folder(path: str) -> None:
    """Make the folder of a store's file.

    Raises:
        StoreError: that cannot be.
    """
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120 - pathlib costs 0.3 MiB
    except OSError as error:
        text = f"its folder cannot be made ({error.strerror})"
        raise StoreError(text, "give the twin a volume that it may write to") from error


def open_database(path: str) -> sqlite3.Connection:
    """Open or create the store's file and verify it; a damaged file is left as it is.

    Raises:
        StoreFullError: there is no space to create it.
        StoreError: not a store, damaged, written by a newer twin, or not writable.
    """
    if os.path.exists(path) and os.path.getsize(path):  # noqa: PTH110, PTH202 - pathlib costs 0.3 MiB
        _check_header(path)
    try:
        connection = sqlite3.connect(path, isolation_level=None, cached_statements=32)
        try:
            _configure(connection)
            _verify(connection, path)
        except BaseException:
            connection.close()
            raise
    except sqlite3.DatabaseError as error:
        raise map_error(error, path) from error
    return connection


def _check_header(path: str) -> None:
    """Refuse a foreign file before SQLite writes a byte to it."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            header = file.read(72)
    except OSError as error:
        raise StoreError(f"store {path} cannot be read: {error.strerror}", _PERMISSIONS) from error
    found = int.from_bytes(header[68:72], "big")
    if header[:16] != _HEADER or found not in {0, APPLICATION_ID}:
        raise StoreError(f"store {path} is not a twin's store", _TAKEOVER)


def _configure(connection: sqlite3.Connection) -> None:
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "cache_size=-256",
        "wal_autocheckpoint=256",
        "journal_size_limit=1048576",
        "temp_store=MEMORY",
        "trusted_schema=OFF",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _verify(connection: sqlite3.Connection, path: str) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"store {path} has schema {version}, this twin knows {SCHEMA_VERSION}",
            "run the twin version that wrote it, or a newer one",
        )
    if version == 0:
        _create(connection)
        return
    finding = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if finding != "ok":
        raise StoreError(f"store {path} is damaged: {finding}", _TAKEOVER)


def _create(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    for statement in _TABLES.split(";"):
        if statement.strip():
            connection.execute(statement)
    connection.execute("INSERT INTO property VALUES ('store_id', ?)", (os.urandom(8),))
    connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
    connection.execute("COMMIT")


def map_error(error: sqlite3.Error, path: str) -> StoreError:
    """Return the store's error for one of SQLite's."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL or _disk_is_full(code, path):
        return StoreFullError(
            f"store {path} is full: {error}", "give the volume more space or shorten retentionDays"
        )
    if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        return StoreError(f"store {path} is damaged: {error}", _TAKEOVER)
    if code in {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM}:
        return StoreError(f"store {path} cannot be written: {error}", _PERMISSIONS)
    return StoreError(f"store {path} failed: {error}", "see the node's disk; the meter keeps all")


def _disk_is_full(code: int, path: str) -> bool:
    """Whether an I/O error came from a full disk (the shared-memory file reports it so)."""
    if code != sqlite3.SQLITE_IOERR:
        return False
    try:
        space = os.statvfs(os.path.dirname(path) or ".")  # noqa: PTH120
    except OSError:
        return False
    return space.f_bavail * space.f_frsize < 65536  # noqa: PLR2004 - 16 pages of 4 KiB


_TAKEOVER = (
    "keep the file for analysis and let the operator take over with a new epoch; the twin moved "
    "and changed nothing"
)
_PERMISSIONS = "the volume must be writable by user 65532 (fsGroup)"
