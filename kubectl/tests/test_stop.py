"""stop and allow: what is changed, printed and refused."""

import json

import pytest
import yaml

NOTE = "metertwin.io/stop-reason"


def profile(name):
    return {"metadata": {"name": name, "namespace": "demo"}, "spec": {}, "status": {}}


@pytest.fixture
def street(world):
    for name in ("household", "shops"):
        world.put("twinprofiles", name, profile(name))
    return world


def patched(world):
    path = world.folder / "patched.json"
    return json.loads(path.read_text()) if path.exists() else None


def test_stop_and_allow_change_the_profile_and_say_how_to_go_back(street):
    done = street.run("stop", "--profile", "household", "--reason", "ticket 4711")
    assert (done.returncode, done.stderr) == (0, "")
    assert "kubectl meter allow --profile household" in done.stdout
    assert patched(street) == {
        "metadata": {"annotations": {NOTE: "ticket 4711"}},
        "spec": {"loadControl": "Stopped"},
    }
    assert street.run("allow", "--profile", "household").returncode == 0
    assert patched(street) == {
        "metadata": {"annotations": {NOTE: None}},
        "spec": {"loadControl": "Allowed"},
    }


def test_all_profiles_of_a_namespace_are_stopped_at_once(street):
    done = street.run("stop", "--all")
    assert done.returncode == 0
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == [
        "TwinProfile household",
        "TwinProfile shops",
    ]


@pytest.mark.parametrize(
    ("command", "spec", "notes"),
    [
        (("stop", "--profile", "shops", "--reason", "why"), "Stopped", {NOTE: "why"}),
        (("stop", "--profile", "shops"), "Stopped", None),
        (("allow", "--profile", "shops"), "Allowed", None),
    ],
)
def test_a_dry_run_prints_the_part_of_the_manifest_and_changes_nothing(
    street, command, spec, notes
):
    done = street.run(*command, "--dry-run", "-o", "yaml")
    metadata = {"name": "shops", "namespace": "demo"}
    assert yaml.safe_load(done.stdout) == {
        "apiVersion": "metertwin.io/v1alpha1",
        "kind": "TwinProfile",
        "metadata": metadata | ({"annotations": notes} if notes else {}),
        "spec": {"loadControl": spec},
    }
    assert patched(street) is None


@pytest.mark.parametrize(
    "command", [("stop",), ("stop", "--all", "--profile", "shops"), ("allow",)], ids=" ".join
)
def test_who_is_meant_has_to_be_said(street, command):
    done = street.run(*command)
    assert (done.returncode, patched(street)) == (2, None)
    assert "--profile" in done.stderr


def test_who_may_not_change_a_profile_is_told_so(street):
    (street.folder / "patch is forbidden").touch()
    done = street.run("stop", "--all")
    assert done.returncode == 1
    assert "forbidden" in done.stderr
    assert "load control is stopped" not in done.stdout
