"""Fifty meters are upgraded twice and rolled back, with their profile; the oracle looks on.

Long. The meters are real firmware, in pods like those of the street.
"""

import concurrent.futures
import json
import subprocess
import sys
import time

import pytest
from cells import NEXT
from demo import NAMESPACE, ROOT, Record, build_manifest, environment, get, kubectl, meter, until

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(3 * 3600)]
COUNT, AT_ONCE, LOOKERS = 50, 5, 3
DEVICES = [f"fifty-{number:02d}" for number in range(1, COUNT + 1)]
PROFILE = "fifty"
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


def roll(version, folder):
    """Give the profile a version; look at meters until all have it. Return the seconds."""
    patch = json.dumps({"spec": {"twin": {"version": version}}})
    kubectl("patch", "twinprofile", PROFILE, "--type=merge", "-p", patch)
    begun, looks = time.monotonic(), 0

    def done():
        nonlocal looks
        device = DEVICES[looks % COUNT]  # the oracle looks on while twins are replaced
        Record(folder, device).verify()
        looks += 1
        status = get("twinprofile", PROFILE)["status"]
        generation = get("twinprofile", PROFILE)["metadata"]["generation"]
        assert status["observedGeneration"] == generation
        assert (status["wave"], status["meters"]["updated"]) == ("Done", COUNT), status
        return True

    until(done, f"all have {version or 'the stock twin'}", 3600, 1)
    return time.monotonic() - begun


def test_fifty_meters_are_upgraded_twice_and_rolled_back_and_no_reading_is_lost(fifty, tmp_path):  # noqa: ARG001
    tag = json.loads((ROOT / "build/images/twin-next.json").read_text())["tag"]
    before = {row["metadata"]["name"]: row["status"]["epoch"] for row in get("smartmeters")}
    took = [roll(version, tmp_path) for version in (NEXT, tag, "")]
    print(f"seconds of each rollout: {[round(one) for one in took]}")
    assert get("twinprofile", PROFILE)["status"]["meters"]["failed"] == 0
    for row in get("smartmeters", *DEVICES):
        name, status = row["metadata"]["name"], row["status"]
        assert status["epoch"] >= before[name] + 3
        results = [one["result"] for one in status["handovers"]]
        assert results[:3] == ["Done"] * 3, (name, results)
    side_by_side(lambda device: Record(tmp_path, device).verify(), LOOKERS)
