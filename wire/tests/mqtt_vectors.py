"""MQTT test vectors that both Pythons run: `run()` returns the names of those that failed.

Without pytest, so that MicroPython takes the same file; `test_mqtt_vectors.py` runs it on both.
"""

from meter_wire.portable import mqtt, mqtt_event, mqtt_packet

CONNACK = b"\x20\x02\x00\x00"

# (name, bytes of the peer after CONNACK): each must be refused whatever the split
MALFORMED = (
    ("MQTT-2.2.2-2 flags of a PUBACK", b"\x41\x02\x00\x01"),
    ("MQTT-2.3.1-1 packet id 0", b"\x32\x06\x00\x01a\x00\x00x"),
    ("MQTT-3.3.1-2 dup with QoS 0", b"\x38\x03\x00\x01a"),
    ("MQTT-3.3.1-4 QoS 3", b"\x36\x05\x00\x01a\x00\x01"),
    ("4.3.3 QoS 2 was never asked for", b"\x34\x05\x00\x01a\x00\x01"),
    ("MQTT-3.3.2-1 no topic", b"\x30\x00"),
    ("MQTT-3.3.2-2 wildcard in a topic", b"\x30\x03\x00\x01#"),
    ("MQTT-4.7.3-1 empty topic", b"\x30\x02\x00\x00"),
    ("MQTT-1.5.3-1 surrogate", b"\x30\x05\x00\x03\xed\xa0\x80"),
    ("MQTT-1.5.3-1 not UTF-8", b"\x30\x04\x00\x02\xc3\x28"),
    ("MQTT-1.5.3-2 U+0000", b"\x30\x03\x00\x01\x00"),
    ("topic over the packet", b"\x30\x03\x00\x09a"),
    ("packet id over the packet", b"\x32\x04\x00\x01a\x00"),
    ("MQTT-3.2.0-1 second CONNACK", CONNACK),
    ("PUBACK of nothing", b"\x40\x02\x00\x07"),
    ("PUBACK without id", b"\x40\x00"),
    ("SUBACK of nothing", b"\x90\x03\x00\x07\x00"),
    ("PINGRESP of nothing", b"\xd0\x00"),
    ("reserved type 0", b"\x00\x00"),
    ("reserved type 15", b"\xf0\x00"),
    ("CONNECT is the client's", b"\x10\x00"),
    ("SUBSCRIBE is the client's", b"\x82\x06\x00\x01\x00\x01a\x00"),
    ("PUBREL belongs to QoS 2", b"\x62\x02\x00\x01"),
    ("2.2.3 length of five bytes", b"\x30\x80\x80\x80\x80\x01"),
    ("packet over the limit", b"\x30\xff\x7f"),
)


def connected(**options):
    """Return a connection that has had its CONNACK at 0 ms."""
    connection = mqtt.Connection("m", **options)
    connection.connect(0)
    connection.receive_data(CONNACK, 0)
    event = connection.next_event()  # no assert: bytecode at -O3 has none
    if not isinstance(event, mqtt_event.Connected):
        raise TypeError
    return connection


def raises(error, call, *arguments):
    try:
        call(*arguments)
    except error:
        return True
    return False


def feed(connection, data, size):
    events = []
    for start in range(0, len(data), size):
        connection.receive_data(data[start : start + size], 0)
        event = connection.next_event()
        while event is not None:
            events.append(event)
            event = connection.next_event()
    return events


def is_refused(data, size):
    connection = connected()
    if not raises(mqtt.RemoteProtocolError, feed, connection, data, size):
        return False
    # the error state is final
    return raises(mqtt.RemoteProtocolError, connection.next_event) and raises(
        mqtt.LocalProtocolError, connection.publish, "a", b"", 0, False, 0
    )


def check_connect():
    will = ("w", b"x", 1, True)
    connection = mqtt.Connection("m", 258, will, "u", b"p")
    want = b"\x10\x19\x00\x04MQTT\x04\xee\x01\x02\x00\x01m\x00\x01w\x00\x01x\x00\x01u\x00\x01p"
    return bytes(connection.connect(0)) == want


def check_messages():
    data = b"\x31\x05\x00\x01axy" + b"\x3a\x06\x00\x01b\x01\x02z" + b"\x30\x04\x00\x02\xc3\xa9"
    for size in range(1, len(data) + 1):
        got = [
            (m.topic, m.payload, m.qos, m.retain, m.dup, m.packet_id)
            for m in feed(connected(), data, size)
        ]
        if got != [("a", b"xy", 0, 1, 0, 0), ("b", b"z", 1, 0, 1, 258), ("\xe9", b"", 0, 0, 0, 0)]:
            return False
    return True


def check_publish():
    connection = connected()
    first = bytes(connection.publish("a", b"xy", 1, True, 0))
    second = bytes(connection.publish("a", bytearray(b"z"), 0, False, 0))
    if first != b"\x33\x07\x00\x01a\x00\x01xy" or second != b"\x30\x04\x00\x01az":
        return False
    if connection.unacknowledged() != [1]:
        return False
    events = feed(connection, b"\x40\x02\x00\x01", 1)
    return isinstance(events[0], mqtt_event.Published) and connection.unacknowledged() == []


def check_subscribe():
    connection = connected()
    packet = bytes(connection.subscribe((("a/+", 1), ("#", 0)), 0))
    if packet != b"\x82\x0c\x00\x01\x00\x03a/+\x01\x00\x01#\x00":
        return False
    event = feed(connection, b"\x90\x04\x00\x01\x00\x80", 2)[0]
    if not isinstance(event, mqtt_event.SubscribeRefused) or event.codes != b"\x00\x80":
        return False
    packet = bytes(connection.unsubscribe(("a/+",), 0))
    event = feed(connection, b"\xb0\x02\x00\x02", 1)[0]
    return packet == b"\xa2\x07\x00\x02\x00\x03a/+" and isinstance(event, mqtt_event.Unsubscribed)


def check_keep_alive():
    start = 0x3FFFFFFF - 1000  # MicroPython's ticks wrap meanwhile
    connection = mqtt.Connection("m", 8)
    connection.connect(start)
    connection.receive_data(CONNACK, start)
    connection.next_event()
    if connection.poll((start + 3999) & 0x3FFFFFFF):
        return False
    if bytes(connection.poll((start + 4000) & 0x3FFFFFFF)) != b"\xc0\x00":
        return False
    if connection.poll((start + 5999) & 0x3FFFFFFF):
        return False
    return raises(mqtt.RemoteProtocolError, connection.poll, (start + 6000) & 0x3FFFFFFF)


def check_refusal():
    connection = mqtt.Connection("m")
    connection.connect(0)
    connection.receive_data(b"\x20\x02\x00\x05", 0)
    try:
        connection.next_event()
    except mqtt.RefusedError as error:
        return error.code == 5
    return False


def check_topics():
    for name in ("", "a/+", "#", "a\0b"):
        if not raises(mqtt.LocalProtocolError, mqtt_packet.topic, name):
            return False
    for name in ("", "a#", "a/#/b", "+a", "a/b+", "a\0"):
        if not raises(mqtt.LocalProtocolError, mqtt_packet.topic_filter, name):
            return False
    for name in ("#", "+", "+/a/#", "/", "a/+/b"):
        mqtt_packet.topic_filter(name)
    return True


CHECKS = (
    check_connect,
    check_messages,
    check_publish,
    check_subscribe,
    check_keep_alive,
    check_refusal,
    check_topics,
)


def run():
    """Return the names of the vectors that failed."""
    failed = [name for name, data in MALFORMED if not is_refused(data, len(data))]
    failed += [name for name, data in MALFORMED if not is_refused(data, 1)]
    for check in CHECKS:
        if not check():
            failed.append(check.__name__)
    return failed
