"""The two actuators: `supply`, which only the utility moves, and `load[n]`, which expires.

No I/O: time comes in, changes go out. A load is limited for a time on the monotonic clock, so no
clock step prolongs or shortens it; at power return every load is in its safe state; the release
is spread at random, so that a street does not switch on in one instant. Minimum times protect the
equipment behind a load: no limit shortens them, only a trip (`trips`) opens before they are over.
The supply is opened and closed by signed orders alone (`orders`), and a reconnection waits for the
local action. Neighbours: `commands` (link), `local_control` (trips, button), `ems` (local action),
`measuring` (what it does to the meter).
"""

from registers import CONNECTED, DISCONNECTED, READY_FOR_RECONNECTION

COMMAND = 0
EXPIRED = 1
POWER_RETURN = 2
LIMIT = 3
PROTECTION = 4
LOCAL_ACTION = 5
"""Reasons of the event relay_load."""

MAX_LIMIT_S = 86400
HOLD_S = 60
"""How long a load stays open that drew more than the limit of its safe state, which has no end."""
HOUR_MS = 3600000


class Load:
    """One contactor or limit."""

    def __init__(
        self,
        safe_w,
        share_permille: int,
        release_s: int,
        min_on_s: int = 0,
        min_off_s: int = 0,
        hold_off_s: int = 0,
        lock_out_trips: int = 0,
    ) -> None:
        """Begin in the safe state, at uptime 0.

        Nobody knows how long a load was off while the power was, so the minimum off-time counts
        from the power return.

        Args:
            safe_w: limit in W at power return and after expiry, None for no limit.
            share_permille: part of the household's load behind the contactor (simulation).
            release_s: the release comes up to so many seconds after the expiry.
            min_on_s: once closed, it opens no sooner.
            min_off_s: once open, it closes no sooner.
            hold_off_s: after the power return it closes no sooner.
            lock_out_trips: so many trips within an hour lock it open; 0 for never.
        """
        self.safe_w = safe_w
        self.share_permille = share_permille
        self.release_s = release_s
        self.min_on_ms = min_on_s * 1000
        self.min_off_ms = min_off_s * 1000
        self.lock_out_trips = lock_out_trips
        self.limit_w = safe_w
        self.until_ms: "int | None" = None
        self.tripped = False
        self.protected = 0
        self.locked = False
        self.release_ms = 0
        self.trips_ms = []
        self.reason = POWER_RETURN
        held_ms = max(hold_off_s, min_off_s) * 1000
        self.closed = not held_ms and self.wishes(0)
        self.free_ms = self.min_on_ms if self.closed else held_ms

    def wishes(self, now_ms: int) -> bool:
        """Return whether it is to be closed, minimum times aside."""
        if self.tripped or self.protected or self.locked or now_ms < self.release_ms:
            return False
        return self.limit_w is None or self.limit_w > 0

    def expire(self) -> None:
        """Return to the limit of the safe state."""
        self.until_ms = None
        self.limit_w = self.safe_w
        self.tripped = False
        self.reason = EXPIRED

    def exceeds(self, power_w: int, now_ms: int) -> bool:
        """Return whether it is to trip; not before its minimum on-time is over."""
        if not self.closed or now_ms < self.free_ms or not self.wishes(now_ms):
            return False
        return self.limit_w is not None and power_w > self.limit_w

    def move(self, closed: bool, now_ms: int) -> bool:
        """Move if the minimum times allow it; a trip of protection opens at once."""
        if closed == self.closed:
            return False
        if now_ms < self.free_ms and not self.protected:  # protected, it can only open
            return False
        self.closed = closed
        self.free_ms = now_ms + (self.min_on_ms if closed else self.min_off_ms)
        return True


class Loads:
    """All loads; `poll` returns the changes as (load, closed, reason)."""

    def __init__(self, rows, random, kept: bytes = b"") -> None:
        """Begin in the safe state.

        Args:
            rows: arguments of `Load` each.
            random: n → n random octets.
            kept: from `save`: what was closed before; the first `poll` tells what has moved.
        """
        self.loads = [Load(*row) for row in rows]
        self._random = random
        self.trips = []
        self.locks = []
        """(load, locked) of each lock-out that began or ended; whoever tells them empties it."""
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
        load.reason = COMMAND
        self._end(load, seconds, now_ms)
        return True

    def protect(self, index: int, sources: int, now_ms: int) -> None:
        """Hold a load open while any of `sources` (bits, see `trips`) is set; release at random."""
        load = self.loads[index]
        if bool(sources) != bool(load.protected):
            load.reason = PROTECTION
            if sources:
                self._count_trip(index, now_ms)
            else:
                load.release_ms = now_ms + self._spread_ms(load)
        load.protected = sources

    def unlock(self) -> bool:
        """End every lock-out, as the local action does; False if there was none."""
        found = False
        for index, load in enumerate(self.loads):
            if load.locked:
                found = True
                load.locked = False
                load.trips_ms = []
                load.reason = LOCAL_ACTION
                self.locks.append((index, 0))
        return found

    def _spread_ms(self, load) -> int:
        return int.from_bytes(self._random(3), "big") % (load.release_s * 1000 + 1)

    def _end(self, load, seconds: int, now_ms: int) -> None:
        load.until_ms = now_ms + seconds * 1000 + self._spread_ms(load)

    def _trip(self, index: int, power_w: int, now_ms: int) -> None:
        """Open for the limit; only the configured one counts towards the lock-out.

        Else a twin could lock a load open for good, and what a twin does must expire.
        """
        load = self.loads[index]
        self.trips.append((power_w, load.limit_w))
        load.tripped = True
        load.reason = LIMIT
        if load.until_ms is None:
            self._end(load, HOLD_S, now_ms)
            self._count_trip(index, now_ms)

    def _count_trip(self, index: int, now_ms: int) -> None:
        load = self.loads[index]
        if not load.lock_out_trips or load.locked:
            return
        load.trips_ms = load.trips_ms[1 - load.lock_out_trips :] if load.lock_out_trips > 1 else []
        load.trips_ms.append(now_ms)
        if len(load.trips_ms) == load.lock_out_trips and now_ms - load.trips_ms[0] < HOUR_MS:
            load.locked = True
            self.locks.append((index, 1))

    def poll(self, now_ms: int, power_w: int) -> list:
        """Let time pass: expire limits, open what draws too much; return the changes."""
        changes, self._moved = self._moved, []
        for index, load in enumerate(self.loads):
            if load.until_ms is not None and now_ms >= load.until_ms:
                load.expire()
            if load.exceeds(power_w, now_ms):
                self._trip(index, power_w, now_ms)
            if load.move(load.wishes(now_ms), now_ms):
                changes.append((index, int(load.closed), load.reason))
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
