"""The two actuators: `supply`, which only the utility moves, and `load[n]`, which expires.

No I/O: time comes in, changes go out. A load is limited for a time on the monotonic clock, so no
clock step prolongs or shortens it; at power return every load is in its safe state; the release
is spread at random, so that a street does not switch on in one instant. The supply is opened and
closed by signed orders alone (`orders`), and a reconnection waits for the local action.
Neighbours: `commands` (link), `ems` (local action), `measuring` (what it does to the meter).
"""

from registers import CONNECTED, DISCONNECTED, READY_FOR_RECONNECTION

COMMAND = 0
EXPIRED = 1
POWER_RETURN = 2
LIMIT = 3
"""Reasons of the event relay_load."""

MAX_LIMIT_S = 86400
HOLD_S = 60
"""How long a load stays open that drew more than the limit of its safe state, which has no end."""


class Load:
    """One contactor or limit."""

    def __init__(self, safe_w, share_permille: int, release_s: int) -> None:
        """Begin in the safe state.

        Args:
            safe_w: limit in W at power return and after expiry, None for no limit.
            share_permille: part of the household's load behind the contactor (simulation).
            release_s: the release comes up to so many seconds after the expiry.
        """
        self.safe_w = safe_w
        self.share_permille = share_permille
        self.release_s = release_s
        self.limit_w = safe_w
        self.until_ms: "int | None" = None
        self.tripped = False
        self.closed = safe_w is None or safe_w > 0


class Loads:
    """All loads; `poll` returns the changes as (load, closed, reason)."""

    def __init__(self, rows, random, kept: bytes = b"") -> None:
        """Begin in the safe state.

        Args:
            rows: (safe_w, share_permille, release_s) each.
            random: n → n random octets.
            kept: from `save`: what was closed before; the first `poll` tells what has moved.
        """
        self.loads = [Load(*row) for row in rows]
        self._random = random
        self.trips = []
        self._moved = []
        for index, load in enumerate(self.loads):
            if load.closed != (index >= len(kept) or kept[index] > 0):
                self._moved.append((index, int(load.closed), POWER_RETURN))

    def save(self) -> bytes:
        """Return what must survive a power cut: which loads are closed."""
        return bytes([int(load.closed) for load in self.loads])

    def limit(self, index: int, limit_w: int, seconds: int, now_ms: int) -> bool:
        """Limit a load for `seconds` from `now_ms` (uptime); False if out of bounds.

        A new limit replaces the old one, its expiry too; what tripped waits for a higher one.
        """
        if not 0 <= index < len(self.loads) or not 0 < seconds <= MAX_LIMIT_S or limit_w < 0:
            return False
        load = self.loads[index]
        load.tripped = load.tripped and limit_w <= load.limit_w
        load.limit_w = limit_w
        self._end(load, seconds, now_ms)
        return True

    def _end(self, load, seconds: int, now_ms: int) -> None:
        spread_ms = load.release_s * 1000
        wait_ms = int.from_bytes(self._random(3), "big") % (spread_ms + 1)
        load.until_ms = now_ms + seconds * 1000 + wait_ms

    def poll(self, now_ms: int, power_w: int) -> list:
        """Let time pass: expire limits, open what draws too much; return the changes."""
        changes, self._moved = self._moved, []
        for index, load in enumerate(self.loads):
            reason = COMMAND
            if load.until_ms is not None and now_ms >= load.until_ms:
                load.until_ms = None
                load.limit_w = load.safe_w
                load.tripped = False
                reason = EXPIRED
            closed = not load.tripped and (load.limit_w is None or load.limit_w > 0)
            if closed and load.closed and load.limit_w is not None and power_w > load.limit_w:
                self.trips.append((power_w, load.limit_w))
                load.tripped = True
                closed, reason = False, LIMIT
                if load.until_ms is None:
                    self._end(load, HOLD_S, now_ms)
            if closed != load.closed:
                load.closed = closed
                changes.append((index, int(closed), reason))
        return changes

    def permille(self) -> int:
        """Return the share of the household's load that is connected, in thousandths."""
        return max(0, 1000 - sum([load.share_permille for load in self.loads if not load.closed]))


class Supply:
    """The disconnect control, states as in 0-0:96.3.10."""

    def __init__(self, never_disconnect: bool, kept: bytes, has_relay: bool = True) -> None:
        """`kept`: from `save`; power return does not reconnect what the utility disconnected."""
        self._never = never_disconnect
        self._has_relay = has_relay
        self.state = kept[0] if kept else CONNECTED
        self.counter = int.from_bytes(kept[1:5], "big") if kept else 0

    def save(self) -> bytes:
        """Return what must survive a power cut: state and the counter of the last order."""
        return bytes([self.state]) + self.counter.to_bytes(4, "big")

    def order(self, connect: bool, counter: int) -> bool:
        """Carry out a signed order; False if it is repeated or must not be carried out.

        That is without a relay, and in a meter that must never be darkened. A reconnection only
        makes the meter ready: somebody at the meter closes the relay.
        """
        if not self._has_relay or counter <= self.counter or (self._never and not connect):
            return False
        self.counter = counter
        if not connect:
            self.state = DISCONNECTED
        elif self.state == DISCONNECTED:
            self.state = READY_FOR_RECONNECTION
        return True

    def local_action(self) -> bool:
        """Close the relay by hand; False unless the utility has made it ready."""
        if self.state != READY_FOR_RECONNECTION:
            return False
        self.state = CONNECTED
        return True
