"""Properties of the MQTT codec, its limits, and reference libraries as counterparts."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from meter_wire.portable import mqtt, mqtt_event, mqtt_packet

topics = st.text(
    st.characters(exclude_characters="\0#+", exclude_categories=("Cs",)), min_size=1, max_size=20
)
CONNACK = b"\x20\x02\x00\x00"


def connected(**options) -> mqtt.Connection:
    connection = mqtt.Connection("m", **options)
    connection.connect(0)
    connection.receive_data(CONNACK, 0)
    assert isinstance(connection.next_event(), mqtt_event.Connected)
    return connection


def drain(connection):
    events = []
    while (event := connection.next_event()) is not None:
        events.append(event)
    return events


messages = st.lists(
    st.tuples(topics, st.binary(max_size=200), st.sampled_from((0, 1)), st.booleans()), max_size=6
)


@given(messages, st.data())
def test_what_one_end_publishes_the_other_receives_whatever_the_split(batch, data):
    sender, receiver = connected(), connected()
    wire = b"".join(bytes(sender.publish(*message, 0)) for message in batch)
    got = []
    while wire:
        size = data.draw(st.integers(1, min(len(wire), 2048)))
        receiver.receive_data(wire[:size], 0)
        wire = wire[size:]
        got += drain(receiver)
    assert [(m.topic, m.payload, m.qos, bool(m.retain)) for m in got] == batch


@given(messages, st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255))), st.integers(1, 64))
def test_any_corruption_is_a_remote_error_and_the_buffer_stays_in_its_cap(batch, flips, size):
    sender, receiver = connected(), connected(max_packet=256)
    wire = bytearray(b"".join(bytes(sender.publish(*message, 0)) for message in batch))
    for place, value in flips:
        if wire:
            wire[place % len(wire)] = value
    try:
        for start in range(0, len(wire), size):
            receiver.receive_data(wire[start : start + size], 0)
            drain(receiver)
            assert len(receiver._buffer) <= 256
    except mqtt.RemoteProtocolError as error:
        assert receiver.state == mqtt.ERROR
        with pytest.raises(type(error)):
            receiver.next_event()
        receiver.receive_data(b"x" * 200, 0)  # the error state is final and keeps nothing
        assert len(receiver._buffer) == 0


@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_give_events_or_a_remote_error(noise, greeted):
    connection = connected() if greeted else mqtt.Connection("m")
    if not greeted:
        connection.connect(0)
    connection.receive_data(noise, 0)
    try:
        drain(connection)
    except mqtt.RemoteProtocolError:
        assert connection.state == mqtt.ERROR


def test_a_packet_of_exactly_the_limit_passes_and_one_more_byte_does_not():
    sender = connected(max_packet=4096)
    exact = bytes(sender.publish("a", bytes(256 - 6), 0, False, 0))
    assert len(exact) == 256
    receiver = connected(max_packet=256)
    receiver.receive_data(exact, 0)
    assert len(drain(receiver)) == 1
    receiver.receive_data(sender.publish("a", bytes(256 - 5), 0, False, 0)[:3], 0)
    with pytest.raises(mqtt.RemoteProtocolError, match="limit"):
        receiver.next_event()
    small = connected(max_packet=256)
    assert len(small.publish("a", bytes(250), 0, False, 0)) == 256
    with pytest.raises(mqtt.LocalProtocolError, match="limit"):
        small.publish("a", bytes(251), 0, False, 0)


def test_the_caller_must_drain():
    connection = connected(max_packet=64)
    connection.receive_data(bytes(128), 0)
    with pytest.raises(mqtt.LocalProtocolError, match="drained"):
        connection.receive_data(b"x", 0)


def test_the_window_is_bounded_and_ids_in_flight_are_not_used_again():
    connection = connected(max_in_flight=2)
    connection.last_id = 65534
    connection.publish("a", b"", 1, False, 0)
    connection.publish("a", b"", 1, False, 0)
    assert connection.unacknowledged() == [65535, 1]
    assert connection.window() == 0
    with pytest.raises(mqtt.LocalProtocolError, match="window"):
        connection.publish("a", b"", 1, False, 0)
    connection.receive_data(b"\x40\x02\xff\xff", 0)
    assert drain(connection)[0].packet_id == 65535
    connection.last_id = 65535
    connection.publish("a", b"", 1, False, 0)
    assert connection.unacknowledged() == [1, 2]


def test_mqtt_3_1_0_1_and_2_connect_is_first_and_only_once():
    connection = mqtt.Connection("m")
    with pytest.raises(mqtt.LocalProtocolError):
        connection.publish("a", b"", 0, False, 0)
    assert connection.connect(0)[0] == 0x10
    with pytest.raises(mqtt.LocalProtocolError):
        connection.connect(0)


def test_mqtt_3_1_2_22_no_password_without_a_user_name():
    with pytest.raises(mqtt.LocalProtocolError):
        mqtt.Connection("m", password=b"x")


@pytest.mark.parametrize("body", [b"\x01\x00", b"\x00\x06", b"\x02\x00", b"\x01\x05"])
def test_mqtt_3_2_2_1_and_4_no_session_is_present_and_no_code_is_reserved(body):
    connection = mqtt.Connection("m")
    connection.connect(0)
    connection.receive_data(b"\x20\x02" + body, 0)
    with pytest.raises(mqtt.RemoteProtocolError):
        connection.next_event()


@pytest.mark.parametrize("code", [2, 3, 0x7F, 0x81])
def test_mqtt_3_9_3_2_a_reserved_return_code_is_refused(code):
    connection = connected()
    connection.subscribe((("a", 1),), 0)
    connection.receive_data(bytes((0x90, 3, 0, 1, code)), 0)
    with pytest.raises(mqtt.RemoteProtocolError):
        connection.next_event()


def test_mqtt_3_8_3_3_and_3_10_3_2_at_least_one_filter():
    for call in (connected().subscribe, connected().unsubscribe):
        with pytest.raises(mqtt.LocalProtocolError):
            call((), 0)


def test_mqtt_3_14_4_2_nothing_follows_disconnect():
    connection = connected()
    assert bytes(connection.disconnect()) == b"\xe0\x00"
    with pytest.raises(mqtt.LocalProtocolError):
        connection.publish("a", b"", 0, False, 0)
    connection.receive_data(b"\x30\x00", 0)
    assert connection.next_event() is None


def test_traffic_in_one_direction_alone_does_not_keep_a_session_alive():
    connection = connected(keep_alive_s=8)
    for now_ms in range(0, 4000, 100):
        connection.publish("a", b"", 0, False, now_ms)
        assert not connection.poll(now_ms)
    assert connection.poll(4000) == b"\xc0\x00"
    connection.receive_data(b"\xd0\x00", 4100)
    assert isinstance(connection.next_event(), mqtt_event.Pong)
    assert not connection.poll(4100)


def test_a_silent_broker_is_noticed_while_connecting():
    connection = mqtt.Connection("m", 8)
    connection.connect(0)
    assert not connection.poll(1999)
    with pytest.raises(mqtt.RemoteProtocolError, match="silent"):
        connection.poll(2000)


def test_keep_alive_zero_never_pings():
    assert not connected(keep_alive_s=0).poll(2**29)


def test_mqtt_1_5_3_1_a_surrogate_is_not_sent():
    with pytest.raises(mqtt.LocalProtocolError):
        mqtt_packet.topic("\ud800")


@given(st.text(max_size=30), st.sampled_from((0, 1)), st.booleans(), st.integers(1, 65535))
def test_connect_reads_the_same_in_amqtt(name, qos, retain, keep_alive):
    handler = pytest.importorskip("amqtt.mqtt.connect")
    try:
        connection = mqtt.Connection(name, keep_alive, ("w/t", b"\x00\xff", qos, retain), "u", b"p")
    except mqtt.LocalProtocolError:
        assert "\0" in name
        return
    packet = read_with_amqtt(handler.ConnectPacket, connection.connect(0))
    assert packet.variable_header.keep_alive == keep_alive
    assert packet.variable_header.clean_session_flag
    assert (packet.will_qos, packet.will_retain_flag) == (qos, retain)
    if name:  # amqtt makes one up for an empty one
        assert packet.payload.client_id == name
    assert (packet.will_topic, bytes(packet.will_message)) == ("w/t", b"\x00\xff")
    assert (packet.username, packet.password) == ("u", "p")


@given(topics, st.binary(max_size=300), st.sampled_from((0, 1)), st.booleans())
def test_publish_reads_the_same_in_amqtt(name, payload, qos, retain):
    handler = pytest.importorskip("amqtt.mqtt.publish")
    packet = read_with_amqtt(
        handler.PublishPacket, connected().publish(name, payload, qos, retain, 0)
    )
    assert (packet.topic_name, bytes(packet.data or b"")) == (name, payload)
    assert (packet.qos, bool(packet.retain_flag), bool(packet.dup_flag)) == (qos, retain, False)


def read_with_amqtt(kind, data):
    """Parse `data` with amqtt's reader, which is a coroutine that never waits here."""
    from amqtt.adapters import BufferReader
    from amqtt.mqtt.packet import MQTTFixedHeader

    reader = BufferReader(bytes(data))

    async def parse():
        fixed = await MQTTFixedHeader.from_stream(reader)
        return await kind.from_stream(reader, fixed_header=fixed)

    task = parse()
    try:
        task.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("packet is incomplete")


@pytest.mark.parametrize(
    ("name", "payload", "qos", "retain"), [("a", b"", 0, False), ("mt/\xe9", bytes(300), 1, True)]
)
def test_publish_is_byte_for_byte_that_of_paho(name, payload, qos, retain):
    paho = pytest.importorskip("paho.mqtt.client")
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, "m")
    packets = []
    client._packet_queue = lambda _command, packet, *_rest, **_named: packets.append(packet)
    client._sock = object()
    client._send_publish(1, name.encode(), payload, qos, retain)
    client._sock = None
    assert packets == [connected().publish(name, payload, qos, retain, 0)]
    assert struct.unpack(">B", packets[0][:1])[0] >> 4 == 3
