"""The operator's part of the contract over paho-mqtt: owner record and `ctl`, hellos answered.

What it keeps (epoch ids, counter, states) is what the real one keeps in status. Everything is
published again at each connection, because a broker without persistence forgets retained messages.
"""

import json
import os
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import paho.mqtt.client as paho
from meter_wire.control import sign_record
from meter_wire.owner_record import OwnerHello, OwnerRecord, encode_owner_record, parse_owner_hello
from meter_wire.portable.keys import derive_key
from paho.mqtt.enums import CallbackAPIVersion

if TYPE_CHECKING:
    from harness import World


class OperatorRole:
    """Decides nothing by itself: tests call `take_over`, `prepare`, `commit`, `abort`."""

    def __init__(self, world: "World", device: str, meter_key: bytes) -> None:
        self._world = world
        self._device = device
        self._key = meter_key
        self._lock = threading.RLock()
        self._client: paho.Client | None = None
        self.ids: dict[int, bytes] = {}
        self.states: dict[int, str] = {}
        self.active = 0
        self.candidate = 0
        self.counter = 0
        self.hellos: list[OwnerHello] = []
        self.on_renew: Callable[[bytes], Iterable[bytes]] | None = None
        """Request on `mt/<device>/renew` → what is said on `mt/<device>/renewed`."""

    def start(self) -> None:
        """Connect, and keep connecting, in a thread of paho's."""
        folder = self._world.folder
        client = paho.Client(CallbackAPIVersion.VERSION2, "operator", clean_session=True)
        client.tls_set(
            str(folder / "ca.crt"), str(folder / "operator.crt"), str(folder / "operator.key")
        )
        client.on_connect = self._connected
        client.on_message = self._message
        client.reconnect_delay_set(1, 2)
        client.connect_async("localhost", self._world.port, 15)
        client.loop_start()
        self._client = client

    def stop(self) -> None:
        """End without a word to anybody (the operator is killed)."""
        if self._client is not None:
            self._client.disconnect()
            self._client.loop_stop()
            self._client._reset_sockets()  # else left to the garbage collector, which warns
            self._client = None

    def _connected(
        self, client: paho.Client, _data: Any, _flags: Any, reason: Any, _properties: Any
    ) -> None:
        if not reason.is_failure:
            client.subscribe([(f"mt/{self._device}/{name}", 1) for name in ("hello", "renew")])
            self.publish()

    def _message(self, client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        if message.topic.endswith("/renew"):
            for answer in self.on_renew(bytes(message.payload)) if self.on_renew else ():
                client.publish(f"mt/{self._device}/renewed", answer, 1)
            return
        hello = parse_owner_hello(
            bytes(message.payload), derive_key(self._key, "hello", self._device)
        )
        with self._lock:
            self.hellos.append(hello)
            self.publish(hello.nonce)

    def publish(self, nonce: bytes = b"") -> None:
        """Publish owner record and every epoch's control record, retained."""
        with self._lock:
            if self._client is None or not self.active:
                return
            key = derive_key(self._key, "owner", self._device)
            record = OwnerRecord(
                self._device,
                self.active,
                self.ids[self.active],
                self.candidate,
                self.ids[self.candidate] if self.candidate else b"",
                max(self.ids),
                self._world.meter_broker,
                self.counter,
                nonce,
            )
            payload = encode_owner_record(record, key)
            self._client.publish(f"mt/{self._device}/owner", payload, 1, True)
            for epoch, state in self.states.items():
                self._control(self._client, epoch, state)

    def _control(self, client: paho.Client, epoch: int, state: str) -> None:
        key = derive_key(self._key, "ctl", self._device, epoch, self.ids[epoch])
        record = {"epoch": epoch, "epochId": self.ids[epoch].hex(), "state": state}
        record |= {"term": 1, "counter": self.counter}
        payload = json.dumps(sign_record(record, key)).encode()
        client.publish(f"mt/{self._device}/{epoch}/ctl", payload, 1, True)

    def _allocate(self) -> int:
        epoch = max(self.ids, default=0) + 1
        self.ids[epoch] = os.urandom(16)
        self._world.make_twin(epoch, self.ids[epoch])
        return epoch

    def take_over(self) -> int:
        """Make a new epoch active; its twin is made, not started. Returns the epoch."""
        with self._lock:
            epoch = self._allocate()
            for other in self.states:
                self.states[other] = "retired"
            self.states[epoch] = "active"
            self.active, self.candidate = epoch, 0
            self.counter += 1
            self.publish()
            return epoch

    def prepare(self) -> int:
        """Make a candidate beside the active epoch (flows 2 to 7). Returns the epoch."""
        with self._lock:
            self.candidate = self._allocate()
            self.states[self.candidate] = "candidate"
            self.counter += 1
            self.publish()
            return self.candidate

    def commit(self) -> None:
        """Make the candidate active and retire the active epoch."""
        with self._lock:
            self.states[self.active] = "retired"
            self.states[self.candidate] = "active"
            self.active, self.candidate = self.candidate, 0
            self.counter += 1
            self.publish()

    def abort(self) -> None:
        """Burn the candidate's epoch."""
        with self._lock:
            self.states[self.candidate] = "retired"
            self.candidate = 0
            self.counter += 1
            self.publish()
