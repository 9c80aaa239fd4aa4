"""``make demo``, ``demo-down``, ``kubeconfig``: a street of meters on a real Kubernetes.

The story: preconditions, a cluster, images, the chart, the meters' credentials, the street, the
table. Every step may be repeated. Neighbours: ``preconditions.py``, ``target.py`` (which cluster),
``street.py`` (the meters), ``renewing.py`` (their certificates), ``passwords.py`` (passwords of the
small ones), ``home.py`` (one home's energy management), ``settling.py`` (waiting), ``policies.py``
(what the network does), ``storage.py`` (the archive's volume), ``images.py``, ``progress.py`` (what
the reader sees).
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from customers import apply_utility
from home import apply_home
from images import IMAGES, load_image, write_values
from passwords import ensure_passwords, find_pod_ranges, give_credentials
from policies import NOTES, try_network_policies
from preconditions import check_preconditions
from progress import fail, say, step
from renewing import renew_meters
from settling import replace_older_twins, wait_for_street
from sources import find_missing_packages
from storage import ensure_volume
from street import apply_meters, apply_street, devices
from target import (
    CLUSTER,
    COPY,
    ROOT,
    Target,
    choose_target,
    given_target,
    is_cluster_given,
    kubeconfig_in_use,
)

NAMESPACE = "metertwin-demo"
RELEASE = "metertwin"
METERS = "smartmeters.metertwin.io"
DEFINITIONS = (METERS, "twinprofiles.metertwin.io", "utilities.metertwin.io")
REPLACE_A_TWIN = (
    "kubectl delete pod -l metertwin.io/role=twin,metertwin.io/device=house-2"
    " && kubectl wait meter house-2 --for=condition=Ready"
)
PEAK = "kubectl exec deploy/city-grid -- python3 -m city_grid peak --in 10 --for 300"
REPLACING = "delete a twin; the next one has all that the meter's ring still holds"
COMMANDS = (
    ("the registers of a house, from its twin", "kubectl meter read house-1"),
    ("the same, asked from the meter now", "kubectl meter read house-3 --live"),
    ("what the twin has stored", "kubectl meter readings house-1 --since 1h -o json"),
    ("what happened", "kubectl meter events house-1"),
    ("a peak of the utility in ten seconds: houses switch off what may be", PEAK),
    ("what came of it in a house", "kubectl meter dr house-1"),
    ("what the energy management of house-2 makes of it", "kubectl logs deploy/home-2 --tail 5"),
    (REPLACING, REPLACE_A_TWIN),
)


def build_images() -> None:
    """Build the images; unchanged ones take no time.

    Raises:
        SystemExit: a build failed; its own output stands above.
    """
    ensure_packages()
    done = subprocess.run([str(ROOT / "tools/images/build")], check=False, cwd=ROOT)
    if done.returncode != 0:
        fail("the images could not be built; the reason stands above")


def ensure_packages() -> None:
    """Install the image tools when they are missing; `preconditions` knows that we may."""
    missing = find_missing_packages()
    if not missing:
        return
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    environment = dict(os.environ, **quiet)
    subprocess.run(["apt-get", "update", "-qq"], check=True, env=environment)
    install = ["apt-get", "install", "-qq", "-y", "--no-install-recommends", *missing]
    subprocess.run(install, check=True, env=environment, stdout=subprocess.DEVNULL)


def load_images(target: Target) -> None:
    """Bring the images onto the cluster; an image that is there already is left alone."""
    for name in IMAGES:
        load_image(target, name)


def install_chart(target: Target) -> None:
    """Install or upgrade the chart with the demo's values; what was rebuilt is restarted.

    Raises:
        SystemExit: Helm refused; its message stands above.
    """
    chart = ROOT / "charts/metertwin"
    command = ["helm", "upgrade", "--install", RELEASE, str(chart), "--namespace", NAMESPACE]
    command += ["--create-namespace", "--values", str(chart / "ci/demo-values.yaml")]
    command += ["--wait", "--timeout", "4m", "--force-conflicts"]
    command += ["--values", str(write_values(target, find_pod_ranges(target)))]
    label_namespace(target)
    ensure_passwords(target, NAMESPACE)
    ensure_volume(target, NAMESPACE)
    done = subprocess.run(
        command, check=False, env=target.environment(), capture_output=True, text=True
    )
    if done.returncode != 0:
        print(done.stdout, done.stderr, file=sys.stderr)
        fail("helm could not install the chart; the reason stands above")


def label_namespace(target: Target) -> None:
    """Create the demo's namespace with Pod Security `restricted`."""
    manifest = (
        "apiVersion: v1\nkind: Namespace\nmetadata:\n"
        f"  name: {NAMESPACE}\n  labels:\n    pod-security.kubernetes.io/enforce: restricted\n"
    )
    command = ["kubectl", "apply", "-f", "-"]
    subprocess.run(
        command,
        input=manifest,
        text=True,
        check=True,
        env=target.environment(),
        capture_output=True,
    )


def show(target: Target) -> None:
    """Print the table of meters, what the network does not enforce, and commands to try."""
    environment = target.environment()
    print()
    subprocess.run(["kubectl", "get", "meters", "-n", NAMESPACE], check=False, env=environment)
    print(NOTES[try_network_policies(target, NAMESPACE)], end="")
    print("\nTry:")
    print(f"  export KUBECONFIG={target.kubeconfig} PATH={path_of(target)}:$PATH")
    print(f"  kubectl config set-context --current --namespace {NAMESPACE}")
    for what, command in COMMANDS:
        print(f"  # {what}\n  {command}")


def path_of(target: Target) -> str:
    """Return the folders that hold kubectl and the plugin."""
    folders = [str(ROOT / ".venv/bin")]
    kubectl = shutil.which("kubectl", path=target.environment()["PATH"])
    if kubectl:
        folders.append(str(Path(kubectl).parent))
    return ":".join(folders)


def up() -> None:
    """Bring up everything; safe to repeat."""
    with step("checking what is there"):
        check_preconditions()
    with step("cluster"):
        target = choose_target()
    with step("images"):
        build_images()
    with step("loading images"):
        load_images(target)
    with step("chart: operator, Mosquitto, archive and its PostgreSQL"):
        install_chart(target)
    with step(f"credentials of {len(devices())} meters, and the meters themselves"):
        restarted = renew_meters(target, NAMESPACE)
        give_credentials(target, NAMESPACE, RELEASE)
        flashed = apply_meters(target, NAMESPACE)
    with step("utility: its server, and its customers' credentials"):
        apply_utility(target, NAMESPACE)
    with step("street: SmartMeters"):
        apply_street(target, NAMESPACE)
        replace_older_twins(target, NAMESPACE)
    with step("energy management of one home"):
        apply_home(target, NAMESPACE)
    with step("waiting until every meter has its twin and answers"):
        wait_for_street(target, NAMESPACE, restarted | flashed)
    show(target)
    say("ready")


def down() -> None:
    """Remove the demo; our own cluster goes with it, another one keeps what is not the demo's.

    Raises:
        subprocess.CalledProcessError: something could not be removed; it and the rest are there.
    """
    if not is_cluster_given():
        with step("local cluster"):
            subprocess.run([str(CLUSTER), "down"], check=True, cwd=ROOT)
        say("gone")
        return
    environment = given_target().environment()
    defined = find_definitions(environment)
    commands = [
        ["helm", "uninstall", RELEASE, "-n", NAMESPACE, "--ignore-not-found", "--wait"],
        ["kubectl", "delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait"],
    ]
    if METERS in defined:  # while there is an operator that lets them go
        commands.insert(0, ["kubectl", "delete", METERS, "--all", "-n", NAMESPACE, "--wait"])
    for command in commands:
        with step(" ".join(command)):
            subprocess.run(command, check=True, env=environment)
    remove_definitions(environment, defined)
    COPY.unlink(missing_ok=True)
    say("gone")


def find_definitions(environment: dict[str, str]) -> dict[str, str]:
    """Return the resource definitions of ours that the cluster has, and whose release each is."""
    listing = ["kubectl", "get", "crd", "-o", "json"]
    done = subprocess.run(listing, check=True, env=environment, capture_output=True, text=True)
    every = (one["metadata"] for one in json.loads(done.stdout)["items"])
    owner = "meta.helm.sh/release-namespace"
    return {
        one["name"]: one.get("annotations", {}).get(owner, "")
        for one in every
        if one["name"] in DEFINITIONS
    }


def remove_definitions(environment: dict[str, str], defined: dict[str, str]) -> None:
    """Remove the resource definitions that the demo brought, unless somebody else has meters."""
    if not defined:
        return
    listing = ["kubectl", "get", ",".join(defined), "-A", "-o", "name"]
    listed = subprocess.run(listing, check=True, env=environment, capture_output=True, text=True)
    if listed.stdout.strip() or set(defined.values()) != {NAMESPACE}:
        say("the definitions of SmartMeter and TwinProfile stay: others use them")
        return
    with step("definitions of SmartMeter and TwinProfile"):
        subprocess.run(["kubectl", "delete", "crd", *defined], check=True, env=environment)


def main() -> int:
    """Return 0 when it was done; a failure is one line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=ACTIONS)
    action = parser.parse_args().action
    try:
        ACTIONS[action]()
    except subprocess.CalledProcessError as error:
        detail = (error.stderr or "").strip() if isinstance(error.stderr, str) else ""
        fail(f"`{' '.join(map(str, error.cmd))}` failed ({error.returncode}) {detail}")
    return 0


ACTIONS: dict[str, Callable[[], None]] = {
    "up": up,
    "down": down,
    "check": check_preconditions,
    "kubeconfig": lambda: print(kubeconfig_in_use()),
    "chosen": lambda: print("given" if is_cluster_given() else "local"),
}


if __name__ == "__main__":
    sys.exit(main())
