"""Homes' energy management at the broker: each speaks with its own twins alone, on a real Mosquitto.

As in `test_acl.py` nothing waits for silence: each try is followed by an allowed message on the
same connection. What a try would tell without the rules is shown by the last test.
"""

import pytest
from access_rules import OPERATOR
from meter_wire.names import build_ems_topic, build_reader_cn

METER, TWIN, NEXT, OTHER_TWIN = "house-1", "house-1/1", "house-1/2", "house-2/1"
EMS, OTHER_EMS = build_reader_cn("home-1"), build_reader_cn("home-2")
OPEN = "topic readwrite #\npattern readwrite #\n"


def topic(channel: str, epoch: int = 1, device: str = "house-1", name: str = "home-1") -> str:
    return build_ems_topic(device, epoch, name, channel)


SAID = [
    (TWIN, topic("plan"), EMS),
    (TWIN, topic("answer"), EMS),
    (NEXT, topic("plan", 2), EMS),
    (EMS, topic("state"), TWIN),
    (EMS, topic("override"), TWIN),
    (EMS, topic("state", 2), NEXT),
]
"""Who may say what to whom."""
EVERY = sorted({one for _, one, _ in SAID})
LINK = [f"mt/house-1/{end}" for end in ("1/up", "1/down", "1/ctl", "1/state", "owner", "hello")]
FORBIDDEN = [
    # a home's energy management: not as another, not as a twin, nothing of the link
    *[(EMS, topic(one, name="home-2")) for one in ("state", "override")],
    *[(EMS, topic(one, name=name)) for one in ("plan", "answer") for name in ("home-1", "home-2")],
    *[(EMS, one) for one in LINK],
    # a twin: not as another device or epoch, not as the energy management
    *[(TWIN, topic(one, device="house-2", name=n)) for one in ("plan", "answer") for n in ("home-1", "home-2")],
    *[(TWIN, topic(one, 2)) for one in ("plan", "answer")],
    *[(TWIN, topic(one, epoch)) for one in ("state", "override") for epoch in (1, 2)],
    # a meter and the operator: neither
    *[(who, one) for who in (METER, OPERATOR) for one in EVERY],
    # an energy management of another home
    *[(OTHER_EMS, one) for one in EVERY],
]  # fmt: skip
HEARD = [
    *[(OTHER_EMS, one) for one in (*EVERY, *LINK)],
    *[(EMS, one) for one in (topic("state"), topic("override"), topic("plan", name="home-2"), *LINK)],
    *[(TWIN, one) for one in (topic("plan"), topic("answer"), topic("state", 2), topic("state", device="house-2"))],
    *[(who, one) for who in (METER, OPERATOR) for one in EVERY],
]  # fmt: skip
"""Who must not hear what, wherever it subscribes."""
OWN = {
    EMS: topic("state", 9),
    OTHER_EMS: topic("state", 9, name="home-2"),
    TWIN: "mt/house-1/1/down",
    METER: "mt/house-1/1/up",
    OPERATOR: "mt/house-1/9/ctl",
}
"""Where each may write."""
INBOX = {
    EMS: topic("plan", 9),
    OTHER_EMS: topic("plan", 9, name="home-2"),
    TWIN: "mt/house-1/1/ctl",
    METER: "mt/house-1/9/down",
    OPERATOR: "mt/house-1/hello",
}
"""What each may read."""


@pytest.mark.parametrize(("who", "said", "reader"), SAID)
def test_a_twin_and_its_energy_management_hear_each_other(broker, who, said, reader):
    ear = broker.connected(reader)
    epoch_free = [f"ems/to/house-1/+/{EMS}/{one}" for one in ("plan", "answer")]
    ear.subscribe(*(epoch_free if reader == EMS else [said]), qos=1)
    broker.connected(who).publish(said, b"word", 1)
    assert ear.until(said) == [(said, b"word", False)]


def attempt(broker, who: str, how: str) -> list[tuple]:
    """Return what an observer and a late one hear of all that `who` tries."""
    observer = broker.observer()
    observer.subscribe("#")
    client = broker.connected(who)
    for sender, one in FORBIDDEN:
        if sender == who:
            client.publish(one, b"forbidden", 1 if how == "qos 1" else 0, retain=how == "retained")
    client.publish(OWN[who], b"barrier", 1)
    found = observer.until(OWN[who])
    late = broker.observer()
    late.subscribe("#")
    observer.publish("seal", b"s", 1)
    return [one for one in found + late.until("seal") if one[1] == b"forbidden"]


@pytest.mark.parametrize("who", list(OWN))
@pytest.mark.parametrize("how", ["qos 0", "qos 1", "retained"])
def test_nobody_speaks_as_another(broker, who, how):
    assert attempt(broker, who, how) == []


def listen(broker, who: str) -> set[str]:
    """Return what `who` hears of what is not for it, subscribed to all that can be said."""
    topics = [one for reader, one in HEARD if reader == who]
    observer = broker.observer()
    for one in topics:
        observer.publish(one, b"kept", 1, retain=True)
    client = broker.connected(who)
    client.subscribe("#", "ems/#", "+/+/+/+/+/+", *topics, INBOX[who], qos=1)
    for one in topics:
        observer.publish(one, b"secret", 1)
    observer.publish(INBOX[who], b"barrier", 1)
    return {one for one, payload, _ in client.until(INBOX[who]) if payload != b"barrier"}


@pytest.mark.parametrize("who", list(INBOX))
def test_nobody_hears_what_is_for_another(broker, who):
    assert listen(broker, who) == set()


@pytest.mark.parametrize("who", list(OWN))
def test_without_the_rules_each_try_is_told(start_broker, who):
    def open_it(broker) -> None:
        (broker.folder / "config" / "acl").write_text(OPEN)

    broker = start_broker(before=open_it)
    told = {one for one, _, _ in attempt(broker, who, "qos 1")}
    assert told == {one for sender, one in FORBIDDEN if sender == who}
    assert listen(broker, who) >= {one for reader, one in HEARD if reader == who}
