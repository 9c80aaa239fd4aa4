"""What a VTN can notify, and what it says (OpenADR 3.1.0, Notifications via Additional Protocols)."""

import json

import pytest
from fake_vtn import NOW, FakeVtn, make, settle
from meter_twin.openadr3.json_codec import JsonError
from meter_twin.openadr3.notifier_codec import (
    Broker,
    Notification,
    Notifiers,
    parse_notification,
    parse_notifiers,
    parse_topics,
)

MQTT = {"URIS": ["mqtts://broker.example"], "serialization": "JSON", "authentication": {"method": "OAUTH2_BEARER_TOKEN", "username": "{clientID}"}}  # fmt: skip


def say(value):
    return json.dumps(value).encode()


def test_a_broker_is_found_and_the_topics_of_this_ven_are_asked_for():
    vtn, agent = FakeVtn(), make()
    vtn.troubles = [
        ("notifiers", (200, say({"WEBHOOK": True, "MQTT": MQTT}))),
        (
            "topics",
            (200, say({"topics": {"ALL": "vens/1/events/+", "UPDATE": "u", "DELETE": "d"}})),
        ),
    ]
    settle(agent, vtn)
    assert agent.ven.notifiers.broker.username == "{clientID}"
    assert agent.ven.topics == ("vens/1/events/+",)
    assert vtn.log[-1].path == f"/notifiers/mqtt/topics/vens/{agent.ven_id}/events"


@pytest.mark.parametrize("answer", [(404, b""), (403, b"{}"), (500, b""), (200, b"what?")])
def test_who_has_no_notifiers_is_polled(answer):
    vtn, agent = FakeVtn(), make()
    vtn.troubles = [("notifiers", answer)]
    settle(agent, vtn)
    for now_s in range(NOW, NOW + 120):
        settle(agent, vtn, now_s)
    assert agent.ven.notifiers == Notifiers()
    assert agent.reason == "Registered"
    assert len([one for one in vtn.log if one.purpose == "notifiers"]) == 1


@pytest.mark.parametrize(
    "mqtt",
    [None, 7, {}, MQTT | {"URIS": []}, MQTT | {"URIS": ["http://a"]}, MQTT | {"serialization": "XML"},
     MQTT | {"authentication": {"method": "MAGIC"}}],
)  # fmt: skip
def test_a_broker_that_cannot_be_used_is_none(mqtt):
    assert parse_notifiers(say({"WEBHOOK": False, "MQTT": mqtt})) == Notifiers(False, None)


def test_the_key_that_a_vtn_sends_is_not_kept():
    certificate = {"method": "CERTIFICATE", "clientKey": "private"}
    found = parse_notifiers(say({"WEBHOOK": True, "MQTT": MQTT | {"authentication": certificate}}))
    assert found.broker == Broker(("mqtts://broker.example",), "CERTIFICATE")


def test_without_a_topic_of_all_operations_each_has_its_own():
    topics = {"CREATE": "c", "UPDATE": "u", "DELETE": "d", "ALL": None}
    assert parse_topics(say({"topics": topics})) == ("c", "u", "d")


@pytest.mark.parametrize("topic", ["#", "+/events", "$SYS/x"])
def test_a_topic_that_is_everybodys_is_refused(topic):
    with pytest.raises(JsonError):
        parse_topics(say({"topics": {"ALL": topic}}))


def test_a_notification_is_whole_or_short():
    whole = {"objectType": "EVENT", "operation": "UPDATE", "object": {"id": "e-1", "intervals": []}}
    short = {"objectType": "EVENT", "operation": "DELETE", "ID": "e-1", "notificationID": "n"}
    assert parse_notification(say(whole)) == Notification("UPDATE", "EVENT", "e-1")
    assert parse_notification(say(short)) == Notification("DELETE", "EVENT", "e-1")


@pytest.mark.parametrize("said", [b"", b"7", b"{}", say({"objectType": "EVENT", "operation": "READ"}), b"[" * 100_000])  # fmt: skip
def test_what_is_no_notification_is_refused(said):
    with pytest.raises(JsonError):
        parse_notification(said)
