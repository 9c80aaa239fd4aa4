"""What a VTN publishes, as a reason to look at its events before the next poll. Pure.

Who can write to its broker can make this VEN look, and no more. Source: OpenADR 3.1.0, Definitions,
"Notifications via Additional Protocols". Neighbours: `broker_place` (where), `hearing` (counts),
`ven` (looks), `notification_listener` (the transport).
"""

from collections.abc import Callable
from typing import Any

from .authorization import Authorization, Credentials
from .broker_place import Bearer, NoPlaceError, Place, find_place
from .hearing import Hearing
from .notifier_codec import Notification
from .ven import Ven

SPREAD_S = 2
"""Who is notified looks at random within so long: a broker tells a whole fleet at once."""
_EVENT, _PROGRAM, _VEN = "EVENT", "PROGRAM", "VEN"
_OWN = (_VEN, "RESOURCE")


class Notices:
    """Those of one VEN."""

    def __init__(self, credentials: Callable[[], Credentials | None], *, is_secure: bool) -> None:
        """`is_secure`: the VTN itself is asked over TLS."""
        self._credentials = credentials
        self._is_secure = is_secure
        self.hearing = Hearing()

    def follow(self, ven: Ven, authorization: Authorization) -> None:
        """Be about this conversation from now on."""
        self._ven, self._authorization = ven, authorization

    @property
    def _ven_id(self) -> str:
        registration = self._ven.registration
        return registration.ven_id if registration else ""

    @property
    def broker(self) -> tuple[Any, ...] | None:
        """Where the VTN publishes for this VEN, None if it does not; another one is another."""
        ven = self._ven
        found = ven.notifiers.broker, ven.topics, self._ven_id
        return found if found[0] is not None and ven.topics and self._ven_id else None

    def find_place(self) -> Place:
        """Return where and as whom to listen, with the present token.

        Raises:
            NoPlaceError: nowhere; the message says why.
            ValueError: the files of the credentials are wrong.
        """
        broker = self._ven.notifiers.broker
        if broker is None:
            raise NoPlaceError("the VTN publishes nothing")
        bearer = Bearer(self._authorization.token, self._credentials, self._is_secure)
        return find_place(broker, self._ven.topics, self._ven_id, bearer)

    def take(self, octets: bytes, now_s: int, chance: float, *, is_retained: bool = False) -> bool:
        """Take what a VTN has published; return whether it is a reason to look at the events."""
        found = self.hearing.take(octets, is_retained=is_retained)
        if found is None:
            return False
        if found.object_type in _OWN:
            return self._take_own(found, now_s, chance)
        is_reason = found.object_type in (_EVENT, _PROGRAM)
        registration = self._ven.registration
        if found.object_type == _EVENT and found.targets and registration is not None:
            # On topics of all events: it is read by who was granted one of its targets only.
            is_reason = bool(set(found.targets) & set(registration.targets))
        if is_reason:
            self.look_soon(now_s, chance)
        return is_reason

    def _take_own(self, found: Notification, now_s: int, chance: float) -> bool:
        """Read the ven again, then its events: targets may have been granted."""
        if found.object_type == _VEN and found.object_id not in ("", self._ven_id):
            return False
        at_s = self._ven.enrolment.expect(now_s + int(SPREAD_S * chance))
        self._ven.expect_events(at_s)
        return True

    def look_soon(self, now_s: int, chance: float) -> None:
        """Look at the events soon, whatever the poll period is."""
        self._ven.expect_events(now_s + int(SPREAD_S * chance))
