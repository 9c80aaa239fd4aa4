"""The renewal port, on real Mosquittos: who may say what there, and that nobody is disturbed by it.

Whoever connects there has no certificate and chooses his client id. Nothing waits for silence: each
refused attempt is followed by an allowed one that arrives.
"""

import ssl
import time

import pytest
from loopback import free_ports
from mqtt_client import WAIT_S, Client
from test_broker import connack, refused, renew_certificate

METER, OPERATOR = "house-1", "Operator.metertwin"
ON = "mosquitto.renewalListener.enabled=true"
REQUEST, ANSWER = "mt/house-1/renew", "mt/house-1/renewed"
STRANGE = (
    "house-1/1",
    "a/b",
    "+",
    "#",
    "mt",
    "Operator.metertwin",
    "Reader.home",
    "$SYS",
    "x" * 60,
)


@pytest.fixture
def port(start_broker):
    """Both brokers of the pod; returns (broker, function client id -> client of the port)."""
    broker = start_broker("default", ON)
    context = ssl.create_default_context(cafile=broker.authority.ca)

    def client(client_id: str, **options):
        made = Client(broker.renewal_port, context, client_id=client_id, **options)
        broker.clients.append(made)
        return made

    return broker, client


def bridged(broker, client) -> None:
    """Wait until what is said on the port arrives at the broker."""
    operator = broker.connected(OPERATOR)
    operator.subscribe("mt/+/renew")
    probe = client("probe")
    assert probe.connect() == 0
    end = time.monotonic() + WAIT_S
    while operator.messages.empty():
        probe.publish("mt/probe/renew", b"probe", 1)
        assert time.monotonic() < end, "no way from the renewal port to the broker"
        time.sleep(0.1)
    probe.close()
    operator.close()


def test_a_request_reaches_the_operator_and_its_answer_the_meter_alone(port):
    broker, client = port
    bridged(broker, client)
    operator = broker.connected(OPERATOR)
    operator.subscribe("mt/+/renew", qos=0)
    meter, other = client("house-1"), client("house-2")
    for one, name in ((meter, "house-1"), (other, "house-2")):
        assert one.connect() == 0
        one.subscribe(f"mt/{name}/renewed", ANSWER, "mt/+/renewed", "#")
    meter.publish(REQUEST, b"x" * 1100, 1)
    assert operator.until(REQUEST)[-1] == (REQUEST, b"x" * 1100, False)
    operator.publish(ANSWER, b"y" * 1536, 1)
    operator.publish("mt/house-2/renewed", b"barrier", 1)
    assert meter.until(ANSWER)[-1] == (ANSWER, b"y" * 1536, False)
    assert {topic for topic, _, _ in other.until("mt/house-2/renewed")} == {"mt/house-2/renewed"}


def test_a_meter_asks_over_its_own_session_too_and_for_itself_alone(port):
    broker, _ = port
    operator, meter, other = (broker.connected(who) for who in (OPERATOR, METER, "house-2"))
    operator.subscribe("mt/+/renew", qos=0)
    meter.subscribe(ANSWER)
    other.subscribe(ANSWER, "mt/+/renewed", "mt/house-2/renewed")
    other.publish(REQUEST, b"forged", 1)
    other.publish("mt/house-2/renew", b"own", 1)
    assert operator.until("mt/house-2/renew") == [("mt/house-2/renew", b"own", False)]
    other.publish(ANSWER, b"forged", 1)
    meter.publish(REQUEST, b"request", 1)
    assert operator.until(REQUEST)[-1][1] == b"request"
    operator.publish(ANSWER, b"answer", 1)
    operator.publish("mt/house-2/renewed", b"barrier", 1)
    assert [payload for _, payload, _ in meter.until(ANSWER)] == [b"answer"]
    assert {topic for topic, _, _ in other.until("mt/house-2/renewed")} == {"mt/house-2/renewed"}


def test_a_twin_and_a_reader_neither_ask_nor_hear_answers(port):
    broker, _ = port
    observer = broker.observer()
    observer.subscribe("mt/#")
    twin, reader = broker.connected("house-1/1"), broker.connected("Reader.home")
    for one in (twin, reader):
        one.subscribe(ANSWER, "mt/+/renewed", "mt/+/renew", "mt/house-1/1/up")
        one.publish(REQUEST, b"forged", 1)
        one.publish(ANSWER, b"forged", 1)
    operator = broker.connected(OPERATOR)
    operator.publish(REQUEST, b"forged", 1)
    operator.publish(ANSWER, b"answer", 1)
    assert observer.until(ANSWER) == [(ANSWER, b"answer", False)]
    observer.publish("mt/house-1/1/up", b"barrier", 1)
    assert [topic for topic, _, _ in twin.until("mt/house-1/1/up")] == ["mt/house-1/1/up"]
    assert reader.messages.empty()


def test_on_the_port_nothing_else_can_be_said_or_heard(port):
    broker, client = port
    bridged(broker, client)
    observer = broker.observer()
    observer.subscribe("#")
    for topic in ("mt/house-1/owner", "mt/house-1/1/ctl", "mt/house-1/1/state"):
        observer.publish(topic, b"secret", 1, retain=True)
    stranger = client("house-1")
    assert stranger.connect() == 0
    stranger.subscribe(
        "#", "$SYS/#", "mt/#", "mt/+/owner", "mt/house-1/+/down", "$share/g/mt/#", REQUEST
    )
    for topic in ("mt/house-1/hello", "mt/house-1/1/up", "mt/house-2/renew", ANSWER, "elsewhere"):
        stranger.publish(topic, b"forbidden", 1)
    observer.publish("mt/house-1/1/down", b"secret", 1)
    stranger.publish(REQUEST, b"own", 1)
    seen = observer.until(REQUEST)
    assert [row for row in seen if row[1] == b"forbidden"] == []
    stranger.subscribe(ANSWER)
    observer.publish(ANSWER, b"answer", 1)
    assert stranger.until(ANSWER) == [(ANSWER, b"answer", False)]


@pytest.mark.parametrize("name", STRANGE)
def test_a_strange_client_id_says_and_hears_nothing_of_others(port, name):
    broker, client = port
    bridged(broker, client)
    observer = broker.observer()
    observer.subscribe("#")
    stranger = client(name)
    if stranger.connect() == 0:
        topics = [REQUEST, f"mt/{name}/renew", "mt/house-1/1/renew", "mt/Operator.metertwin/1/ctl"]
        for topic in topics:
            if not {"+", "#"} & set(topic):
                stranger.publish(topic, b"forbidden", 1)
        stranger.subscribe("#", ANSWER, "mt/+/renewed", "mt/+/renew")
    honest = client(METER)
    assert honest.connect() == 0
    honest.publish(REQUEST, b"own", 1)
    seen = {topic for topic, payload, _ in observer.until(REQUEST) if payload == b"forbidden"}
    assert seen <= {f"mt/{name}/renew"} - {"mt/house-1/1/renew"}
    honest.subscribe(ANSWER)
    observer.publish(ANSWER, b"answer", 1)
    honest.until(ANSWER)
    assert stranger.messages.empty()


def test_whoever_takes_a_name_there_ends_no_session_and_gets_none_of_its_messages(port):
    broker, client = port
    bridged(broker, client)
    names = (METER, "house-1/1", OPERATOR)
    victims = {who: broker.connected(who, clean=False, client_id=who) for who in names}
    victims[METER].subscribe("mt/house-1/1/down", "mt/house-1/owner")
    thieves = [client(who, clean=clean) for who in victims for clean in (True, False)]
    for thief in thieves:
        assert thief.connect() == 0
        thief.subscribe("mt/house-1/1/down", "mt/house-1/owner")
    victims[OPERATOR].publish("mt/house-1/owner", b"record", 1, retain=True)
    victims["house-1/1"].publish("mt/house-1/1/down", b"frame", 1)
    assert victims[METER].until("mt/house-1/1/down")[-1][1] == b"frame"
    assert all(victim.lost.empty() for victim in victims.values())
    assert all(thief.messages.empty() for thief in thieves)


def test_on_a_second_port_of_the_same_broker_whoever_takes_a_name_would_end_its_session(
    start_broker,
):
    """Why the port is a broker of its own; the test before would notice."""
    (second,) = free_ports(1)

    def open_it(broker) -> None:
        folder = broker.folder / "config"
        more = f"listener {second} localhost\nallow_anonymous true\nacl_file {folder}/acl-renewal\n"
        file = folder / "mosquitto.conf"
        file.write_text(file.read_text() + more)

    broker = start_broker("default", ON, before=open_it)
    victim = broker.connected(METER)
    thief = Client(second, client_id=METER)
    broker.clients.append(thief)
    assert thief.connect() == 0
    victim.lost.get(timeout=WAIT_S)


def test_nobody_comes_without_a_name(port):
    broker, _ = port
    context = ssl.create_default_context(cafile=broker.authority.ca)
    assert connack(broker.renewal_port, context) == b"\x20\x02\x00\x02"  # identifier rejected


def test_what_is_to_be_kept_is_refused_so_strangers_fill_no_memory(port):
    broker, client = port
    bridged(broker, client)
    stranger = client("house-1")
    assert stranger.connect() == 0
    stranger.publish(REQUEST, b"kept", 1, retain=True)
    stranger.lost.get(timeout=WAIT_S)
    meter = client("house-2")
    assert meter.connect() == 0
    late = broker.observer()
    late.subscribe("#")
    meter.publish("mt/house-2/renew", b"own", 1)
    assert [row for row in late.until("mt/house-2/renew") if row[2]] == []


def test_connections_beyond_the_limit_are_refused_and_the_broker_takes_its_own(start_broker):
    broker = start_broker("default", ON, "mosquitto.renewalListener.maxConnections=2")
    context = ssl.create_default_context(cafile=broker.authority.ca)

    def fill(clients):
        """Connect until there are two; one that a busy machine has lost makes room for another."""
        there = [one for one in clients if one.lost.empty()]
        new = [
            Client(broker.renewal_port, context, client_id=f"m-{time.time_ns()}-{at}")
            for at in range(2 - len(there))
        ]
        broker.clients.extend(new)
        assert [one.connect() for one in new] == [0] * len(new)
        return there + new

    clients = fill([])
    while not refused(broker, context, broker.renewal_port):
        assert not all(one.lost.empty() for one in clients), "a third one was let in"
        clients = fill(clients)
    broker.connected(METER)


def test_without_tls_nobody_is_heard_on_the_port_and_without_a_certificate_nobody_beside_it(port):
    broker, _ = port
    assert refused(broker, ssl.create_default_context(cafile=broker.authority.ca))
    plain = Client(broker.renewal_port, client_id="house-1")
    broker.clients.append(plain)
    plain.paho.connect("localhost", broker.renewal_port)
    plain.paho.loop_start()
    plain.lost.get(timeout=WAIT_S)
    assert plain.codes.empty()


def test_the_port_ends_and_comes_back_and_no_session_beside_it_notices(port):
    broker, client = port
    bridged(broker, client)
    meter = broker.connected(METER)
    broker.renewal.kill()
    broker.renewal.wait(timeout=WAIT_S)
    broker.start_renewal()
    bridged(broker, client)
    assert meter.lost.empty()


def test_a_renewed_certificate_of_the_broker_is_taken_up_on_the_port_too(port):
    broker, _ = port
    broker.start_reload(broker.renewal)
    renew_certificate(broker, broker.renewal_port)
