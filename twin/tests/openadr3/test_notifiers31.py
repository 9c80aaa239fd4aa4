"""What a VTN can notify, and what it says (OpenADR 3.1.0, Notifications via Additional Protocols)."""

import json

import pytest
from fake_vtn import NOW, FakeVtn, make, settle
from meter_twin.openadr3.authorization import Credentials
from meter_twin.openadr3.broker_place import (
    Bearer,
    BrokerAddress,
    NoPlaceError,
    find_place,
    parse_broker_uri,
)
from meter_twin.openadr3.hearing import MOST_A_MINUTE, Hearing
from meter_twin.openadr3.json_codec import JsonError
from meter_twin.openadr3.notifier_codec import (
    Broker,
    Notification,
    Notifiers,
    list_aliases,
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


def test_the_method_may_be_spelled_as_openleadr_rs_does():
    bearer = {"method": "OAUTH2BEARERTOKEN", "username": "{clientID}"}
    found = parse_notifiers(say({"WEBHOOK": True, "MQTT": MQTT | {"authentication": bearer}}))
    assert found.broker.method == "OAUTH2_BEARER_TOKEN"


def test_the_key_that_a_vtn_sends_is_not_kept():
    certificate = {"method": "CERTIFICATE", "clientKey": "private"}
    found = parse_notifiers(say({"WEBHOOK": True, "MQTT": MQTT | {"authentication": certificate}}))
    assert found.broker == Broker(("mqtts://broker.example",), "CERTIFICATE")


def test_topics_that_a_vtn_tells_and_does_not_publish_on_are_not_the_only_ones():
    told = ("x/events/vens/v-1/+", "events/vens/v-2/+")
    assert list_aliases(told, "v-1") == ("x/vens/v-1/events/+",)


def test_without_a_topic_of_all_operations_each_has_its_own():
    topics = {"CREATE": "c", "UPDATE": "u", "DELETE": "d", "ALL": None}
    assert parse_topics(say({"topics": topics})) == ("c", "u", "d")


@pytest.mark.parametrize(
    "topic", ["#", "+/events", "$SYS/x", "a/#/b", "a/b+", "a/b#", "a\x00", "\ud800", "x" * 513, 7]
)
def test_a_topic_that_is_everybodys_or_no_filter_is_refused(topic):
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


BEARER = Bearer("token-1", lambda: Credentials("client-1", "secret"), is_secret=True)


def place(method="ANONYMOUS", uris=("mqtts://a",), bearer=BEARER, username="{clientID}"):
    return find_place(Broker(uris, method, username), ["t"], "ven-1", bearer)


@pytest.mark.parametrize(
    ("uri", "address"),
    [
        ("mqtts://broker.example", (True, "broker.example", 8883)),
        ("mqtt://broker.example/", (False, "broker.example", 1883)),
        ("mqtts://[2001:db8::1]:99", (True, "2001:db8::1", 99)),
        ("mqtts://me:secret@broker.example", None),
        ("mqtts://broker.example/path", None),
        ("mqtts://broker.example:0", None),
        ("mqtts://broker.example:70000", None),
        ("https://broker.example", None),
        ("mqtts://", None),
    ],
)
def test_an_address_is_host_and_port(uri, address):
    assert parse_broker_uri(uri) == (address and BrokerAddress(*address))


def test_a_token_is_shown_with_the_clients_id_or_the_name_that_is_said():
    found = place("OAUTH2_BEARER_TOKEN")
    assert (found.username, found.password) == ("client-1", b"token-1")
    assert place("OAUTH2_BEARER_TOKEN", username="oauth").username == "oauth"
    assert "token-1" not in repr(found)
    assert place().password is None


@pytest.mark.parametrize("method", ["OAUTH2_BEARER_TOKEN", "CERTIFICATE"])
def test_what_proves_who_we_are_goes_to_no_broker_without_tls(method):
    with pytest.raises(NoPlaceError, match="mqtts"):
        place(method, ("mqtt://a",))
    assert [one.host for one in place(method, ("mqtt://a", "mqtts://b")).addresses] == ["b"]
    assert place("ANONYMOUS", ("mqtt://a",)).addresses[0].port == 1883


def test_a_vtn_without_tls_may_have_a_broker_without():
    plain = BEARER._replace(is_secret=False)
    assert place("OAUTH2_BEARER_TOKEN", ("mqtt://a",), plain).password == b"token-1"


@pytest.mark.parametrize(
    "bearer", [BEARER._replace(token=""), BEARER._replace(find_credentials=lambda: None)]
)
def test_without_a_token_or_a_client_id_nobody_listens_there(bearer):
    with pytest.raises(NoPlaceError):
        place("OAUTH2_BEARER_TOKEN", bearer=bearer)


def test_whoever_serves_the_meter_has_one_client_id_that_every_broker_takes():
    one, other = place(), find_place(Broker(("mqtts://a",), "ANONYMOUS"), ["t"], "ven-2", BEARER)
    assert one.client_id == place("CERTIFICATE").client_id != other.client_id
    assert len(one.client_id) == 23
    assert one.client_id.isalnum()


def test_a_vtn_that_has_no_topics_of_a_ven_is_asked_for_those_of_all_events():
    vtn, agent = FakeVtn(), make()
    vtn.troubles = [
        ("notifiers", (200, say({"WEBHOOK": True, "MQTT": MQTT}))),
        ("topics", (404, b"")),
        ("topics", (200, say({"topics": {"ALL": "events/+"}}))),
    ]
    settle(agent, vtn)
    assert [one.path for one in vtn.log if one.purpose == "topics"] == [
        f"/notifiers/mqtt/topics/vens/{agent.ven_id}/events",
        "/notifiers/mqtt/topics/events",
    ]
    assert agent.broker is not None
    assert agent.ven.topics == ("events/+",)


@pytest.mark.parametrize("status", [403, 500])
def test_a_vtn_that_tells_no_topics_is_polled(status):
    vtn, agent = FakeVtn(), make()
    vtn.troubles = [("notifiers", (200, say({"WEBHOOK": True, "MQTT": MQTT})))]
    vtn.troubles += [("topics", (status, b""))] * 2
    settle(agent, vtn)
    assert agent.broker is None
    with pytest.raises(NoPlaceError):
        make().notices.find_place()


def test_a_broker_that_the_vtn_takes_back_is_left():
    vtn, agent = FakeVtn(), make()
    vtn.broker = MQTT
    settle(agent, vtn)
    before = agent.broker
    assert before[1] == (f"vens/{agent.ven_id}/events/+",)
    vtn.broker = MQTT | {"serialization": "XML"}
    settle(agent, vtn, NOW + 3600)
    assert agent.broker is None


def test_the_place_has_the_token_of_this_moment():
    vtn, agent = FakeVtn(), make()
    vtn.broker = MQTT
    settle(agent, vtn)
    first = agent.notices.find_place().password
    settle(agent, vtn, NOW + 3590)
    assert first != agent.notices.find_place().password
    assert agent.notices.find_place().password.decode() in vtn.tokens


def test_what_is_heard_is_counted_and_a_flood_is_not_read():
    hearing, event = Hearing(), say({"objectType": "EVENT", "operation": "CREATE", "ID": "e"})
    assert hearing.take(event, is_retained=False) == Notification("CREATE", "EVENT", "e")
    assert hearing.take(event, is_retained=True) is None
    assert hearing.take(b"{", is_retained=False) is None
    assert not hearing.count(MOST_A_MINUTE, 60)
    assert hearing.count(1, 60)
    assert hearing.take(event, is_retained=False) is None
    assert not hearing.count(1, 120)
    assert hearing.take(event, is_retained=False) is not None
    found = hearing.describe()
    assert (found["heard"], found["junk"], found["retained"], found["floods"]) == (2, 1, 1, 1)


def test_only_a_session_can_be_lost():
    hearing = Hearing()
    hearing.lost("a", "no answer")
    hearing.came("a")
    assert hearing.describe()["listening"]
    hearing.lost("a", "x" * 1000)
    hearing.lost("a", "again")
    assert (hearing.losses, hearing.is_up, hearing.message) == (1, False, "again")
    hearing.ended()
    assert hearing.describe()["broker"] == ""
