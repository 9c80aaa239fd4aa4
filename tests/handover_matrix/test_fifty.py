"""Fifty meters are upgraded and rolled back, twice, with their profile; the oracle looks on.

Long. The meters are real firmware, in pods like those of the street.
"""

import concurrent.futures
import json
import subprocess
import sys
import time

import long_run
import pytest
from cells import NEXT
from demo import NAMESPACE, ROOT, Record, build_manifest, environment, get, kubectl, meter, until

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.alone,
    pytest.mark.slow,
    pytest.mark.timeout(3 * 3600),
]
COUNT, AT_ONCE, LOOKERS = 50, 5, 3
DEVICES = [f"fifty-{number:02d}" for number in range(1, COUNT + 1)]
PROFILE = "fifty"
ROLLED_S = 3600
UPGRADE, BACK = ("upgrade", "--to", NEXT), ("rollback",)
CONFIGURE = """
import json, sys, time
from street import build_meter_pod, meter_configuration, tariff_of
import street
device, like, image = sys.argv[1:]
street.tariff_of = lambda _: tariff_of(like)
anchor = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() // 900 * 900))
settings = meter_configuration(like, anchor)
print(json.dumps({"settings": settings, "pod": build_meter_pod(device, image)}))
"""


def configure(device, like, image):
    """Return settings and pod of a meter with the household of another one."""
    path = dict(environment(), PYTHONPATH=str(ROOT / "tools/demo"))
    command = [sys.executable, "-c", CONFIGURE, device, like, image]
    done = subprocess.run(command, env=path, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def side_by_side(work, workers=4):
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        return list(pool.map(work, DEVICES))


@pytest.fixture
def fifty(street, tmp_path):  # noqa: ARG001 - it is there while this lives
    """Fifty meters with a profile of their own, all served; all of it is removed afterwards."""
    profile = {
        "apiVersion": "metertwin.io/v1alpha1",
        "kind": "TwinProfile",
        "metadata": {"name": PROFILE, "namespace": NAMESPACE},
        "spec": {
            **{name: get("twinprofile", "household")["spec"][name]
               for name in ("applications", "engines")},
            "rollout": {"maxConcurrent": AT_ONCE, "canary": 1, "soakSeconds": 10},
        },
    }  # fmt: skip
    kubectl("apply", "-f", "-", text=json.dumps(profile))
    (container,) = get("pod", "meter-house-1")["spec"]["containers"]

    def begin(device):
        like = f"house-{int(device[-2:]) % 8 + 1}"
        made = configure(device, like, container["image"])
        settings = tmp_path / f"{device}.json"
        settings.write_text(json.dumps(made["settings"]))
        meter("provision", device, "--secret", "--settings", str(settings))
        kubectl("apply", "-f", "-", text=json.dumps(made["pod"]))

    try:
        manifests = [
            build_manifest(device, profile=PROFILE, capturePeriodSeconds=15) for device in DEVICES
        ]
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests})
        kubectl("apply", "-f", "-", text=text)
        side_by_side(begin)
        for kind in ("Ready", "MeterConnected"):
            wait = ("wait", f"--for=condition={kind}", "smartmeter", *DEVICES, "--timeout=600s")
            kubectl(*wait, timeout=660)
        yield
    finally:
        kubectl("delete", "smartmeter", "--ignore-not-found", *DEVICES)
        pods = [f"meter-{device}" for device in DEVICES]
        kubectl("delete", "pod", "--ignore-not-found", "--wait=false", *pods)
        kubectl("delete", "secret", "--ignore-not-found", *pods)
        kubectl("delete", "twinprofile", "--ignore-not-found", PROFILE)


def roll(command, folder):
    """Watch the plugin roll the profile; look at meters meanwhile. Return the seconds."""
    begun, looks = time.monotonic(), 0
    verb, *options = command
    watch = (verb, "--profile", PROFILE, *options, "--watch", "--timeout", str(ROLLED_S))
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        rolled = pool.submit(meter, *watch, timeout=ROLLED_S + 60)
        while not rolled.done():
            record = Record(folder, DEVICES[looks % COUNT])
            until(lambda record=record: record.verify() is None, "the oracle looks on", 600, 1)
            looks += 1
        assert rolled.result().stdout.splitlines()[-1] == "Done."
    counts = get("twinprofile", PROFILE)["status"]["meters"]
    assert (counts["updated"], counts["failed"]) == (COUNT, 0), counts
    return time.monotonic() - begun


def test_fifty_meters_are_upgraded_twice_and_rolled_back_and_no_reading_is_lost(fifty, tmp_path):  # noqa: ARG001
    before = {row["metadata"]["name"]: row["status"] for row in get("smartmeters", *DEVICES)}
    took = [(command[0], roll(command, tmp_path)) for command in (UPGRADE, BACK, UPGRADE, BACK)]
    long_run.keep_fifty(took)
    for row in get("smartmeters", *DEVICES):
        name, status = row["metadata"]["name"], row["status"]
        stock = before[name]["twin"]["version"]
        assert stock != NEXT
        assert status["twin"]["version"] == stock
        assert status["epoch"] >= before[name]["epoch"] + 4
        found = [(one["result"], one["version"]) for one in status["handovers"][:4]]
        assert found == [("Done", stock), ("Done", NEXT)] * 2, (name, found)
    side_by_side(lambda device: Record(tmp_path, device).verify(), LOOKERS)
