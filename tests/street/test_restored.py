"""The cluster comes back from an older copy: twin and meter know more than status, and go on."""

import json

import pytest
from demo import answers, get, is_ready, kubectl, names, until

pytestmark = [pytest.mark.demo, pytest.mark.alone, pytest.mark.timeout(900)]
HOUSE = "house-7"
SELECTOR = f"metertwin.io/device={HOUSE},metertwin.io/role=twin"


def status():
    return get("smartmeter", HOUSE)["status"]


def put_back(older):
    """Replace the whole status, as a restore of etcd does."""
    now = status()
    patch = {"status": dict.fromkeys(now) | older}
    kubectl("patch", "smartmeter", HOUSE, "--subresource=status", "--type=merge", "-p",
            json.dumps(patch))  # fmt: skip


def serves_above(epoch):
    found = status()
    assert found["epoch"] > epoch, found
    assert is_ready(HOUSE)
    return answers(HOUSE)


@pytest.fixture
def no_operator():
    """Return (stop, start): the next one knows only what cluster, broker and meter tell it."""
    name, pods = "deployment/metertwin-operator", ("pod", "-l", "metertwin.io/role=operator")
    (replicas,) = [get("deployment", "metertwin-operator")["spec"]["replicas"]]

    def stop():
        kubectl("scale", name, "--replicas=0")
        until(lambda: not names(*pods), "no operator runs")

    def start():
        kubectl("scale", name, f"--replicas={replicas}")
        kubectl("rollout", "status", name, "--timeout=180s")

    yield stop, start
    start()


@pytest.mark.parametrize("is_pod_lost", [False, True], ids=["twin there", "twin lost"])
def test_a_status_that_was_put_back_is_continued_above_what_the_meter_has_seen(
    record, no_operator, is_pod_lost
):
    house, (stop, start) = record(HOUSE), no_operator
    until(lambda: is_ready(HOUSE), "ready")
    older = status()
    kubectl("delete", "pod", older["twin"]["pod"], "--wait=false")
    until(lambda: serves_above(older["epoch"]), "another epoch serves", 300)
    newer = status()
    house.verify()

    stop()
    put_back(older)
    if is_pod_lost:
        kubectl("delete", "pod", newer["twin"]["pod"])
    start()
    until(lambda: serves_above(newer["epoch"]), "an epoch above all that were seen serves", 300)
    found = status()
    assert found["highestEpoch"] == found["epoch"]
    assert found["ownerCounter"] > newer["ownerCounter"]
    assert found["epochId"] not in {older["epochId"], newer["epochId"]}
    until(lambda: names("pod", "-l", SELECTOR) == {found["twin"]["pod"]}, "one twin is left", 300)
    house.verify()
