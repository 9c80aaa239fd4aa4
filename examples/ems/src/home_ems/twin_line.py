"""Hears the meter's twin over the broker, and tells it what the home does; by paho-mqtt.

The session and its subscription stay when the twin is replaced. Neighbours: `conversation` (what
the messages mean), `twin_client` (the same over HTTPS).
"""

import json
import sys
import threading
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from .conversation import Conversation
from .plan import Plan, PlanError

KEEP_ALIVE_S = 30


class TwinLine:
    """The twin of one meter, by way of the broker."""

    def __init__(self, device: str, user: str, host: str, port: int, folder: Path) -> None:
        """Connect in a thread of paho's, again and again; `folder` has ca.crt, tls.crt, tls.key."""
        self._conversation = Conversation(device, user)
        self._plan = Plan()
        self._lock, self._news = threading.Lock(), threading.Event()
        client = paho.Client(CallbackAPIVersion.VERSION2, user, clean_session=True)
        ca, certificate, key = (str(folder / one) for one in ("ca.crt", "tls.crt", "tls.key"))
        client.tls_set(ca, certificate, key)
        client.on_connect = self._connected
        client.on_message = self._take
        client.reconnect_delay_set(1, 30)
        client.connect_async(host, port, KEEP_ALIVE_S)
        client.loop_start()
        self._client = client

    def exchange(self, state: dict[str, Any], seconds: float) -> Plan:
        """Tell what the home has and does; return the plan after so long, or when there is news."""
        with self._lock:
            topic = self._conversation.find_topic("state")
        if topic is not None:
            self._client.publish(topic, json.dumps(state), qos=1)
        self._news.wait(seconds)
        self._news.clear()
        with self._lock:
            return self._plan

    def close(self) -> None:
        """Say goodbye."""
        self._client.disconnect()
        self._client.loop_stop()

    def _connected(self, client: paho.Client, *details: Any) -> None:
        reason = details[2]
        if reason.is_failure:
            sys.stderr.write(f"the broker refuses this home: {reason}\n")
            return
        client.subscribe([(one, 1) for one in self._conversation.filters])

    def _take(self, _client: paho.Client, _userdata: Any, message: paho.MQTTMessage) -> None:
        try:
            with self._lock:
                before = self._conversation.find_topic("state")
                found = self._conversation.take(message.topic, bytes(message.payload))
                is_another = self._conversation.find_topic("state") != before
        except PlanError as error:
            sys.stderr.write(f"not understood: {error}\n")
            return
        if isinstance(found, str):
            sys.stderr.write(f"the twin answers: {found}\n")
        elif found is not None:
            with self._lock:
                is_news = is_another or found._replace(valid_until_s=0) != self._plan._replace(
                    valid_until_s=0
                )
                self._plan = found
            if is_news:
                self._news.set()
