"""When a handover that came to nothing is tried again: later each time, whatever became of its pod."""

import contextlib

import pytest
from meter_operator.desired import Key

from .street import NAMESPACE
from .test_handover_of_volumes import EMPTY, VOLUME, Street


class Tried(Street):
    """A meter whose candidates end two seconds after they were made."""

    now_s = 1000.0
    begun_s: tuple[float, ...] = ()

    async def play(self, seconds, *, restarts=()):
        """Let time pass; an operator that restarts knows only what status says."""
        self.reconciler._time_s = lambda: self.now_s
        end_s = self.now_s + seconds
        known, made_s = self.status()["highestEpoch"], self.now_s
        while self.now_s < end_s:
            if self.now_s - 1000 in restarts:
                self.restart()
                self.reconciler._time_s = lambda: self.now_s
            with contextlib.suppress(AssertionError):
                await self.settle(rounds=4)
            if self.status()["highestEpoch"] > known:
                known, made_s = self.status()["highestEpoch"], self.now_s
                self.begun_s += (made_s - 1000,)
            name = f"house-1-e{known}"
            if self.now_s - made_s >= 2 and name in self.pods() and self.status().get("handover"):
                self.set_pod(name, phase="Failed", ready=False)
            self.now_s += 1


@pytest.fixture(params=[EMPTY, VOLUME], ids=["emptyDir", "volume"])
async def house(request):
    return await Tried(request.param).serve()


def ask(house, version):
    house.change_meter(twin={**house.meter()["spec"]["twin"], "version": version})


async def test_each_try_that_failed_is_followed_by_a_longer_pause(house):
    ask(house, "2")
    await house.play(600)
    assert house.begun_s == pytest.approx((0, 62, 184, 426), abs=6)
    assert house.status()["epoch"] == 1


async def test_a_drain_is_tried_again_after_the_same_pauses():
    house = await Tried(EMPTY).serve()
    body = house.cluster.objects["pods", NAMESPACE, "house-1-e1"]
    body["spec"]["nodeName"] = "node1"
    house.set_pod("house-1-e1")
    house.cache.leaving = {Key(NAMESPACE, "house-1"): "node1"}
    await house.play(180)
    assert {row["reason"] for row in house.status()["handovers"]} == {"NodeCordoned"}
    assert house.begun_s == pytest.approx((0, 62), abs=4)


async def test_another_version_begins_at_once_and_has_pauses_of_its_own(house):
    ask(house, "2")
    await house.play(100)
    ask(house, "3")
    await house.play(100)
    assert house.begun_s == pytest.approx((0, 62, 100, 162), abs=6)


@pytest.mark.parametrize("ended", ["2000-01-01T00:00:00Z", "2999-01-01T00:00:00Z"])
async def test_a_restart_goes_by_what_status_says_and_by_no_wrong_clock(house, ended):
    """A pause that is over is over; an end that is still to come begins it again, once."""
    ask(house, "2")
    await house.play(10)
    house.meter()["status"]["handovers"][0]["endedAt"] = ended
    await house.play(80, restarts=(20,))
    assert house.begun_s == pytest.approx((0, 20 if ended < "2026" else 80), abs=2)
