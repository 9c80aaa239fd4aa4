"""The operator as a process against a real API server: columns, rules, kills, writes.

Needs KUBECONFIG. There is no broker: what must hold without one is exactly what is shown here.
"""

import base64
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import time
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

import pytest
from loopback import free_port
from meter_pki.authority import Authority

from .street import PROFILE, SPEC

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(not os.environ.get("KUBECONFIG"), reason="KUBECONFIG is not set"),
    pytest.mark.timeout(900),
]
CRDS = Path(__file__).resolve().parents[3] / "crds"
API = "metertwin.io/v1alpha1"


def kubectl(*arguments, text=None, ok=True):
    done = subprocess.run(
        ["kubectl", *arguments],
        input=text,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,  # only ends what hangs
    )
    if ok and done.returncode:
        raise AssertionError(f"kubectl {' '.join(arguments)}: {done.stderr}")
    return done


def until(check, seconds=200):
    """Wait until `check` returns something true, and return it."""
    end = time.monotonic() + seconds
    seen: object = None
    while time.monotonic() < end:
        try:
            seen = check()
            if seen:
                return seen
        except (AssertionError, KeyError, OSError) as error:
            seen = error
        time.sleep(0.3)
    raise AssertionError(f"not within {seconds} s: {check.__name__}, last {seen!r}")


class Place:
    """A namespace of its own, with an operator process that can be killed."""

    def __init__(self, directory):
        self.name = f"t-operator-{secrets.token_hex(3)}"
        self.directory = directory
        self.process = None
        self.port = 0

    def begin(self):
        kubectl("create", "namespace", self.name)
        if kubectl("get", "crd", "smartmeters.metertwin.io", ok=False).returncode:
            for file in CRDS.glob("*.metertwin.io.yaml"):
                kubectl("apply", "-f", str(file))
                kubectl("wait", "--for=condition=Established", "--timeout=100s", "-f", str(file))
        authority = Authority.create(datetime.now(UTC))
        self.apply("v1", "ServiceAccount", "metertwin-twin")
        self.apply(
            "v1",
            "Secret",
            "metertwin-ca",
            data={
                "tls.crt": base64.b64encode(authority.certificate_pem).decode(),
                "tls.key": base64.b64encode(authority.key_pem).decode(),
            },
        )
        master = base64.b64encode(secrets.token_bytes(32)).decode()
        self.apply("v1", "Secret", "metertwin-fleet-key", data={"master": master})
        trust = {"ca.crt": authority.certificate_pem.decode()}
        self.apply("v1", "ConfigMap", "metertwin-trust", data=trust)
        self.apply(API, "TwinProfile", "household", spec=PROFILE)

    def end(self):
        self.kill()
        kubectl("delete", "namespace", self.name, "--wait=false")

    def apply(self, version, kind, name, ok=True, **body):
        manifest = {"apiVersion": version, "kind": kind, "metadata": {"name": name}, **body}
        return kubectl("-n", self.name, "apply", "-f", "-", text=json.dumps(manifest), ok=ok)

    def add_meter(self, name="house-1", ok=True, **changes):
        return self.apply(API, "SmartMeter", name, ok=ok, spec=SPEC | changes)

    def get(self, kind, name=""):
        arguments = ["-n", self.name, "get", kind, *([name] if name else []), "-o", "json"]
        return json.loads(kubectl(*arguments).stdout)

    def names(self, kind, pattern=".*"):
        found = (row["metadata"]["name"] for row in self.get(kind)["items"])
        return sorted(name for name in found if re.fullmatch(pattern, name))

    def condition(self, name, kind="Ready"):
        rows = self.get("smartmeter", name).get("status", {}).get("conditions", [])
        return next((row for row in rows if row["type"] == kind), {})

    def start(self):
        self.port = free_port()
        environment = os.environ | {
            "METERTWIN_NAMESPACE": self.name,
            "METERTWIN_BROKER_HOST": "127.0.0.1",
            "METERTWIN_BROKER_PORT": "1",
            "METERTWIN_TWIN_IMAGE": "localhost/metertwin/pause-is-enough:dev",
            "METERTWIN_TWIN_PULL_POLICY": "Never",
            "METERTWIN_HTTP_PORT": str(self.port),
        }
        self.log = (self.directory / "operator.log").open("a")
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "meter_operator"],
            env=environment,
            stderr=self.log,
            cwd=self.directory,
        )

    def kill(self, number=signal.SIGKILL):
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(100)
            self.log.close()
            self.process = None

    def metric(self, name):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=30) as answer:
            text = answer.read().decode()
        found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
        return float(found[1]) if found else 0.0

    def versions(self, *more):
        """Return what every object of the meters is at, to see that nobody wrote."""
        found = {}
        for kind in ("smartmeters", "secrets", "services", "poddisruptionbudgets", *more):
            for row in self.get(kind)["items"]:
                found[kind, row["metadata"]["name"]] = row["metadata"]["resourceVersion"]
        return found


@pytest.fixture
def place(tmp_path):
    made = Place(tmp_path)
    made.begin()
    yield made
    made.end()


@pytest.fixture
def running(place):
    place.start()
    return place


def twins(place):
    return place.names("pods", r".*-e\d+")


def table_of_the_condition(place):
    """The lines of kubectl's table once they show the condition that was read just before.

    The reason goes on while the twin starts, so two looks may see two of them.
    """
    reason = place.condition("house-1")["reason"]
    text = kubectl("-n", place.name, "get", "meters", "-o", "wide").stdout.splitlines()
    assert text[1].split()[:5] == ["house-1", "False", reason, "dev", "1"], text
    return text


def test_a_meter_gets_pod_secret_and_status_and_deletion_takes_all_of_it(running):
    running.add_meter()
    until(lambda: running.condition("house-1"))
    until(lambda: twins(running) == ["house-1-e1"])  # the last that is made of the decision
    assert running.names("secrets", "house.*") == ["house-1-e1"]
    assert running.names("services") == running.names("poddisruptionbudgets") == ["metertwin-twins"]
    text = until(lambda: table_of_the_condition(running))
    assert text[0].split()[:6] == ["NAME", "READY", "REASON", "TWIN-VERSION", "EPOCH", "AGE"]
    assert {"METERING-POINT", "FEEDER", "NODE", "LAST-SEEN"} <= set(text[0].split())
    until(lambda: "smartmeter/house-1" in kubectl("-n", running.name, "get", "events").stdout)
    kubectl("-n", running.name, "delete", "meter", "house-1")
    until(lambda: not twins(running) and not running.names("secrets", "house.*"))


def everything_is_said(place):
    """Whether kubelet has no more to say of any pod, and the operator has written what it said."""
    for row in place.get("smartmeters")["items"]:
        ready = next((one for one in row["status"]["conditions"] if one["type"] == "Ready"), {})
        assert ready["reason"] == "NotReady", ready  # the image is nowhere
    before = place.versions("pods")
    time.sleep(5)
    assert place.versions("pods") == before
    return True


def test_a_killed_operator_touches_no_twin_and_writes_nothing_when_it_returns(running):
    for number in range(1, 4):
        running.add_meter(f"house-{number}")
    until(lambda: len(twins(running)) == 3)
    until(lambda: everything_is_said(running))
    uids = [row["metadata"]["uid"] for row in running.get("pods")["items"]]
    running.kill()
    before = running.versions()
    running.start()
    until(
        lambda: (
            running.metric(
                'controller_runtime_reconcile_total{controller="smartmeter",result="success"}'
            )
            >= 3
        ),
    )
    time.sleep(3)
    assert running.metric("metertwin_api_writes_total") == 0
    assert running.versions() == before
    assert [row["metadata"]["uid"] for row in running.get("pods")["items"]] == uids


def test_a_deleted_pod_is_taken_over_with_the_next_epoch(running):
    running.add_meter()
    until(lambda: twins(running) == ["house-1-e1"])
    kubectl("-n", running.name, "delete", "pod", "house-1-e1", "--wait=false")
    until(lambda: twins(running) == ["house-1-e2"])
    assert running.get("smartmeter", "house-1")["status"]["epoch"] == 2
    until(lambda: running.names("secrets", "house.*") == ["house-1-e2"])


def test_a_pod_deleted_while_the_operator_is_down_is_taken_over_at_its_return(running):
    running.add_meter()
    until(lambda: twins(running) == ["house-1-e1"])
    running.kill(signal.SIGTERM)
    kubectl("-n", running.name, "delete", "pod", "house-1-e1", "--force", "--grace-period=0")
    running.start()
    until(lambda: twins(running) == ["house-1-e2"])


def test_of_two_resources_for_one_device_the_younger_waits_until_the_older_is_gone(running):
    running.add_meter()
    until(lambda: twins(running) == ["house-1-e1"])
    time.sleep(1.1)
    running.add_meter("copy", device="house-1")
    until(lambda: running.condition("copy").get("reason") == "DuplicateDevice")
    assert twins(running) == ["house-1-e1"]
    kubectl("-n", running.name, "delete", "meter", "house-1")
    until(lambda: running.get("smartmeter", "copy")["status"].get("epoch"))


POINT = SPEC["meteringPoint"]
REFUSED = {
    "an unknown protocol": ({"protocol": "dlms"}, "protocol"),
    "an EAN of 17 digits": ({"meteringPoint": POINT | {"id": "5" * 17}}, "18 digits"),
    "an EAN with a wrong check digit": (
        {"meteringPoint": POINT | {"id": "541448860000000001"}},
        "check digit",
    ),
    "an MPAN with a wrong check digit": (
        {"meteringPoint": {"id": "2000000000001", "scheme": "MPAN"}},
        "MPAN",
    ),
    "a MaLo with a wrong check digit": (
        {"meteringPoint": {"id": "51238696780", "scheme": "MaLo"}},
        "MaLo",
    ),
    "an unknown scheme": ({"meteringPoint": {"id": "1", "scheme": "XY"}}, "scheme"),
    "a time zone with spaces": ({"meteringPoint": POINT | {"timezone": "Europe/ Paris"}}, "IANA"),
    "a short OBIS code": ({"registers": ["1.8.0"]}, "full OBIS code"),
    "an OBIS group over 255": ({"registers": ["1-0:1.8.0*256"]}, "full OBIS code"),
    "an OBIS code twice": ({"registers": ["1-0:1.8.0*255"] * 2}, "uplicate"),
    "a capture period that does not divide a day": ({"capturePeriodSeconds": 7}, "divide a day"),
    "a resolution that is no multiple": (
        {"capturePeriodSeconds": 60, "dataPolicy": {"resolutionSeconds": 90}},
        "multiple of capturePeriodSeconds",
    ),
    "a size for an emptyDir": (
        {"twin": {"store": {"type": "EmptyDir", "size": "1Gi"}}},
        "PersistentVolume",
    ),
    "a persistent volume without a size": (
        {"twin": {"store": {"type": "PersistentVolume"}}},
        "size is required",
    ),
    "a size that is no quantity": (
        {"twin": {"store": {"type": "PersistentVolume", "size": "big"}}},
        "quantity",
    ),
    "a size that holds hardly a day": (
        {"twin": {"store": {"type": "PersistentVolume", "size": "15Mi"}}},
        "at least 16Mi",
    ),
    "a device id in capitals": ({"device": "House"}, "device id"),
    "a device id of 33 characters": ({"device": "a" * 33}, "32"),
    "no metering point": ({"meteringPoint": None}, "meteringPoint"),
    "an unknown field": ({"tariff": "night"}, "unknown field"),
}


def test_a_wrong_spec_is_refused_with_a_message_that_names_it(place):
    wrong = []
    for name, (changes, words) in REFUSED.items():
        spec = {key: value for key, value in (SPEC | changes).items() if value is not None}
        manifest = {
            "apiVersion": API,
            "kind": "SmartMeter",
            "metadata": {"name": "wrong"},
            "spec": spec,
        }
        done = kubectl(
            "-n", place.name, "create", "--dry-run=server", "--validate=strict", "-f", "-",
            text=json.dumps(manifest), ok=False,
        )  # fmt: skip
        if done.returncode == 0 or words not in done.stderr:
            wrong.append((name, done.returncode, done.stderr))
    assert not wrong


GOOD = {
    "a MaLo": {"meteringPoint": {"id": "51238696781", "scheme": "MaLo"}},
    "an MPAN": {"meteringPoint": {"id": "2000000000006", "scheme": "MPAN"}},
    "another scheme": {"meteringPoint": {"id": "x-1", "scheme": "Other"}},
    "OBIS codes": {"registers": ["1-0:1.8.0*255", "0-0:96.1.0*255"]},
}


def test_a_right_spec_is_accepted(place):
    for name, changes in GOOD.items():
        assert place.add_meter("right", **changes).returncode == 0, name


@pytest.mark.parametrize(
    "changes", [{"device": "other"}, {"protocol": "link-v2"}, {"keyVersion": 1}], ids=str
)
def test_a_changed_identity_is_refused(place, changes):
    place.add_meter(keyVersion=2)
    done = place.add_meter(ok=False, **({"keyVersion": 2} | changes))
    assert done.returncode
    assert re.search("immutable|only grows|Unsupported value", done.stderr), done.stderr


def test_naming_the_device_after_the_resource_is_no_change(place):
    place.add_meter()
    assert place.add_meter(device="house-1").returncode == 0
