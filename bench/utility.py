"""Memory of a twin that speaks OpenADR 2.0b or 3.1, or whose utility asks for XML signatures."""

import json
import os
import sys

import cluster
from figure import MIB, Figure, figure

PROGRAM = cluster.ROOT / "twin/bench/utility_memory.py"
GOALS_PRIVATE_MIB = {"tls": 14, "tls31": 14.5, "heard31": 14.5}
NAMES = {
    "none": "without a utility",
    "tls": "OpenADR 2.0b and mutual TLS",
    "signed": "OpenADR 2.0b, mutual TLS and XML signatures",
    "tls31": "OpenADR 3.1 and TLS",
    "heard31": "OpenADR 3.1, TLS and notifications over MQTT",
}


def measure(runs: int = 3) -> list[Figure]:
    """Return private memory and heap of each flavour.

    Raises:
        PermissionError: the unpacked image can only be entered by root.
    """
    if os.geteuid():
        raise PermissionError("chroot into the unpacked image needs root")
    cluster.run(str(cluster.ROOT / "tools/images/build"), "twin", "twin-signed")
    said = cluster.run(sys.executable, str(PROGRAM), "--runs", str(runs), timeout_s=60 * 5 * runs)
    found = json.loads(said.splitlines()[-1])
    how = (
        "in smaps_rollup of a twin of the image in its unpacked files, a second one beside it, "
        "after 200 readings, an event that limits a load and 20 s of polls of "
    )
    figures = []
    for flavour, name in NAMES.items():
        rows = found[flavour]
        both = zip(rows["Private_Dirty"], rows["Private_Clean"], strict=True)
        private = [sum(pair) * 1024 / MIB for pair in both]
        heap = [value * 1024 / MIB for value in rows["Anonymous"]]
        most = GOALS_PRIVATE_MIB.get(flavour)
        goal = None if most is None else ("<=", most)
        vtn = "the VTN in memory of the tests" if flavour.endswith("31") else "openleadr's VTN"
        method = f"Private_Dirty + Private_Clean {how}{vtn}"
        figures.append(figure(f"private memory of a twin, {name}", private, "MiB", method, goal))
        figures.append(figure(f"heap of a twin, {name}", heap, "MiB", f"Anonymous {how}{vtn}"))
    return figures
