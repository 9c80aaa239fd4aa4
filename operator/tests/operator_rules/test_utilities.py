"""Utilities: what twins are told of them, and how meters stand with them."""

import asyncio
import contextlib
import json
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from meter_operator import upkeep
from meter_operator.addresses import find_fault
from meter_operator.builders import template_hash
from meter_operator.cluster import ClusterError
from meter_operator.desired import Key
from meter_operator.observed import TwinState, parse_state
from meter_operator.utilities import Utilities
from meter_operator.watches import Watches

from .street import AUTHORITY, NAMESPACE

URL = "https://vtn.example/OpenADR2/Simple/2.0b"
BUNDLE = AUTHORITY.certificate.public_bytes(Encoding.PEM).decode()
ROW = ("configmaps", NAMESPACE, "metertwin-utilities")


def declare(operator, name="city-grid", **changes):
    spec = {"protocol": "openadr-2.0b", "url": URL, "trust": {"caBundle": BUNDLE}} | changes
    return operator.put("utilities", name, {"spec": spec})


async def serving(operator, standing=None, **utility):
    operator.add_meter(utility={"name": "city-grid"} | utility)
    await operator.settle()
    operator.set_pod("house-1-e1")
    state = TwinState(1, online=True, meter="connected", standing=standing)
    operator.cache.states["house-1"] = {1: state}
    await operator.settle()


async def publish(operator):
    utilities = Utilities(operator.cache, operator.cluster)
    await utilities.publish(NAMESPACE)
    operator.sync()
    return operator.cluster.objects[ROW]["data"] if ROW in operator.cluster.objects else None


def find_status(operator, name="city-grid"):
    return operator.cluster.objects["utilities", NAMESPACE, name]["status"]


async def test_a_twin_is_told_who_its_meter_is_and_mounts_where_its_utility_is(operator):
    spec = {"name": "city-grid", "venName": "point-4", "groups": ["north"]}
    spec["resources"] = [{"name": "wallbox", "kind": "ev", "importWatts": 11000, "exportWatts": 0}]
    operator.add_meter(utility=spec)
    await operator.settle()
    pod = operator.cluster.objects["pods", NAMESPACE, "house-1-e1"]
    (container,) = pod["spec"]["containers"]
    told = json.loads(container["env"][0]["value"])["utility"]
    assert told == spec
    (volume,) = [one for one in pod["spec"]["volumes"] if one["name"] == "utility"]
    address, credentials = volume["projected"]["sources"]
    assert address["configMap"]["name"] == "metertwin-utilities"
    assert credentials["secret"]["name"] == "city-grid.house-1"
    assert address["configMap"]["optional"] is credentials["secret"]["optional"] is True
    assert {"name": "utility", "mountPath": "/var/run/metertwin/utility", "readOnly": True} in container["volumeMounts"]  # fmt: skip


async def test_a_twin_without_a_utility_is_as_it_was(operator):
    operator.add_meter()
    await operator.settle()
    pod = operator.cluster.objects["pods", NAMESPACE, "house-1-e1"]
    assert "utility" not in {one["name"] for one in pod["spec"]["volumes"]}
    assert "utility" not in json.loads(pod["spec"]["containers"][0]["env"][0]["value"])
    assert all(row["type"] != "UtilityRegistered" for row in operator.status()["conditions"])


async def test_the_secret_may_have_another_name_and_another_one_is_another_template(operator):
    hashes = set()
    for number, changes in enumerate(({}, {"credentialsSecret": "ven-7"})):
        name = f"house-{number}"
        operator.add_meter(name, device="one", utility={"name": "city-grid"} | changes)
        meter = operator.cache.meters[Key(NAMESPACE, name)]
        observed = operator.reconciler._observer.observe(meter, {}, newly_allocated=False)
        desired = operator.reconciler._wishes.wish(observed, {})
        hashes.add(template_hash(desired))
    assert desired.utility_secret == "ven-7"
    assert len(hashes) == 2


async def test_what_a_utility_says_is_in_the_config_map_of_its_namespace(operator):
    declare(operator, marketContexts=["http://utility.example/peak"])
    declare(operator, "test-grid", url="http://vtn.test:8080", trust={"plain": True})
    data = await publish(operator)
    assert json.loads(data["city-grid.json"]) == {
        "protocol": "openadr-2.0b",
        "url": URL,
        "marketContexts": ["http://utility.example/peak"],
    }
    assert data["city-grid.crt"] == BUNDLE
    assert set(data) == {"city-grid.json", "city-grid.crt", "test-grid.json"}
    assert find_status(operator)["conditions"][0]["status"] == "True"


async def test_nothing_is_written_twice(operator):
    declare(operator)
    await serving(operator)
    await publish(operator)
    before = operator.cluster.writes
    await publish(operator)
    assert operator.cluster.writes == before


async def test_without_a_utility_no_config_map_is_made(operator):
    assert await publish(operator) is None


async def test_a_utility_that_goes_is_taken_out(operator):
    body = declare(operator)
    declare(operator, "other")
    await publish(operator)
    operator.cache.utilities.drop(body)
    del operator.cluster.objects["utilities", NAMESPACE, "city-grid"]
    assert set(await publish(operator)) == {"other.json", "other.crt"}


async def test_a_ca_that_cannot_be_read_is_said_and_not_passed_on(operator):
    declare(operator)
    good = await publish(operator)
    broken = "-----BEGIN CERTIFICATE-----\nno\n-----END CERTIFICATE-----\n"
    declare(operator, trust={"caBundle": broken})
    assert await publish(operator) == good
    (accepted,) = find_status(operator)["conditions"]
    assert (accepted["status"], accepted["reason"]) == ("False", "Misconfigured")
    assert "spec.trust.caBundle" in accepted["message"]


def test_several_certificates_are_one_bundle():
    assert not find_fault({"trust": {"caBundle": BUNDLE * 2}})
    assert find_fault({"trust": {"caBundle": ""}})


async def test_a_utility_counts_its_meters(operator):
    declare(operator)
    await serving(operator, {"reason": "Registered", "message": ""})
    operator.add_meter("house-2", utility={"name": "city-grid"})
    operator.add_meter("house-3", utility={"name": "other"})
    await publish(operator)
    assert find_status(operator)["meters"] == {"total": 2, "registered": 1}


async def test_a_meter_whose_utility_is_missing_is_served_and_says_so(operator):
    await serving(operator, {"reason": "UtilityMissing", "message": "x"})
    found = operator.condition("UtilityRegistered")
    assert (found["status"], found["reason"]) == ("False", "UtilityMissing")
    assert "spec.utility.name" in found["message"]
    assert operator.condition("Ready")["status"] == "True"


async def test_a_registered_meter_says_so(operator):
    declare(operator)
    await serving(operator, {"reason": "Registered", "message": ""})
    assert operator.condition("UtilityRegistered")["status"] == "True"


@pytest.mark.parametrize(
    ("reason", "remedy"),
    [
        ("Unauthorized", "Secret city-grid.house-1"),
        ("Certificate", "caBundle"),
        ("Unreachable", "utilityEgress"),
        ("NotFound", "spec.url"),
        ("Refused", "city-grid: what it said"),
    ],
)
async def test_what_is_in_the_way_is_said_with_its_remedy(operator, reason, remedy):
    declare(operator)
    await serving(operator, {"reason": reason, "message": "what it said"})
    found = operator.condition("UtilityRegistered")
    assert (found["status"], found["reason"]) == ("False", reason)
    assert remedy in found["message"]
    assert operator.condition("Ready")["status"] == "True"


@pytest.mark.parametrize("reason", [None, "", "a\nb", "x" * 99, {"a": 1}])
async def test_a_word_that_no_condition_can_hold_is_unknown(operator, reason):
    declare(operator)
    await serving(operator, {"reason": reason, "message": ["?"] * 999})
    found = operator.condition("UtilityRegistered")
    assert found["reason"] == "Unknown"
    assert len(found["message"]) < 300


async def test_a_twin_that_is_silent_changes_nothing(operator):
    declare(operator)
    await serving(operator, {"reason": "Registered", "message": ""})
    operator.cache.states.clear()
    before = operator.cluster.writes
    await operator.settle()
    assert operator.cluster.writes == before
    assert operator.condition("UtilityRegistered")["status"] == "True"


async def test_a_meter_that_leaves_its_utility_loses_the_condition(operator):
    declare(operator)
    await serving(operator, {"reason": "Registered", "message": ""})
    body = operator.cluster.objects["smartmeters", NAMESPACE, "house-1"]
    del body["spec"]["utility"]
    operator.change_meter()
    await operator.settle()
    rows = operator.status()["conditions"]
    assert all(row["type"] != "UtilityRegistered" for row in rows)


def test_a_state_has_what_the_twin_says_of_its_utility():
    found = parse_state(1, b'{"online":true,"utility":{"reason":"Registered","message":""}}')
    assert found.standing == {"reason": "Registered", "message": ""}
    assert parse_state(1, b'{"online":true,"utility":[]}').standing is None


async def test_meters_are_looked_at_when_their_utility_comes_or_goes_not_when_it_changes(operator):
    await serving(operator)
    operator.add_meter("house-2")
    asked = []
    queue = SimpleNamespace(add=asked.append)
    utilities = Utilities(operator.cache, operator.cluster)
    watches = Watches(operator.cache, queue, None, None, None, utilities, None)
    row = ("utilities", NAMESPACE, "city-grid")
    for url in (URL, URL + "/new"):
        body = {"metadata": {"name": "city-grid"}, "spec": {"url": url}}
        await watches.on_utility({"type": "ADDED"}, operator.cluster._store(row, body))
        assert asked == [Key(NAMESPACE, "house-1")]
    await watches.on_utility({"type": "DELETED"}, operator.cluster.objects[row])
    assert asked == [Key(NAMESPACE, "house-1")] * 2


async def test_a_write_that_fails_is_tried_again(operator, monkeypatch):
    monkeypatch.setattr(upkeep, "PAUSE_S", 0)
    declare(operator)
    utilities = Utilities(operator.cache, operator.cluster)
    faults = [ClusterError("writing", 500, "no"), ValueError("a bug")]

    def fault(when, _method, path):
        if when == "before" and "configmaps" in path and faults:
            raise faults.pop()

    operator.cluster.fault = fault
    utilities.note(NAMESPACE)
    task = asyncio.create_task(utilities.run())
    async with asyncio.timeout(20):
        while ROW not in operator.cluster.objects:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert faults == []
