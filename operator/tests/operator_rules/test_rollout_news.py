"""What the events of a TwinProfile tell of its rollout: each turn once, and with a remedy."""

import pytest
from meter_operator.cluster import ClusterError
from meter_operator.moments import format_moment
from meter_operator.rollout_news import LONGEST_WHY, find_news

from .street import PROFILE
from .test_rollouts import Street, version

REMEDY = "kubectl meter resume --profile household"


class TellingStreet(Street):
    """Writes its events after each step."""

    async def step(self, seconds=0):
        await super().step(seconds)
        await self.events.flush()

    def told(self):
        """Return the events of the profile, the oldest first."""
        rows = [body for (kind, _, _), body in self.cluster.objects.items() if kind == "events"]
        return [row for row in rows if row["involvedObject"]["kind"] == "TwinProfile"]

    def reasons(self):
        return [row["reason"] for row in self.told()]


@pytest.fixture
def street():
    return TellingStreet()


async def test_a_rollout_tells_its_begin_its_waves_and_its_end_once_each(street):
    await street.populate(4)
    assert street.reasons() == []
    street.change_profile(twin=version("0.2.0"), rollout={"maxConcurrent": 9, "soakSeconds": 60})
    await street.step(1)
    await street.step(6)
    assert street.reasons() == ["RolloutBegun"]
    (canary,) = street.under_way()
    street.finish(canary)
    await street.step(61)
    assert street.reasons() == ["RolloutBegun", "RolloutWave"]
    for name in street.under_way():
        street.finish(name)
        await street.step(6)
    for _ in range(3):
        await street.step(10)
    assert street.reasons() == ["RolloutBegun", "RolloutWave", "RolloutComplete"]
    begun, wave, complete = street.told()
    assert begun["message"] == (
        "version 0.2.0: 0 of 4 meters have what the profile says; a few meters first"
    )
    assert wave["message"].startswith("Fleet: ")
    assert complete["message"] == "4 of 4 meters have what the profile says"
    assert {row["type"] for row in street.told()} == {"Normal"}


async def test_an_event_of_a_rollout_names_the_profile_so_that_describe_shows_it(street):
    await street.populate(1)
    street.change_profile(twin=version("0.2.0"))
    await street.step(1)
    (row,) = street.told()
    profile = street.cluster.objects["twinprofiles", "street", "household"]
    assert row["metadata"]["namespace"] == "street"
    assert row["involvedObject"] == {
        "apiVersion": "metertwin.io/v1alpha1",
        "kind": "TwinProfile",
        "name": "household",
        "namespace": "street",
        "uid": profile["metadata"]["uid"],
    }


async def test_a_fleet_that_pauses_itself_says_why_and_how_to_go_on_and_resumes(street):
    await street.populate(4)
    street.change_profile(twin=version("0.2.0"), rollout={"maxFailures": 2})
    for _ in range(2):
        await street.step(1)
        street.abort(*street.under_way(), "DeadlineExceeded: never came")
    await street.step(6)
    assert street.reasons() == ["RolloutBegun", "RolloutPaused"]
    paused = street.told()[-1]
    assert paused["type"] == "Warning"
    assert "2 failures, rollout.maxFailures is 2: house-" in paused["message"]
    assert "never came" in paused["message"]
    assert REMEDY in paused["message"]
    assert "kubectl meter rollback --profile household" in paused["message"]
    street.change_profile(rollout={"maxFailures": 2, "resumedAt": format_moment(street.now_s)})
    await street.step(1)
    assert street.reasons() == ["RolloutBegun", "RolloutPaused", "RolloutResumed"]


async def test_a_pause_by_its_user_is_no_warning_and_names_the_remedy(street):
    await street.populate(2)
    street.change_profile(twin=version("0.2.0"), rollout={"paused": True})
    await street.step(1)
    assert street.reasons() == ["RolloutBegun", "RolloutPaused"]
    begun, paused = street.told()
    assert begun["message"].endswith("nothing begins while it is paused")
    assert (paused["type"], REMEDY in paused["message"]) == ("Normal", True)


@pytest.mark.parametrize("rollout", [{}, {"paused": True}], ids=["goes on", "paused"])
async def test_an_operator_that_restarts_tells_nothing_again(street, rollout):
    await street.populate(3)
    street.change_profile(twin=version("0.2.0"), rollout=rollout)
    await street.step(1)
    before = street.reasons()
    for _ in range(3):
        street.restart()
        await street.step(6)
    assert before
    assert street.reasons() == before


async def test_what_could_not_be_written_is_told_when_it_is(street):
    await street.populate(2)

    def refuse(when, method, path):
        if "twinprofiles" in path and when == "before":
            raise ClusterError(f"{method} {path}", 503, "later")

    usual, street.cluster.fault = street.cluster.fault, refuse
    street.change_profile(twin=version("0.2.0"))
    await street.step(1)
    assert street.reasons() == []
    street.cluster.fault = usual
    await street.step(6)
    assert street.reasons() == ["RolloutBegun"]


async def test_going_back_from_a_pause_is_another_rollout_and_no_resumption(street):
    await street.populate(4)
    street.change_profile(twin=version("0.2.0"), rollout={"maxFailures": 1, "maxConcurrent": 9})
    await street.step(1)
    street.finish(*street.under_way())
    await street.step(31)
    street.abort(street.under_way()[0])
    await street.step(6)
    assert street.reasons()[-1] == "RolloutPaused"
    street.change_profile(twin=PROFILE["twin"])
    await street.step(1)
    assert street.reasons()[-2:] == ["RolloutPaused", "RolloutBegun"]
    message = street.told()[-1]["message"]
    assert message.startswith("the operator's own version: ")
    assert message.endswith("the others follow")


async def test_a_change_that_concerns_no_twin_is_complete_at_once(street):
    await street.populate(2, twin={"version": "0.1.0", "store": {"type": "EmptyDir"}})
    street.change_profile(twin=version("0.2.0"))
    await street.step(1)
    assert street.reasons() == ["RolloutComplete"]


def status(wave="Fleet", target="a", paused="", why=""):
    return {
        "target": target,
        "targetVersion": "0.2.0",
        "wave": wave,
        "meters": {"total": 6, "updated": 2, "held": 1},
        "conditions": [
            {"type": "Progressing", "status": "True", "reason": wave, "message": "…"},
            {"type": "Degraded", "status": "False", "reason": "AsExpected", "message": why},
            {
                "type": "Paused",
                "status": str(bool(paused)),
                "reason": paused or "NotPaused",
                "message": "spec.rollout.paused is true",
            },
        ],
    }


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ({}, status("Done"), []),
        ({}, status("Canary"), ["RolloutBegun"]),
        (status("Done"), status("Fleet"), ["RolloutBegun"]),
        (status("Fleet"), status("Fleet", "b"), ["RolloutBegun"]),
        (status("Done"), status("Done"), []),
        (status("Fleet"), status("Canary"), ["RolloutWave"]),
        (status(paused="ByUser"), status(paused="TooManyFailures"), ["RolloutPaused"]),
        (status(paused="ByUser"), status(paused="ByUser"), []),
        (status(paused="ByUser"), status(), ["RolloutResumed"]),
        (status(paused="ByUser"), status("Done"), ["RolloutComplete", "RolloutResumed"]),
    ],
    ids=[
        "a new profile of new meters",
        "a new profile of meters that have something else",
        "a meter that came from elsewhere",
        "another change in the middle",
        "nothing",
        "a canary that no longer serves",
        "going on without forgiveness",
        "still paused",
        "resumed",
        "resumed when nothing is left",
    ],
)
def test_each_turn_is_told(before, after, told):
    assert [row.reason for row in find_news("household", before, after)] == told


def test_the_remedy_fits_into_an_event_however_long_the_reasons_are():
    after = status(paused="TooManyFailures", why="x" * 2 * LONGEST_WHY)
    (news,) = find_news("p" * 63, status(), after)
    assert len(news.message) < 1000
    assert news.message.endswith("p" * 63)


def test_meters_that_are_left_alone_are_not_counted_in_the_news():
    (news,) = find_news("household", status("Done"), status("Fleet"))
    assert "2 of 5 meters" in news.message
