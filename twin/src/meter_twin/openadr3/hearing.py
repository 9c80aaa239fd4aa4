"""What has been heard from a VTN's broker, and when that is too much. Pure.

A notification is a reason to look, nothing else: so it is not missed when it cannot be read, and
who floods a VEN gets no more than a look every few seconds, is not read any further and is left
alone for a while. Retained messages are old news: who connects looks at the events in any case.
Neighbours: `agent` (looks), `notifier_codec`, `notification_listener` (hands over).
"""

from typing import Any

from .json_codec import JsonError
from .notifier_codec import Notification, parse_notification

MOST_OCTETS = 65_536
"""Of a notification, which may hold a whole event; a longer one ends the session."""
MOST_A_MINUTE = 120
OF_A_SESSION = 12
"""So many messages a session counts for: who ends it again and again floods, too."""
PAUSE_S = 300
"""Nobody listens for so long after a flood."""
MINUTE_S = 60
MOST_MESSAGE = 200


class Hearing:
    """Counts since this process began, and whether there is a session."""

    def __init__(self) -> None:
        """Begin with nothing heard."""
        self.host = ""
        self.is_up = False
        self.message = ""
        """Why there is no session, empty with one."""
        self.heard = self.junk = self.retained = self.floods = self.losses = 0
        self._minute = -1
        self._in_minute = 0

    def take(self, octets: bytes, *, is_retained: bool) -> Notification | None:
        """Take a message; return what it says, None if that is nothing."""
        if self.is_flooded:
            return None
        if is_retained:
            self.retained += 1
            return None
        try:
            found = parse_notification(octets)
        except JsonError:
            self.junk += 1
            return None
        self.heard += 1
        return found

    def count(self, messages: int, now_s: int) -> bool:
        """Count messages, also those that nobody reads; return whether they are too many."""
        if now_s // MINUTE_S != self._minute:
            self._minute, self._in_minute = now_s // MINUTE_S, 0
        was_flooded = self.is_flooded
        self._in_minute += messages
        self.floods += self.is_flooded and not was_flooded
        return self.is_flooded

    @property
    def is_flooded(self) -> bool:
        """Whether too much was heard in this minute."""
        return self._in_minute > MOST_A_MINUTE

    def came(self, host: str) -> None:
        """Note a session."""
        self.host, self.is_up, self.message = host, True, ""

    def ended(self) -> None:
        """Note that nobody listens any more."""
        self.host, self.is_up, self.message = "", False, ""

    def lost(self, host: str, message: str) -> None:
        """Note that there is none."""
        self.losses += self.is_up
        self.host, self.is_up, self.message = host, False, message[:MOST_MESSAGE]

    def describe(self) -> dict[str, Any]:
        """Return what `GET /v1/dr` shows."""
        return {
            "broker": self.host,
            "listening": self.is_up,
            "message": self.message,
            "heard": self.heard,
            "junk": self.junk,
            "retained": self.retained,
            "floods": self.floods,
            "losses": self.losses,
        }
