"""`up`: from whatever state the machine is in to two Ready nodes with working names."""

import contextlib
import fcntl
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from . import arguments
from .api import Api, is_true
from .binaries import ensure_binaries
from .certificates import ensure_certificates
from .cgroups import ensure_groups
from .configuration import write_configuration
from .images import ensure_own_images
from .machine_state import remember_machine
from .manifests import system_items
from .network import ensure_network
from .preconditions import (
    ensure_packages,
    find_missing_packages,
    observe_machine,
    require_machine,
)
from .processes import is_running, recorded, require_running, start
from .progress import say, step
from .settings import ClusterError, Settings
from .teardown import take_down


@contextlib.contextmanager
def only_one(settings: Settings) -> Iterator[None]:
    """Let only one `up` or `down` of a cluster run at a time."""
    settings.cache.mkdir(parents=True, exist_ok=True)
    with (settings.cache / f"{settings.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another up or down of this cluster")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def wait_until(
    settings: Settings, holds: Callable[[], bool], what: str, *, patience_s: float = 90.0
) -> None:
    """Wait, and give up early when a daemon has ended.

    Raises:
        ClusterError: it takes too long, or a daemon has ended.
    """
    deadline = time.monotonic() + patience_s
    while not holds():
        require_running(settings, list(recorded(settings)))
        if time.monotonic() > deadline:
            raise ClusterError(f"{what} took more than {patience_s:.0f} s (logs: {settings.logs})")
        time.sleep(0.1)


def _start_door(settings: Settings, bin_folder: Path) -> None:
    if is_running(settings, "loopback"):
        return
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", settings.api_port))
        listener.listen(512)
        descriptor = listener.fileno()
        daemon = arguments.loopback(settings, descriptor)
        start(settings, daemon, bin_folder, pass_fd=descriptor)


def _start_control_plane(settings: Settings, bin_folder: Path) -> None:
    start(settings, arguments.etcd(settings), bin_folder)
    for node in settings.nodes:
        start(settings, arguments.containerd(node, bin_folder), bin_folder)
    start(settings, arguments.apiserver(settings), bin_folder)
    _start_door(settings, bin_folder)


def _start_nodes(settings: Settings, bin_folder: Path) -> None:
    for node in settings.nodes:
        socket_path = node.containerd_socket
        wait_until(settings, socket_path.exists, f"the start of containerd of {node.name}")
    ensure_own_images(settings)
    for node in settings.nodes:
        start(settings, arguments.kubelet(node, settings), bin_folder)
    start(settings, arguments.kube_proxy(settings), bin_folder)


def _start_controllers(settings: Settings, bin_folder: Path) -> None:
    start(settings, arguments.controller_manager(settings), bin_folder)
    start(settings, arguments.scheduler(settings), bin_folder)


def nodes_ready(api: Api, settings: Settings) -> bool:
    """Whether both nodes report Ready."""
    try:
        items = api.get("/api/v1/nodes")["items"]
    except OSError:
        return False
    return sum(is_true(item, "Ready") for item in items) == len(settings.nodes)


def names_ready(api: Api) -> bool:
    """Whether CoreDNS serves with all its replicas."""
    path = "/apis/apps/v1/namespaces/kube-system/deployments/coredns"
    try:
        status = api.get(path).get("status", {})
    except (OSError, ClusterError):
        return False
    return bool(status.get("readyReplicas") == 2)  # noqa: PLR2004  # one a node


def all_running(settings: Settings) -> bool:
    """Whether every daemon of the cluster runs."""
    names = [path.stem for path in settings.records.glob("*.json")]
    return len(names) == daemon_count(settings) and all(is_running(settings, n) for n in names)


def daemon_count(settings: Settings) -> int:
    """Six for the whole cluster and two for each node."""
    return 6 + 2 * len(settings.nodes)


def is_serving(settings: Settings) -> bool:
    """Whether there is nothing left to do for `up`."""
    if not all_running(settings):
        return False
    api = Api(settings)
    return api.is_ready() and nodes_ready(api, settings) and names_ready(api)


def _bring_up(settings: Settings, bin_folder: Path) -> None:
    remember_machine(settings)
    ensure_groups(settings)
    ensure_network(settings)
    ensure_certificates(settings)
    write_configuration(settings, bin_folder)
    with step("starting etcd, the API server and two container runtimes"):
        _start_control_plane(settings, bin_folder)
        _start_nodes(settings, bin_folder)
        api = Api(settings)
        wait_until(settings, api.is_ready, "the start of the API server")
    with step("starting the controllers and cluster DNS"):
        _start_controllers(settings, bin_folder)
        for path, item in system_items(settings):
            api.apply(path, item)
    with step("waiting for both nodes to be Ready"):
        wait_until(settings, lambda: nodes_ready(api, settings), "the nodes' readiness")
    with step("waiting for cluster DNS"):
        wait_until(settings, lambda: names_ready(api), "the readiness of cluster DNS")


def bring_up(settings: Settings) -> None:
    """Bring the cluster up; does nothing when it serves already.

    Raises:
        ClusterError: the machine lacks something, or a step failed.
    """
    with only_one(settings):
        if is_serving(settings):
            say(f"the cluster is up: export KUBECONFIG={settings.kubeconfig}")
            return
        ours = is_running(settings, "loopback")
        require_machine(observe_machine(settings, door_is_ours=ours))
        ensure_packages(find_missing_packages())
        bin_folder = ensure_binaries(settings)
        if settings.state.exists() and not any(
            is_running(settings, name) for name in recorded(settings)
        ):
            say("removing what an earlier cluster left, since none of its processes runs")
            take_down(settings)
        _bring_up(settings, bin_folder)
        say(f"the cluster is up: export KUBECONFIG={settings.kubeconfig}")
