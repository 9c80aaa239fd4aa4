"""What an MQTT connection tells its shell: a message, or the broker's answer to a packet.

Neighbour: `mqtt.py`, whose `next_event` returns these.
"""

from .constant import const
from .mqtt_packet import RemoteProtocolError

REFUSED = const(0x80)
"""SUBACK's code of a filter that the broker refuses."""


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


_BY_TYPE = {4: Published, 9: Subscribed, 11: Unsubscribed}


def build_answer(
    kind: int, packet_id: int, topics: "tuple[str, ...]", codes: bytes, asked: bytes
) -> Answer:
    """Return PUBACK, SUBACK or UNSUBACK (packet types 4, 9 and 11) to what was `asked` (QoS).

    Raises:
        RemoteProtocolError: another number of codes, or a QoS above the one asked for.
    """
    event = _BY_TYPE[kind]
    if len(codes) != len(asked):
        raise RemoteProtocolError("unexpected")
    for code, most in zip(codes, asked):
        if code == REFUSED:
            event = SubscribeRefused
        elif code > most:  # [MQTT-3.9.3-2]
            raise RemoteProtocolError("unexpected")
    return event(packet_id, topics, codes)
