"""What an MQTT connection tells its shell: a message, or the broker's answer to a packet.

Neighbour: `mqtt.py`, whose `next_event` returns these.
"""


class Message:
    """An application message; one with a `packet_id` other than 0 waits for `acknowledge`."""

    def __init__(self, name: str, payload: bytes, first: int, packet_id: int) -> None:
        self.topic = name
        self.payload = payload
        self.retain = first & 1
        self.qos = first >> 1 & 3
        self.dup = first >> 3 & 1
        self.packet_id = packet_id


class Answer:
    """What the broker answered to packet `packet_id` about `topics`, with SUBACK's `codes`."""

    def __init__(self, packet_id: int, topics: "tuple[str, ...]", codes: bytes) -> None:
        self.packet_id = packet_id
        self.topics = topics
        self.codes = codes


class Connected(Answer):
    """CONNACK with code 0."""


class Published(Answer):
    """PUBACK: the broker has taken the publish."""


class Subscribed(Answer):
    """SUBACK that grants each of `topics` a QoS (`codes`)."""


class SubscribeRefused(Answer):
    """SUBACK that refuses at least one of `topics`: its code is REFUSED."""


class Unsubscribed(Answer):
    """UNSUBACK."""


class Pong(Answer):
    """PINGRESP."""
