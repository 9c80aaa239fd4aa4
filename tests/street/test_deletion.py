"""A deleted SmartMeter takes with it all that it owned, on the broker too."""

import threading

import paho.mqtt.client as mqtt
import pytest
from broker_port import build_context, forwarded_port
from demo import (
    build_manifest,
    get,
    is_ready,
    kubectl,
    names,
    read_live,
    secret,
    until,
)

pytestmark = [pytest.mark.demo, pytest.mark.alone, pytest.mark.timeout(900)]
OWNED = ("pod", "secret", "configmap", "service", "persistentvolumeclaim")
QUIET_S = 0.7
"""Retained messages follow a subscription at once; after this there are no more."""
LOOK_S = 35
"""From one look at the broker to the next: each ends the operator's session, and an operator whose
sessions end again and again within 30 s (its `STABLE_S`) gives up the process."""


def list_retained(folder, device):
    """Return the topics of a device with retained messages, as the operator may read them.

    The broker knows one client of that name, so the operator connects again afterwards.
    """
    held = secret("metertwin-operator-tls")
    context = build_context(folder, held["ca.crt"], held["tls.crt"], held["tls.key"])
    found, subscribed = set(), threading.Event()
    client = mqtt.Client(
        mqtt.CallbackAPIVersion.VERSION2,
        clean_session=True,
        reconnect_on_failure=False,  # the operator has its session again: no contest with it
    )
    client.tls_set_context(context)
    client.on_message = lambda _client, _data, message: found.add(message.topic)
    client.on_subscribe = lambda *_: subscribed.set()
    topics = [f"mt/{device}/owner", f"mt/{device}/+/ctl", f"mt/{device}/+/state"]
    client.on_connect = lambda *_: client.subscribe([(topic, 1) for topic in topics])
    with forwarded_port() as port:
        try:
            client.connect("127.0.0.1", port)
        except OSError as error:
            raise AssertionError(f"no connection to the broker: {error!r}") from error
        client.loop_start()
        try:
            assert subscribed.wait(20), "the broker accepted no subscription"
            threading.Event().wait(QUIET_S)
        finally:
            client.disconnect()
            client.loop_stop()
            client._reset_sockets()  # else left to the garbage collector, which warns elsewhere
    return found


def list_owned(uid):
    """Return what an object owns, over all kinds that a meter could own."""
    found = []
    for row in get(",".join(OWNED)):
        owners = row["metadata"].get("ownerReferences", [])
        if any(owner["uid"] == uid for owner in owners):
            found.append(f"{row['kind']}/{row['metadata']['name']}")
    return found


def test_a_deleted_meter_leaves_nothing_behind(extra, tmp_path):
    extra(build_manifest("extra-1"))
    until(lambda: is_ready("extra-1"), "a twin without a meter is Ready")
    epoch = get("smartmeter", "extra-1")["status"]["epoch"]
    kubectl("delete", "pod", f"extra-1-e{epoch}", "--wait=false")  # two epochs to remove
    until(lambda: get("smartmeter", "extra-1")["status"]["epoch"] == epoch + 1, "the next epoch")
    until(lambda: is_ready("extra-1"), "Ready again")
    uid = get("smartmeter", "extra-1")["metadata"]["uid"]
    two = [f"Pod/extra-1-e{epoch + 1}", f"Secret/extra-1-e{epoch + 1}"]
    until(lambda: sorted(list_owned(uid)) == two, "one twin and its identity")
    topics = {f"mt/extra-1/{epoch + 1}/{what}" for what in ("ctl", "state")} | {"mt/extra-1/owner"}

    def retained():
        found = list_retained(tmp_path, "extra-1")
        assert topics <= found, f"retained: {sorted(found)}"
        return True

    until(retained, "the retained topics", period_s=LOOK_S)

    kubectl("delete", "smartmeter", "extra-1")
    until(lambda: not list_owned(uid), "everything owned is gone")
    left = [name for kind in OWNED for name in names(kind) if name.startswith("extra-1")]
    assert left == []

    def forgotten():
        left = list_retained(tmp_path, "extra-1")
        assert not left, f"retained: {sorted(left)}"
        return True

    until(forgotten, "no retained message is left, the twin's farewell neither", period_s=LOOK_S)


def test_an_epoch_that_is_over_keeps_no_state_and_a_meter_declared_again_begins_above_it(
    extra, tmp_path
):
    extra(build_manifest("extra-5"))
    until(lambda: is_ready("extra-5"), "a twin without a meter is Ready")
    epoch = get("smartmeter", "extra-5")["status"]["epoch"]
    kubectl("delete", "pod", f"extra-5-e{epoch}", "--wait=false")
    until(lambda: get("smartmeter", "extra-5")["status"]["epoch"] == epoch + 1, "the next epoch")
    until(lambda: is_ready("extra-5"), "Ready again")
    until(lambda: f"extra-5-e{epoch}" not in names("pod"), "the old pod is gone")
    over = f"mt/extra-5/{epoch}/state"
    until(lambda: over not in list_retained(tmp_path, "extra-5"), "no state of it", period_s=LOOK_S)
    kubectl("delete", "smartmeter", "extra-5")
    extra(build_manifest("extra-5"))
    until(lambda: get("smartmeter", "extra-5").get("status", {}).get("epoch"), "an epoch")
    assert get("smartmeter", "extra-5")["status"]["epoch"] > epoch + 1
    kubectl("delete", "smartmeter", "extra-5")
    until(lambda: not [pod for pod in names("pod") if pod.startswith("extra-5-")], "no pod is left")


def test_the_neighbours_keep_their_topics(tmp_path):
    def kept():
        status = get("smartmeter", "house-4")["status"]
        epoch, retired = status["epoch"], status.get("previousEpochs") or []
        topics = {"mt/house-4/owner", f"mt/house-4/{epoch}/ctl", f"mt/house-4/{epoch}/state"}
        topics |= {f"mt/house-4/{row['epoch']}/ctl" for row in retired}
        found = list_retained(tmp_path, "house-4")
        assert found == topics, sorted(found)
        return True

    until(kept, "exactly its own topics", period_s=LOOK_S)


def test_deleting_a_duplicate_leaves_the_first_meter_alone(extra):
    before = get("smartmeter", "house-4")["status"]["twin"]["podUid"]
    extra(build_manifest("extra-4", device="house-4"))
    until(lambda: get("smartmeter", "extra-4").get("status"), "the complaint")
    kubectl("delete", "smartmeter", "extra-4")
    read_live("house-4")
    assert get("smartmeter", "house-4")["status"]["twin"]["podUid"] == before
