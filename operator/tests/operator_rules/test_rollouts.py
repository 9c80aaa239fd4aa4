"""A changed profile on a cluster in memory: real reconciler, real rollouts, twins that are played."""

import copy
import logging
import time
from dataclasses import replace

import pytest
from meter_operator import decisions, plan
from meter_operator.cluster import ClusterError
from meter_operator.desired import Key, desire, parse_meter
from meter_operator.handover import ABORT, ANNOUNCE, FREEZE, Patience, adapt_patience
from meter_operator.moments import format_moment
from meter_operator.observed import ANNOTATION_PROFILE_HASH, Observed, TwinState, parse_pod
from meter_operator.rollout import HANDOVER
from meter_operator.rollouts import Rollouts
from meter_operator.watches import Watches
from meter_operator.workqueue import WorkQueue
from meter_wire.word import Cover, Word

from .street import NAMESPACE, PROFILE, Fault, Operator

HOUSEHOLD = Key(NAMESPACE, "household")
VOLUME = {"version": "", "store": {"type": "PersistentVolume", "size": "1Gi"}}


class Street(Operator):
    """An operator that hands over; its wall clock is `now_s`, which tests move."""

    def __init__(self):
        self.now_s = time.time()
        super().__init__()
        self.restart(handover=True)
        self.put("twinprofiles", "household", {"spec": PROFILE})

    def restart(self, **changes):
        self.looks = []
        super().restart(**changes)
        for name in self.names():
            self.speak(name)

    def make_rollouts(self):
        return Rollouts(
            self.cache, self.cluster, self.looks.append, self.events, clock=lambda: self.now_s
        )

    def names(self):
        return self.cluster.names("smartmeters")

    async def populate(self, count, **changes):
        """Add ready meters; the profile has been seen once."""
        for number in range(count):
            name = f"house-{number}"
            self.add_meter(name, **changes)
            await self.settle(name)
            self.set_pod(f"{name}-e1")
            self.speak(name)
            await self.settle(name)
        await self.step()

    def speak(self, name, meter="connected"):
        epoch = self.status(name).get("epoch", 0)
        self.cache.states[name] = {epoch: TwinState(epoch, online=True, meter=meter)}

    async def step(self, seconds=0):
        """Time passes; the rollouts are looked at, then the meters they ask for."""
        self.now_s += seconds
        self.looks.clear()
        await self.rollouts.step()
        for key in list(self.looks):
            await self.settle(key.name)

    def change_profile(self, **changes):
        body = self.cluster.objects["twinprofiles", NAMESPACE, "household"]
        body["spec"] = copy.deepcopy(body["spec"]) | changes
        body["metadata"]["generation"] += 1
        self._touch("twinprofiles", "household", body)

    def _touch(self, kind, name, body):
        self.cluster._version += 1
        self.cluster._store((kind, NAMESPACE, name), body)
        self.sync()

    def under_way(self):
        return [name for name in self.names() if self.status(name).get("handover")]

    def finish(self, name):
        """The new twin takes everything, is committed and serves; the old one is gone."""
        body = self.meter(name)
        meter = parse_meter(body)
        handover = decisions.parse_handover(meter.status)
        body["status"] |= decisions.build_commit(meter, handover, waits=False)
        body["status"] |= decisions.build_finish(parse_meter(body), "", format_moment(self.now_s))
        del self.cluster.objects["pods", NAMESPACE, f"{name}-e{handover.source}"]
        body["status"]["handover"] = None
        self._touch("smartmeters", name, body)
        self.set_pod(f"{name}-e{handover.epoch}")
        self.speak(name)

    def commit(self, name):
        """The new twin takes everything and is the meter's; both are there, the soak has begun."""
        body = self.meter(name)
        meter = parse_meter(body)
        handover = decisions.parse_handover(meter.status)
        now = format_moment(self.now_s)
        body["status"] |= decisions.build_commit(meter, handover, waits=False, now=now)
        self._touch("smartmeters", name, body)
        self.set_pod(f"{name}-e{handover.epoch}")
        self.speak(name)

    def abort(self, name, why="DeadlineExceeded: never came"):
        body = self.meter(name)
        body["status"] |= decisions.build_abort(parse_meter(body), why, format_moment(self.now_s))
        body["status"]["handover"] = None
        self._touch("smartmeters", name, body)
        self.sync()

    def set_ready(self, name, *, ready):
        """A pod is ready or not, and status says so since `now_s`."""
        self.set_pod(f"{name}-e{self.status(name)['epoch']}", ready=ready)
        body = self.meter(name)
        for row in body["status"]["conditions"]:
            row["status"] = str(ready)
            row["reason"] = "Serving" if ready else "NotReady"
            row["lastTransitionTime"] = format_moment(self.now_s)
        self._touch("smartmeters", name, body)

    def profile_status(self):
        return self.cluster.objects["twinprofiles", NAMESPACE, "household"].get("status", {})

    def profile_condition(self, kind):
        rows = self.profile_status()["conditions"]
        return next((row["status"], row["reason"]) for row in rows if row["type"] == kind)

    def annotation(self, pod):
        notes = self.cluster.objects["pods", NAMESPACE, pod]["metadata"]["annotations"]
        return notes.get(ANNOTATION_PROFILE_HASH)


@pytest.fixture
def street():
    return Street()


def version(number):
    return {"version": number, "image": ""}


async def test_a_changed_profile_is_handed_over_to_a_canary_first_then_to_the_fleet(street):
    await street.populate(5)
    street.change_profile(twin=version("0.2.0"), rollout={"maxConcurrent": 3, "soakSeconds": 60})
    await street.step(1)
    (canary,) = street.under_way()
    handover = street.status(canary)["handover"]
    assert (handover["reason"], handover["fromVersion"]) == ("ProfileChanged", "0.1.0")
    assert street.status(canary)["epoch"] == 1
    image = street.cluster.objects["pods", NAMESPACE, f"{canary}-e2"]["spec"]["containers"][0][
        "image"
    ]
    assert image.endswith(":0.2.0")
    assert street.annotation(f"{canary}-e2") == handover["profileHash"]
    assert street.profile_status()["wave"] == "Canary"
    street.finish(canary)
    await street.step(59)
    assert street.under_way() == []
    await street.step(2)
    assert len(street.under_way()) == 3
    await street.step(1)
    assert len(street.under_way()) == 3
    for name in street.under_way():
        street.finish(name)
    await street.step(1)
    street.finish(*street.under_way())
    await street.step(6)
    assert street.profile_status()["wave"] == "Done"
    assert street.profile_status()["meters"]["updated"] == 5
    assert street.profile_condition("Progressing") == ("False", "Complete")
    assert [row["version"] for row in street.profile_status()["history"]] == ["0.2.0", ""]


async def test_an_operator_that_restarts_in_the_middle_begins_no_more_than_the_profile_allows(
    street,
):
    await street.populate(6)
    street.change_profile(twin=version("0.2.0"), rollout={"maxConcurrent": 2, "canary": 0})
    await street.step(1)
    before = street.under_way()
    for _ in range(3):
        street.restart()
        await street.step(1)
    assert street.under_way() == before
    assert len(before) == 2


async def test_two_looks_before_anybody_has_begun_permit_no_more_than_one_would(street):
    await street.populate(6)
    street.change_profile(twin=version("0.2.0"), rollout={"maxConcurrent": 2, "canary": 0})
    await street.rollouts.step()
    first = set(street.looks)
    street.now_s += 1
    await street.rollouts.step()
    assert set(street.looks) == first
    assert len(first) == 2
    meters = [street.cache.meters[key] for key in sorted(first)]
    street.rollouts.reserve(meters[0])  # begins, and its write is still on the way
    street.now_s += 1
    street.looks.clear()
    await street.rollouts.step()
    assert street.looks == [meters[1].key]


async def test_nobody_begins_with_an_old_permit_while_the_status_is_written(street):
    await street.populate(3)
    street.change_profile(twin=version("0.2.0"), rollout={"maxConcurrent": 1, "canary": 0})
    await street.rollouts.step()
    (meter,) = [street.cache.meters[key] for key in street.looks]
    assert street.rollouts.permit(meter)
    seen = []

    def look(when, _method, path):
        if when == "before" and "/twinprofiles/" in path:
            seen.append(street.rollouts.permit(meter))

    street.cluster.fault = look
    street.speak(meter.key.name, "silent")  # so that there is something to write
    street.now_s += 6
    await street.rollouts.step()
    assert seen == [""]


async def test_an_answer_that_is_lost_frees_no_place(street):
    await street.populate(4)
    street.change_profile(twin=version("0.2.0"), rollout={"maxConcurrent": 1, "canary": 0})
    await street.rollouts.step()
    (key,) = street.looks
    street.cluster.fault = Fault(1, "after")
    with pytest.raises(ClusterError):
        await street.reconciler.reconcile(key)
    street.now_s += 1
    street.looks.clear()
    await street.rollouts.step()
    assert street.looks == []
    street.sync()
    await street.step(1)
    assert street.under_way() == [key.name]


async def test_a_write_that_failed_is_tried_again_by_the_same_meter(street):
    await street.populate(4)
    street.change_profile(twin=version("0.2.0"), rollout={"maxConcurrent": 1, "canary": 0})
    await street.rollouts.step()
    (key,) = street.looks
    street.cluster.fault = Fault(1, "before")
    with pytest.raises(ClusterError):
        await street.reconciler.reconcile(key)
    await street.step(1)
    assert street.under_way() == []
    await street.settle(key.name)
    assert street.under_way() == [key.name]


async def test_a_permit_for_what_the_profile_said_before_is_void(street):
    await street.populate(3)
    street.change_profile(twin=version("0.2.0"), rollout={"canary": 0})
    await street.rollouts.step()
    street.change_profile(twin=version("0.3.0"))
    for key in street.looks:
        await street.settle(key.name)
    assert street.under_way() == []


async def test_a_meter_that_does_not_begin_makes_room_for_others(street):
    await street.populate(3)
    street.change_profile(twin=version("0.2.0"), rollout={"maxConcurrent": 1, "canary": 0})
    seen = []
    for _ in range(40):
        street.now_s += 1
        street.looks.clear()
        await street.rollouts.step()
        seen += street.looks
    assert len(set(seen)) == 3


async def test_an_offline_meter_waits_and_the_others_do_not(street):
    await street.populate(3)
    street.speak("house-1", "silent")
    street.change_profile(twin=version("0.2.0"), rollout={"canary": 0})
    await street.step(1)
    assert street.under_way() == ["house-0", "house-2"]
    street.change_profile(rollout={"canary": 0, "offlineMeters": "Commit"})
    await street.step(1)
    assert street.under_way() == ["house-0", "house-1", "house-2"]


async def test_nothing_begins_while_the_broker_is_away(street):
    await street.populate(2)
    street.cache.states.clear()
    street.change_profile(twin=version("0.2.0"))
    await street.step(1)
    assert street.under_way() == []
    assert street.profile_condition("Progressing") == ("True", "WaitingForMeters")


async def test_nothing_begins_while_the_operator_itself_does_not_hear_the_broker(street):
    await street.populate(2)
    street.rollouts._hears = lambda: False
    street.change_profile(twin=version("0.2.0"))
    await street.step(1)
    assert street.under_way() == []
    street.rollouts._hears = lambda: True
    await street.step(1)
    assert len(street.under_way()) == 1


async def test_a_paused_profile_begins_nothing_even_with_a_permit(street):
    await street.populate(2)
    street.change_profile(twin=version("0.2.0"))
    await street.rollouts.step()
    street.change_profile(rollout={"paused": True})
    for key in street.looks:
        await street.settle(key.name)
    await street.step(1)
    assert street.under_way() == []
    assert street.profile_condition("Paused") == ("True", "ByUser")


async def test_failures_pause_the_rollout_and_a_restart_does_not_forget_them(street):
    await street.populate(4)
    street.change_profile(twin=version("0.2.0"), rollout={"maxFailures": 2})
    for _ in range(2):
        await street.step(1)
        street.abort(*street.under_way())
    street.restart()
    await street.step(6)
    assert street.under_way() == []
    assert street.profile_condition("Degraded") == ("True", "TooManyFailures")
    assert street.profile_condition("Paused") == ("True", "TooManyFailures")
    street.change_profile(rollout={"maxFailures": 2, "resumedAt": format_moment(street.now_s)})
    await street.step(1)
    assert len(street.under_way()) == 1


@pytest.mark.parametrize("why", ["Superseded: by another", "MeterOffline: it has not spoken"])
async def test_what_is_not_the_new_twins_fault_is_no_failure(street, why):
    await street.populate(3)
    street.change_profile(twin=version("0.2.0"), rollout={"maxFailures": 1})
    await street.step(1)
    street.abort(*street.under_way(), why)
    await street.step(6)
    assert street.profile_status()["meters"]["failed"] == 0
    assert len(street.under_way()) == 1


async def test_a_profile_that_is_changed_back_withdraws_what_is_under_way(street):
    await street.populate(3)
    street.change_profile(twin=version("0.2.0"), rollout={"canary": 0})
    await street.step(1)
    assert len(street.under_way()) == 3
    street.change_profile(twin=version(""))
    for name in street.names():
        await street.settle(name)
    assert street.under_way() == []
    rows = [street.status(name)["handovers"][0] for name in street.names()]
    assert {row["message"].split(":")[0] for row in rows} == {"Superseded"}
    await street.step(1)
    assert street.profile_status()["wave"] == "Done"


async def test_pods_of_an_older_operator_count_as_updated_until_the_profile_changes(street):
    await street.populate(2)
    street.cluster.objects["twinprofiles", NAMESPACE, "household"].pop("status")
    for name in ("house-0-e1", "house-1-e1"):
        pod = street.cluster.objects["pods", NAMESPACE, name]
        del pod["metadata"]["annotations"][ANNOTATION_PROFILE_HASH]
        street._touch("pods", name, pod)
    street.restart()
    await street.step(1)
    assert street.profile_status()["meters"]["updated"] == 2
    street.change_profile(twin=version("0.2.0"))
    street.restart()
    await street.step(1)
    assert len(street.under_way()) == 1


async def test_a_newer_operator_replaces_no_twin(street):
    await street.populate(2)
    writes = street.cluster.writes
    street.restart(twin_image="localhost/metertwin/twin:9.9.9", broker_host="another")
    street.restart(archive_host="archive")
    await street.step(6)
    for name in street.names():
        await street.settle(name)
    assert street.under_way() == []
    assert street.cluster.writes == writes


async def test_a_meter_with_a_version_of_its_own_follows_in_everything_else(street):
    await street.populate(1, twin={"version": "0.1.0", "store": {"type": "EmptyDir"}})
    street.change_profile(twin=version("0.2.0"))
    await street.step(1)
    assert street.under_way() == []
    assert street.profile_status()["wave"] == "Done"
    limits = {"limits": {"memory": "128Mi"}}
    street.change_profile(twin=version("0.2.0") | {"resources": limits})
    await street.step(1)
    assert street.under_way() == ["house-0"]


async def test_a_meter_that_selects_what_is_no_longer_offered_is_left_as_it_is(street):
    await street.populate(2)
    street.change_meter("house-0", applications={"power-quality": {}})
    await street.settle("house-0")
    street.finish("house-0")
    await street.settle("house-0")
    offered = [row for row in PROFILE["applications"]["offered"] if row["name"] == "metering-data"]
    street.change_profile(applications={"offered": offered, "default": ["metering-data"]})
    await street.step(1)
    assert street.under_way() == ["house-1"]
    street.finish("house-1")
    await street.step(6)
    meters = street.profile_status()["meters"]
    assert (street.profile_status()["wave"], meters["held"]) == ("Done", 1)


async def test_a_twin_that_is_ready_is_never_taken_over_for_a_profile(street):
    await street.populate(1)
    street.change_profile(twin=version("0.2.0"))
    await street.rollouts.step()
    street.set_pod("house-0-e1", ready=False)
    await street.settle("house-0")
    assert (street.status("house-0")["epoch"], street.under_way()) == (1, [])


async def test_a_twin_that_is_not_ready_for_a_minute_is_taken_over(street):
    await street.populate(1)
    street.change_profile(twin=version("0.2.0"))
    street.set_ready("house-0", ready=False)
    await street.step(59)
    assert street.status("house-0")["epoch"] == 1
    await street.step(2)
    assert street.status("house-0")["epoch"] == 2
    assert street.annotation("house-0-e2") != street.annotation("house-0-e1")


async def test_on_a_volume_such_a_twin_is_made_again_in_its_epoch_with_its_secret(street):
    await street.populate(1, twin=VOLUME)
    before = street.annotation("house-0-e1")
    street.change_profile(twin=version("0.2.0"))
    street.set_ready("house-0", ready=False)
    street.cluster.log.clear()
    await street.step(61)
    await street.settle("house-0")
    assert street.status("house-0")["epoch"] == 1
    assert street.pods() == ["house-0-e1"]
    assert street.annotation("house-0-e1") != before
    log = street.cluster.log
    assert "PATCH secrets/house-0-e1" not in log[: log.index("DELETE pods/house-0-e1")]


async def test_a_volume_is_handed_over_to_one_of_its_own(street):
    await street.populate(1, twin=VOLUME)
    street.change_profile(twin=version("0.2.0"))
    await street.step(1)
    assert street.status("house-0")["handover"]["storeClaim"] == "house-0-e2"
    assert street.status("house-0")["storeClaim"] == "house-0-e1"


async def test_a_fleet_that_had_it_before_needs_no_canary(street):
    await street.populate(3)
    street.change_profile(twin=version("0.2.0"), rollout={"canary": 0})
    await street.step(1)
    for name in street.names():
        street.finish(name)
    await street.step(6)
    street.change_profile(twin=version(""), rollout={"canary": 1})
    await street.step(1)
    assert len(street.under_way()) == 3


async def test_status_is_written_when_something_changes_and_not_more_often_than_people_read(street):
    await street.populate(5)
    street.change_profile(twin=version("0.2.0"), rollout={"canary": 0, "maxConcurrent": 5})
    await street.step(6)
    street.cluster.log.clear()
    for name in street.names():
        street.finish(name)
        await street.step(1.5)
    assert street.cluster.log.count("PATCH twinprofiles/household") == 1
    await street.step(6)
    street.cluster.log.clear()
    for _ in range(10):
        await street.step(10)
    assert street.cluster.log == []


async def test_without_the_right_to_say_so_nothing_begins_and_the_log_says_why_once(street, caplog):
    await street.populate(2)

    def fault(when, method, path):
        if "twinprofiles" in path and when == "before":
            raise ClusterError(f"{method} {path}", 403, "forbidden")

    street.cluster.fault = fault
    street.change_profile(twin=version("0.2.0"))
    with caplog.at_level(logging.WARNING):
        for _ in range(4):
            await street.step(6)
    assert street.under_way() == []
    assert sum("twinprofiles/status" in row.getMessage() for row in caplog.records) == 1


class Body(dict):
    @property
    def metadata(self):
        return self["metadata"]


async def test_the_status_of_a_profile_is_no_reason_to_look_at_its_meters(street):
    await street.populate(2)
    queue = WorkQueue()
    watches = Watches(
        street.cache, queue, None, street.reconciler.forget, None, None,
        street.reconciler.announcements.follow,
    )  # fmt: skip
    body = copy.deepcopy(street.cluster.objects["twinprofiles", NAMESPACE, "household"])
    body["metadata"]["resourceVersion"] = str(street.cluster._version + 1)
    body["status"] = {"wave": "Done"}
    await watches.on_profile({"type": "MODIFIED"}, Body(body))
    assert len(queue) == 0
    body = copy.deepcopy(body)
    body["metadata"]["resourceVersion"] = str(street.cluster._version + 2)
    body["spec"]["rollout"] = {"paused": True}
    await watches.on_profile({"type": "MODIFIED"}, Body(body))
    assert len(queue) == 2


def test_a_profile_may_have_deadlines_of_its_own():
    usual = Patience(progress_s=1, frozen_s=2, soak_s=3, final_s=4)
    found = adapt_patience(usual, {"progressDeadlineSeconds": 10, "soakSeconds": 30})
    assert found == Patience(progress_s=10, frozen_s=2, soak_s=30, final_s=4)
    assert adapt_patience(usual, {}) == usual


async def observe_preparing(street, said):
    """A handover whose candidate has taken everything; `said`: what the old twin says of its meter."""
    await street.populate(1)
    street.change_profile(twin=version("0.2.0"))
    await street.step(1)
    meter = parse_meter(street.meter("house-0"))
    pods = [parse_pod(street.cluster.objects["pods", NAMESPACE, f"house-0-e{n}"]) for n in (1, 2)]
    candidate = TwinState(2, True, word=Word(store="b", covers={1: Cover("r")}))
    observed = Observed(
        meter=meter,
        profile=street.cache.profiles.specs[HOUSEHOLD],
        pods=tuple(replace(pod, phase="Running", ready=True) for pod in pods),
        states={1: TwinState(1, True, meter=said, word=Word(store="a")), 2: candidate},
    )
    wanted = desire(meter, observed.profile, image=("x", "1"), broker=("b", 1), public_keys={})
    return observed, wanted


@pytest.mark.parametrize(
    ("said", "commits", "age_s", "verb", "why"),
    [
        ("connected", True, 1, ANNOUNCE, ""),
        ("silent", True, 1, FREEZE, ""),
        ("silent", False, 1, ANNOUNCE, ""),
        ("silent", False, 600, ABORT, "MeterOffline"),
        ("connected", True, 600, ABORT, "DeadlineExceeded"),
    ],
)
async def test_offline_meters_reach_the_decision(street, said, commits, age_s, verb, why):
    """A meter that speaks is waited for in any case: it is the proof that the candidate serves."""
    observed, wanted = await observe_preparing(street, said)
    clock = plan.Clock(phase_s=age_s, offline_commits=commits, permit=HANDOVER)
    decision = plan.build_plan(observed, wanted, clock=clock).decision
    assert decision.verb == verb
    assert decision.reason.startswith(why)


async def test_the_policy_of_its_profile_reaches_the_handover_of_a_meter(street):
    observed, _ = await observe_preparing(street, "connected")
    rollout = {"progressDeadlineSeconds": 77, "soakSeconds": 5, "offlineMeters": "Commit"}
    observed = replace(observed, profile=observed.profile | {"rollout": rollout})
    clock = street.reconciler._succession.clock(observed, 0.0)
    assert (clock.patience.progress_s, clock.patience.soak_s) == (77, 5)
    assert clock.offline_commits
