"""A wrong spec never creates a pod: the API refuses it, or the meter says what is wrong with it."""

import json

import pytest
from demo import apply, build_manifest, condition, get, kubectl, names, until

pytestmark = pytest.mark.demo
EAN = {"id": "541448860000000998", "scheme": "EAN"}

REFUSED = {
    "an unknown protocol": ({"protocol": "dlms"}, "spec.protocol"),
    "an OBIS code without its group F": ({"registers": ["1-0:1.8.0"]}, "spec.registers[0]"),
    "an OBIS code beyond 255": (
        {"registers": ["1-0:1.8.0*255", "1-0:1.8.0*256"]},
        "spec.registers[1]",
    ),
    "an EAN with a wrong check digit": (
        {"meteringPoint": {**EAN, "id": "541448860000000012"}},
        "spec.meteringPoint.id",
    ),
    "an EAN of 17 digits": (
        {"meteringPoint": {**EAN, "id": "54144886000000001"}},
        "spec.meteringPoint.id",
    ),
    "an unknown scheme": ({"meteringPoint": {**EAN, "scheme": "IBAN"}}, "spec.meteringPoint.scheme"),
    "a device id with capitals": ({"device": "House-1"}, "spec.device"),
    "a capture period that divides a day but no minute": (
        {"capturePeriodSeconds": 45},
        "spec.capturePeriodSeconds",
    ),
    "a capture period that divides no day": ({"capturePeriodSeconds": 61}, "spec.capturePeriodSeconds"),
    "a resolution between two captures": (
        {"dataPolicy": {"purpose": "billing", "resolutionSeconds": 90, "retentionDays": 1}},
        "spec.dataPolicy",
    ),
    "a volume without a size": (
        {"twin": {"store": {"type": "PersistentVolume"}}},
        "spec.twin.store",
    ),
    "no profile": ({"profile": None}, '"profile"'),
    "a field that does not exist": ({"colour": "green"}, '"colour"'),
}  # fmt: skip

REFUSED_CHANGES = {
    "another device": ({"device": "house-99"}, "spec.device"),
    "an older key": ({"keyVersion": 0}, "spec.keyVersion"),
    "another protocol": ({"protocol": "dlms"}, "spec.protocol"),
}

REFUSED_ROLLOUTS = {
    "nobody at a time": ({"maxConcurrent": 0}, "maxConcurrent"),
    "fewer canaries than none": ({"canary": -1}, "canary"),
    "a soak of more than a week": ({"soakSeconds": 604801}, "soakSeconds"),
    "a deadline that no twin keeps": ({"progressDeadlineSeconds": 29}, "progressDeadlineSeconds"),
    "no failure allowed": ({"maxFailures": 0}, "maxFailures"),
    "an unknown way with meters offline": ({"offlineMeters": "Skip"}, "offlineMeters"),
    "a pause that is neither": ({"paused": "perhaps"}, "paused"),
    "a moment that is none": ({"resumedAt": "yesterday"}, "resumedAt"),
}

NOT_READY = {
    "a device that an older meter has": ({"device": "house-1"}, "DuplicateDevice", "spec.device"),
    "a profile that does not exist": ({"profile": "factory"}, "ProfileMissing", "spec.profile"),
    "an application that is not offered": (
        {"applications": {"billing": {}}},
        "NotOffered",
        "spec.applications",
    ),
    "an option above its bound": (
        {"applications": {"metering-data": {"options": {"retentionDays": 61}}}},
        "NotOffered",
        "spec.applications",
    ),
    "a recipient without a Secret": (
        {
            "dataPolicy": {
                "purpose": "billing",
                "resolutionSeconds": 900,
                "retentionDays": 60,
                "recipients": [{"name": "supplier", "publicKeySecret": "nowhere"}],
            }
        },
        "SecretMissing",
        "spec.dataPolicy.recipients[0].publicKeySecret",
    ),
}


def test_the_manifest_that_the_tables_change_is_right():
    done = kubectl(
        "apply", "--dry-run=server", "-f", "-", text=json.dumps(build_manifest("extra-2"))
    )
    assert "extra-2 created" in done.stdout


@pytest.mark.parametrize(("fields", "path"), REFUSED.values(), ids=REFUSED)
def test_the_api_refuses_and_names_the_field(fields, path):
    done = apply(build_manifest("extra-2", **fields), check=False)
    assert done.returncode != 0
    assert path in done.stderr, done.stderr
    assert "extra-2" not in names("smartmeter")


@pytest.mark.parametrize(("fields", "path"), REFUSED_CHANGES.values(), ids=REFUSED_CHANGES)
def test_the_api_refuses_a_change_of_identity(fields, path):
    done = kubectl(
        "patch",
        "smartmeter",
        "house-1",
        "--type=merge",
        "-p",
        json.dumps({"spec": fields}),
        check=False,
    )
    assert done.returncode != 0
    assert f" {path}: " in done.stderr, done.stderr  # the field's path, not the rule's words


@pytest.mark.parametrize(("fields", "name"), REFUSED_ROLLOUTS.values(), ids=REFUSED_ROLLOUTS)
def test_the_api_refuses_a_wrong_rollout_and_names_the_field(fields, name):
    patch = json.dumps({"spec": {"rollout": fields}})
    command = ("patch", "twinprofile", "household", "--type=merge", "--dry-run=server", "-p")
    done = kubectl(*command, patch, check=False)
    assert done.returncode != 0
    assert f"spec.rollout.{name}: " in done.stderr, done.stderr


def test_wrong_meters_say_why_and_have_no_pod(extra):
    manifests = {}
    for number, (sentence, (fields, _, _)) in enumerate(NOT_READY.items()):
        manifests[sentence] = build_manifest(f"wrong-{number}", **fields)
    extra(*manifests.values())
    pods = names("pod")
    for sentence, (_, reason, path) in NOT_READY.items():
        name = manifests[sentence]["metadata"]["name"]
        ready = until(lambda name=name: condition(get("smartmeter", name)), f"Ready of {name}")
        assert (ready["status"], ready["reason"]) == ("False", reason), sentence
        assert path in ready["message"], sentence
        assert "epoch" not in get("smartmeter", name)["status"], sentence
    device = kubectl("get", "meters").stdout
    assert "DuplicateDevice" in device
    pods |= names("pod")
    assert not [pod for pod in pods if pod.startswith("wrong-")]
    assert not [name for name in names("secret") if name.startswith("wrong-")]
    assert get("smartmeter", "house-1")["status"]["twin"]["pod"] in pods


def test_a_meter_whose_recipients_key_is_put_right_gets_its_twin(extra):
    recipients = [{"name": "supplier", "publicKeySecret": "supplier-key"}]
    policy = {"purpose": "billing", "resolutionSeconds": 900, "retentionDays": 60}
    key = ["create", "secret", "generic", "supplier-key", "--dry-run=client", "-o", "yaml"]
    try:
        short = kubectl(*key, "--from-literal=publicKey=abcd").stdout
        kubectl("apply", "-f", "-", text=short)
        extra(build_manifest("extra-4", dataPolicy={**policy, "recipients": recipients}))
        ready = until(lambda: condition(get("smartmeter", "extra-4")), "the complaint")
        assert ready["reason"] == "SecretMissing"
        assert "64 hex digits" in ready["message"]
        assert not [name for name in names("pod") if name.startswith("extra-4-")]
        right = kubectl(*key, f"--from-literal=publicKey={'ab' * 32}").stdout
        kubectl("apply", "-f", "-", text=right)
        until(lambda: any(name.startswith("extra-4-e") for name in names("pod")), "a pod", 60)
    finally:
        kubectl("delete", "secret", "supplier-key", "--ignore-not-found")


def test_a_corrected_meter_gets_its_twin(extra):
    extra(build_manifest("extra-3", profile="factory"))
    until(lambda: condition(get("smartmeter", "extra-3")), "the complaint")
    extra(build_manifest("extra-3"))
    until(lambda: any(name.startswith("extra-3-e") for name in names("pod")), "a pod")
