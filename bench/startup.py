"""How long what was built takes to come up: a second `make demo`, and the local cluster.

The cluster is a second one beside that of the demo, made from the same cached programs, and taken
down again each time.
"""

import time

import cluster
from figure import Figure, figure

BESIDE = {"METERTWIN_CLUSTER": "bench", "METERTWIN_API_PORT": "16498"}
RUNS = 3
MOST_S = 600
DEMO_GOAL_S, CLUSTER_GOAL_S = 60, 30


def measure() -> list[Figure]:
    """Return the seconds of both.

    Raises:
        RuntimeError: one of them ended with an error.
    """
    found = [
        figure(
            "a second make demo",
            [second_run() for _ in range(RUNS)],
            "s",
            "make demo on the running street with nothing to build, begin to end",
            ("<", DEMO_GOAL_S),
        )
    ]
    if cluster.on_this_machine():
        found.append(
            figure(
                "local cluster until its nodes and DNS are ready",
                [warm_start() for _ in range(RUNS)],
                "s",
                "tools/cluster/cluster up, programs in the cache, beside the demo's cluster",
                ("<", CLUSTER_GOAL_S),
            )
        )
    return found


def second_run() -> float:
    """Return the seconds of a run that has nothing to do."""
    begun = time.monotonic()
    cluster.run("make", "-C", str(cluster.ROOT), "demo", timeout_s=MOST_S)
    return time.monotonic() - begun


def warm_start() -> float:
    """Return the seconds until a new cluster is up; it is removed again."""
    beside = [f"{name}={value}" for name, value in BESIDE.items()]
    tool = ["env", "-u", "KUBECONFIG", *beside, str(cluster.TOOL)]
    try:
        begun = time.monotonic()
        cluster.run(*tool, "up", timeout_s=MOST_S)
        return time.monotonic() - begun
    finally:
        cluster.run(*tool, "down")
