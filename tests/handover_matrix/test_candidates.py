"""A new twin that cannot take over, and a mind that is changed: the old twin goes on."""

import datetime as dt
import json

import bad_images
import pytest
from cells import NEXT, version_of
from demo import (
    HOUSES,
    Record,
    answers,
    build_manifest,
    condition,
    get,
    is_ready,
    kubectl,
    names,
    restarts,
    twin_of,
    until,
)

pytestmark = [pytest.mark.cluster, pytest.mark.alone, pytest.mark.timeout(1500)]
BAD = {
    "does-not-exist": "ImagePull",
    "test-crash": "CrashLoopBackOff",
    "test-hang": "has not connected yet",
    "test-idle": "has not taken everything yet",
}
SPEAKS = "test-idle"
"""It has spoken, so it may hold entries: it stays a donor for minutes, and no other begins before."""
HOUSE_OF = dict(zip(BAD, HOUSES, strict=False))
FAULTY, FAULTY_HOUSE = "test-faulty", "house-6"
CHANGED, LATER = "house-5", {"metering-data": {"options": {"retentionDays": 20}}}
PAUSE_S, MOST_PAUSE_S = 60, 960
"""After the first try that was given up, and after five; times in status are whole seconds."""


def patch(device, spec):
    change = json.dumps({"spec": spec})
    kubectl("patch", "smartmeter", device, "--type=merge", "-p", change)


@pytest.fixture(scope="module")
def given_up(tmp_path_factory, deadline_s):
    """Ask one house each for a bad image; return what was seen of it when it was given up."""
    tags = [tag for tag in BAD if tag not in bad_images.ENTRY or bad_images.is_possible()]
    for tag in tags:
        if tag in bad_images.ENTRY:
            bad_images.load(tag)
    before = {tag: twin_of(HOUSE_OF[tag]) for tag in tags}
    for tag in tags:
        patch(HOUSE_OF[tag], {"twin": {"version": tag}})

    def aborted(tag):
        status = get("smartmeter", HOUSE_OF[tag])["status"]
        rows = status.get("handovers") or [{}]
        return rows[0].get("version") == tag and not status.get("handover") and rows[0]

    found = {}
    for tag in tags:
        row = until(lambda tag=tag: aborted(tag), f"{tag} is given up", deadline_s + 120, 1)
        found[tag] = row, before[tag], Record(tmp_path_factory.mktemp(tag), HOUSE_OF[tag])
    yield found
    for tag in tags:
        patch(HOUSE_OF[tag], {"twin": None})
    for tag in tags:
        until(lambda tag=tag: is_ready(HOUSE_OF[tag]), "the stock twin is what is asked for")


@pytest.mark.parametrize("tag", BAD)
def test_an_image_that_cannot_take_over_is_given_up_with_a_reason_and_the_old_twin_goes_on(
    given_up, tag
):
    if tag not in given_up:
        pytest.skip("archives of images cannot be brought to this cluster")
    row, before, record = given_up[tag]
    house = HOUSE_OF[tag]
    assert row["result"] == "Aborted"
    assert "DeadlineExceeded" in row["message"]
    assert BAD[tag] in row["message"]
    after = twin_of(house)
    assert (after["metadata"]["uid"], restarts(after)) == (
        before["metadata"]["uid"],
        restarts(before),
    )
    meter = get("smartmeter", house)
    assert meter["status"]["epoch"] == row["from"]
    assert condition(meter, "TwinReady").get("status") == "True"
    until(lambda: answers(house), "the meter answers its old twin")
    until(lambda: record.verify() is None, "the oracle")


def test_the_next_try_comes_and_not_before_its_pause_is_over(given_up):
    for tag, (row, _, _) in given_up.items():
        if tag == SPEAKS:
            continue
        begun = until(
            lambda tag=tag, row=row: find_next_begin(HOUSE_OF[tag], row["to"]),
            f"{tag} is tried again",
            MOST_PAUSE_S + 120,
            1,
        )
        gap_s = seconds(begun) - seconds(row["endedAt"])
        assert gap_s >= PAUSE_S - 1, (tag, row, begun)


def find_next_begin(house, epoch):
    """Return when the first candidate after that of `epoch` began, None if there was none yet."""
    status = get("smartmeter", house)["status"]
    begun = {one["to"]: one["begunAt"] for one in status["handovers"]}
    if status.get("handover"):
        begun[status["handover"]["epoch"]] = status["handover"]["begunAt"]
    later = [one for one in begun if one > epoch]
    return begun[min(later)] if later else None


def seconds(stamp):
    return dt.datetime.fromisoformat(stamp).timestamp()


@pytest.mark.usefixtures("street")
def test_a_version_whose_application_fails_is_refused_before_anything_has_moved(record):
    if not bad_images.is_possible():
        pytest.skip("archives of images cannot be brought to this cluster")
    bad_images.load(FAULTY)
    before, oracle = twin_of(FAULTY_HOUSE), record(FAULTY_HOUSE)
    try:
        patch(FAULTY_HOUSE, {"twin": {"version": FAULTY}})

        def refused():
            rows = get("smartmeter", FAULTY_HOUSE)["status"].get("handovers") or [{}]
            return next((row for row in rows if row.get("version") == FAULTY), None)

        row = until(refused, "the candidate is given up", 120)
        assert row["result"] == "Aborted"
        assert row["message"].startswith("CandidateRefuses: application metering-data")
        assert twin_of(FAULTY_HOUSE)["metadata"]["uid"] == before["metadata"]["uid"]
        until(lambda: answers(FAULTY_HOUSE), "the meter answers its old twin")
        until(lambda: oracle.verify() is None, "the oracle")
    finally:
        patch(FAULTY_HOUSE, {"twin": None})
        until(lambda: is_ready(FAULTY_HOUSE), "as it was", 300)


def test_a_spec_that_is_edited_again_in_the_middle_is_what_is_done_in_the_end(street, record):
    timeline, oracle = street.timelines[CHANGED], record(CHANGED)
    timeline.begin()
    try:
        patch(CHANGED, {"twin": {"version": NEXT}})
        assert timeline.wait(["new:session"], 120)
        first = timeline.epochs[1]
        patch(CHANGED, {"applications": LATER})

        def done():
            meter = get("smartmeter", CHANGED)
            assert not meter["status"].get("handover")
            return is_ready(CHANGED) and meter["status"]

        status = until(done, "the newest spec is what runs", 300)
        rows = {row["to"]: row for row in status["handovers"]}
        assert rows[first]["result"] == "Aborted"
        assert rows[first]["message"].startswith("Superseded")
        assert status["epoch"] > first
        (container,) = twin_of(CHANGED)["spec"]["containers"]
        (setting,) = [one for one in container["env"] if one["name"] == "METERTWIN_CONFIG"]
        assert json.loads(setting["value"])["applications"]["metering-data"]["retentionDays"] == 20
        assert version_of(get("smartmeter", CHANGED)) == NEXT
        until(lambda: oracle.verify() is None, "the oracle")
    finally:
        patch(CHANGED, {"twin": None, "applications": None})
        until(lambda: is_ready(CHANGED), "as it was", 300)


@pytest.mark.usefixtures("street")
def test_a_resource_deleted_in_the_middle_leaves_nothing(extra):
    extra(build_manifest("extra-11"))
    until(lambda: is_ready("extra-11"), "a twin without a meter is Ready")
    uid = get("smartmeter", "extra-11")["metadata"]["uid"]
    patch("extra-11", {"twin": {"version": NEXT}})

    def two():
        status = get("smartmeter", "extra-11")["status"]
        pods = {name for name in names("pod") if name.startswith("extra-11-e")}
        return (status.get("handover") or {}).get("phase") == "Preparing" and len(pods) == 2

    until(two, "both twins are there")
    kubectl("delete", "smartmeter", "extra-11")
    kinds = "pod,secret,configmap,service,persistentvolumeclaim"

    def nothing():
        left = [
            f"{row['kind']}/{row['metadata']['name']}"
            for row in get(kinds)
            if row["metadata"]["name"].startswith("extra-11")
            or any(one["uid"] == uid for one in row["metadata"].get("ownerReferences", []))
        ]
        assert not left, left
        return True

    until(nothing, "nothing of it is left")
