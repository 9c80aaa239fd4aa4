"""Whether the cluster enforces NetworkPolicies: a meter's pod tries the port of a twin.

The chart's policies let a meter reach the broker only; not every network plug-in does what they
say. Neighbours: ``demo.py``, which tells the reader; ``street.py``.
"""

import errno
import subprocess

from street import devices, kubectl, pods_of
from target import Target

PORT = 8443
TRY_TO_REACH = """
import socket
s = socket.socket()
s.settimeout(3)
try:
    s.connect(socket.getaddrinfo("{address}", {port})[0][-1])
    print("reached")
except OSError as error:
    print(error.errno)
"""
NOTES = {
    "held": "",
    "reached": """
Note: the network plug-in of this cluster does not enforce NetworkPolicies
(a meter's pod reached a twin's port). They are defence in depth: mutual TLS
and the broker's access rules hold without them; Calico and Cilium enforce them.
""",
    "refused": """
Note: whether this cluster enforces NetworkPolicies is open: a meter's pod was
refused at a twin's port. Some plug-ins refuse (kube-router, thus k3s and k3d);
without a policy a twin that does not listen just then does so too.
""",
    "untried": """
Note: whether this cluster enforces NetworkPolicies could not be tried
(the twin had no address, or no command runs in a meter's pod).
""",
}
_VERDICTS = {
    "reached": "reached",
    str(errno.ETIMEDOUT): "held",
    str(errno.EHOSTUNREACH): "held",
    str(errno.ECONNREFUSED): "refused",
}


def judge(said: str) -> str:
    """Return what the try means: reached, held, refused or untried.

    Only silence and "no route" are a policy's doing beyond doubt.

    Args:
        said: what TRY_TO_REACH printed, the number of an error or "reached".
    """
    return _VERDICTS.get(said.strip(), "untried")


def try_network_policies(target: Target, namespace: str) -> str:
    """Return what happens when a meter's pod tries the port of its twin, a key of NOTES."""
    meter = devices()[0]
    try:
        addresses = [
            pod["status"].get("podIP", "")
            for pod in pods_of(target, namespace, "twin")
            if pod["metadata"]["labels"]["metertwin.io/device"] == meter
        ]
        if not any(addresses):
            return "untried"
        script = TRY_TO_REACH.format(address=next(filter(None, addresses)), port=PORT)
        call = ["exec", "-n", namespace, f"meter-{meter}", "--", "micropython", "-c", script]
        return judge(kubectl(target, *call))
    except subprocess.CalledProcessError:
        return "untried"
