"""upgrade, rollback, pause, resume: what is changed, shown and refused."""

import json

import pytest
import yaml

QUICK = ("--interval", "0.01")


def condition(kind, status, reason, message="why"):
    return {"type": kind, "status": status, "reason": reason, "message": message}


def profile(version="0.2.0", *, wave="Fleet", progressing=("True", "Fleet"), paused=None,
            degraded=None, generation=4, seen=4, **counts):  # fmt: skip
    meters = {"total": 50, "updated": 0, "inProgress": 0, "failed": 0, "offline": 0, "held": 0}
    return {
        "metadata": {"name": "household", "namespace": "demo", "generation": generation},
        "spec": {"twin": {"version": version}},
        "status": {
            "observedGeneration": seen,
            "wave": wave,
            "meters": meters | counts,
            "history": [
                {"version": "0.1.0", "hash": "a", "completedAt": "2026-06-14T07:30:00Z"},
                {"version": "0.0.9", "hash": "b", "completedAt": "2026-06-13T07:30:00Z"},
            ],
            "conditions": [
                condition("Progressing", *progressing),
                condition("Degraded", *(degraded or ("False", "AsExpected"))),
                condition("Paused", *(paused or ("False", "NotPaused"))),
            ],
        },
    }


def meter(version="", running="0.1.0", *, handover=None, handovers=(), ready=("True", "Serving"),
          seen=2, **status):  # fmt: skip
    return {
        "metadata": {"name": "house-1", "namespace": "demo", "generation": 2},
        "spec": {"profile": "household", "twin": {"version": version}},
        "status": {
            "observedGeneration": seen,
            "epoch": 3,
            "twin": {"version": running},
            "handover": handover,
            "handovers": list(handovers),
            "conditions": [condition("Ready", *ready)],
            **status,
        },
    }


def row(result, version, before, to=3, message=""):
    return {
        "from": to - 1, "to": to, "version": version, "fromVersion": before, "result": result,
        "reason": "SpecChanged", "message": message,
    }  # fmt: skip


def under_way(phase, version="0.3.0", before="0.2.0"):
    return {"phase": phase, "epoch": 4, "source": 3, "version": version, "fromVersion": before}


@pytest.fixture
def street(world):
    world.put("twinprofiles", "household", profile("0.1.0"))
    world.put("smartmeters", "house-1", meter())
    return world


def patched(world):
    path = world.folder / "patched.json"
    return json.loads(path.read_text()) if path.exists() else None


def then(world, kind, name, *bodies):
    (world.folder / f"then.{kind}.{name}.json").write_text(json.dumps(bodies))


def test_upgrade_of_a_meter_patches_its_spec_alone(street):
    done = street.run("upgrade", "house-1", "--to", "0.2.0")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "SmartMeter house-1: what the profile says -> 0.2.0\n"
    assert patched(street) == {"spec": {"twin": {"version": "0.2.0"}}}
    assert "patch smartmeters.metertwin.io house-1 --type=merge" in street.lines("calls")[-1]


def test_upgrade_of_a_profile_patches_the_profile(street):
    done = street.run("upgrade", "--profile", "household", "--to", "0.2.0")
    assert done.stdout == "TwinProfile household: 0.1.0 -> 0.2.0\n"
    assert "patch twinprofiles.metertwin.io household --type=merge" in street.lines("calls")[-1]


DRY = [
    (("upgrade", "house-1", "--to", "0.2.0"), "SmartMeter", {"twin": {"version": "0.2.0"}}),
    (("upgrade", "--profile", "household", "--to", "1"), "TwinProfile", {"twin": {"version": "1"}}),
    (("rollback", "--profile", "household"), "TwinProfile", {"twin": {"version": "0.0.9"}}),
    (("pause", "--profile", "household"), "TwinProfile", {"rollout": {"paused": True}}),
    (("resume", "--profile", "household"), "TwinProfile", {"rollout": {
        "paused": False, "resumedAt": "2026-06-14T08:00:00Z"}}),
]  # fmt: skip


@pytest.mark.parametrize("output", ["yaml", "json"])
@pytest.mark.parametrize(("command", "kind", "spec"), DRY, ids=lambda value: str(value)[:40])
def test_a_dry_run_prints_the_part_of_the_manifest_and_changes_nothing(
    street, command, kind, spec, output
):
    (street.folder / "cluster time").write_text("2026-06-14T08:00:00Z")
    done = street.run(*command, "--dry-run", "-o", output)
    assert (done.returncode, done.stderr) == (0, "")
    name = "house-1" if kind == "SmartMeter" else "household"
    assert yaml.safe_load(done.stdout) == {
        "apiVersion": "metertwin.io/v1alpha1",
        "kind": kind,
        "metadata": {"name": name, "namespace": "demo"},
        "spec": spec,
    }
    assert done.stdout.startswith("{" if output == "json" else "apiVersion:")
    assert patched(street) is None


def test_watching_a_profile_shows_waves_counts_and_the_time_left(street):
    then(
        street, "twinprofiles", "household",
        profile(seen=3),
        profile(wave="Canary", progressing=("True", "Canary"), inProgress=1),
        profile(wave="Canary", progressing=("True", "Soaking"), updated=1),
        profile(inProgress=10, updated=20, failed=1),
        profile(inProgress=9, updated=40, offline=1),
        profile(wave="Done", progressing=("False", "Complete"), updated=49, held=1),
    )  # fmt: skip
    done = street.run("upgrade", "--profile", "household", "--to", "0.2.0", "--watch", *QUICK)
    assert (done.returncode, done.stderr) == (0, "")
    first, *lines, last = done.stdout.splitlines()
    assert (first, last) == ("TwinProfile household: 0.1.0 -> 0.2.0", "Done.")
    assert [line[10:].split("  ETA")[0] for line in lines] == [
        "Canary  0 of 50 updated, 1 in progress, 0 failed, 0 offline",
        "Canary  1 of 50 updated, 0 in progress, 0 failed, 0 offline",
        "Fleet   20 of 50 updated, 10 in progress, 1 failed, 0 offline",
        "Fleet   40 of 50 updated, 9 in progress, 0 failed, 1 offline",
        "Done    49 of 49 updated, 0 in progress, 0 failed, 0 offline",
    ]
    assert "ETA" in lines[2]


def own_versions(world, *versions):
    """Let the meters of the profile be as many as there are versions; empty for the profile's."""
    for number, version in enumerate(versions, start=1):
        world.put("smartmeters", f"house-{number}", meter(version))


OWN = [
    ("none", ("", "", ""), None),
    ("one", ("0.1.5", "", ""), "1 names its own version"),
    ("two, one of them the very same", ("0.1.5", "0.2.0", ""), "2 name their own version"),
    ("all, but the same", ("0.2.0", "0.2.0", "0.2.0"), "3 name their own version"),
]


@pytest.mark.parametrize(("versions", "text"), [r[1:] for r in OWN], ids=[r[0] for r in OWN])
@pytest.mark.parametrize("watch", [True, False])
def test_who_names_its_own_version_is_not_taken_for_upgraded(street, versions, text, watch):
    own_versions(street, *versions)
    other = meter("0.1.5")
    other["spec"]["profile"] = "another"
    street.put("smartmeters", "house-9", other)
    complete = profile(wave="Done", progressing=("False", "Complete"), total=3, updated=3)
    then(street, "twinprofiles", "household", complete)
    how = ("--watch", *QUICK) if watch else ()
    done = street.run("upgrade", "--profile", "household", "--to", "0.2.0", *how)
    assert (done.returncode, done.stderr) == (0, "")
    _, *lines = done.stdout.splitlines()
    if watch:
        line = "Done    3 of 3 updated, 0 in progress, 0 failed, 0 offline"
        assert [lines[0][10:], lines[1]] == [f"{line}, {text}" if text else line, "Done."]
    else:
        assert lines == ([f"of 3 meters {text}"] if text else [])


def test_a_profile_that_no_meter_follows_is_no_upgrade(street):
    own_versions(street, "0.1.5", "0.1.4")
    complete = profile(wave="Done", progressing=("False", "Complete"), total=2, updated=2)
    then(street, "twinprofiles", "household", complete)
    command = ("upgrade", "--profile", "household", "--to", "0.2.0")
    done = street.run(*command, "--watch", *QUICK)
    assert done.returncode == 1
    assert "Error: no meter follows the profile: all 2 name another version" in done.stderr
    assert "remedy: kubectl meter upgrade NAME --to ''" in done.stderr
    told = street.run(*command)
    assert told.returncode == 0, "what was asked for is done"
    assert "no meter follows the profile" in told.stdout
    assert "kubectl meter upgrade NAME --to ''" in told.stdout


FAULTS = [
    (
        "paused by a user",
        {"paused": ("True", "ByUser")},
        "kubectl meter resume --profile household",
    ),
    (
        "too many failures",
        {"degraded": ("True", "TooManyFailures"), "paused": ("True", "TooManyFailures")},
        "kubectl meter rollback --profile household",
    ),
    (
        "only failed ones are left",
        {"degraded": ("True", "MetersFailed")},
        "kubectl meter handovers",
    ),
]


@pytest.mark.parametrize(("status", "remedy"), [r[1:] for r in FAULTS], ids=[r[0] for r in FAULTS])
def test_watching_ends_with_the_remedy_when_nothing_more_happens_by_itself(street, status, remedy):
    then(street, "twinprofiles", "household", profile(), profile(**status))
    done = street.run("upgrade", "--profile", "household", "--to", "0.2.0", "--watch", *QUICK)
    assert done.returncode == 1
    assert "Error: why" in done.stderr
    assert remedy in done.stderr


def test_a_pause_is_no_fault_of_a_profile_that_has_nothing_left_to_do(street):
    complete = profile(progressing=("False", "Complete"), paused=("True", "ByUser"), updated=50)
    then(street, "twinprofiles", "household", complete)
    done = street.run("upgrade", "--profile", "household", "--to", "0.2.0", "--watch", *QUICK)
    assert (done.returncode, done.stderr) == (0, "")


def test_watching_may_be_limited(street):
    then(street, "twinprofiles", "household", profile(inProgress=1))
    done = street.run(
        "upgrade", "--profile", "household", "--to", "1", "--watch", "--timeout", "1", *QUICK
    )
    assert done.returncode == 1
    assert "not done within 1 s" in done.stderr
    again = "kubectl meter upgrade --profile household --to 1 --watch"
    assert f"to watch again: {again}\n" in done.stderr


def test_who_watches_a_rollback_again_is_not_told_to_roll_back(street):
    moved = meter("0.2.0", "0.2.0", handovers=[row("Done", "0.2.0", "0.1.0")])
    street.put("smartmeters", "house-1", moved)
    then(street, "smartmeters", "house-1", moved | {"spec": {"twin": {"version": "0.1.0"}}})
    done = street.run("rollback", "house-1", "--watch", "--timeout", "1", *QUICK)
    assert done.returncode == 1
    assert "watch again: kubectl meter upgrade house-1 --to 0.1.0 --watch\n" in done.stderr
    assert "rollback" not in done.stderr


def test_watching_a_meter_shows_the_phases_of_its_handover(street):
    handover = {"phase": "Preparing", "epoch": 4}
    after = handover | {"phase": "Committed", "committedAt": "2026-06-14T07:30:00Z"}
    then(
        street, "smartmeters", "house-1",
        meter("0.2.0", seen=1),
        meter("0.2.0", handover=handover, ready=("False", "Replacing")),
        meter("0.2.0", handover=handover, waitsFor="flow 2: not yet"),
        meter("0.2.0", running="0.2.0", handover=after, ready=("False", "Starting")),
        meter("0.2.0", running="0.2.0", handover=after),
        meter("0.2.0", running="0.2.0", handover=handover | {"phase": "Committed"}),
        meter("0.2.0", running="0.2.0", handovers=[row("Done", "0.2.0", "0.1.0", 4)]),
    )  # fmt: skip
    done = street.run("upgrade", "house-1", "--to", "0.2.0", "--watch", *QUICK)
    assert (done.returncode, done.stderr) == (0, "")
    assert [line[10:] for line in done.stdout.splitlines()[1:-1]] == [
        "Preparing  epoch 4 is to follow",
        "Preparing  epoch 4 is to follow; flow 2: not yet",
        "Committed  epoch 4 is not ready: why",
        "Committed  epoch 4 serves; soak until 2026-06-14T07:30:30Z",
        "Committed  epoch 4 serves; soak until it has served for soakSeconds",
        "epoch 3 runs 0.2.0",
    ]


def test_watching_a_meter_ends_when_its_handover_was_given_up(street):
    why = "DeadlineExceeded: the candidate has not connected yet"
    failed = meter("0.2.0", handovers=[row("Aborted", "0.2.0", "0.1.0", 4, why)])
    then(street, "smartmeters", "house-1", failed)
    done = street.run("upgrade", "house-1", "--to", "0.2.0", "--watch", *QUICK)
    assert done.returncode == 1
    assert why in done.stderr
    assert "or stay: kubectl meter upgrade house-1 --to 0.1.0" in done.stderr


def test_watching_a_meter_that_does_not_become_ready_says_why_and_ends(street):
    body = profile("0.1.0")
    body["spec"]["rollout"] = {"progressDeadlineSeconds": 1}
    street.put("twinprofiles", "household", body)
    then(street, "smartmeters", "house-1", meter("0.2.0", "0.2.0", ready=("False", "NotReady")))
    done = street.run("upgrade", "house-1", "--to", "0.2.0", "--watch", *QUICK)
    assert done.returncode == 1
    assert "epoch 3 runs 0.2.0, not ready: why\n" in done.stdout
    assert "Error: house-1 is not ready: why (for 1 s)\n" in done.stderr
    assert "field:  status.conditions[Ready]\n" in done.stderr
    assert "kubectl describe smartmeter house-1" in done.stderr


FAILED = row("Aborted", "0.3.0", "0.1.0", 4, "DeadlineExceeded: why") | {"reason": "ProfileChanged"}
UNDONE = [
    ("its rollout has not come to it", profile("0.3.0"), meter("", "0.1.0")),
    ("a try is in its pause", profile("0.3.0"), meter("", "0.1.0", handovers=[FAILED])),
    ("a try of the operator's own version is in its pause", profile(""), meter("", "0.1.0", handovers=[FAILED])),
]  # fmt: skip


@pytest.mark.parametrize(("body", "one"), [r[1:] for r in UNDONE], ids=[r[0] for r in UNDONE])
def test_a_meter_is_not_done_before_it_runs_what_its_profile_names(street, body, one):
    street.put("twinprofiles", "household", body)
    street.put("smartmeters", "house-1", one)
    named = body["spec"]["twin"]["version"] or "the operator's own version"
    follows = meter("", "0.3.0", handovers=[row("Done", "0.3.0", "0.1.0", 5), FAILED])
    then(street, "smartmeters", "house-1", one, one, follows)
    done = street.run("upgrade", "house-1", "--to", "", "--watch", *QUICK)
    assert (done.returncode, done.stderr) == (0, "")
    assert [line[10:] for line in done.stdout.splitlines()[1:-1]] == [
        f"epoch 3 runs 0.1.0, its profile names {named}",
        "epoch 3 runs 0.3.0",
    ]


def test_a_meter_whose_profile_is_paused_does_not_get_what_that_names(street):
    street.put("twinprofiles", "household", profile("0.3.0", paused=("True", "ByUser")))
    then(street, "smartmeters", "house-1", meter("", "0.1.0"))
    done = street.run("upgrade", "house-1", "--to", "", "--watch", *QUICK)
    assert done.returncode == 1
    assert "remedy: kubectl meter resume --profile household\n" in done.stderr


def test_a_try_that_failed_is_nothing_to_wait_for_when_the_fleet_has_what_the_profile_says(street):
    body = profile("", wave="Done", progressing=("False", "Complete"))
    street.put("twinprofiles", "household", body)
    street.put("smartmeters", "house-1", meter("0.3.0", "0.1.0", handovers=[FAILED]))
    then(street, "smartmeters", "house-1", meter("", "0.1.0", handovers=[FAILED]))
    done = street.run("upgrade", "house-1", "--to", "", "--watch", *QUICK)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "Done.")


def test_watching_a_meter_ends_when_its_spec_does_not_fit_its_profile(street):
    then(street, "smartmeters", "house-1", meter("0.2.0", ready=("False", "NotOffered")))
    done = street.run("upgrade", "house-1", "--to", "0.2.0", "--watch", *QUICK)
    assert done.returncode == 1


BEFORE = [
    ("to what its last handover came from", meter("0.2.0", "0.2.0", handovers=[row("Done", "0.2.0", "0.1.0")]), "0.1.0"),
    ("over a handover that changed no version", meter("0.2.0", "0.2.0", handovers=[
        row("Done", "0.2.0", "0.2.0", 4), row("Done", "0.2.0", "0.1.0")]), "0.1.0"),
    ("to what it runs, when the new one has failed", meter("0.2.0", "0.1.0", handovers=[
        row("Aborted", "0.2.0", "0.1.0")]), "0.1.0"),
    ("to what it runs, while the new one is on its way", meter("0.2.0", "0.1.0", handover={
        "phase": "Preparing", "epoch": 4}), "0.1.0"),
    ("to what it runs, while the profile's new one is on its way", meter("", "0.2.0",
        handover=under_way("Preparing"), handovers=[row("Done", "0.2.0", "0.1.0")]), "0.2.0"),
    ("to what it runs, while it is frozen for the new one", meter("0.2.0", "0.2.0",
        handover=under_way("Frozen"), handovers=[row("Done", "0.2.0", "0.1.0")]), "0.2.0"),
    ("to what the new one came from, while that soaks", meter("0.3.0", "0.3.0",
        handover=under_way("Committed"), handovers=[row("Done", "0.2.0", "0.1.0")]), "0.2.0"),
    ("by one version, when status is behind the commit", meter("", "0.2.0",
        handover=under_way("Committed"), handovers=[row("Done", "0.2.0", "0.1.0")]), "0.2.0"),
    ("while its first upgrade soaks", meter("0.3.0", "0.3.0",
        handover=under_way("Committed")), "0.2.0"),
    ("over a handover under way that changes no version", meter("0.2.0", "0.2.0", handover=under_way(
        "Committed", "0.2.0"), handovers=[row("Done", "0.2.0", "0.1.0")]), "0.1.0"),
    ("to what a takeover came from", meter("0.3.0", "0.3.0", handovers=[
        row("TakenOver", "0.3.0", "0.2.0", 4), row("Done", "0.2.0", "0.1.0")]), "0.2.0"),
    ("over a takeover that changed no version", meter("0.2.0", "0.2.0", handovers=[
        row("TakenOver", "0.2.0", "0.2.0", 4), row("Done", "0.2.0", "0.1.0")]), "0.1.0"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "version"), [r[1:] for r in BEFORE], ids=[r[0] for r in BEFORE])
def test_a_meter_goes_back(street, body, version):
    street.put("smartmeters", "house-1", body)
    assert street.run("rollback", "house-1").returncode == 0
    assert patched(street) == {"spec": {"twin": {"version": version}}}


BACK = row("Done", "0.2.0", "0.1.0")
"""0.1.0 ran before 0.2.0, so a way from 0.2.0 to it is one back."""
AGAIN = [
    ("before anything has begun", meter("0.1.0", "0.2.0", handovers=[BACK])),
    ("while it is prepared", meter("0.1.0", "0.2.0", handovers=[BACK],
        handover=under_way("Preparing", "0.1.0", "0.2.0"))),
    ("after a try has failed", meter("0.1.0", "0.2.0", handovers=[
        row("Aborted", "0.1.0", "0.2.0", 4), BACK])),
    ("while it soaks", meter("0.1.0", "0.1.0", handovers=[BACK],
        handover=under_way("Committed", "0.1.0", "0.2.0"))),
    ("while what it leaves soaks", meter("0.1.0", "0.2.0",
        handover=under_way("Committed", "0.2.0", "0.1.0"))),
    ("while what it leaves soaks, and status is behind", meter("0.1.0", "0.1.0",
        handover=under_way("Committed", "0.2.0", "0.1.0"))),
    ("while an upgrade that soaked is left", meter("0.1.0", "0.2.0", handovers=[
        row("Superseded", "0.2.0", "0.1.0")], handover=under_way("Preparing", "0.1.0", "0.2.0"))),
    ("while an upgrade is withdrawn", meter("0.1.0", "0.1.0",
        handover=under_way("Frozen", "0.2.0", "0.1.0"))),
    ("while its takeover is not ready", meter("0.1.0", "0.1.0", ready=("False", "Starting"),
        handovers=[row("TakenOver", "0.1.0", "0.2.0", 4), BACK])),
]  # fmt: skip


@pytest.mark.parametrize("body", [r[1] for r in AGAIN], ids=[r[0] for r in AGAIN])
def test_a_rollback_that_is_asked_for_again_goes_where_it_went(street, body):
    street.put("smartmeters", "house-1", body)
    done = street.run("rollback", "house-1")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("SmartMeter house-1 goes back to 0.1.0 already\n")
    assert patched(street) == {"spec": {"twin": {"version": "0.1.0"}}}


FORTH = [
    ("while it is prepared", meter("0.10.0", "0.9.0", handovers=[row("Done", "0.9.0", "0.10.0")])),
    ("while it soaks", meter("0.10.0", "0.10.0", handovers=[row("Done", "0.9.0", "0.10.0")],
        handover=under_way("Committed", "0.10.0", "0.9.0"))),
]  # fmt: skip


@pytest.mark.parametrize("body", [r[1] for r in FORTH], ids=[r[0] for r in FORTH])
def test_a_second_upgrade_to_the_same_version_is_withdrawn(street, body):
    street.put("smartmeters", "house-1", body)
    assert street.run("rollback", "house-1").returncode == 0
    assert patched(street) == {"spec": {"twin": {"version": "0.9.0"}}}


def test_where_the_tags_do_not_tell_a_way_back_from_an_upgrade_nothing_is_changed(street):
    street.put("smartmeters", "house-1", meter("a", "b", handovers=[row("Done", "b", "a")]))
    done = street.run("rollback", "house-1")
    assert done.returncode == 1
    assert "field:  spec.twin.version" in done.stderr
    assert "kubectl meter upgrade house-1 --to a goes on with it" in done.stderr
    assert "kubectl meter upgrade house-1 --to b withdraws it" in done.stderr
    assert patched(street) is None


def test_a_meter_of_which_no_version_before_is_known_stays(street):
    done = street.run("rollback", "house-1")
    assert done.returncode == 1
    assert "field:  status.handovers" in done.stderr
    assert patched(street) is None


def test_a_profile_goes_back_to_what_its_fleet_ran_before(street):
    street.put("twinprofiles", "household", profile("0.2.0"))
    done = street.run("rollback", "--profile", "household")
    assert done.stdout == "TwinProfile household: 0.2.0 -> 0.1.0\n"


def fleet(version, history, *, target, wave="Fleet", seen=4):
    """A profile whose fleet has run the versions of a history; each has itself as its hash."""
    body = profile(version, wave=wave, seen=seen)
    rows = [{"version": v, "hash": v, "completedAt": "2026-06-14T07:30:00Z"} for v in history]
    body["status"] |= {"history": rows, "target": target, "targetVersion": target}
    return body


FLEETS = [
    ("an upgrade", fleet("0.3.0", ["0.2.0", "0.1.0"], target="0.3.0"), "0.2.0", False),
    ("an upgrade that is withdrawn", fleet("0.2.0", ["0.2.0", "0.1.0"], target="0.2.0"), "0.2.0", True),
    ("one that nobody has seen yet", fleet("0.2.0", ["0.2.0", "0.1.0"], target="0.3.0", seen=3), "0.2.0", True),
    ("all run it", fleet("0.2.0", ["0.2.0", "0.1.0"], target="0.2.0", wave="Done"), "0.1.0", False),
    ("a way back", fleet("0.1.0", ["0.2.0", "0.1.0"], target="0.1.0"), "0.1.0", True),
    ("one that nobody has seen yet, either", fleet("0.1.0", ["0.2.0", "0.1.0"], target="0.2.0", wave="Done", seen=3), "0.1.0", True),
    ("all went back", fleet("0.1.0", ["0.1.0", "0.2.0"], target="0.1.0", wave="Done"), "0.2.0", False),
    ("a second upgrade", fleet("0.10.0", ["0.9.0", "0.10.0"], target="0.10.0"), "0.9.0", False),
    ("something else of the same version", fleet("0.2.0", ["0.2.0", "0.1.0"], target="other"), "0.1.0", False),
]  # fmt: skip


@pytest.mark.parametrize(("body", "version", "kept"), [r[1:] for r in FLEETS], ids=[r[0] for r in FLEETS])  # fmt: skip
def test_a_profile_goes_back_and_goes_on_with_a_way_back(street, body, version, kept):
    street.put("twinprofiles", "household", body)
    done = street.run("rollback", "--profile", "household")
    assert (done.returncode, done.stderr) == (0, "")
    assert ("goes back to" in done.stdout) == kept
    assert patched(street) == {"spec": {"twin": {"version": version}}}


def test_a_way_back_to_the_operators_own_version_is_not_guessed(street):
    street.put("twinprofiles", "household", fleet("", ["next", ""], target=""))
    done = street.run("rollback", "--profile", "household")
    assert done.returncode == 1
    assert "kubectl meter upgrade --profile household --to '' goes on with it" in done.stderr
    assert patched(street) is None


def test_a_profile_whose_fleet_ran_nothing_else_stays(street):
    body = profile("0.1.0")
    body["status"]["history"] = body["status"]["history"][:1]
    street.put("twinprofiles", "household", body)
    done = street.run("rollback", "--profile", "household")
    assert done.returncode == 1
    assert "field:  status.history" in done.stderr


def test_pause_and_resume_patch_the_rollout(street):
    assert street.run("pause", "--profile", "household").returncode == 0
    assert patched(street) == {"spec": {"rollout": {"paused": True}}}
    assert street.run("resume", "--profile", "household").returncode == 0
    rollout = patched(street)["spec"]["rollout"]
    assert rollout["paused"] is False
    assert rollout["resumedAt"].endswith("Z")


RESUMED = [
    ("by the cluster's clock", "2026-06-14T08:00:00Z", "2026-06-14T07:30:00Z", "2026-06-14T08:00:00Z"),
    ("not before the pause", "2026-06-14T07:00:00Z", "2026-06-14T07:30:00Z", "2026-06-14T07:30:00Z"),
    ("not before a pause that is ahead of this machine", None, "2999-01-01T00:00:00Z", "2999-01-01T00:00:00Z"),
]  # fmt: skip


@pytest.mark.parametrize(("clock", "paused", "resumed"), [r[1:] for r in RESUMED], ids=[r[0] for r in RESUMED])  # fmt: skip
def test_failures_are_forgiven_by_the_clock_that_has_seen_them(street, clock, paused, resumed):
    body = profile(paused=("True", "TooManyFailures"))
    body["status"]["conditions"][-1]["lastTransitionTime"] = paused
    street.put("twinprofiles", "household", body)
    if clock:
        (street.folder / "cluster time").write_text(clock)
    assert street.run("resume", "--profile", "household").returncode == 0
    assert patched(street)["spec"]["rollout"]["resumedAt"] == resumed


@pytest.mark.parametrize("verb", [("upgrade", "--to", "0.3.0"), ("rollback",)], ids=lambda v: v[0])
def test_a_change_that_does_not_begin_because_of_a_pause_is_told(street, verb):
    body = profile("0.2.0")
    body["spec"]["rollout"] = {"paused": True}
    street.put("twinprofiles", "household", body)
    done = street.run(*verb, "--profile", "household")
    assert (done.returncode, done.stderr) == (0, "")
    told = "paused: nothing begins until kubectl meter resume --profile household"
    assert done.stdout.splitlines()[-1] == told
    one = meter("0.2.0", "0.2.0", handovers=[row("Done", "0.2.0", "0.1.0")])
    one["metadata"]["annotations"] = {"metertwin.io/paused": "true"}
    street.put("smartmeters", "house-1", one)
    done = street.run(*verb, "house-1")
    told = "paused: nothing begins until kubectl annotate meter house-1 metertwin.io/paused-"
    assert done.stdout.splitlines()[-1] == told


MISUSE = [
    (("upgrade", "--to", "1"), "NAME, --profile"),
    (("upgrade", "house-1", "--profile", "household", "--to", "1"), "NAME, --profile"),
    (("upgrade", "house-1", "--to", "1", "--watch", "--dry-run"), "--watch"),
    (("upgrade", "house-1", "--to", "1", "--timeout", "9"), "--timeout"),
    (("rollback", "house-1", "--timeout", "9"), "--timeout"),
    (("rollback", "house-1", "--timeout", "9", "--dry-run"), "--timeout"),
    (("upgrade", "house-1", "--to", "a b", "--dry-run"), "--to"),
    (("upgrade", "house-1", "--to", "-1"), "--to"),
    (("upgrade", "house-1", "--to", "1", "-o", "yaml"), "-o, --output"),
    (("pause", "--profile", "household", "-o", "yaml"), "-o, --output"),
    (("pause", "house-1"), "--profile"),
    (("resume", "house-1"), "--profile"),
    (("resume",), "--profile"),
]


@pytest.mark.parametrize(("command", "field"), MISUSE)
def test_what_does_not_go_together_is_misuse_and_nothing_is_asked(street, command, field):
    done = street.run(*command)
    assert done.returncode == 2
    assert f"field:  {field}\n" in done.stderr
    assert "remedy: " in done.stderr
    assert street.lines("calls") == []


@pytest.mark.parametrize(
    ("command", "field"),
    [
        (("upgrade", "--profile", "nobody", "--to", "1"), "--profile"),
        (("upgrade", "nobody", "--to", "1"), "NAME"),
    ],
)
def test_what_is_not_there_names_field_and_remedy(street, command, field):
    done = street.run(*command)
    assert done.returncode == 1
    assert f"field:  {field}\n" in done.stderr
    assert "remedy: " in done.stderr
    assert patched(street) is None


def test_help_says_that_a_watch_lasts_through_the_soak(world):
    assert "through the soak" in world.run("upgrade", "--help").stdout


def test_who_may_not_change_a_profile_is_told_the_role(street):
    why = 'User "ana" cannot patch resource "twinprofiles" in API group "metertwin.io"'
    (street.folder / "kubectl says").write_text(f"Error from server (Forbidden): {why}")
    done = street.run("upgrade", "--profile", "household", "--to", "0.2.0")
    assert done.returncode == 1
    assert "field:  patch twinprofiles\n" in done.stderr
    assert "metertwin-meter-admin" in done.stderr


@pytest.mark.parametrize("command", ["upgrade", "rollback", "pause", "resume"])
def test_help_teaches_with_an_example(world, command):
    text = world.run(command, "--help").stdout
    assert f"kubectl meter {command} " in text.split("Examples:")[1]
