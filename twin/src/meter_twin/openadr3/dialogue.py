"""What a 3.1 VEN asks its VTN, and what comes of it, as `ven` tells whoever decides.

Tokens and secrets are in questions, so a question never shows its headers and body.
Neighbours: `ven` and its parts.
"""

from collections.abc import Mapping
from typing import NamedTuple

SERVER, TOKEN = "server", "token"
LOOKUP, CREATE, OWN, REFRESH = "lookup", "create", "own", "refresh"
RESOURCES, RESOURCE = "resources", "resource"
EVENTS, PROGRAM = "events", "program"
REPORTS, REPORT = "reports", "report"
NOTIFIERS, TOPICS = "notifiers", "topics"
"""Purposes of questions."""

JSON = "application/json"
NO_HEADERS: Mapping[str, str] = {}


class Question(NamedTuple):
    """A request below the VTN's URL, or to `url` if that is not empty."""

    method: str
    path: str
    purpose: str
    subject: str = ""
    """What it is about: an id or a name."""
    body: bytes = b""
    headers: Mapping[str, str] = NO_HEADERS
    url: str = ""
    """A whole address at another server: where its tokens come from."""

    @property
    def octets(self) -> bytes:
        """The body."""
        return self.body

    @property
    def is_repeatable(self) -> bool:
        """Whether it may reach its server twice: what creates an object may not."""
        return self.method == "GET" or self.purpose == TOKEN

    def __repr__(self) -> str:
        """Show what is asked, and neither token nor secret."""
        return f"Question({self.method} {self.url or self.path}, {self.purpose} {self.subject})"


class Trouble(NamedTuple):
    """A question had no answer, or a bad one; `reason` is one word for a condition."""

    reason: str
    message: str


class Registration(NamedTuple):
    """The ven object of this meter; kept over restarts and handed over."""

    ven_id: str
    ven_name: str
    """As the VTN has it: it may have been made there under another name."""
    targets: tuple[str, ...] = ()
    """What the VTN has granted this ven and its resources; events are asked for by them."""


def find_reason(status: int) -> str:
    """Return the word for a status that is none of success."""
    return {401: "Unauthorized", 403: "Forbidden", 404: "NotFound"}.get(status, "HttpError")
