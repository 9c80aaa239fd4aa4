"""The plugin's rollouts on a real API: upgrade, rollback, pause, resume, and what fails.

A fleet of three meters with a profile of its own: one is real firmware, the others are declared and
not installed, so they have twins and nobody to wait for. Each test goes on from the version that
the one before has left.
"""

import concurrent.futures
import json
import os
import signal
import time

import pytest
import yaml
from demo import (
    NAMESPACE,
    Record,
    answers,
    apply,
    build_manifest,
    condition,
    find_process,
    get,
    is_ours,
    is_ready,
    kubectl,
    meter,
    restarts,
    twin_of,
    until,
)
from extra_meter import firmware

pytestmark = [pytest.mark.demo, pytest.mark.timeout(900)]
PROFILE = "rolled"
FLEET = ["rolled-1", "rolled-2", "rolled-3"]
REAL = FLEET[0]
NEXT = "next"
NOWHERE = "nothere"
ROLLOUT = {
    "maxConcurrent": 3,
    "canary": 1,
    "soakSeconds": 1,
    "progressDeadlineSeconds": 120,
    "maxFailures": 3,
    "offlineMeters": "Wait",
    "paused": False,
}
WATCHED_S = 240
STILL_S = 8  # the operator looks each second at who may begin


def patch_rollout(**fields):
    change = json.dumps({"spec": {"rollout": fields}})
    kubectl("patch", "twinprofile", PROFILE, "--type=merge", "-p", change)


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Profile and meters with their twins, one of them connected; all is removed afterwards."""
    offered = get("twinprofile", "household")["spec"]
    profile = {
        "apiVersion": "metertwin.io/v1alpha1",
        "kind": "TwinProfile",
        "metadata": {"name": PROFILE, "namespace": NAMESPACE},
        "spec": {name: offered[name] for name in ("applications", "engines")},
    }
    # Server-side from the first: who applies a part of it later takes no more than that part.
    kubectl("apply", "--server-side", "-f", "-", text=json.dumps(profile))
    try:
        with firmware(REAL, tmp_path_factory.mktemp("rollouts")):
            apply(*[build_manifest(n, profile=PROFILE, capturePeriodSeconds=15) for n in FLEET])
            until(lambda: answers(REAL), f"{REAL} is served", 300)
            yield
    finally:
        kubectl("delete", "smartmeter", *FLEET, "--ignore-not-found")
        kubectl("delete", "twinprofile", PROFILE, "--ignore-not-found")


@pytest.fixture
def fleet(installed):  # noqa: ARG001 - it is there while this lives
    """All three meters have what the profile says, and the real one is connected."""
    patch_rollout(**ROLLOUT)
    for name in FLEET:
        until(lambda name=name: is_ready(name), f"{name} is Ready", 200)
    until(lambda: is_ready(REAL, "MeterConnected"), f"{REAL} is connected", 200)
    until(lambda: get("smartmeter", REAL)["status"].get("lastSeen"), "that is known")
    until(is_complete, "the fleet has what the profile says", 200)


def is_complete():
    found = get("twinprofile", PROFILE)
    assert condition(found, "Progressing").get("reason") == "Complete", found.get("status")
    # What the whole fleet has run is what a rollback finds.
    rows = found["status"].get("history") or [{}]
    assert rows[0].get("version") == found["spec"]["twin"]["version"], rows
    return found["status"]["meters"]["updated"] == len(FLEET)


def asked():
    """Return the version that the profile names; empty for the operator's own."""
    return get("twinprofile", PROFILE)["spec"]["twin"]["version"]


def other():
    """Return the version that the profile does not name now, of the two that there are."""
    return "" if asked() == NEXT else NEXT


def see():
    """Return each meter's status."""
    return {row["metadata"]["name"]: row["status"] for row in get("smartmeters", *FLEET)}


def upgrade(version, *options, check=True):
    """Run the plugin's upgrade of the profile."""
    how = ("--profile", PROFILE, "--to", version, *options)
    return meter("upgrade", *how, check=check, timeout=WATCHED_S + 30)


def watch(version, *, check=True):
    return upgrade(version, "--watch", "--timeout", str(WATCHED_S), check=check)


def go_back():
    how = ("--profile", PROFILE, "--watch", "--timeout", str(WATCHED_S))
    done = meter("rollback", *how, timeout=WATCHED_S + 30)
    assert done.stdout.splitlines()[-1] == "Done."


def find_running(version):
    """Return the meters that run it; the operator's own version is any but the next one."""
    rows = {name: status["twin"]["version"] for name, status in see().items()}
    return {name for name, one in rows.items() if (one == NEXT) == (version == NEXT)}


def check_handed_over(before, version):
    """Each meter has the version since, and its last twin by one handover of this rollout."""
    until(lambda: find_running(version) == set(FLEET), f"all run {version or 'stock twins'}", 60)
    for name, status in see().items():
        (row, *_) = status["handovers"]
        assert (row["result"], row["reason"]) == ("Done", "ProfileChanged"), (name, row)
        assert (row["from"], row["to"]) == (before[name]["epoch"], status["epoch"]), (name, row)


@pytest.mark.usefixtures("fleet")
def test_upgrade_watches_until_the_whole_fleet_runs_it_and_rollback_brings_all_back(tmp_path):
    record, first, version = Record(tmp_path, REAL), asked(), other()
    before = see()
    done = watch(version)
    assert done.stdout.splitlines()[-1] == "Done."
    assert f"{len(FLEET)} of {len(FLEET)} updated" in done.stdout
    check_handed_over(before, version)
    between = see()
    go_back()
    assert asked() == first
    check_handed_over(between, first)
    for name, status in see().items():
        assert status["twin"]["version"] == before[name]["twin"]["version"]
    record.verify()


@pytest.mark.usefixtures("fleet")
def test_pause_lets_no_further_meter_begin_and_resume_goes_on():
    version, before = other(), see()

    def begun():
        return {n for n, one in see().items() if one["highestEpoch"] > before[n]["highestEpoch"]}

    patch_rollout(maxConcurrent=1, soakSeconds=20)  # the first is under way for so long
    upgrade(version)
    until(begun, "one has begun", 60)
    meter("pause", "--profile", PROFILE)
    patch_rollout(soakSeconds=1)

    def is_paused():
        found = get("twinprofile", PROFILE)
        assert condition(found, "Paused").get("reason") == "ByUser", found["status"]
        assert found["status"]["meters"]["inProgress"] == 0, "what was under way goes on"
        return all(not one.get("handover") for one in see().values())

    until(is_paused, "it is paused, and nothing is under way", 120)
    moved = begun()
    assert moved < set(FLEET), "all had begun before the pause"
    end = time.monotonic() + STILL_S
    while time.monotonic() < end:
        assert begun() == moved, "one has begun while it is paused"
    assert find_running(version) == moved
    done = watch(version, check=False)
    assert done.returncode == 1, done.stdout
    assert f"kubectl meter resume --profile {PROFILE}" in done.stderr
    patch_rollout(maxConcurrent=3)
    meter("resume", "--profile", PROFILE)
    assert watch(version).stdout.splitlines()[-1] == "Done."
    check_handed_over(before, version)


@pytest.mark.usefixtures("fleet")
def test_a_dry_run_changes_nothing_and_what_it_prints_makes_the_same_change():
    def resource():
        found = get("twinprofile", PROFILE)
        return found["spec"], found["metadata"]["generation"]

    spec, generation = resource()
    version, before = other(), see()
    history = get("twinprofile", PROFILE)["status"]["history"]
    known = [row["version"] for row in history if row["version"] != spec["twin"]["version"]]
    done = meter("rollback", "--profile", PROFILE, "--dry-run", check=False)
    if known:
        assert done.returncode == 0, done.stderr
        assert yaml.safe_load(done.stdout)["spec"] == {"twin": {"version": known[0]}}
    else:  # alone this test finds no version to go back to
        assert done.returncode == 1, done.stdout
        assert "field:  status.history" in done.stderr
    for verb in ("pause", "resume"):
        done = meter(verb, "--profile", PROFILE, "--dry-run")
        part = yaml.safe_load(done.stdout)
        assert part["metadata"]["name"] == PROFILE
        assert part["spec"]["rollout"]["paused"] == (verb == "pause")
    printed = upgrade(version, "--dry-run", "-o", "yaml").stdout
    assert resource() == (spec, generation), "a dry run has changed the profile"
    owner = ("--server-side", "--field-manager=repository", "--force-conflicts")
    kubectl("apply", *owner, "-f", "-", text=printed)
    assert resource()[0] == spec | {"twin": spec["twin"] | {"version": version}}
    assert watch(version).stdout.splitlines()[-1] == "Done."
    check_handed_over(before, version)


@pytest.mark.usefixtures("fleet")
def test_a_meter_that_is_offline_waits_and_with_commit_it_follows(tmp_path):
    record, version = Record(tmp_path, REAL), other()
    process = find_process(get("pod", f"meter-{REAL}"))
    if process is None:
        assert not is_ours(), "the container's process is not found"
        pytest.skip("the container runs on another machine: nothing here can stop it")
    os.kill(process, signal.SIGSTOP)
    try:
        # Another twin knows at once that the meter does not speak to it.
        epoch = get("smartmeter", REAL)["status"]["epoch"]
        kubectl("delete", "pod", twin_of(REAL)["metadata"]["name"], "--wait=false")
        until(lambda: get("smartmeter", REAL)["status"]["epoch"] > epoch, "a takeover", 60)
        until(lambda: is_ready(REAL), "its next twin", 120)
        before = see()
        upgrade(version)

        def waits():
            found = get("twinprofile", PROFILE)
            reason = condition(found, "Progressing").get("reason")
            assert (reason, found["status"]["meters"]["offline"]) == ("WaitingForMeters", 1), found
            return True

        until(waits, "only the meter that is offline is left", 120)
        others = set(FLEET) - {REAL}
        until(lambda: find_running(version) == others, "the others have it", 30)
        assert see()[REAL]["highestEpoch"] == before[REAL]["highestEpoch"], "nothing was tried"
        patch_rollout(offlineMeters="Commit")
        assert watch(version).stdout.splitlines()[-1] == "Done."
        check_handed_over(before, version)
    finally:
        os.kill(process, signal.SIGCONT)
    until(lambda: answers(REAL), f"{REAL} is back", 200)
    record.verify()  # what it wrote meanwhile waited in its ring


@pytest.mark.usefixtures("fleet")
def test_a_version_that_does_not_exist_pauses_itself_and_rollback_brings_the_profile_back(tmp_path):
    record, first = Record(tmp_path, REAL), asked()
    before, twins = see(), {name: see_twin(name) for name in FLEET}
    patch_rollout(maxFailures=1, progressDeadlineSeconds=30)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        watched = pool.submit(watch, NOWHERE, check=False)
        while not watched.done():
            until(lambda: answers(REAL), "the old twin goes on")
    done = watched.result()
    assert done.returncode == 1, done.stdout
    assert "rollout.maxFailures is 1" in done.stderr
    assert f"kubectl meter rollback --profile {PROFILE}" in done.stderr
    check_stopped()
    lost = FLEET[1]
    check_replaced(lost, first)
    before[lost], twins[lost] = see()[lost], see_twin(lost)
    go_back()
    assert asked() == first
    found = get("twinprofile", PROFILE)
    assert {condition(found, kind)["status"] for kind in ("Paused", "Degraded")} == {"False"}
    for name, status in see().items():
        assert status["epoch"] == before[name]["epoch"], "nothing but the old twin has served"
        tried = status["highestEpoch"] > before[name]["highestEpoch"]
        assert tried == (name == REAL), "one has tried, before the others"
    assert {name: see_twin(name) for name in FLEET} == twins, "they were ready all the time"
    record.verify()


def check_stopped():
    """The profile says that it has paused itself, why, and what to do."""
    found = get("twinprofile", PROFILE)
    for kind in ("Paused", "Degraded"):
        row = condition(found, kind)
        assert (row["status"], row["reason"]) == ("True", "TooManyFailures"), row
    why = condition(found, "Degraded")["message"]
    assert f"{REAL}: DeadlineExceeded" in why, "those that were never there come last"
    assert "ImagePull" in why
    assert "kubectl meter rollback" in condition(found, "Paused")["message"]
    (row, *_) = see()[REAL]["handovers"]
    assert (row["result"], row["version"]) == ("Aborted", NOWHERE)


def check_replaced(name, version):
    """A twin that is lost now is followed by one of the version that its fleet has run."""
    epoch = see()[name]["epoch"]
    kubectl("delete", "pod", twin_of(name)["metadata"]["name"], "--wait=false")
    until(lambda: see()[name]["epoch"] > epoch and is_ready(name), f"{name} has another twin", 120)
    assert NOWHERE not in twin_of(name)["spec"]["containers"][0]["image"]
    assert find_running(version) == set(FLEET)


def see_twin(name):
    """Return what stays the same while a twin serves: its pod, its starts, since when it is ready."""
    pod = twin_of(name)
    (ready,) = [row for row in pod["status"]["conditions"] if row["type"] == "Ready"]
    return pod["metadata"]["uid"], restarts(pod), ready["status"], ready["lastTransitionTime"]
