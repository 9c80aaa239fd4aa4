"""What fails on a real cluster, one house each; the oracle is the firmware's own log."""

import concurrent.futures
import contextlib
import pathlib
import time

import pytest
from demo import (
    DEVICES,
    Record,
    answers,
    ask_meter,
    build_manifest,
    condition,
    find_address,
    find_process,
    get,
    is_pod_ready,
    is_ready,
    kill,
    kubectl,
    names,
    restarts,
    skip_elsewhere,
    twin_of,
    until,
)

pytestmark = [pytest.mark.demo, pytest.mark.alone, pytest.mark.timeout(900)]
BROKER, OPERATOR = "metertwin-mosquitto", "metertwin-operator"
SETTLED_S = 15
"""Longer than all that an operator does after its start: it lists, connects and compares."""


def kill_container(pod_name):
    """Kill -9 the one container of a pod; return when it runs again."""
    pod = get("pod", pod_name)
    process = find_process(pod)
    if process is None:
        skip_elsewhere()
    kill(process)

    def restarted():
        now = get("pod", pod_name)
        assert now["metadata"]["uid"] == pod["metadata"]["uid"]
        return restarts(now) == restarts(pod) + 1 and is_pod_ready(now)

    until(restarted, f"{pod_name} runs again")


def test_a_killed_twin_goes_on_with_its_store_and_epoch(record):
    house = record("house-1")
    epoch = get("smartmeter", "house-1")["status"]["epoch"]
    kill_container(twin_of("house-1")["metadata"]["name"])
    until(lambda: answers("house-1"), "the meter answers")
    house.verify()
    assert get("smartmeter", "house-1")["status"]["epoch"] == epoch
    until(lambda: is_ready("house-1"), "Ready again")


def test_a_twin_without_its_store_is_followed_by_the_next_epoch(record):
    house = record("house-2")
    before = get("smartmeter", "house-2")["status"]
    pod = before["twin"]["pod"]
    kubectl("delete", "pod", pod, "--wait=false")

    def followed():
        status = get("smartmeter", "house-2")["status"]
        return status["epoch"] == before["highestEpoch"] + 1 and is_ready("house-2")

    until(followed, "the next epoch is Ready")
    after = get("smartmeter", "house-2")["status"]
    assert after["epochId"] != before["epochId"]
    assert after["ownerCounter"] > before["ownerCounter"]
    assert after["highestEpoch"] == after["epoch"]
    house.verify()  # everything, also what only the old store held, comes from the ring again
    selector = "metertwin.io/device=house-2,metertwin.io/role=twin"
    until(lambda: names("pod", "-l", selector) == {after["twin"]["pod"]}, "one twin")
    until(lambda: pod not in names("secret"), "the old identity is removed")
    address = get("pod", after["twin"]["pod"])["status"]["podIP"]
    neighbour = get("smartmeter", "house-1")["status"]["twin"]["pod"]
    until(lambda: find_address("house-2", neighbour) == address, "its name follows")

    def told():
        changes = [row for row in ask_meter("events", "house-2") if row["code"] == "owner_change"]
        assert changes, "no owner_change"
        assert changes[-1]["arguments"]["active_epoch"] == after["epoch"], changes[-1]
        return True

    until(told, "the meter's own event of the new owner is stored")


def test_a_killed_meter_reports_its_boot_and_loses_nothing(record):
    house = record("house-3")
    boots = house.boots()
    kill_container("meter-house-3")
    until(lambda: house.boots() == boots + 1, "the firmware started")
    until(lambda: answers("house-3"), "the meter answers")
    house.verify()
    starts = [row for row in ask_meter("events", "house-3") if row["code"] == "firmware_start"]
    assert starts[-1]["arguments"]["boot"] == starts[-2]["arguments"]["boot"] + 1
    assert len({row["incarnation"] for row in starts}) == 1
    power = [row for row in ask_meter("events", "house-3") if row["code"] == "power_up"]
    assert power[-1]["seq"] == starts[-1]["seq"] - 1


def test_a_deleted_broker_comes_back_to_all_meters_and_nothing_is_lost(tmp_path):
    houses = [Record(tmp_path, device) for device in DEVICES]
    # The broker is away at the turn of a minute, when every meter writes a reading.
    time.sleep((48 - time.time()) % 60)
    epochs = see_epochs()
    try:
        kubectl("scale", "deployment", BROKER, "--replicas=0")
        until(lambda: not names("pod", "-l", "app.kubernetes.io/component=broker"), "no broker")
        turn = time.time() // 60 * 60 + 60  # the next one, if its pod ended slowly
        time.sleep(turn + 2 - time.time())
    finally:
        kubectl("scale", "deployment", BROKER, "--replicas=1")
    until(lambda: all(side_by_side(answers, DEVICES)), "all meters answer", 300)
    side_by_side(Record.verify, houses)
    for device in DEVICES:
        assert any(row["time"] == stamp(turn) for row in ask_meter("readings", device)), device
    assert see_epochs() == epochs, "no takeover"


def see_epochs():
    rows = {row["metadata"]["name"]: row["status"]["epoch"] for row in get("smartmeters", *DEVICES)}
    return {device: rows[device] for device in DEVICES}


def side_by_side(question, subjects):
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        return list(pool.map(question, subjects))


def stamp(moment):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))


def see_world():
    """Return what a restarted operator must not touch: {kind/name: what identifies its state}."""
    found = {}
    for kind in ("secret", "configmap", "service", "poddisruptionbudget"):
        for row in get(kind):
            if not row["metadata"]["name"].startswith("sh.helm"):
                found[f"{kind}/{row['metadata']['name']}"] = row["metadata"]["resourceVersion"]
    for device in DEVICES:
        pod = twin_of(device)
        found[f"pod/{device}"] = (pod["metadata"]["uid"], restarts(pod))
    return found


def see_meters():
    """Return {meter: (resource version, status without the coarse time it was last seen)}."""
    found = {}
    for row in get("smartmeters"):
        if row["metadata"]["name"] in DEVICES:
            seen = row["status"].pop("lastSeen", "")
            version = row["metadata"]["resourceVersion"]
            found[row["metadata"]["name"]] = version, seen, row["status"]
    return found


def has_settled():
    """All meters serve, and for a while nothing is written to what a restart must not touch."""
    assert all(is_ready(device, kind) for device in DEVICES for kind in ("Ready", "MeterConnected"))
    before = see_world(), {name: status for name, (_, _, status) in see_meters().items()}
    time.sleep(SETTLED_S)
    assert before == (see_world(), {name: status for name, (_, _, status) in see_meters().items()})
    return True


def test_a_deleted_operator_restarts_no_twin_and_writes_nothing():
    time.sleep(max(0, SETTLED_S - (time.time() % 300)))  # the coarse time turns every five minutes
    until(has_settled, "what the tests before have changed is written", 300)
    world, meters = see_world(), see_meters()
    pod = names("pod", "-l", "metertwin.io/role=operator")
    kubectl("delete", "pod", *pod, "--wait=false", "--grace-period=0", "--force")

    def back():
        rows = get("pod", "-l", "metertwin.io/role=operator")
        fresh = [row for row in rows if row["metadata"]["name"] not in pod]
        return fresh and is_pod_ready(fresh[0])

    until(back, "the operator is back", 300)
    time.sleep(SETTLED_S)
    assert see_world() == world
    for name, (version, seen, status) in see_meters().items():
        version_before, seen_before, status_before = meters[name]
        assert status == status_before, name
        assert version == version_before or seen != seen_before, f"{name} was written"


def run_operator(image):
    """Let the operator be of an image; return when its pod is ready, and no other is there."""
    kubectl("set", "image", "deployment", OPERATOR, f"operator={image}")
    kubectl("rollout", "status", "deployment", OPERATOR, "--timeout=200s")

    def runs():
        rows = get("pod", "-l", "metertwin.io/role=operator")
        images = [row["spec"]["containers"][0]["image"] for row in rows]
        return images == [image] and is_pod_ready(rows[0])

    until(runs, f"only {image} runs", 300)


def test_an_upgrade_of_the_operator_and_the_way_back_touch_no_twin(extra):
    """The next version has a newer template of pods, which is for twins that are made from now."""
    image = get("deployment", OPERATOR)["spec"]["template"]["spec"]["containers"][0]["image"]
    until(has_settled, "what the tests before have changed is written", 300)
    world, epochs = see_world(), see_epochs()
    try:
        run_operator(f"{image.rpartition(':')[0]}:next")
        time.sleep(SETTLED_S)
        assert see_world() == world, "the newer operator"
        extra(build_manifest("extra-8"))
        until(lambda: get("smartmeter", "extra-8")["status"].get("epoch"), "it works")
    finally:
        run_operator(image)
    time.sleep(SETTLED_S)
    # A budget's status counts pods, so that of one more has changed it.
    now = see_world()
    changed = {name for name in world if now.get(name) != world[name]}
    assert {name for name in changed if not name.startswith("poddisruptionbudget/")} == set()
    assert see_epochs() == epochs
    until(lambda: all(is_ready(device) for device in DEVICES), "all are Ready")


def kill_broker(pod_name):
    """Kill -9 Mosquitto; its pod has one process namespace, so it is not the first in it."""
    pod = get("pod", pod_name)
    statuses = pod["status"]["containerStatuses"]
    (container,) = [row for row in statuses if row["name"] == "mosquitto"]
    identity = container["containerID"].split("//", 1)[1]
    for path in pathlib.Path("/proc").glob("[0-9]*/cgroup"):
        with contextlib.suppress(OSError):
            if identity in path.read_text():
                kill(int(path.parent.name))
                break
    else:
        skip_elsewhere()
    until(lambda: restarts(get("pod", pod_name)) == restarts(pod) + 1, "it was restarted")
    until(lambda: is_pod_ready(get("pod", pod_name)), "the broker runs again")


def see_pods():
    """Return {pod: (uid, restarts)} of the street's meters and twins and of the broker."""
    rows = get("pod", "-l", "metertwin.io/role in (meter, twin)")
    rows = [row for row in rows if row["metadata"]["labels"]["metertwin.io/device"] in DEVICES]
    rows += get("pod", "-l", "app.kubernetes.io/component=broker")
    return {row["metadata"]["name"]: (row["metadata"]["uid"], restarts(row)) for row in rows}


def test_what_dies_while_the_operator_is_away_comes_back_without_it(tmp_path):
    houses = [Record(tmp_path, device) for device in DEVICES]
    epochs, before = see_epochs(), see_pods()
    twin = twin_of("house-4")["metadata"]["name"]
    (broker,) = names("pod", "-l", "app.kubernetes.io/component=broker")
    try:
        kubectl("scale", "deployment", OPERATOR, "--replicas=0")
        until(lambda: not names("pod", "-l", "metertwin.io/role=operator"), "no operator")
        kill_container(twin)
        kill_broker(broker)
        until(lambda: all(side_by_side(answers, DEVICES)), "all meters answer", 300)
        side_by_side(Record.verify, houses)
        assert not names("pod", "-l", "metertwin.io/role=operator")
    finally:
        kubectl("scale", "deployment", OPERATOR, "--replicas=1")
    kubectl("rollout", "status", "deployment", OPERATOR, "--timeout=200s")
    time.sleep(SETTLED_S)
    until(lambda: all(is_ready(device) for device in DEVICES), "all are Ready")
    expected = {
        name: (uid, count + (name in (twin, broker))) for name, (uid, count) in before.items()
    }
    assert see_pods() == expected, "the same pods, and only what was killed has restarted"
    assert see_epochs() == epochs, "no takeover"
    side_by_side(Record.verify, houses)


def test_a_restarted_operator_still_works(extra):
    """The counterpart: what wrote nothing above would have written."""
    extra(build_manifest("extra-9"))
    until(lambda: condition(get("smartmeter", "extra-9")), "a condition")
