"""What `make demo` ends with: the commands to try work as they are printed, and it can run again."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from demo import DEVICES, NAMESPACE, PLUGIN, ROOT, environment, get, restarts, run, until

pytestmark = [pytest.mark.demo, pytest.mark.alone, pytest.mark.timeout(600)]
LIST = "import demo, json; print(json.dumps([command for _, command in demo.COMMANDS]))"


def list_commands():
    """Return the commands; the module is the demo's, not the tests' of the same name."""
    done = subprocess.run(
        [sys.executable, "-c", LIST], cwd=ROOT / "tools/demo", capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    return json.loads(done.stdout)


def test_the_commands_to_try_work_as_they_are_printed(tmp_path):
    """In the kubeconfig's context whose namespace is the demo's, as the demo says to set it."""
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(Path(environment()["KUBECONFIG"]).read_text())
    found = dict(environment(), KUBECONFIG=str(kubeconfig))
    found["PATH"] = f"{PLUGIN.parent}{os.pathsep}{found['PATH']}"
    set_it = ["kubectl", "config", "set-context", "--current", f"--namespace={NAMESPACE}"]
    subprocess.run(set_it, env=found, check=True, capture_output=True)
    for command in list_commands():

        def works(command=command):
            done = subprocess.run(
                ["bash", "-c", command], env=found, capture_output=True, text=True, check=False,
                timeout=240,
            )  # fmt: skip
            assert done.returncode == 0, (command, done.stderr)
            return done.stdout.strip()

        until(works, command, 200)


def see():
    """Return what a second run has to leave as it is."""
    rows = get("pod", "-l", "metertwin.io/role in (meter, twin, operator)")
    epochs = {device: get("smartmeter", device)["status"]["epoch"] for device in DEVICES}
    return {
        row["metadata"]["name"]: (row["metadata"]["uid"], restarts(row)) for row in rows
    }, epochs


def test_a_second_run_changes_nothing():
    before = see()
    found = {name: value for name, value in environment().items() if name != "CONTEXT"}
    done = subprocess.run(
        [str(ROOT / "tools/demo/up")], env=found, capture_output=True, text=True, check=False,
        timeout=400,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    print(done.stdout)
    assert see() == before
    assert "kubectl meter read" in done.stdout
    run("kubectl", "--namespace", NAMESPACE, "wait", "--for=condition=Ready", "meter", "--all")
