"""The cluster's own network namespace: no route leads out of it.

It holds a bridge without ports that carries the addresses of the nodes and the route of the
Service range. The machine's own interfaces, routes and firewall are not touched.
"""

import os
from pathlib import Path

from .commands import run
from .settings import Settings


def namespace_exists(settings: Settings, mounts: str | None = None) -> bool:
    """Whether the namespace is there (a mount of the kind nsfs on its file)."""
    text = Path("/proc/self/mountinfo").read_text() if mounts is None else mounts
    return any(line.split()[4] == str(settings.namespace) for line in text.splitlines())


def inside(settings: Settings, *command: str) -> list[str]:
    """The command line that runs `command` in the cluster's network."""
    return ["nsenter", f"--net={settings.namespace}", *command]


def network_commands(settings: Settings) -> str:
    """What `ip -batch` gets (pure)."""
    addresses = [settings.bridge_address, f"{settings.api_address}/32"]
    addresses += [f"{node.address}/32" for node in settings.nodes]
    lines = ["link set lo up", "link add nodes type bridge", "link set nodes up"]
    lines += [f"address replace {address} dev nodes" for address in addresses]
    lines.append(f"route replace {settings.service_range} dev nodes")
    return "\n".join(lines) + "\n"


def ensure_network(settings: Settings) -> None:
    """Make the namespace with its addresses unless it is there."""
    if namespace_exists(settings):
        return
    settings.state.mkdir(parents=True, exist_ok=True)
    settings.namespace.touch()
    run(["unshare", f"--net={settings.namespace}", "true"], "making the network namespace")
    commands = network_commands(settings)
    batch = inside(settings, "ip", "-batch", "-")
    run(batch, "giving the nodes their addresses", text=commands)
    forward = inside(settings, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
    run(forward, "letting the nodes' network forward packets")


def run_inside(settings: Settings, command: list[str]) -> int:
    """Replace this process by `command` in the cluster's network."""
    full = inside(settings, *command)
    os.execvp(full[0], full)  # noqa: S606  # the user's own command line
