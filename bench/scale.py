"""One operator and thousands of SmartMeters whose pods no node can take.

The profile asks for 10 TiB of memory, so every pod stays pending: what is measured is the operator,
the API server and etcd, not the nodes. Then the operator is restarted with nothing to do.
"""

import contextlib
import re
import time

import cluster
import memory
from figure import MIB, Figure, figure

UNSCHEDULABLE = "unschedulable"
CREATE_TIMEOUT_S, RESTART_TIMEOUT_S = 600, 240
SETTLED_S = 6
OPERATORS = "deployment/metertwin-operator"
OPERATOR = "app.kubernetes.io/component%3Doperator"
BUCKET = re.compile(r'reconcile_time_seconds_bucket\{.*le="([^"]+)".*\} (\S+)')


def metrics() -> dict[str, float]:
    """Return the operator's metrics through the API server's pod proxy; sums over labels."""
    name = next(
        pod["metadata"]["name"] for pod in cluster.pods(OPERATOR)
        if not pod["metadata"].get("deletionTimestamp")
    )  # fmt: skip
    path = f"{cluster.CORE}/pods/{name}:8080/proxy/metrics"
    found: dict[str, float] = {}
    for line in cluster.run("kubectl", "get", "--raw", path).splitlines():
        if line.startswith("#"):
            continue
        full, value = line.rsplit(" ", 1)
        bucket = BUCKET.match(line.removeprefix("controller_runtime_"))
        key = f"le {bucket[1]}" if bucket else full.split("{")[0]
        found[key] = found.get(key, 0.0) + float(value)
    return found


def quantile(before: dict[str, float], after: dict[str, float], share: float) -> float:
    """Return a quantile in seconds from histogram buckets, linear within one (as Prometheus)."""
    rows = sorted(
        (float(key[3:]), after[key] - before.get(key, 0)) for key in after if key[:3] == "le "
    )
    total = rows[-1][1]
    low, below = 0.0, 0.0
    for bound, count in rows:
        if count >= share * total:
            if bound == float("inf"):
                return low
            return low + (bound - low) * (share * total - below) / max(count - below, 1)
        low, below = bound, count
    return low


def settle(wanted: float, timeout_s: float) -> tuple[dict[str, float], float]:
    """Return metrics, and the time of the last reconcile, once `wanted` were done and none follows.

    Raises:
        TimeoutError: they were not done, or went on.
    """
    end = time.monotonic() + timeout_s
    last, last_at, now = -1.0, time.monotonic(), {}
    while time.monotonic() < end:
        with contextlib.suppress(RuntimeError, StopIteration):
            now = metrics()
            done = now.get("controller_runtime_reconcile_total", 0.0)
            if done != last:
                last, last_at = done, time.monotonic()
            quiet = time.monotonic() - last_at >= SETTLED_S and not now.get("workqueue_depth")
            if done >= wanted and quiet:
                return now, last_at
        time.sleep(1)
    raise TimeoutError(f"the operator did not settle within {timeout_s:.0f} s: {last:.0f} done")


def operator_memory() -> dict[str, int]:
    """Return the account of the operator's process, nothing if it is elsewhere."""
    uid = cluster.pods(OPERATOR)[0]["metadata"]["uid"]
    pids = cluster.processes(uid, "meter_operator")
    return memory.smaps(pids[0]) if pids else {}


def stop() -> None:
    """Let no operator run."""
    cluster.kubectl("scale", OPERATORS, "--replicas=0")
    cluster.wait_until(lambda: not cluster.pods(OPERATOR), "no operator runs", 60, 0.2)


def start() -> None:
    """Start the operator and wait until it runs."""
    cluster.kubectl("scale", OPERATORS, "--replicas=1")
    cluster.kubectl("rollout", "status", OPERATORS, "--timeout=120s")


def restart() -> None:
    """Replace the operator's pod and wait for the new one."""
    cluster.kubectl("delete", "pod", "-l", "app.kubernetes.io/component=operator", "--wait")
    cluster.kubectl("rollout", "status", OPERATORS, "--timeout=120s")


def measure(count: int) -> list[Figure]:
    """Return the operator's figures; its meters are removed again."""
    huge = {"requests": {"memory": "10Ti"}, "limits": {"memory": "10Ti"}}
    try:
        cluster.create([cluster.twin_profile(UNSCHEDULABLE, huge)])
        stop()
        names = [f"scale-{number:05d}" for number in range(1, count + 1)]
        cluster.create([cluster.smart_meter(name, UNSCHEDULABLE) for name in names])
        begun = time.monotonic()
        start()
        after, last_at = settle(count, CREATE_TIMEOUT_S)
        pods = len(cluster.pods("metertwin.io/role%3Dtwin"))
        if pods < count:
            raise RuntimeError(f"{pods} of {count} pods were created")
        held = operator_memory()
        reconciles, writes = (
            after[name]
            for name in ("controller_runtime_reconcile_total", "metertwin_api_writes_total")
        )
        found = creation(count, last_at - begun, reconciles, writes)
        found.append(of_durations(quantile({}, after, 0.99)))
        if held:
            private = (held["Private_Dirty"] + held["Private_Clean"]) * 1024 / MIB
            method = "Private_Dirty + Private_Clean in /proc/<pid>/smaps_rollup"
            name = f"operator's private memory at {count} meters"
            found.append(figure(name, private, "MiB", method))
        return found + idle_restart(count)
    finally:
        cluster.remove_meters()
        with contextlib.suppress(RuntimeError):
            cluster.kubectl("delete", "twinprofile", UNSCHEDULABLE, "--ignore-not-found")


def of_durations(p99_s: float) -> Figure:
    """Return the p99 of the reconciles' durations."""
    method = (
        "controller_runtime_reconcile_time_seconds, interpolated in its bucket (1, 5, 10, 50, 100, "
        "500 ms, …); workers wait for each other inside"
    )
    return figure("p99 of a reconcile", 1000 * p99_s, "ms", method)


def creation(count: int, settled_s: float, reconciles: float, writes: float) -> list[Figure]:
    """Return rates of the creation."""
    how = f"{count} SmartMeters with unschedulable pods"
    return [
        figure(f"{count} SmartMeters until the operator is at rest", settled_s, "s",
               f"{how} that were there before the operator; from its start to its last reconcile"),
        figure("reconciles per second", reconciles / settled_s, "1/s",
               f"{how}: controller_runtime_reconcile_total over that time"),
        figure("SmartMeters per second", count / settled_s, "1/s", how),
        figure("API writes for a new SmartMeter", writes / count, "writes",
               f"{how}: metertwin_api_writes_total divided by their number"),
    ]  # fmt: skip


def idle_restart(count: int) -> list[Figure]:
    """Return what a restarted operator writes when nothing has changed."""
    begun = time.monotonic()
    restart()
    after, last_at = settle(count, RESTART_TIMEOUT_S)
    how = f"operator's pod deleted, {count} meters unchanged, until it is at rest"
    return [
        figure("API writes after a restart without a change",
               after.get("metertwin_api_writes_total", 0.0), "writes",
               f"metertwin_api_writes_total of the new process (Lease and events aside); {how}",
               ("<=", 0)),
        figure("operator at rest after a restart", last_at - begun, "s", how),
    ]  # fmt: skip
