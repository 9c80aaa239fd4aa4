"""A twin that is made anew for another reason gets nothing past a rollout that is not proven."""

import pytest
from meter_operator.desired import Key
from meter_operator.moments import format_moment
from meter_operator.observed import ANNOTATION_CONTENT_HASH, TwinState
from meter_wire.word import Cover, Word

from .street import NAMESPACE
from .test_rollouts import VOLUME, Street, version

POLICY = {"canary": 1, "maxFailures": 1, "soakSeconds": 60, "maxConcurrent": 1}
ALL = [f"house-{number}" for number in range(4)]


@pytest.fixture
async def street():
    made = Street()
    await made.populate(len(ALL))
    await made.step(6)
    return made


async def begin(street, **policy):
    """A new version; returns the canary, whose handover is under way."""
    street.change_profile(twin=version("0.2.0"), rollout=POLICY | policy)
    await street.step(1)
    (canary,) = street.under_way()
    return canary


async def stop_by_failure(street):
    canary = await begin(street)
    street.abort(canary)
    await street.step(6)
    assert street.profile_condition("Paused") == ("True", "TooManyFailures")
    return canary


async def stop_by_user(street):
    canary = await begin(street)
    street.change_profile(rollout=POLICY | {"paused": True})
    street.finish(canary)
    await street.step(6)
    assert street.profile_condition("Paused") == ("True", "ByUser")
    return canary


async def stop_in_the_fleet(street):
    canary = await begin(street)
    street.finish(canary)
    await street.step(61)
    assert street.profile_status()["wave"] == "Fleet"
    (second,) = street.under_way()
    street.abort(second)
    await street.step(6)
    assert street.profile_condition("Paused") == ("True", "TooManyFailures")
    return canary


async def wait_for_the_canary(street):
    return await begin(street)


STOPS = [stop_by_failure, stop_by_user, stop_in_the_fleet, wait_for_the_canary]


def image(street, pod):
    body = street.cluster.objects["pods", NAMESPACE, pod]
    return body["spec"]["containers"][0]["image"].rpartition(":")[2]


async def lose(street, name):
    """The pod of a meter is gone with its store; returns the version that takes over."""
    street.delete_pod(f"{name}-e{street.status(name)['epoch']}")
    await street.settle(name)
    epoch = street.status(name)["epoch"]
    return image(street, f"{name}-e{epoch}")


async def cordon(street, name, node="node-a"):
    """The node of a twin is emptied; returns the version of the candidate."""
    pod = f"{name}-e{street.status(name)['epoch']}"
    street.cluster.objects["pods", NAMESPACE, pod]["spec"]["nodeName"] = node
    street.set_pod(pod)
    street.cache.leaving = {Key(NAMESPACE, name): node}
    await street.settle(name)
    handover = street.status(name)["handover"]
    assert handover["reason"] == "NodeCordoned"
    return image(street, f"{name}-e{handover['epoch']}")


@pytest.mark.parametrize("stop", STOPS)
@pytest.mark.parametrize("leave", [lose, cordon])
async def test_what_is_not_proven_reaches_nobody_by_another_way(street, stop, leave):
    canary = await stop(street)
    other = next(n for n in ALL if n != canary and not street.status(n).get("handovers"))
    assert await leave(street, other) == "0.1.0"
    await street.step(1)
    await street.step(6)
    await street.settle(other)
    rows = street.status(other).get("handovers") or []
    assert not any(row["result"] == "Aborted" for row in rows)


async def test_a_fleet_of_which_one_twin_is_lost_does_not_have_it_in_whole():
    street = Street()
    await street.populate(2)
    await street.step(6)
    canary = await stop_by_user(street)
    other = next(name for name in street.names() if name != canary)
    street.delete_pod(f"{other}-e1")
    await street.step(6)
    assert street.profile_status()["wave"] != "Done"
    assert [row["version"] for row in street.profile_status()["history"]] == [""]


@pytest.mark.parametrize("stop", STOPS)
async def test_what_is_not_proven_reaches_nobody_after_a_restart_either(street, stop):
    canary = await stop(street)
    other = next(name for name in ALL if name != canary)
    street.restart()
    assert await lose(street, other) == "0.1.0"


async def test_one_that_was_lost_meanwhile_follows_when_the_rollout_goes_on(street):
    canary = await stop_by_failure(street)
    other = next(name for name in ALL if name != canary)
    await lose(street, other)
    street.set_pod(f"{other}-e2")
    street.speak(other)
    await street.settle(other)
    resumed = {"resumedAt": format_moment(street.now_s), "canary": 0, "maxConcurrent": 9}
    street.change_profile(rollout=POLICY | resumed)
    await street.step(70)
    assert other in street.under_way()
    assert image(street, f"{other}-e3") == "0.2.0"


@pytest.mark.parametrize("leave", [lose, cordon])
async def test_what_the_canary_has_proven_is_for_every_new_twin(street, leave):
    canary = await begin(street)
    street.finish(canary)
    await street.step(61)
    waiting = [name for name in ALL if name != canary and name not in street.under_way()]
    assert await leave(street, waiting[0]) == "0.2.0"


async def test_a_meter_on_which_it_has_failed_does_not_get_it_by_another_way(street):
    canary = await begin(street, maxFailures=2)
    street.abort(canary)
    await street.step(1)
    second = next(iter(street.under_way()))
    assert second != canary
    street.finish(second)
    await street.step(61)
    assert street.profile_status()["wave"] == "Fleet"
    assert await lose(street, canary) == "0.1.0"


async def test_a_twin_that_has_it_keeps_it(street):
    canary = await stop_by_user(street)
    assert await lose(street, canary) == "0.2.0"


async def test_with_both_twins_lost_the_next_one_is_what_the_old_one_was(street):
    canary = await begin(street)
    street.delete_pod(f"{canary}-e2")
    assert await lose(street, canary) == "0.1.0"
    assert street.status(canary).get("handover") is None


async def test_a_candidate_is_finished_as_it_was_begun(street):
    """The rollout goes on, or stops: the handover under way is neither's business."""
    canary = await stop_by_failure(street)
    other = next(name for name in ALL if name != canary)
    await cordon(street, other)
    street.set_pod(f"{other}-e2")
    word = Word(covers={1: Cover("00")}, joined=True)
    street.cache.states[other][2] = TwinState(2, online=True, meter="connected", word=word)
    street.change_profile(rollout=POLICY | {"canary": 0, "maxFailures": 9})
    await street.step(1)
    await street.settle(other)
    assert street.status(other)["handover"]["epoch"] == 2
    assert street.status(other).get("handovers") is None


async def test_a_new_meter_begins_with_what_the_fleet_has(street):
    await stop_by_failure(street)
    street.add_meter("house-9")
    await street.settle("house-9")
    assert image(street, "house-9-e1") == "0.1.0"
    await street.step(6)
    assert street.profile_status()["meters"]["updated"] == 0


async def test_a_meter_that_selects_what_only_the_new_content_offers_gets_that(street):
    canary = await begin(street)
    other = next(name for name in ALL if name != canary)
    offered = [{"name": "tariff"}, {"name": "metering-data"}, {"name": "power-quality"}]
    applications = {"offered": offered, "default": ["metering-data"]}
    street.change_profile(applications=applications)
    street.change_meter(other, applications={"tariff": {}})
    assert await lose(street, other) == "0.2.0"


async def test_the_store_on_a_volume_gets_the_twin_that_it_had():
    street = Street()
    await street.populate(2, twin=VOLUME)
    await street.step(6)
    canary = await stop_by_failure(street)
    other = next(name for name in street.names() if name != canary)
    street.delete_pod(f"{other}-e1")
    await street.settle(other)
    assert (street.status(other)["epoch"], image(street, f"{other}-e1")) == (1, "0.1.0")


async def test_while_a_candidate_of_it_starts_a_lost_pod_on_a_volume_is_made_as_it_was():
    street = Street()
    await street.populate(2, twin=VOLUME)
    await street.step(6)
    canary = await begin(street)
    street.delete_pod(f"{canary}-e1")
    await street.settle(canary)
    assert image(street, f"{canary}-e1") == "0.1.0"
    assert image(street, f"{canary}-e2") == "0.2.0"


async def test_a_decision_is_kept_by_an_operator_that_dies_before_the_pod_is_made():
    street = Street()
    await street.populate(1, twin=VOLUME)
    await street.step(6)
    street.change_profile(twin=version("0.2.0"), rollout=POLICY)
    street.set_ready("house-0", ready=False)
    await street.step(61)
    assert image(street, "house-0-e1") == "0.2.0"
    street.delete_pod("house-0-e1")
    street.restart()
    await street.settle("house-0")
    assert image(street, "house-0-e1") == "0.2.0"


async def test_nothing_is_said_twice_of_what_the_fleet_has(street):
    (row,) = street.profile_status()["contents"]
    assert row["content"]["twin"] == {}
    street.change_profile(twin=version("0.2.0"), rollout={"canary": 0})
    await street.step(1)
    for name in street.under_way():
        street.finish(name)
    await street.step(6)
    assert len(street.profile_status()["history"]) == 2
    (row,) = street.profile_status()["contents"]
    assert row["content"]["twin"] == {"version": "0.2.0"}


async def test_what_the_profile_has_just_begun_to_say_is_not_proven(street):
    street.change_profile(twin=version("0.2.0"), rollout=POLICY)
    assert await lose(street, "house-0") == "0.1.0"


# ---- a third content, and what is only said to be done


async def leave_two_versions(street):
    """The canary has 0.2.0, the others 0.1.0; the profile says 0.3.0 by now, and is paused."""
    canary = await stop_by_user(street)
    street.change_profile(twin=version("0.3.0"), rollout=POLICY | {"paused": True})
    await street.step(6)
    return canary


@pytest.mark.parametrize("leave", [lose, cordon])
async def test_a_twin_keeps_what_it_has_though_that_is_neither_old_nor_new(street, leave):
    canary = await leave_two_versions(street)
    assert await leave(street, canary) == "0.2.0"
    other = next(name for name in ALL if name != canary)
    street.cache.leaving = {}
    assert await leave(street, other) == "0.1.0"


async def test_a_store_on_a_volume_is_never_read_by_what_is_older_than_its_twin():
    street = Street()
    await street.populate(2, twin=VOLUME)
    await street.step(6)
    canary = await leave_two_versions(street)
    pod = f"{canary}-e{street.status(canary)['epoch']}"
    street.delete_pod(pod)
    await street.settle(canary)
    assert image(street, pod) == "0.2.0"


async def test_what_no_meter_names_any_more_is_not_kept(street):
    canary = await leave_two_versions(street)
    assert len(street.profile_status()["contents"]) == 3
    street.change_profile(twin=version(""), rollout={"canary": 0})
    await street.step(1)
    street.finish(canary)
    await street.step(6)
    assert len(street.profile_status()["contents"]) == 1


async def test_who_selects_something_else_keeps_the_version_that_it_has(street):
    canary = await stop_by_user(street)
    street.set_pod(f"{canary}-e2")
    street.change_meter(canary, applications={"metering-data": {}})
    await street.settle(canary)
    handover = street.status(canary)["handover"]
    assert (handover["reason"], image(street, f"{canary}-e3")) == ("SpecChanged", "0.2.0")


async def test_what_was_decided_and_did_not_come_about_is_forgotten():
    """A twin on a volume is ready again before it is replaced, and then everything is stopped."""
    street = Street()
    await street.populate(1, twin=VOLUME)
    await street.step(6)
    before = street.status("house-0")["contentHash"]
    street.change_profile(twin=version("0.2.0"), rollout=POLICY)
    street.set_ready("house-0", ready=False)
    street.now_s += 61
    await street.rollouts.step()
    await street.reconciler.reconcile(Key(NAMESPACE, "house-0"))
    street.sync()
    assert street.status("house-0")["contentHash"] != before
    street.set_ready("house-0", ready=True)
    street.change_profile(rollout=POLICY | {"paused": True})
    await street.step(1)
    await street.settle("house-0")
    assert street.status("house-0")["contentHash"] == before
    assert await cordon(street, "house-0") == "0.1.0"


async def test_a_lost_twin_of_an_older_operator_does_not_count_as_updated(street):
    for name in ALL:
        del street.meter(name)["status"]["contentHash"]
        notes = street.cluster.objects["pods", NAMESPACE, f"{name}-e1"]["metadata"]["annotations"]
        del notes[ANNOTATION_CONTENT_HASH]
    street.restart()
    canary = await stop_by_user(street)
    others = [name for name in ALL if name != canary]
    for name in others:
        street.delete_pod(f"{name}-e1")
    await street.step(6)
    assert street.profile_status()["wave"] != "Done"
    assert len(street.profile_status()["history"]) == 1
    await street.settle(others[0])
    assert image(street, f"{others[0]}-e2") == "0.1.0"


def pause(street, name, *, paused):
    meter = street.meter(name)
    meter["metadata"]["annotations"] = {"metertwin.io/paused": str(paused).lower()}
    street._touch("smartmeters", name, meter)


async def test_a_fleet_that_is_held_back_has_proved_nothing(street):
    for name in ALL:
        pause(street, name, paused=True)
        await street.settle(name)
    street.change_profile(twin=version("0.2.0"), rollout=POLICY)
    await street.step(6)
    assert street.profile_status()["wave"] == "Done"
    pause(street, "house-0", paused=False)
    assert await lose(street, "house-0") == "0.1.0"


async def test_what_has_not_soaked_is_not_what_the_fleet_had(street):
    canary = await begin(street, soakSeconds=3600)
    for name in ALL:
        if name != canary:
            pause(street, name, paused=True)
            await street.settle(name)
    street.finish(canary)
    await street.step(6)
    assert street.profile_status()["wave"] == "Done"
    assert [row["version"] for row in street.profile_status()["history"]] == [""]
    await street.step(3700)
    assert [row["version"] for row in street.profile_status()["history"]] == ["0.2.0", ""]


async def test_a_content_that_is_too_large_is_not_kept(street):
    offered = [{"name": "metering-data", "options": [
        {"name": f"o{one}", "type": "String", "allowed": ["x" * 100] * 30} for one in range(32)
    ]}]  # fmt: skip
    applications = {"offered": offered, "default": ["metering-data"]}
    street.change_profile(applications=applications, rollout={"canary": 0})
    await street.step(6)
    (row,) = street.profile_status()["contents"]
    assert row["hash"] != street.profile_status()["target"]


@pytest.mark.parametrize("paused", [False, True])
async def test_a_rollout_to_what_the_profile_no_longer_says_is_withdrawn(street, paused):
    canary = await begin(street)
    street.change_profile(twin=version("0.3.0"), rollout=POLICY | {"paused": paused})
    await street.settle(canary)
    rows = street.status(canary)["handovers"]
    assert (rows[0]["result"], rows[0]["message"].partition(":")[0]) == ("Aborted", "Superseded")
    assert street.status(canary).get("handover") is None


async def test_a_drain_goes_on_with_what_it_began_with(street):
    await stop_by_user(street)
    other = next(n for n in ALL if not street.status(n).get("handovers"))
    assert await cordon(street, other) == "0.1.0"
    street.change_profile(twin=version("0.3.0"), rollout=POLICY | {"paused": True})
    await street.step(6)
    await street.settle(other)
    assert street.status(other)["handover"]["reason"] == "NodeCordoned"


async def test_what_an_older_operator_has_begun_is_finished(street):
    """It named no content: what the profile says is what its candidate was made from."""
    canary = await begin(street)
    body = street.meter(canary)
    del body["status"]["handover"]["contentHash"], body["status"]["contentHash"]
    street._touch("smartmeters", canary, body)
    street.restart()
    await street.step(1)
    await street.settle(canary)
    assert street.status(canary)["handover"]["phase"] == "Preparing"
    assert "handovers" not in street.status(canary)
