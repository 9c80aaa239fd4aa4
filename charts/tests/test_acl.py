"""What one credential cannot do to another meter, tried on a real Mosquitto with the chart's rules.

Nothing here waits for silence: each refused attempt is followed, on the same connection, by an
allowed message; when that one arrived, the refused one would have.
"""

import pytest
from access_rules import OPERATOR, build_forbidden, build_foreign, build_greedy

METER, TWIN = "house-1", "house-1/1"
FOREIGN = build_foreign("house-2")
FORBIDDEN = build_forbidden("house-1", "house-2")
OWN_BARRIER = {METER: "mt/house-1/1/up", TWIN: "mt/house-1/1/down", OPERATOR: "mt/house-1/1/ctl"}
OWN_INBOX = {METER: "mt/house-1/1/down", TWIN: "mt/house-1/1/up"}


def attempt(broker, who: str, topic: str, **how) -> list[tuple]:
    """Return what an observer saw of a publication and of the allowed one behind it."""
    observer = broker.observer()
    observer.subscribe("#")
    client = broker.connected(who)
    client.publish(topic, b"forbidden", **how)
    client.publish(OWN_BARRIER[who], b"barrier", qos=how.get("qos", 0))
    return observer.until(OWN_BARRIER[who])


@pytest.mark.parametrize(
    ("who", "topic"),
    [
        (METER, "mt/house-1/1/up"),
        (METER, "mt/house-1/2/up"),
        (METER, "mt/house-1/hello"),
        (METER, "mt/house-1/renew"),
        (OPERATOR, "mt/house-1/renewed"),
        (TWIN, "mt/house-1/1/down"),
        (TWIN, "mt/house-1/1/state"),
        (OPERATOR, "mt/house-1/1/ctl"),
        (OPERATOR, "mt/house-1/owner"),
        (OPERATOR, "mt/house-1/1/state"),
    ],
)
def test_each_part_writes_its_own_topics(broker, who, topic):
    assert (topic, b"forbidden", False) in attempt(broker, who, topic)


@pytest.mark.parametrize("who", [METER, TWIN, OPERATOR])
@pytest.mark.parametrize("how", ["qos 0", "qos 1", "qos 2", "retained"])
def test_a_publication_on_a_foreign_topic_reaches_nobody(broker, who, how):
    qos = {"qos 1": 1, "qos 2": 2}.get(how, 0)
    observer = broker.observer()
    observer.subscribe("#")
    client = broker.connected(who)
    for sender, topic in FORBIDDEN:
        if sender == who:
            client.publish(topic, b"forbidden", qos, retain=how == "retained")
    client.publish(OWN_BARRIER[who], b"barrier", qos)
    assert observer.until(OWN_BARRIER[who]) == [(OWN_BARRIER[who], b"barrier", False)]
    late = broker.observer()
    observer.publish("seal", b"", 1, retain=False)
    late.subscribe("#")
    observer.publish("seal", b"s", 1)
    assert [m for m in late.until("seal") if m[1] == b"forbidden"] == []


@pytest.mark.parametrize("who", [METER, TWIN])
@pytest.mark.parametrize("qos", [0, 1])
def test_a_subscription_to_foreign_topics_delivers_nothing(broker, who, qos):
    observer = broker.observer()
    for topic in FOREIGN:
        observer.publish(topic, b"retained secret", 1, retain=True)
    client = broker.connected(who)
    client.subscribe(*build_greedy(OWN_INBOX[who]), *FOREIGN, qos=qos)
    for topic in [*FOREIGN, *[topic for sender, topic in FORBIDDEN if sender == who]]:
        if topic not in readable(who):
            observer.publish(topic, b"secret", 1)
    observer.publish(OWN_INBOX[who], b"barrier", 1)
    assert {topic for topic, _, _ in client.until(OWN_INBOX[who])} == {OWN_INBOX[who]}


def readable(who: str) -> set[str]:
    """Return the topics that `who` may read (and is forbidden to write)."""
    if who == METER:
        return {f"mt/house-1/{end}" for end in ("1/down", "2/down", "owner", "renewed")}
    return {"mt/house-1/1/up", "mt/house-1/1/ctl"}


def test_statistics_of_the_broker_reach_no_certificate(broker):
    observer = broker.observer()
    observer.subscribe("$SYS/#")
    observer.messages.get(timeout=100)  # there are some
    clients = [broker.connected(who) for who in (METER, TWIN, OPERATOR)]
    for client in clients:
        client.subscribe("$SYS/#", "$SYS/broker/uptime", "#")
    for _ in range(2):
        observer.until("$SYS/broker/uptime")
    assert [client.messages.qsize() for client in clients] == [0, 0, 0]


@pytest.mark.parametrize(("who", "topic"), FORBIDDEN)
def test_a_will_on_a_foreign_topic_is_never_sent(broker, who, topic):
    observer = broker.observer()
    observer.subscribe("#")
    client = broker.client(who, will=topic)
    if client.connect() == 0:
        client.cut()
    witness = broker.connected("house-1/9", will="mt/house-1/9/state")
    witness.cut()
    assert [seen[0] for seen in observer.until("mt/house-1/9/state")] == ["mt/house-1/9/state"]


def test_the_operator_removes_the_retained_state_of_a_twin_that_is_gone(broker):
    operator = broker.connected(OPERATOR)
    operator.subscribe("mt/+/+/state")
    twin = broker.connected(TWIN)
    twin.publish("mt/house-1/1/state", b"offline", 1, retain=True)
    operator.until("mt/house-1/1/state")
    operator.publish("mt/house-1/1/state", b"", 1, retain=True)
    operator.until("mt/house-1/1/state")
    late = broker.observer()
    late.subscribe("mt/+/+/state", "barrier")
    late.publish("barrier", b"x", 1)
    assert late.until("barrier") == [("barrier", b"x", False)]


def test_the_will_of_a_twin_on_its_own_state_is_sent(broker):
    observer = broker.observer()
    observer.subscribe("#")
    broker.connected(TWIN, will="mt/house-1/1/state").cut()
    assert observer.until("mt/house-1/1/state")[-1][1] == b"will"


def test_nobody_takes_another_ones_client_id(broker):
    victim = broker.connected("house-2", client_id="house-2")
    victim.subscribe("mt/house-2/1/down")
    thief = broker.connected(METER, client_id="house-2", user=("house-2", "x"))
    thief.subscribe("mt/house-2/1/down")
    observer = broker.observer()
    observer.publish("mt/house-2/1/down", b"still mine", 1)
    assert victim.until("mt/house-2/1/down")[-1][1] == b"still mine"
    assert victim.lost.empty()
    assert thief.messages.empty()


def test_messages_queued_for_another_are_neither_taken_nor_lost(broker):
    mine = {"client_id": "house-2", "clean": False}
    victim = broker.connected("house-2", **mine)
    victim.subscribe("mt/house-2/1/down")
    victim.close()
    observer = broker.observer()
    observer.publish("mt/house-2/1/down", b"queued", 1)
    thief = broker.connected(METER, **mine)
    thief.subscribe(OWN_INBOX[METER])
    observer.publish(OWN_INBOX[METER], b"barrier", 1)
    assert [payload for _, payload, _ in thief.until(OWN_INBOX[METER])] == [b"barrier"]
    back = broker.connected("house-2", **mine)
    assert back.until("mt/house-2/1/down")[-1][1] == b"queued"


def test_a_second_connection_of_one_certificate_ends_the_first(broker):
    first = broker.connected(METER, client_id="one")
    broker.connected(METER, client_id="two")
    first.lost.get(timeout=100)


@pytest.mark.parametrize("name", ["+", "#", "+/+", "house-2/+", "house-2/#"])
def test_a_certificate_with_a_wildcard_as_name_can_do_nothing(broker, name):
    observer = broker.observer()
    observer.subscribe("#")
    client = broker.client(name)
    if client.connect() == 0:
        client.subscribe("#", "mt/house-2/1/down")
        for topic in FOREIGN:
            client.publish(topic, b"forbidden", 1)
    honest = broker.connected("house-2")
    honest.publish("mt/house-2/hello", b"honest", 1)
    assert [payload for _, payload, _ in observer.until("mt/house-2/hello")] == [b"honest"]
    assert client.messages.empty()


def test_the_operator_reads_all_states_and_hellos_and_what_it_wrote(broker):
    operator = broker.connected(OPERATOR)
    operator.subscribe("mt/+/+/state", "mt/+/hello", "mt/+/+/ctl", "mt/+/owner", "#")
    broker.connected(TWIN).publish("mt/house-1/1/state", b"up", 1)
    operator.until("mt/house-1/1/state")
    broker.connected(METER).publish("mt/house-1/hello", b"hello", 1)
    operator.until("mt/house-1/hello")
    operator.publish("mt/house-1/1/ctl", b"c", 1, retain=True)
    operator.until("mt/house-1/1/ctl")
    operator.publish("mt/house-1/owner", b"o", 1, retain=True)
    operator.until("mt/house-1/owner")


def test_the_operator_reads_no_readings(broker):
    operator = broker.connected(OPERATOR)
    operator.subscribe("#", "mt/+/+/up", "mt/+/+/down", "mt/+/hello")
    meter = broker.connected(METER)
    meter.publish("mt/house-1/1/up", b"reading", 1)
    meter.publish("mt/house-1/hello", b"hello", 1)
    seen = operator.until("mt/house-1/hello")
    assert {topic for topic, _, _ in seen} == {"mt/house-1/hello"}
