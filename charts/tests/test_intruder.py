"""What `tests/street/test_broker_rules.py` does on the running broker, on one of its own.

With the chart's rules nothing is heard; with rules that let everybody write and read, `intruder`
tells of each try, so that its silence means something.
"""

import pytest
from access_rules import OPERATOR
from intruder import Heard, Intruder

A, B = "house-1", "house-2"
OPEN = "topic readwrite #\npattern readwrite #\n"
UNHEARD = ("elsewhere", "deeper")
"""Ends of topics that nobody reads."""
TO_OPERATOR = ("state", "hello", "renew")


@pytest.fixture
def intruder(broker):
    return Intruder(broker.client, A, B)


@pytest.fixture
def unhindered(start_broker):
    """An intruder at a broker whose rules are missing."""

    def open_it(broker) -> None:
        (broker.folder / "config" / "acl").write_text(OPEN)

    return Intruder(start_broker(before=open_it).client, A, B)


def topics_of(heard: list[Heard]) -> set[str]:
    return {one.topic for one in heard}


def told(intruder: Intruder, unheard: tuple[str, ...]) -> set[str]:
    """Return the topics on which somebody hears a forbidden message, if nothing forbids it."""
    return {topic for _, topic in intruder.tries() if not topic.endswith(unheard)}


@pytest.mark.parametrize("qos", [0, 1, 2])
@pytest.mark.parametrize("retain", [False, True], ids=["live", "retained"])
def test_forbidden_publications_reach_nobody(intruder, qos, retain):
    assert intruder.publish(qos, retain=retain) == []


@pytest.mark.parametrize("qos", [0, 1, 2])
@pytest.mark.parametrize("retain", [False, True], ids=["live", "retained"])
def test_without_rules_each_of_them_is_told(unhindered, qos, retain):
    found = unhindered.publish(qos, retain=retain)
    assert topics_of(found) == told(unhindered, (*UNHEARD, *TO_OPERATOR))


def test_forbidden_wills_reach_nobody_and_an_allowed_one_does(intruder):
    assert intruder.leave_wills(intruder.tries()) == []
    topic = f"mt/{A}/1/up"
    assert intruder.leave_wills([(A, topic)], keep=False) == [Heard(f"{A}/1", topic, b"will")]


def test_without_rules_each_will_is_told(unhindered):
    found = unhindered.leave_wills(unhindered.tries())
    assert topics_of(found) == told(unhindered, (*UNHEARD, *TO_OPERATOR))


@pytest.mark.parametrize("qos", [0, 1])
def test_subscriptions_to_everything_deliver_nothing(broker, intruder, qos):
    observer = broker.observer()

    def speak() -> None:
        observer.publish("mt/house-3/7/up", b"secret", 1, retain=True)

    assert intruder.subscribe("mt/house-3/7/up", qos=qos, speak=speak) == []


def test_without_rules_they_deliver_all_that_others_say(unhindered):
    found = unhindered.subscribe(qos=1, speak=lambda: None)
    own = {f"mt/{A}/1/down", f"mt/{A}/1/up", f"mt/{A}/2/up"}
    other = {f"mt/{B}/{end}" for end in ("hello", "1/up", "1/down", "1/state")}
    assert topics_of(found) - own == other
    assert {one.reader for one in found} == set(unhindered.attackers)


def test_another_client_id_opens_nothing(intruder):
    assert intruder.borrow_client_id() == []


def test_where_the_client_chooses_its_id_a_borrowed_one_is_told(start_broker):
    def choose(broker) -> None:
        file = broker.folder / "config" / "mosquitto.conf"
        file.write_text(file.read_text().replace("use_username_as_clientid true\n", ""))

    broker = start_broker(before=choose)
    intruder = Intruder(lambda who, **options: broker.client(who, **{"client_id": who} | options), A, B)  # fmt: skip
    own = intruder.sessions[A]
    own.lost.put(0)  # it goes on beside the thief
    with pytest.raises(AssertionError, match=f"the session of {B} ended"):
        intruder.borrow_client_id()


def test_the_operator_hears_what_is_allowed_and_nothing_else(broker, intruder):
    assert intruder.speak_to_operator(broker.connected(OPERATOR)) == []


def test_without_rules_the_operator_hears_it(unhindered):
    operator = unhindered.client(OPERATOR)
    assert operator.connect() == 0
    found = unhindered.speak_to_operator(operator)
    assert {topic for topic in topics_of(found) if topic.endswith(TO_OPERATOR)} == {
        topic for _, topic in unhindered.tries() if topic.endswith(TO_OPERATOR)
    }
