"""How long a meter waits before it connects again: random, so that a street does not do it in step.

Each pause lies between a half and all of 2, 4, 8, 16, 32, then 60 s, so that a meter waits at most
about twice as long as its broker was away. The chance is a hash of device, boot and draw: it
differs by meter, needs no source of randomness, and a test repeats it.
Neighbours: `link_task` and `small`, which begin anew after a session that was of use.
"""

from hashlib import sha256

FIRST_MS = 2000
LONGEST_MS = 60000


class BackOff:
    """The pauses of one meter since its boot."""

    def __init__(self, device: str, boot: int) -> None:
        """`device` and `boot` number make the meter's chance."""
        self._seed = device.encode() + boot.to_bytes(4, "big")
        self._draws = 0
        self._longest_ms = FIRST_MS

    def reset(self) -> None:
        """Begin anew with short pauses: a session was of use."""
        self._longest_ms = FIRST_MS

    def next_ms(self) -> int:
        """Return the next pause in milliseconds."""
        longest_ms = self._longest_ms
        self._longest_ms = min(2 * longest_ms, LONGEST_MS)
        self._draws += 1
        chance = sha256(self._seed + self._draws.to_bytes(4, "big")).digest()
        least_ms = longest_ms >> 1
        return least_ms + int.from_bytes(chance[:3], "big") % (longest_ms - least_ms + 1)
