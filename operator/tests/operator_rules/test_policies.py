"""What is refused, with reason and field path; never a pod."""

import base64
import json

import pytest

STORE = {"type": "EmptyDir"}

WRONG = {
    "an unknown protocol": ({"protocol": "dlms"}, "UnknownProtocol", "spec.protocol"),
    "a zone that does not exist": (
        {"meteringPoint": {"id": "1", "scheme": "Other", "timezone": "Europe/Atlantis"}},
        "UnknownTimezone",
        "spec.meteringPoint.timezone",
    ),
    "a missing profile": ({"profile": "nowhere"}, "ProfileMissing", "spec.profile"),
    "an application that is not offered": (
        {"applications": {"trading": {}}},
        "NotOffered",
        "spec.applications.trading",
    ),
    "an unknown option": (
        {"applications": {"metering-data": {"options": {"colour": "red"}}}},
        "NotOffered",
        "spec.applications.metering-data.options.colour",
    ),
    "an option below its bound": (
        {"applications": {"metering-data": {"options": {"retentionDays": 0}}}},
        "NotOffered",
        "spec.applications.metering-data.options.retentionDays: must be at least 1",
    ),
    "an option above its bound": (
        {"applications": {"metering-data": {"options": {"retentionDays": 61}}}},
        "NotOffered",
        "spec.applications.metering-data.options.retentionDays: must be at most 60",
    ),
    "a text for a number": (
        {"applications": {"metering-data": {"options": {"retentionDays": "ten"}}}},
        "NotOffered",
        "must be of type Integer",
    ),
    "a truth value for a number": (
        {"applications": {"metering-data": {"options": {"retentionDays": True}}}},
        "NotOffered",
        "must be of type Integer",
    ),
    "a text that is not allowed": (
        {"applications": {"metering-data": {"options": {"mode": "loud"}}}},
        "NotOffered",
        "must be one of plain, rich",
    ),
    "an engine that is not offered": (
        {"engines": {"encrypt": "rot13"}},
        "NotOffered",
        "spec.engines.encrypt",
    ),
    "an engine for an unknown port": (
        {"engines": {"paint": "x"}},
        "NotOffered",
        "spec.engines.paint",
    ),
    "a recipient without its Secret": (
        {"dataPolicy": {"recipients": [{"name": "dso", "publicKeySecret": "dso-key"}]}},
        "SecretMissing",
        "spec.dataPolicy.recipients[0].publicKeySecret",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
async def test_a_wrong_meter_gets_no_pod_but_a_reason_and_the_fields_path(operator, wrong):
    changes, reason, path = WRONG[wrong]
    operator.add_meter(**changes)
    await operator.settle()
    assert operator.condition()["status"] == "False"
    assert operator.condition()["reason"] == reason
    assert path in operator.condition()["message"]
    assert not operator.pods()
    assert not operator.secrets()
    assert not operator.publisher.retained


RECIPIENT = {"recipients": [{"name": "dso", "publicKeySecret": "dso-key"}]}


def put_key(operator, text, field="publicKey"):
    data = {field: base64.b64encode(text.encode()).decode()}
    operator.put("secrets", "dso-key", {"data": data})


@pytest.mark.parametrize("text", ["", "ab", "a" * 63, "a" * 65, "g" * 64, "0x" + "a" * 62])
async def test_a_secret_without_a_right_key_is_as_good_as_none(operator, text):
    put_key(operator, text)
    operator.add_meter(dataPolicy=RECIPIENT)
    await operator.settle()
    assert operator.condition()["reason"] == "SecretMissing"
    assert not operator.pods()
    put_key(operator, "a" * 64, "public")
    await operator.settle()
    assert not operator.pods()
    put_key(operator, "a" * 64)
    await operator.settle()
    assert operator.pods() == ["house-1-e1"]


@pytest.mark.parametrize("days", [1, 60])
async def test_an_option_at_its_bound_is_accepted(operator, days):
    operator.add_meter(applications={"metering-data": {"options": {"retentionDays": days}}})
    await operator.settle()
    assert operator.pods() == ["house-1-e1"]


async def test_a_paused_meter_is_left_alone(operator):
    meter = operator.add_meter()
    meter["metadata"]["annotations"] = {"metertwin.io/paused": "true"}
    operator.restart()
    await operator.settle()
    assert operator.condition()["reason"] == "Paused"
    assert not operator.pods()


async def test_a_corrected_meter_gets_its_pod(operator):
    operator.add_meter(profile="nowhere")
    await operator.settle()
    operator.change_meter(profile="household")
    await operator.settle()
    assert operator.pods() == ["house-1-e1"]


async def test_no_key_is_in_pod_status_or_event(operator):
    operator.add_meter()
    await operator.settle()
    key = operator.fleet.meter_key("house-1", 1).hex()
    secret = operator.cluster.objects["secrets", "street", "house-1-e1"]
    keys = json.loads(base64.b64decode(secret["data"]["keys.json"]))
    hidden = [key, keys["up"], keys["down"], keys["ctl"]]
    for (kind, _, name), body in operator.cluster.objects.items():
        if kind != "secrets":
            text = json.dumps(body)
            assert not any(word in text for word in hidden), (kind, name)
    assert key not in json.dumps(keys)
