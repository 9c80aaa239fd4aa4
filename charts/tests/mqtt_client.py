"""A client whose calls wait for the broker's answer, for tests on a broker of theirs or the demo's."""

import queue
import socket

import paho.mqtt.client as mqtt

WAIT_S = 100
"""No requirement: it ends a wait that would last for ever."""


class Client:
    """A paho client of the broker; `messages` are (topic, payload, retained)."""

    def __init__(
        self,
        port: int,
        context=None,
        *,
        client_id="",
        clean=True,
        will=None,
        user=None,
        keep_will=True,
    ):
        self.messages: queue.Queue = queue.Queue()
        self.codes: queue.Queue = queue.Queue()
        self.lost: queue.Queue = queue.Queue()
        self.granted: queue.Queue = queue.Queue()
        self.paho = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=clean,
            reconnect_on_failure=False,
        )
        if context is not None:
            self.paho.tls_set_context(context)
        if user is not None:
            self.paho.username_pw_set(*user)
        if will is not None:
            self.paho.will_set(will, b"will", qos=1, retain=keep_will)
        self.paho.on_connect = lambda _c, _u, _f, code, _p: self.codes.put(code.value)
        self.paho.on_disconnect = lambda _c, _u, _f, code, _p: self.lost.put(code.value)
        self.paho.on_message = lambda _c, _u, m: self.messages.put((m.topic, m.payload, m.retain))
        self.paho.on_subscribe = lambda _c, _u, mid, _codes, _p: self.granted.put(mid)
        self.port = port

    def connect(self) -> int:
        """Return the CONNACK code."""
        self.paho.connect("localhost", self.port, keepalive=30)
        self.paho.loop_start()
        return self.codes.get(timeout=WAIT_S)

    def subscribe(self, *topics: str, qos: int = 1) -> None:
        """Subscribe to each and wait for the SUBACKs, whatever they say."""
        for topic in topics:
            self.paho.subscribe(topic, qos)
            self.granted.get(timeout=WAIT_S)

    def publish(self, topic: str, payload: bytes = b"x", qos: int = 0, *, retain=False) -> None:
        self.paho.publish(topic, payload, qos, retain)

    def until(self, topic: str) -> list[tuple]:
        """Return all messages up to the first one on `topic`."""
        seen = []
        while True:
            seen.append(self.messages.get(timeout=WAIT_S))
            if seen[-1][0] == topic:
                return seen

    def cut(self) -> None:
        """Drop the connection without saying goodbye, so that the will is sent."""
        self.paho.socket().shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.paho.disconnect()
        self.paho.loop_stop()
        # paho leaves its sockets to the garbage collector, which may warn in another test.
        self.paho._reset_sockets()
