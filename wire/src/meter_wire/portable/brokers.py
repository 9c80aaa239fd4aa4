"""Which broker a meter is connected to: its first one, or the one that its owner record names.

One connection at a time; what happens meanwhile waits in the ring (docs/adr/0008). The record says
where the active epoch's twin is, so a meter whose active twin answers is where it should be. No
I/O: the shell opens sessions at `at`, tells what became of them, and asks `leave` while one is up.
Neighbour: `meter_link`, which is given to both.
"""

from .constant import const

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .meter_link import MeterLink

_TRIES = const(3)
_GRACE_MS = const(20000)
_QUIET_MS = const(60000)
_REST_MS = const(60000)
_MOST_REST_MS = const(960000)


class Brokers:
    """`at` is the broker to connect to now, as host:port; it starts with the first one."""

    def __init__(self, first: str) -> None:
        """`first`: the configured broker."""
        self.first = self.at = first
        self._failed = 0
        self._back = False
        self._since_ms = 0
        self._rest_ms = 0
        self._pause_ms = _REST_MS

    def connected(self, link: "MeterLink", now_ms: int) -> None:
        """Note that the broker session is up and `mt/<device>/owner` subscribed.

        Back at the first broker after another one failed, the meter stays for a minute at least,
        twice as long each time until a twin has answered elsewhere, at most 16 minutes.
        """
        self._since_ms = now_ms + link.spread_delay_ms()  # the hello waits so long
        if self.at == self.first:
            self._failed = 0
            if self._back:
                self._back = False
                self._rest_ms = now_ms + self._pause_ms
                self._pause_ms = min(2 * self._pause_ms, _MOST_REST_MS)

    def leave(self, link: "MeterLink", now_ms: int) -> bool:
        """Tell whether to end the broker session: another is due, or this one says nothing valid.

        Another one is due when an authentic record without a candidate was read in this session,
        names it, and the active epoch's twin has not answered here for 20 s.
        """
        if link.serves():
            self._since_ms = now_ms
            self._failed = 0
            if self.at != self.first:
                self._pause_ms = _REST_MS
            return False
        quiet_ms = now_ms - self._since_ms
        away = self.at != self.first
        wanted = self._wanted(link) if link.heard else self.at
        if wanted != self.at and quiet_ms >= _GRACE_MS and (away or now_ms >= self._rest_ms):
            self.at = wanted
            self._failed = -1  # the end that follows is none of the new broker
            return True
        return away and quiet_ms >= _QUIET_MS

    def ended(self, link: "MeterLink") -> None:
        """Note that a session could not be opened or has ended: after three, the other broker."""
        self._failed += 1
        if self._failed < _TRIES:
            return
        self._failed = 0
        if self.at == self.first:
            self.at = self._wanted(link)
        else:
            self.at = self.first
            self._back = True

    def _wanted(self, link: "MeterLink") -> str:
        owner = link.owner
        if owner is None or owner.candidate:
            return self.at
        return owner.broker or self.first


def split_address(address: str) -> "tuple[str, int]":
    """Return (host, port) of host:port or [IPv6]:port.

    Raises:
        ValueError: it is none.
    """
    host, port = address.rsplit(":", 1)
    return host.strip("[]"), int(port)
