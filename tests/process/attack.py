"""An attacker inside the broker: reads everything, writes everywhere, takes any client id.

The rules of the broker keep everybody out of others' topics (`charts/tests/test_acl.py`); this is
what the link itself must stand when they fail: a wrong rule, a stolen credential, a broken broker.
`Attacker` keeps the frames that it sees, `mutate` makes bad ones of them, `Victims` looks at the
processes from outside. Neighbours: `watched_meter`, `harness`.
"""

import contextlib
import json
import random
import threading
import time
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import paho.mqtt.client as paho
from harness import DEVICE, ROOT, World
from paho.mqtt.enums import CallbackAPIVersion
from processes import wait_for

LARGEST = 1536
"""Bytes of the largest payload that the broker lets pass, as in the chart."""
NUDGE = 0x83
UP, DOWN, OWNER = (f"mt/{DEVICE}/{rest}" for rest in ("1/up", "1/down", "owner"))


class Attacker:
    """A client of the listener without rules."""

    def __init__(self, port: int) -> None:
        """Connect and listen to every topic of the meter."""
        self._port = port
        self.seen: dict[str, list[bytes]] = defaultdict(list)
        self._own: set[bytes] = set()
        subscribed = threading.Event()
        self._client = self._connect("attacker")
        self._client.on_message = self._message
        self._client.on_subscribe = lambda *_: subscribed.set()
        self._client.subscribe(f"mt/{DEVICE}/#", 1)
        assert subscribed.wait(60), "no subscription"

    def _connect(self, client_id: str) -> paho.Client:
        connected = threading.Event()
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id,
            clean_session=True,
            reconnect_on_failure=False,  # whose id was taken comes back: one kick, no contest
        )
        client.on_connect = lambda *_: connected.set()
        client.connect("127.0.0.1", self._port)
        client.loop_start()
        assert connected.wait(60), "no connection"
        return client

    def _message(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        if message.payload not in self._own and not message.retain:
            self.seen[message.topic].append(bytes(message.payload))

    def frames(self, topic: str) -> list[bytes]:
        """Return the real messages of a topic so far, the newest last."""
        return list(self.seen[topic])

    def send(self, topic: str, payloads: Iterable[bytes], qos: int = 1) -> None:
        """Publish; with QoS 1 return when the broker has taken all."""
        sent = []
        for payload in payloads:
            self._own.add(payload)
            sent.append(self._client.publish(topic, payload, qos))
        for one in sent:
            one.wait_for_publish(60)

    def leave(self, topic: str, payload: bytes) -> None:
        """Leave a retained message; an empty one takes it away."""
        self._own.add(payload)
        self._client.publish(topic, payload, 1, retain=True).wait_for_publish(60)

    def kick(self, client_id: str) -> None:
        """End the session of a client by taking its id."""
        self._end(self._connect(client_id))

    @staticmethod
    def _end(client: paho.Client) -> None:
        client.disconnect()
        with contextlib.suppress(AttributeError):  # its thread ended in between
            client.loop_stop()
        client._reset_sockets()  # else left to the garbage collector, which warns in another test

    def close(self) -> None:
        self._end(self._client)


def mutate(frames: list[bytes], choose: random.Random, count: int) -> Iterator[bytes]:
    """Yield `count` messages that must be refused, made of real ones.

    A nudge may be answered again, once in five seconds, so it is never replayed as it is.
    """
    kinds: tuple[Callable[[bytes], bytes], ...] = (
        lambda _: choose.randbytes(choose.randint(1, LARGEST)),
        lambda _: b"\x01" + choose.randbytes(choose.randint(1, 700)),
        lambda frame: frame[: choose.randrange(len(frame))],
        lambda frame: frame + choose.randbytes(choose.randint(1, 64)),
        lambda frame: frame + choose.randbytes(LARGEST - len(frame)),
        lambda frame: flip(frame, choose.randrange(8 * len(frame))),
        lambda frame: flip(frame, choose.randrange(16, 48)),  # the counter
        lambda frame: frame[: len(frame) // 2] + choose.choice(frames)[len(frame) // 2 :],
        lambda frame: frame,
    )
    made = 0
    while made < count:
        frame = choose.choice(frames)
        bad = kinds[made % len(kinds)](frame)
        if bad in frames and bad[1] == NUDGE:
            continue
        made += 1
        yield bad


def flip(frame: bytes, bit: int) -> bytes:
    """Return the frame with one bit changed."""
    damaged = bytearray(frame)
    damaged[bit // 8] ^= 1 << bit % 8
    return bytes(damaged)


class Victims:
    """Twin and firmware as they are seen from outside."""

    def __init__(self, world: World) -> None:
        self._world = world

    def refused_by_twin(self) -> Counter[str]:
        """Return what `/v1/status` counts; `/metrics` must say the same sum, or more by now."""
        status, document = self._world.ask("GET", "/v1/status")
        assert status == 200
        found = Counter[str](document["refused"])
        url = f"http://127.0.0.1:{self._world.twin.plain}/metrics"
        with urllib.request.urlopen(url, timeout=60) as answer:
            rows = [row for row in answer.read().decode().splitlines() if "frames_refused" in row]
        assert float(rows[-1].split()[1]) >= found.total()
        return found

    def _report(self) -> dict[str, Any]:
        lines = [
            line for line in self._world.firmware.log.splitlines() if line.startswith("WATCH {")
        ]
        whole = next((line for line in reversed(lines) if line.endswith("}")), "WATCH {}")
        report: dict[str, Any] = json.loads(whole[6:])
        return report

    def refused_by_meter(self) -> Counter[str]:
        return Counter[str](self._report().get("refused", {}))

    def heap_of_meter(self) -> int:
        """Return the bytes of heap in use after a collection, the least of two seconds."""
        found = []
        for _ in range(8):
            time.sleep(0.25)
            found.append(self._report()["heap"])
        return int(min(found))

    def log_lines(self) -> int:
        """Return the lines of both logs, without the reports of `watched_meter`."""
        logs = self._world.firmware.log + self._world.twin.log
        return sum(not line.startswith("WATCH") for line in logs.splitlines())


def start_watched(world: World) -> None:
    """Start everything, with the firmware under `watched_meter`."""
    world.start_broker()
    world.operator.start()
    world.operator.take_over()
    world.twin.start()
    meter = world.make_firmware()
    place = meter.command.index(str(ROOT / "firmware/src/main.py"))
    meter.command[place] = str(ROOT / "tests/process/watched_meter.py")
    meter.start()
    wait_for(lambda: "WATCH" in meter.log, "the meter reports")
