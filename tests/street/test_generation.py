"""`kubectl wait --for=condition=Ready` is true for the current generation only.

A change that replaces the twin makes a new generation. Until the pod of the new epoch is ready,
the condition of the twin before must satisfy nobody who waits: neither while the operator works
nor while there is none.
"""

import contextlib
import json
import subprocess

import pytest
from demo import (
    NAMESPACE,
    build_manifest,
    condition,
    environment,
    get,
    is_pod_ready,
    is_ready,
    kubectl,
    names,
    twin_of,
    until,
)

pytestmark = [pytest.mark.demo, pytest.mark.alone, pytest.mark.timeout(900)]
OPERATOR = "deployment/metertwin-operator"
DAYS = {"applications": {"metering-data": {"options": {"retentionDays": 20}}}}
"""A change of the spec that only another pod can follow."""


class Watch:
    """Every state of a SmartMeter that the API server has told, from `start` to `stop`."""

    def __init__(self, name, path):
        self._path = path
        command = ["kubectl", "-n", NAMESPACE, "get", "smartmeter", name, "--watch", "-o", "json"]
        with path.open("wb") as output:
            self._process = subprocess.Popen(command, stdout=output, env=environment())

    def states(self):
        """Return the states so far, the first is the one at the start."""
        text, found, decoder = self._path.read_text(), [], json.JSONDecoder()
        while text := text.lstrip():
            try:
                state, end = decoder.raw_decode(text)
            except json.JSONDecodeError:
                break  # its end is not written yet
            found.append(state)
            text = text[end:]
        return found

    def stop(self):
        self._process.terminate()
        self._process.wait(60)


@pytest.fixture
def watch(tmp_path):
    with contextlib.ExitStack() as stack:

        def start(name):
            made = Watch(name, tmp_path / f"{name}.json")
            stack.callback(made.stop)
            until(made.states, "the watch has begun", period_s=0.1)
            return made

        yield start


def change(name, fields):
    """Change the spec; return the meter as the API server answers."""
    patch = json.dumps({"spec": fields})
    done = kubectl("patch", "smartmeter", name, "--type=merge", "-p", patch, "-o", "json")
    return json.loads(done.stdout)


def wait_ready(name, timeout_s, *, check=True):
    command = ("wait", "--for=condition=Ready", f"smartmeter/{name}", f"--timeout={timeout_s}s")
    return kubectl(*command, check=check, timeout=timeout_s + 30)


def check_served_by(meter, epoch):
    """The condition is of this generation, and the pod of this epoch is ready."""
    ready = condition(meter)
    assert ready.get("status") == "True", meter["status"]
    assert ready["observedGeneration"] == meter["metadata"]["generation"]
    assert meter["status"]["observedGeneration"] == meter["metadata"]["generation"]
    assert meter["status"]["epoch"] == epoch
    pod = twin_of(meter["metadata"]["name"])
    assert pod["metadata"]["name"].endswith(f"-e{epoch}")
    assert is_pod_ready(pod)


def test_wait_returns_when_the_twin_of_the_current_generation_is_ready(extra, watch):
    extra(build_manifest("extra-6"))
    wait_ready("extra-6", 200)
    before = get("smartmeter", "extra-6")
    old = before["status"]["epoch"]  # above 1 where a meter of this name was deleted lately
    check_served_by(before, old)
    watched = watch("extra-6")

    patched = change("extra-6", DAYS)
    wait_ready("extra-6", 200)
    after = get("smartmeter", "extra-6")

    generation = before["metadata"]["generation"] + 1
    assert patched["metadata"]["generation"] == after["metadata"]["generation"] == generation
    assert condition(patched) == {}, "Ready before anybody has looked"
    check_served_by(after, old + 1)

    def tell():
        states = [row for row in watched.states() if row["metadata"]["generation"] == generation]
        told = [(row["status"]["epoch"], condition(row).get("status")) for row in states]
        assert (old + 1, "True") in told, told
        return told

    told = until(tell, "the watch, another connection than wait's, has told it too")
    assert (old + 1, "False") in told, "the new epoch was never told to be under way"
    assert told.index((old + 1, "False")) < told.index((old + 1, "True"))
    assert (old, "True") not in told, "the twin of the older generation counts as Ready"


def test_without_an_operator_a_changed_meter_is_not_ready_and_wait_says_so(extra):
    extra(build_manifest("extra-7"))
    wait_ready("extra-7", 200)
    old = get("smartmeter", "extra-7")["status"]["epoch"]
    kubectl("scale", OPERATOR, "--replicas=0")
    try:
        # A Deployment does not count the pod that still ends, and that may still look at meters.
        until(lambda: not names("pod", "-l", "metertwin.io/role=operator"), "it is gone")
        changed = change("extra-7", DAYS)
        row = next(one for one in changed["status"]["conditions"] if one["type"] == "Ready")
        assert row["status"] == "True", "true of the generation before: nobody has written since"
        done = wait_ready("extra-7", 5, check=False)
        assert done.returncode != 0
        assert "timed out" in done.stderr
        assert not is_ready("extra-7")
    finally:
        kubectl("scale", OPERATOR, "--replicas=1")
    wait_ready("extra-7", 300)
    check_served_by(get("smartmeter", "extra-7"), old + 1)
