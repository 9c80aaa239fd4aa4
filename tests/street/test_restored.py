"""The cluster comes back from an older copy: twin and meter know more than status, and go on."""

import json

import pytest
from demo import answers, get, is_ready, kubectl, names, until

pytestmark = [pytest.mark.demo, pytest.mark.alone, pytest.mark.timeout(900)]
STAYS, LOST = "house-6", "house-7"
"""Houses whose twin is still there when the copy is put back, and whose twin is lost as well."""
HOUSES = (STAYS, LOST)


def status(house):
    return get("smartmeter", house)["status"]


def put_back(house, older):
    """Replace the whole status, as a restore of etcd does."""
    patch = {"status": dict.fromkeys(status(house)) | older}
    kubectl("patch", "smartmeter", house, "--subresource=status", "--type=merge", "-p",
            json.dumps(patch))  # fmt: skip


def serves_above(house, epoch):
    found = status(house)
    assert found["epoch"] > epoch, found
    assert is_ready(house)
    return answers(house)


def is_alone(house):
    selector = f"metertwin.io/device={house},metertwin.io/role=twin"
    return names("pod", "-l", selector) == {status(house)["twin"]["pod"]}


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


def test_a_status_that_was_put_back_is_continued_above_what_the_meter_has_seen(record, no_operator):
    records, (stop, start) = [record(house) for house in HOUSES], no_operator
    for house in HOUSES:
        until(lambda house=house: is_ready(house), f"{house} is Ready")
    older = {house: status(house) for house in HOUSES}
    kubectl("delete", "pod", *[one["twin"]["pod"] for one in older.values()], "--wait=false")
    for house, before in older.items():
        until(
            lambda house=house, e=before["epoch"]: serves_above(house, e), f"{house} goes on", 300
        )
    newer = {house: status(house) for house in HOUSES}
    for one in records:
        one.verify()

    stop()
    for house, before in older.items():
        put_back(house, before)
    kubectl("delete", "pod", newer[LOST]["twin"]["pod"])
    start()
    for house, before in newer.items():
        what = f"{house} is served above all epochs that were seen"
        until(lambda house=house, e=before["epoch"]: serves_above(house, e), what, 300)
    for house, before in newer.items():
        found = status(house)
        assert found["highestEpoch"] == found["epoch"]
        assert found["ownerCounter"] > before["ownerCounter"]
        assert found["epochId"] not in {older[house]["epochId"], before["epochId"]}
        until(lambda house=house: is_alone(house), f"one twin of {house} is left", 300)
    for one in records:
        one.verify()
