"""Manifests against golden files; see the README of this folder's parent to write them again."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from meter_operator import builders
from meter_operator.desired import desire, parse_meter
from meter_operator.settings import SettingsError, load_settings
from meter_operator.volume import parse_quantity

from .street import PROFILE, SPEC

GOLDEN = Path(__file__).parent.parent / "golden"
NOT_AFTER = datetime(2026, 7, 1, tzinfo=UTC)


def build(archive=None, **changes):
    body = {
        "metadata": {
            "namespace": "street",
            "name": "house-1",
            "uid": "uid-1",
            "resourceVersion": "1",
        },
        "spec": SPEC | changes,
        "status": {"epoch": 3, "epochId": "00" * 16, "storeClaim": "house-1-e3"},
    }
    meter = parse_meter(body)
    desired = desire(
        meter,
        PROFILE,
        image=("localhost/metertwin/twin", "0.1.0"),
        broker=("broker", 8883),
        archive=archive,
        public_keys={},
    )
    return meter, desired


def pod(**changes):
    meter, desired = build(**changes)
    return builders.build_pod(meter, desired, 3, not_after=NOT_AFTER, pull_policy="IfNotPresent")


CASES = {
    "pod": pod,
    "pod-persistent": lambda: pod(twin={"store": {"type": "PersistentVolume", "size": "1Gi"}}),
    "claim": lambda: builders.build_claim(
        *build(
            twin={"store": {"type": "PersistentVolume", "size": "1Gi", "storageClassName": "fast"}}
        )
    ),
    "namespace": lambda: [builders.build_service("street"), builders.build_budget("street")],
}


@pytest.mark.parametrize("name", CASES)
def test_a_manifest_is_as_reviewed(name):
    path = GOLDEN / f"{name}.yaml"
    made = CASES[name]()
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump(made, sort_keys=False))
    assert yaml.safe_load(path.read_text()) == made


def test_a_pod_is_restricted_and_has_no_credentials():
    spec = pod()["spec"]
    container = spec["containers"][0]
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["securityContext"]["allowPrivilegeEscalation"] is False


def test_the_hash_of_the_spec_ignores_what_a_newer_crd_adds():
    assert build()[1].spec_hash == build(futureField={"on": True})[1].spec_hash
    assert build()[1].spec_hash != build(capturePeriodSeconds=900)[1].spec_hash


def test_what_is_the_archives_alone_replaces_no_twin():
    policy = {"purpose": "billing", "resolutionSeconds": 900, "retentionDays": 60}
    kept = {**policy, "archiveRetentionDays": 400}
    assert build(dataPolicy=policy)[1].spec_hash == build(dataPolicy=kept)[1].spec_hash
    other = {**policy, "retentionDays": 61}
    assert build(dataPolicy=policy)[1].spec_hash != build(dataPolicy=other)[1].spec_hash


def test_the_configuration_is_the_contracts():
    configuration = json.loads(pod()["spec"]["containers"][0]["env"][0]["value"])
    assert configuration["applications"] == {
        "metering-data": {"retentionDays": 10},
        "power-quality": {},
    }
    assert configuration["broker"] == {"host": "broker", "port": 8883}
    assert configuration["dataPolicy"]["recipients"] == []


def test_a_twin_is_told_where_the_archive_is_and_no_spec_is_another_by_that():
    (_, without), (_, desired) = build(), build(archive=("archive", 8444))
    assert "archive" not in without.configuration, (
        "twins from before the archive know no such field"
    )
    assert desired.configuration["archive"] == {"host": "archive", "port": 8444}
    assert desired.spec_hash == without.spec_hash
    assert desired.profile_hash == without.profile_hash


@pytest.mark.parametrize(
    ("environment", "found"),
    [
        ({}, ("", 8444)),
        ({"HOST": "", "PORT": ""}, ("", 8444)),
        ({"HOST": "archive.metertwin.svc"}, ("archive.metertwin.svc", 8444)),
        ({"HOST": "10.0.0.9", "PORT": "9444"}, ("10.0.0.9", 9444)),
    ],
)
def test_the_archives_address_comes_from_the_environment(monkeypatch, environment, found):
    for name in ("METERTWIN_NAMESPACE", "METERTWIN_BROKER_HOST", "METERTWIN_TWIN_IMAGE"):
        monkeypatch.setenv(name, "x")
    for name, value in environment.items():
        monkeypatch.setenv(f"METERTWIN_ARCHIVE_{name}", value)
    settings = load_settings()
    assert (settings.archive_host, settings.archive_port) == found


def test_an_archives_port_that_is_no_number_is_named(monkeypatch):
    for name in ("METERTWIN_NAMESPACE", "METERTWIN_BROKER_HOST", "METERTWIN_TWIN_IMAGE"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("METERTWIN_ARCHIVE_PORT", "many")
    with pytest.raises(SettingsError, match="METERTWIN_ARCHIVE_PORT"):
        load_settings()


@pytest.mark.parametrize(
    ("store", "limit"),
    [
        ({"type": "EmptyDir"}, 256 * 2**20 * 80 // 100),
        ({"type": "PersistentVolume", "size": "1Gi"}, 2**30 * 80 // 100),
        ({"type": "PersistentVolume", "size": "1.5G"}, 1_200_000_000),
        ({"type": "PersistentVolume", "size": "1e9"}, 800_000_000),
        ({"type": "PersistentVolume", "size": "1E3"}, 2**20),
        ({"type": "PersistentVolume", "size": "2E"}, 2**40),
        ({"type": "PersistentVolume", "size": "5"}, 2**20),
        ({"type": "PersistentVolume", "size": "4Ei"}, 2**40),
    ],
)
def test_the_store_may_use_four_fifths_of_its_volume(store, limit):
    """Beyond it an emptyDir has its pod evicted, and a volume fails the commit."""
    configuration = json.loads(
        pod(twin={"store": store})["spec"]["containers"][0]["env"][0]["value"]
    )
    assert configuration["storeLimitBytes"] == limit


@pytest.mark.parametrize("text", ["", "Mi", "1Xi", "-1", "1 Gi", "1ee", "0x10", "1e"])
def test_what_is_no_quantity_is_refused(text):
    with pytest.raises(ValueError, match="quantity"):
        parse_quantity(text)
