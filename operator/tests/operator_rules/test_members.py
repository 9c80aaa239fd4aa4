"""What a meter is to its rollout: one row a rule, and who is first."""

import math

import pytest
from meter_operator.desired import Key, Meter
from meter_operator.hashes import hash_content
from meter_operator.members import Target, parse_member
from meter_operator.observed import Pod, TwinState
from meter_operator.rollout import (
    CANARY,
    DONE,
    FLEET,
    HANDOVER,
    REPLACE,
    Member,
    Policy,
    decide_rollout,
)

BEGIN_S = 1_800_000_000.0  # 2027-01-15T08:00:00Z
WANTED = "wanted"
ONLINE = TwinState(1, online=True, meter="connected")


def row(result="Aborted", why="DeadlineExceeded: late", *, reason="ProfileChanged", wanted=WANTED,
        ended="2027-01-15T08:10:00Z"):  # fmt: skip
    return {
        "from": 1, "to": 2, "result": result, "message": why, "reason": reason,
        "profileHash": wanted, "endedAt": ended,
    }  # fmt: skip


def parse(*rows, state=ONLINE, pod_hash="older", ready=True, said="True", **status):
    condition = {"type": "TwinReady", "status": said, "reason": "Serving",
                 "lastTransitionTime": "2027-01-15T08:00:00Z"}  # fmt: skip
    status = {"epoch": 1, "handovers": list(rows), "conditions": [condition], **status}
    key = Key("street", "house-1")
    meter = Meter(key, "uid", "house-1", 1, "", {}, status, "1", False, False)
    pod = Pod("house-1-e1", "p", 1, "Running", ready, False, "n", "", "", "", "", "",
              meter_uid="uid", profile_hash=pod_hash)  # fmt: skip
    return parse_member(meter, pod, state, WANTED, Target({}, "content", "baseline"))


FAILURES = [
    ("a handover that was given up", row(), 1),
    ("not one to what the profile said before", row(wanted="other"), 0),
    ("not one that a user asked for", row(reason="SpecChanged"), 0),
    ("not one that was withdrawn", row(why="Superseded: by another"), 0),
    ("not one of a meter that fell silent", row(why="MeterOffline: it has not spoken"), 0),
    ("not one whose candidate was lost", row(why="CandidateLost: its pod is gone"), 0),
    ("one whose candidate failed", row(why="CandidateEnded: its pod has failed"), 1),
    ("not one that succeeded", row("Done", ""), 0),
    ("not a twin that was lost", row("TakenOver", "PodGone: epoch 2 replaces 1"), 0),
]


@pytest.mark.parametrize(
    ("found", "count"), [r[1:] for r in FAILURES], ids=[r[0] for r in FAILURES]
)
def test_what_a_failure_is(found, count):
    assert len(parse(found).failed) == count


@pytest.mark.parametrize(
    ("found", "moved"),
    [
        (row("Done"), True),
        (row("Lost"), True),
        (row("TakenOver"), False),
        (row("Done", reason="SpecChanged"), False),
        (row("Done", wanted="other"), False),
    ],
)
def test_only_what_the_rollout_brought_there_is_a_proof(found, moved):
    assert (parse(found, pod_hash=WANTED).moved_s < math.inf) is moved


@pytest.mark.parametrize("tries", [1, 2, 3])
def test_each_try_that_failed_is_followed_by_a_longer_pause(tries):
    assert parse(*[row()] * tries).retry_s == BEGIN_S + 600 + 30 * 2**tries


@pytest.mark.parametrize(
    "found", [row(wanted="other"), row(why="Superseded: by another")], ids=["older", "withdrawn"]
)
def test_what_the_profile_said_before_and_what_was_withdrawn_keep_nobody_waiting(found):
    assert parse(*[found] * 3).retry_s == 0


def test_what_was_withdrawn_in_between_makes_no_pause_longer():
    withdrawn, earlier = row(why="Superseded: by another"), row("Done")
    assert parse(row(), withdrawn, withdrawn, row(), earlier, row()).retry_s == BEGIN_S + 600 + 120


def test_a_meter_that_falls_silent_in_each_try_is_not_tried_again_and_again():
    silent = row(why="MeterOffline: it has not spoken")
    assert parse(silent, silent).retry_s == BEGIN_S + 600 + 120


def test_after_a_success_the_next_may_begin_at_once():
    assert parse(row("Done"), row(), row()).retry_s == 0


@pytest.mark.parametrize(
    ("state", "online", "speaks"),
    [
        (None, False, False),
        (TwinState(1, online=False, meter="connected"), False, True),
        (TwinState(1, online=True, meter="silent"), True, False),
        (ONLINE, True, True),
    ],
)
def test_who_speaks_is_what_the_twin_says(state, online, speaks):
    found = parse(state=state)
    assert (found.online, found.speaks) == (online, speaks)


def test_a_meter_that_was_never_there_comes_last():
    never = TwinState(1, online=True, meter="never")
    absent, seen = parse(state=never), parse(state=never, lastSeen="2027-01-15T08:00:00Z")
    assert absent.speaks
    assert not seen.speaks
    assert absent.order > 2**32 > seen.order


def test_the_time_of_a_twin_that_replaced_a_broken_one_begins_with_it():
    """It would have failed at once, and a rollout that mends a fleet would stop."""
    ours = row("TakenOver", reason="TwinLost") | {"to": 1}
    assert parse(ours, ready=False, said="False").since_s == BEGIN_S + 600
    assert parse(ours | {"to": 2}, ready=False, said="False").since_s == BEGIN_S
    assert parse(row() | {"to": 1}, ready=False, said="False").since_s == BEGIN_S


def test_a_status_that_is_behind_the_pod_does_not_say_since_when():
    assert parse(ready=False, said="True").since_s == math.inf
    assert parse(ready=False, said="False").since_s == BEGIN_S


@pytest.mark.parametrize(("baseline", "current"), [("content", True), ("other", False)])
def test_a_pod_without_a_hash_has_what_the_profile_said_at_first(baseline, current):
    member = parse(pod_hash="")
    assert member.current is False
    meter = Meter(Key("s", "m"), "uid", "m", 1, "", {}, {"epoch": 1}, "1", False, False)
    pod = Pod("m-e1", "p", 1, "Running", True, False, "n", "", "", "", "", "", meter_uid="uid")
    found = parse_member(meter, pod, ONLINE, WANTED, Target({}, "content", baseline))
    assert found.current is current


def test_the_hash_of_the_content_has_listed_fields_only():
    profile = {"applications": {"offered": [{"name": "a"}]}, "twin": {"version": "1"}}
    same = {**profile, "rollout": {"paused": True}, "engines": None, "later": 1}
    assert hash_content(profile) == hash_content(same)
    assert hash_content(profile) != hash_content({**profile, "twin": {"version": "2"}})


def member(name, **changes):
    return Member(Key("street", name), **{"current": False, **changes})


def decide(*members, now_s=BEGIN_S, policy=None, **more):
    policy = policy or Policy(canary=0, max_concurrent=1, max_failures=9)
    return decide_rollout(policy, members, now_s=now_s, started_s=BEGIN_S - 100, **more)


def test_the_untried_are_first_and_then_the_failed_whose_pause_is_over():
    failed = member("a", order=1, failed=(BEGIN_S - 50,), retry_s=BEGIN_S)
    assert decide(failed, member("b", order=2)).permits == {Key("street", "b"): HANDOVER}
    assert decide(failed).permits == {failed.key: HANDOVER}
    assert decide(failed, now_s=BEGIN_S - 1).permits == {}


def test_one_that_is_not_ready_yet_takes_a_place_and_then_is_a_failure():
    fresh = member("a", current=True, ready=False, since_s=BEGIN_S - 599)
    assert decide(fresh, member("b")).permits == {}
    late = fresh._replace(since_s=BEGIN_S - 600)
    found = decide(late, member("b"))
    assert (found.counts.failed, len(found.permits)) == (1, 1)


def test_one_that_is_committed_and_never_serves_is_a_failure_and_holds_no_place():
    """Its handover is not over: its old twin is kept for whoever follows."""
    fresh = member("a", current=True, busy=True, rolling=True, committed=True, ready=False,
                   since_s=BEGIN_S - 599)  # fmt: skip
    assert (decide(fresh, member("b")).counts.failed, decide(fresh, member("b")).permits) == (0, {})
    late = fresh._replace(since_s=BEGIN_S - 600)
    found = decide(late, member("b"))
    assert (found.counts.failed, found.counts.in_progress, len(found.permits)) == (1, 0, 1)


@pytest.mark.parametrize(
    ("broken_s", "committed", "permits"),
    [
        (60, True, {Key("street", "a"): REPLACE}),
        (59, True, {}),
        (60, False, {}),
        (-math.inf, True, {}),
    ],
)
def test_a_new_twin_that_does_not_serve_is_replaced_though_its_handover_is_not_over(
    broken_s, committed, permits
):
    broken = member("a", busy=True, committed=committed, ready=False, since_s=BEGIN_S - broken_s)
    found = decide(broken)
    assert found.permits == permits
    assert found.counts.in_progress == (not permits)


def soaking(name, **changes):
    """One that serves what the profile said before; its handover to that is not over."""
    return member(name, **{"busy": True, "committed": True, "rolling": True, **changes})


@pytest.mark.parametrize(
    ("changes", "permitted"),
    [
        ({}, True),
        ({"committed": False}, False),
        ({"current": True}, False),
        ({"online": False}, False),
        ({"speaks": False}, False),
        ({"retry_s": BEGIN_S + 1}, False),
        ({"held": "Paused"}, False),
    ],
)
def test_nobody_waits_for_the_end_of_a_soak_that_nobody_wants(changes, permitted):
    found = decide(soaking("a", **changes))
    assert found.permits == ({Key("street", "a"): HANDOVER} if permitted else {})
    assert decide(soaking("a", **changes), reserved=[Key("street", "a")]).permits == {}


def test_who_leaves_its_soak_goes_on_in_its_own_place_and_takes_no_other():
    policy = Policy(canary=0, max_concurrent=2, max_failures=9)
    found = decide(soaking("a"), soaking("b"), member("c"), policy=policy)
    assert set(found.permits) == {Key("street", "a"), Key("street", "b")}
    found = decide(soaking("a", order=9), member("b"), member("c"), policy=policy)
    assert len(found.permits) == 2
    assert Key("street", "a") in found.permits
    tight = policy._replace(max_concurrent=1)
    assert decide(soaking("a"), soaking("b"), policy=tight).counts.busy == 2
    assert len(decide(soaking("a"), soaking("b"), member("c"), policy=tight).permits) == 2


def test_a_place_is_given_once_though_some_were_tried_before():
    failed = member("b", failed=(BEGIN_S - 50,), retry_s=BEGIN_S)
    found = decide(soaking("a"), member("c"), failed, policy=Policy(2, 0, max_failures=9))
    assert set(found.permits) == {Key("street", "a"), Key("street", "c")}


def test_of_those_in_a_soak_no_more_are_canaries_than_of_others():
    policy = Policy(canary=1, max_concurrent=9)
    rows = [soaking("a", order=3), soaking("b", order=2), member("c", order=1)]
    assert set(decide(*rows, policy=policy).permits) == {Key("street", "c")}
    assert set(decide(*rows[:2], policy=policy).permits) == {Key("street", "b")}
    full = policy._replace(max_concurrent=2)
    assert set(decide(*rows, policy=full).permits) == {Key("street", "b")}


def test_what_is_broken_keeps_its_place_and_takes_no_other():
    rows = [
        member(name, busy=True, committed=True, ready=False, since_s=BEGIN_S - 60, order=9)
        for name in ("a", "b")
    ]
    found = decide(*rows, member("c"), policy=Policy(canary=0, max_concurrent=2, max_failures=9))
    assert found.permits == {one.key: REPLACE for one in rows}
    assert found.counts.busy == 2


def test_a_broken_twin_of_the_wanted_version_is_no_success_and_hides_no_failure():
    broken = member("a", current=True, busy=True, rolling=True, committed=True, ready=False,
                    since_s=BEGIN_S - 60, failed=(BEGIN_S - 50,) * 2)  # fmt: skip
    policy = Policy(canary=0, max_concurrent=9, max_failures=2)
    found = decide(broken, member("b"), policy=policy)
    assert (found.permits, found.stopped, found.counts.updated) == ({}, "TooManyFailures", 0)
    assert decide(broken, policy=Policy()).wave != DONE


def test_a_canary_that_breaks_while_it_is_watched_is_no_proof():
    policy = Policy(canary=1, soak_s=30)
    good = member("a", current=True, moved_s=BEGIN_S - 50, since_s=BEGIN_S - 1_000)
    assert decide(good, member("b"), policy=policy).wave == FLEET
    for since_s in (BEGIN_S - 10, math.inf):
        shaky = good._replace(since_s=since_s)
        assert decide(shaky, member("b"), policy=policy).wave == CANARY


def test_a_proof_from_before_this_rollout_is_none():
    policy = Policy(canary=1, soak_s=30)
    older = member("a", current=True, moved_s=BEGIN_S - 101, since_s=BEGIN_S - 1_000)
    assert decide(older, member("b"), policy=policy).wave == CANARY


def test_a_failure_from_before_this_rollout_or_forgiven_is_none():
    for failed, resumed_s in (((BEGIN_S - 101,), 0.0), ((BEGIN_S - 50,), BEGIN_S - 50)):
        policy = Policy(max_failures=1, resumed_s=resumed_s)
        assert not decide(member("a", failed=failed), policy=policy).stopped
    assert decide(member("a", failed=(BEGIN_S - 100,)), policy=Policy(max_failures=1)).stopped


def test_only_failed_ones_left_is_a_trouble_for_people():
    failed = member("a", failed=(BEGIN_S - 50,), retry_s=BEGIN_S + 500, trouble="Deadline: late")
    found = decide(failed, member("b", current=True))
    assert found.is_stuck
    assert found.troubles == ("a: Deadline: late",)
    assert not decide(failed, member("b")).is_stuck
