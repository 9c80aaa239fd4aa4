"""The stop switch of load control: who is told, when, in which order, and what it does not touch."""

import copy
import json

import pytest
from meter_operator import rollout_metrics
from meter_operator.desired import Key
from meter_operator.hashes import hash_content
from meter_operator.observed import TwinState, parse_state
from meter_operator.reconciler import Reconciler
from meter_operator.rollout_metrics import RolloutGauges
from meter_operator.watches import Watches
from meter_operator.workqueue import WorkQueue

from .street import NAMESPACE, PROFILE
from .test_rollouts import Body, Street, version

STOPPED, ALLOWED = {"loadControl": "Stopped"}, {"loadControl": "Allowed"}


class SwitchedStreet(Street):
    """Keeps which terms were asked for, and tells the watch of a changed profile."""

    def restart(self, **changes):
        self.raised = []
        super().restart(**changes)
        self.reconciler = Reconciler(
            *(self.cache, self.cluster, self.fleet, self.publisher, self.settings, self.events),
            rollouts=self.rollouts, raise_term=self.raised.append,
        )  # fmt: skip

    def lose_profile(self):
        self.cache.profiles.drop(self.cluster.objects["twinprofiles", NAMESPACE, "household"])

    async def restart_without_profile(self):
        """Another process finds no profile; the cluster has none either."""
        gone = self.cluster.objects.pop(("twinprofiles", NAMESPACE, "household"))
        self.restart()
        await self.reconnect()
        return gone

    async def bring_back(self, gone, **changes):
        """The profile is declared again, with another uid."""
        body = copy.deepcopy(gone)
        body["spec"] |= changes
        body["metadata"]["uid"] = "another"
        await self._declare("ADDED", body)

    async def switch(self, **changes):
        before = copy.deepcopy(self.cluster.objects["twinprofiles", NAMESPACE, "household"])
        self.cache.profiles.store(before)
        body = copy.deepcopy(before)
        body["spec"] |= changes
        body["metadata"]["generation"] += 1
        await self._declare("MODIFIED", body)

    async def _declare(self, kind, body):
        self.cluster._version += 1
        stored = self.cluster._store(("twinprofiles", NAMESPACE, "household"), body)
        watches = Watches(
            *(self.cache, WorkQueue(), None, None, None, None),
            self.reconciler.announcements.follow,
        )
        await watches.on_profile({"type": kind}, Body(copy.deepcopy(stored)))

    def stops(self, name="house-0"):
        """Return by epoch what the retained control records say."""
        found = {}
        for topic, payload in self.publisher.retained.items():
            if topic.startswith(f"mt/{name}/") and topic.endswith("/ctl") and payload:
                record = json.loads(payload)
                found[record["epoch"]] = record.get("stop")
        return found

    def say(self, name, *, stopped, online=True):
        epoch = self.status(name)["epoch"]
        self.cache.states[name] = {
            epoch: TwinState(epoch, online, meter="connected", stopped=stopped)
        }

    def profile_status(self):
        return self.cluster.objects["twinprofiles", NAMESPACE, "household"]["status"]


@pytest.fixture
def street():
    return SwitchedStreet()


async def test_a_stop_is_told_at_once_and_writes_nothing(street):
    await street.populate(2)
    assert street.stops() == {1: False}
    before = street.cluster.writes
    await street.switch(**STOPPED)
    assert (street.stops("house-0"), street.stops("house-1")) == ({1: True}, {1: True})
    assert (street.cluster.writes, street.raised) == (before, [])
    for name in street.names():
        await street.settle(name)
    assert street.cluster.writes == before
    assert street.pods() == ["house-0-e1", "house-1-e1"]


async def test_old_and_new_twin_of_a_handover_are_told(street):
    await street.populate(1)
    street.change_profile(twin=version("0.2.0"))
    await street.step(1)
    assert street.stops() == {1: False, 2: False}
    await street.switch(**STOPPED)
    assert street.stops() == {1: True, 2: True}


async def test_the_end_of_a_stop_asks_for_a_higher_term_and_counts_in_it(street):
    await street.populate(1)
    await street.switch(**STOPPED)
    await street.switch(**ALLOWED)
    assert street.raised == [7]
    street.publisher.term = 8
    await street.reconnect()
    assert street.stops() == {1: False}
    assert json.loads(street.publisher.retained["mt/house-0/1/ctl"])["term"] == 8
    assert street.raised == [7], "it is asked for once"


async def test_another_change_of_the_profile_tells_nobody_again(street):
    await street.populate(1)
    street.publisher.retained.clear()
    await street.switch(rollout={"paused": True})
    assert street.publisher.retained == {}


async def test_a_restarted_operator_says_the_stop_with_its_first_word(street):
    await street.populate(1)
    await street.switch(**STOPPED)
    street.publisher.retained.clear()
    street.restart()
    await street.reconnect()
    assert street.stops() == {1: True}


async def test_a_profile_that_is_gone_ends_no_stop(street):
    await street.populate(1)
    await street.switch(**STOPPED)
    street.lose_profile()
    await street.reconnect()
    assert street.stops() == {1: True}
    street.restart()
    street.lose_profile()
    await street.reconnect()
    assert street.stops() == {1: None}, "a twin stays as it was"


@pytest.mark.parametrize("before", [STOPPED, ALLOWED])
async def test_a_profile_that_comes_back_stopped_after_a_restart_without_it_is_told_at_once(
    street, before
):
    await street.populate(2)
    await street.switch(**before)
    gone = await street.restart_without_profile()
    assert street.stops() == {1: None}
    await street.bring_back(gone, **STOPPED)
    assert (street.stops("house-0"), street.stops("house-1")) == ({1: True}, {1: True})
    assert street.raised == []
    await street.switch(**ALLOWED)
    assert (street.stops(), set(street.raised)) == ({1: False}, {7})


async def test_a_profile_that_comes_back_allowed_after_a_restart_without_it_is_told_at_once(street):
    await street.populate(1)
    await street.switch(**STOPPED)
    gone = await street.restart_without_profile()
    await street.bring_back(gone, **ALLOWED)
    assert street.stops() == {1: False}
    assert street.raised == [], "the term of a process that started is above that of the stop"


async def test_twins_that_were_told_nothing_are_told_nothing_again_while_there_is_no_profile(
    street,
):
    await street.populate(1)
    await street.restart_without_profile()
    street.publisher.retained.clear()
    await street.reconciler.announcements.follow(street.cache.meters.values())
    assert street.publisher.retained == {}


async def test_both_twins_of_a_handover_are_told_by_a_profile_that_comes_back_stopped(street):
    await street.populate(1)
    street.change_profile(twin=version("0.2.0"))
    await street.step(1)
    gone = await street.restart_without_profile()
    assert street.stops() == {1: None, 2: None}
    await street.bring_back(gone, **STOPPED)
    assert street.stops() == {1: True, 2: True}


@pytest.mark.parametrize("restarts", [False, True])
async def test_without_a_profile_no_epoch_begins_that_would_not_know_of_a_stop(street, restarts):
    await street.populate(1)
    await street.switch(**STOPPED)
    if restarts:
        await street.restart_without_profile()
    else:
        street.lose_profile()
        del street.cluster.objects["twinprofiles", NAMESPACE, "household"]
    street.add_meter("house-1")
    del street.cluster.objects["pods", NAMESPACE, "house-0-e1"]
    street.sync()
    for name in street.names():
        await street.settle(name)
    assert (street.status("house-0")["epoch"], street.status("house-1").get("epoch", 0)) == (1, 0)
    assert street.pods() == []


async def test_a_meter_that_changes_to_a_stopped_profile_is_told_before_its_twin_is_replaced(
    street,
):
    await street.populate(1)
    street.put("twinprofiles", "stopped", {"spec": PROFILE | STOPPED})
    street.change_meter("house-0", profile="stopped")
    await street.reconciler.reconcile(Key(NAMESPACE, "house-0"))
    assert set(street.stops().values()) == {True}


async def test_a_stop_is_no_part_of_what_a_rollout_brings(street):
    await street.populate(2)
    target = street.profile_status()["target"]
    await street.switch(**STOPPED)
    for _ in range(3):
        await street.step(6)
    assert street.under_way() == []
    status = street.profile_status()
    assert (status["target"], status["wave"]) == (target, "Done")
    assert hash_content(PROFILE | STOPPED) == hash_content(PROFILE)


async def test_status_events_and_metrics_say_how_far_a_stop_has_come(street):
    await street.populate(3)
    assert "loadControl" not in street.profile_status()
    await street.switch(**STOPPED)
    street.say("house-0", stopped=True)
    street.say("house-1", stopped=True, online=False)
    await street.step(6)
    counts = {"wanted": "Stopped", "stopped": 1, "of": 3}
    assert street.profile_status()["loadControl"] == counts
    RolloutGauges().refresh(street.cache, 0)
    ((sample,),) = [family.samples for family in rollout_metrics.LOADS_STOPPED.collect()]
    assert (sample.labels, sample.value) == (
        {"namespace": "street", "profile": "household"},
        1,
    )
    rollout_metrics.LOADS_STOPPED.clear()
    before = street.cluster.writes
    await street.step(6)
    assert street.cluster.writes == before, "status is written on change only"
    await street.switch(**ALLOWED)
    await street.step(6)
    assert street.profile_status()["loadControl"]["wanted"] == "Allowed"
    street.say("house-0", stopped=False)
    await street.step(6)
    assert "loadControl" not in street.profile_status()
    await street.events.flush()
    rows = [body for (kind, _, _), body in street.cluster.objects.items() if kind == "events"]
    told = [(row["reason"], row["type"]) for row in rows if "LoadControl" in row["reason"]]
    assert told == [("LoadControlStopped", "Warning"), ("LoadControlAllowed", "Normal")]


@pytest.mark.parametrize(
    ("payload", "stopped"),
    [(b'{"stopped":true}', True), (b'{"stopped":1}', False), (b"{}", False)],
)
def test_only_a_twin_that_says_so_counts_as_stopped(payload, stopped):
    assert parse_state(1, payload).stopped is stopped
