"""What credentials of one device try beyond their rights, told by those who may read there.

Two devices that only the test has: `device`, whose meter and twin of epoch 1 try, and `other`.
Besides them the next epoch's twin and the other device's parties are there, each on all that it
may read. Nothing waits for silence: every try is followed by an allowed message to each of them.
Used by `test_intruder.py` on a broker of its own and by `tests/street` on the running one.
"""

import queue
import time
from collections.abc import Callable
from typing import NamedTuple

from access_rules import OPERATOR, build_forbidden, build_foreign, build_greedy, build_readable
from mqtt_client import WAIT_S, Client

FORBIDDEN = b"forbidden"
LOOK_S = 0.5
EARS_S = 10
"""The demo's operator ends our session under its name after a second or two."""


class Heard(NamedTuple):
    """A message and the user that it reached."""

    reader: str
    topic: str
    payload: bytes


class Intruder:
    """Five sessions and what each of them heard beyond its barriers."""

    def __init__(self, client: Callable[..., Client], device: str, other: str) -> None:
        """Connect everybody.

        Args:
            client: (user, **options of Client) → a client of that user, not yet connected.
            device: the one whose credentials are tried.
            other: the one on which they are tried.
        """
        self.client, self.device, self.other = client, device, other
        self.attackers = (device, f"{device}/1")
        self.barriers = {
            device: (f"{device}/1", f"mt/{device}/1/down"),
            f"{device}/1": (device, f"mt/{device}/1/up"),
            f"{device}/2": (device, f"mt/{device}/2/up"),
            other: (f"{other}/1", f"mt/{other}/1/down"),
            f"{other}/1": (other, f"mt/{other}/1/up"),
        }
        """Reader → an allowed way to reach it: (user, topic)."""
        self.round = 0
        self.sessions: dict[str, Client] = {}
        for who in self.barriers:
            self.enter(who)

    def tries(self) -> list[tuple[str, str]]:
        """Return (user, topic) of what the attackers may not write."""
        table = build_forbidden(self.device, self.other)
        return [(who, topic) for who, topic in table if who in self.attackers]

    def enter(self, who: str) -> None:
        """Connect a user, on all that it may read; its session before ends."""
        client = self.client(who)
        assert client.connect() == 0, f"{who} is refused"
        client.subscribe(*build_readable(who), qos=2)
        self.sessions[who] = client

    def settle(self, qos: int = 1) -> list[Heard]:
        """Return what arrived so far, the barriers left out.

        The first round of barriers shows that the broker has taken all that the attackers sent,
        the second one that each reader has all that it was sent.
        """
        return [*self._send_barriers(qos), *self._send_barriers(qos)]

    def _send_barriers(self, qos: int) -> list[Heard]:
        self.round += 1
        found = []
        for reader, (writer, topic) in self.barriers.items():
            self.sessions[writer].publish(topic, self._barrier(reader), qos)
        for reader in self.barriers:
            payload = b""
            while payload != self._barrier(reader):
                topic, payload, _ = self._hear(reader)
                # A second filter may bring a barrier of the round before once more.
                if not (payload.startswith(b"barrier") and payload.endswith(f" {reader}".encode())):
                    found.append(Heard(reader, topic, payload))
        return found

    def _hear(self, who: str) -> tuple[str, bytes, bool]:
        client, end = self.sessions[who], time.monotonic() + WAIT_S
        while True:
            try:
                return client.messages.get(timeout=LOOK_S)
            except queue.Empty:
                assert client.lost.empty(), f"the session of {who} ended"
                assert time.monotonic() < end, f"{who} hears no barrier"

    def _barrier(self, reader: str) -> bytes:
        return f"barrier {self.round} for {reader}".encode()

    def publish(self, qos: int, *, retain: bool = False) -> list[Heard]:
        """Try every forbidden publication; return who heard what, late readers too."""
        for who, topic in self.tries():
            self.sessions[who].publish(topic, FORBIDDEN, qos, retain=retain)
        found = self.settle(qos)
        if retain:
            for who, client in self.sessions.items():
                client.subscribe(*build_readable(who), qos=2)
            found += self.settle(qos)
        return found

    def leave_wills(self, tries: list[tuple[str, str]], *, keep: bool = True) -> list[Heard]:
        """Connect with a will on each topic and drop the connection; return who heard one.

        The next connection of the same user is accepted after the will of the one before.
        """
        for who, topic in tries:
            client = self.client(who, will=topic, keep_will=keep)
            if client.connect() == 0:
                client.cut()
            client.close()
        for who in sorted({who for who, _ in tries}):
            self.enter(who)
        return self.settle()

    def subscribe(self, *topics: str, qos: int, speak: Callable[[], object]) -> list[Heard]:
        """Subscribe the attackers to everything and `topics`; return what they hear of others.

        The other device's meter and twin then say all that they may, and `speak` is called.
        """
        for who in self.attackers:
            self.sessions[who].subscribe(*build_greedy(self.barriers[who][1]), qos=qos)
            self.sessions[who].subscribe(*build_foreign(self.other), *topics, qos=qos)
        meter, twin = self.sessions[self.other], self.sessions[f"{self.other}/1"]
        meter.publish(f"mt/{self.other}/hello", b"secret", 1)
        meter.publish(f"mt/{self.other}/1/up", b"secret", 1)
        twin.publish(f"mt/{self.other}/1/down", b"secret", 1)
        twin.publish(f"mt/{self.other}/1/state", b"secret", 1)
        speak()
        return [heard for heard in self.settle() if heard.reader in self.attackers]

    def borrow_client_id(self) -> list[Heard]:
        """Connect the meter's credential under the other meter's client id, read and write there.

        Raises:
            AssertionError: it passed for the other meter, whose session ended.
        """
        own = self.sessions[self.device]
        thief = self.client(self.device, client_id=self.other, user=(self.other, "x"))
        if thief.connect() == 0:
            own.lost.get(timeout=WAIT_S)  # it is who its certificate says
            thief.subscribe(*build_readable(self.device), *build_readable(self.other))
            self.sessions[self.device] = thief
            for who, topic in self.tries():
                if who == self.device:
                    thief.publish(topic, FORBIDDEN, 1)
        return self.settle()

    def speak_to_operator(self, operator: Client) -> list[Heard]:
        """Try every forbidden publication before one who hears the states and hellos of all.

        Raises:
            AssertionError: the operator's session ended before what is allowed was heard.
        """
        operator.subscribe(*build_readable(OPERATOR))
        for who, topic in self.tries():
            self.sessions[who].publish(topic, FORBIDDEN, 1)
        allowed = set()
        for who, topic in zip(self.attackers, ("hello", "1/state"), strict=True):
            self.sessions[who].publish(f"mt/{self.device}/{topic}", b"allowed", 1)
            allowed.add((f"mt/{self.device}/{topic}", b"allowed"))
        found = []
        while allowed:
            try:
                topic, payload, _ = operator.messages.get(timeout=EARS_S)
            except queue.Empty:
                raise AssertionError(f"the operator did not hear {sorted(allowed)}") from None
            allowed.discard((topic, payload))
            if payload == FORBIDDEN:
                found.append(Heard(OPERATOR, topic, payload))
        return found
