"""Carries packets between two TUN devices as a profile says: netem for kernels without it.

    link_emulator.py DEVICE DEVICE PROFILE-AS-JSON SEED

Makes the devices in the network namespace it was started in, prints `ready`, and carries until it
is ended; they may be moved to other namespaces meanwhile. It wakes up for packets only. Rule of
delay, rate and loss: `link_profile`.
"""

import contextlib
import fcntl
import json
import os
import random
import select
import struct
import sys
import time
from collections import deque

from link_profile import QUEUE, Direction, Profile

TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
MOST_OCTETS = 65536


def open_device(name: str) -> int:
    """Make a TUN device; return what its packets are read from and written to."""
    found = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    request = struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI)
    fcntl.ioctl(found, TUNSETIFF, request)
    return found


class Way:
    """Packets from one device to the other, those on their way in the order they arrive."""

    def __init__(self, source: int, target: int, direction: Direction) -> None:
        """Carry nothing yet."""
        self.source = source
        self._target = target
        self._direction = direction
        self._waiting: deque[tuple[float, bytes]] = deque()

    def take(self, now_s: float) -> None:
        """Read what was sent; a full queue drops, as netem's does."""
        with contextlib.suppress(BlockingIOError):
            while packet := os.read(self.source, MOST_OCTETS):
                arrives_s = self._direction.find_arrival(now_s, len(packet))
                if arrives_s is not None and len(self._waiting) < QUEUE:
                    self._waiting.append((arrives_s, packet))

    def deliver(self, now_s: float) -> float | None:
        """Write what has arrived; return when the next packet does."""
        while self._waiting and self._waiting[0][0] <= now_s:
            _, packet = self._waiting.popleft()
            with contextlib.suppress(OSError):  # the other end is not up, or is going
                os.write(self._target, packet)
        return self._waiting[0][0] if self._waiting else None


def carry(first: int, second: int, profile: Profile, seed: int) -> None:
    """Carry packets until the process is ended."""
    chance = random.Random(seed).random
    ways = {
        source: Way(source, target, Direction(profile, chance))
        for source, target in ((first, second), (second, first))
    }
    while True:
        due = [at for way in ways.values() if (at := way.deliver(time.monotonic())) is not None]
        wait_s = max(0.0, min(due) - time.monotonic()) if due else None
        readable, _, _ = select.select(list(ways), [], [], wait_s)
        for source in readable:
            ways[source].take(time.monotonic())


def main() -> None:
    """Make the devices, and carry."""
    first, second = open_device(sys.argv[1]), open_device(sys.argv[2])
    print("ready", flush=True)
    carry(first, second, Profile(*json.loads(sys.argv[3])), int(sys.argv[4]))


if __name__ == "__main__":
    main()
