"""Bearer tokens: how one looks, what is stored of it, and what it may see. Pure.

A token is `mta_` and 32 random bytes as base64url. Only its SHA-256 is stored: with so many random
bytes nobody finds the token from it, and a look-up by it tells nothing by how long it takes.
Neighbours: `token_table` (keeps them), `token_identity` (knows askers by them).
"""

import base64
import hashlib
import re
from datetime import datetime, timedelta
from typing import NamedTuple

from meter_archive.query_error import QueryError
from meter_archive.scope import Scope

OCTETS = 32
PATTERN = re.compile(r"mta_[A-Za-z0-9_-]{43}")
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?")
_SPAN = re.compile(r"([1-9][0-9]{0,4})([mhd])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
LONGEST = timedelta(days=3650)


class Token(NamedTuple):
    """A stored token, without itself: what it may see, by its name, and when it is over."""

    scope: Scope
    expires: datetime
    revoked: datetime | None

    def find_end(self, now: datetime) -> str:
        """Return why it is over, empty if it is not."""
        if self.revoked is not None:
            return "was revoked"
        return "has expired" if self.expires <= now else ""


def build_token(chance: bytes) -> str:
    """Return the token of 32 random bytes."""
    assert len(chance) == OCTETS
    return "mta_" + base64.urlsafe_b64encode(chance).decode().rstrip("=")


def digest_of(token: str) -> bytes:
    """Return what is stored of a token."""
    return hashlib.sha256(token.encode()).digest()


def hide_tokens(text: str) -> str:
    """Return a text with each token replaced, for who wrote it where it does not belong."""
    return PATTERN.sub("(token)", text)


def find_bearer(header: str) -> str | None:
    """Return the token of an `Authorization` header (RFC 6750), None if it has none of ours."""
    scheme, _, token = header.partition(" ")
    token = token.strip()
    return token if scheme.lower() == "bearer" and PATTERN.fullmatch(token) else None


def check_name(name: str) -> str:
    """Return a token's name.

    Raises:
        QueryError: it is none.
    """
    if not _NAME.fullmatch(name):
        remedy = "write 1 to 63 of a-z, 0-9, - and . such as billing"
        raise QueryError("name", "is not a name", remedy)
    if name == "port-forward":
        raise QueryError("name", "is that of who asks by port-forward", "choose another")
    return name


def parse_span(text: str) -> timedelta:
    """Return a length of time: `90d`, `12h` or `30m`, at most ten years.

    Raises:
        QueryError: it is none.
    """
    found = _SPAN.fullmatch(text)
    span = timedelta(**{_UNITS[found[2]]: int(found[1])}) if found else timedelta(0)
    if not timedelta(0) < span <= LONGEST:
        raise QueryError("expires", "is no length of time", "write 90d, 12h or 30m, at most 3650d")
    return span
