"""How fast 100 SmartMeters become Ready, against as many bare pods with the same image.

The bare pods have what a twin's pod has: its image, a Secret volume, an emptyDir, the same
security settings, the same HTTP probes. Their rate is what the machine and Kubernetes allow.
"""

import time
from typing import Any

import cluster
from figure import Figure, figure

GOAL_PERCENT = 80
TIMEOUT_S = 420
BARE = "labelSelector=bench%3Dbare"
SETTLE_S = 30
SERVER = (
    "import http.server as h\n"
    "class A(h.BaseHTTPRequestHandler):\n"
    "  def do_GET(s):\n    s.send_response(200); s.end_headers()\n"
    "  def log_message(s,*a): pass\n"
    "h.HTTPServer(('',8080),A).serve_forever()"
)


def settle() -> None:
    """Wait until the machine has done what removing a hundred pods leaves behind.

    Kubelets and runtimes clean up after the API says that pods are gone; a rollout that begins at
    once shares the cores with that, and takes up to half as long again.
    """
    time.sleep(SETTLE_S)


def devices(count: int, run: int = 0) -> list[str]:
    """Return names of devices; another run's are others, as a device that was known goes on."""
    return [f"bench-{run}{number:03d}" for number in range(1, count + 1)]


def meters(count: int, run: int = 0) -> float:
    """Create SmartMeters; return the seconds until all are Ready. They stay."""
    begun = time.monotonic()
    cluster.create([cluster.smart_meter(device) for device in devices(count, run)])
    cluster.watch_until(f"{cluster.API}/smartmeters", "Ready", count, TIMEOUT_S)
    return time.monotonic() - begun


def bare_pod(template: dict[str, Any], number: int) -> list[dict[str, Any]]:
    """Return a bare pod like the template's twin pod, and its Secret."""
    name = f"bare-{number:04d}"
    metadata = {"name": name, "namespace": cluster.NAMESPACE, "labels": {"bench": "bare"}}
    spec = dict(template["spec"])
    for field in ("nodeName", "hostname", "subdomain", "serviceAccount", "tolerations"):
        spec.pop(field, None)
    container = dict(spec["containers"][0], command=["python3", "-c", SERVER])
    spec["containers"] = [container]
    spec["volumes"] = [
        {"name": "identity", "secret": {"secretName": name, "defaultMode": 0o440}},
        *[volume for volume in spec["volumes"] if volume["name"] != "identity"],
    ]
    data = dict.fromkeys(("tls.crt", "tls.key", "keys.json"), "x" * 600)
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    return [secret, pod]


def bare(template: dict[str, Any], count: int) -> float:
    """Create bare pods; return the seconds until all are Ready. They are removed again."""
    items = [item for number in range(1, count + 1) for item in bare_pod(template, number)]
    try:
        begun = time.monotonic()
        cluster.create(items)
        cluster.watch_until(f"{cluster.CORE}/pods?{BARE}", "Ready", count, TIMEOUT_S)
        return time.monotonic() - begun
    finally:
        remove_bare()


def bare_pods() -> list[dict[str, Any]]:
    """Return the bare pods."""
    return cluster.pods("bench%3Dbare")


def remove_bare() -> None:
    """Remove the bare pods and wait until they are gone."""
    cluster.delete_collection(f"{cluster.CORE}/pods?{BARE}&gracePeriodSeconds=1")
    cluster.delete_collection(f"{cluster.CORE}/secrets?{BARE}")
    cluster.wait_until(lambda: not bare_pods(), "no bare pod is left", 180, 1)


def figures(count: int, with_twins: list[float], without: list[float]) -> list[Figure]:
    """Return both rollouts and the ratio of their rates."""
    how = (
        f"{count} objects created in one `kubectl create`, seen by a watch; alternating, "
        f"each {SETTLE_S} s after the one before was removed"
    )
    ratios = [100 * plain / twin for twin, plain in zip(with_twins, without, strict=False)]
    return [
        figure(f"{count} SmartMeters from create to Ready", with_twins, "s",
               f"condition Ready of every SmartMeter; {how}"),
        figure(f"{count} bare pods from create to Ready", without, "s",
               f"twin image with an HTTP server, Secret volume and probes as a twin has; {how}"),
        figure("rate of SmartMeters against bare pods", ratios, "%",
               "bare pods' seconds divided by SmartMeters' seconds", (">=", GOAL_PERCENT)),
    ]  # fmt: skip
