"""The command line: `cluster help` lists the commands."""

import os
import sys
from collections.abc import Callable, Sequence

from .api import Api, is_true
from .binaries import bin_folder
from .bringup import bring_up, is_serving, only_one
from .images import load_image
from .leftovers import find_leftovers
from .network import namespace_exists, run_inside
from .preconditions import observe_machine, require_machine
from .processes import is_running, recorded
from .progress import say
from .settings import ClusterError, Settings, load_settings
from .teardown import take_down

HELP = """\
A real local Kubernetes on this machine: two nodes, no route out of it.

  cluster up              bring it up (installs and builds what is missing; root)
  cluster check           what this machine lacks for `up`; nothing is changed
  cluster down            take it down and leave nothing behind
  cluster status          processes and nodes; exit code 1 unless all is well
  cluster load IMAGE...   an OCI archive (path) or an image of buildah/podman, into both nodes
  cluster kubeconfig      the path of the administrator's kubeconfig
  cluster folder          the folder of its files, whether it runs or not
  cluster bin             the folder with kubectl, helm and ctr
  cluster net CMD...      run CMD in the cluster's network, where pods and Services answer
  cluster leftovers       list what is on the machine; exit code 1 if there is anything
  cluster help            this text

  METERTWIN_CACHE     built programs and images (default ~/.cache/metertwin)
  METERTWIN_API_PORT  port of the API server on 127.0.0.1 (default 16443)
  METERTWIN_CLUSTER   name of a second, independent cluster (give it its own port)
"""


def _up(settings: Settings, _: Sequence[str]) -> int:
    bring_up(settings)
    return 0


def _check(settings: Settings, _: Sequence[str]) -> int:
    if os.geteuid() == 0 and is_serving(settings):  # its keys are root's
        return 0
    ours = is_running(settings, "loopback")
    require_machine(observe_machine(settings, door_is_ours=ours))
    return 0


def _down(settings: Settings, _: Sequence[str]) -> int:
    with only_one(settings):
        existed = bool(find_leftovers(settings))
        take_down(settings)
        left = find_leftovers(settings)
    if left:
        raise ClusterError("left behind: " + "; ".join(left))
    say("the cluster is down, nothing is left" if existed else "there is no cluster")
    return 0


def _status(settings: Settings, _: Sequence[str]) -> int:
    names = recorded(settings)
    if not names:
        print("there is no cluster")
        return 1
    well = True
    for name, (pid, _started) in names.items():
        runs = is_running(settings, name)
        well = well and runs
        print(f"{name:<26} {'running' if runs else 'ENDED':<8} {pid}")
    try:
        items = Api(settings).get("/api/v1/nodes")["items"]
    except (OSError, ClusterError) as error:
        print(f"the API server does not answer: {error}")
        return 1
    for item in items:
        ready = is_true(item, "Ready")
        well = well and ready
        print(f"node {item['metadata']['name']:<21} {'Ready' if ready else 'NOT READY'}")
    print(f"kubeconfig {settings.kubeconfig}")
    return 0 if well and len(items) == len(settings.nodes) else 1


def _load(settings: Settings, images: Sequence[str]) -> int:
    if not images:
        raise ClusterError("load which image? give a path or a name")
    if not recorded(settings):
        raise ClusterError("there is no cluster to load into: run `cluster up` first")
    for image in images:
        load_image(settings, image)
    return 0


def _kubeconfig(settings: Settings, _: Sequence[str]) -> int:
    if not settings.kubeconfig.exists():
        raise ClusterError("there is no cluster: run `cluster up` first")
    print(settings.kubeconfig)
    return 0


def _folder(settings: Settings, _: Sequence[str]) -> int:
    print(settings.state)
    return 0


def _bin(settings: Settings, _: Sequence[str]) -> int:
    print(bin_folder(settings))
    return 0


def _net(settings: Settings, command: Sequence[str]) -> int:
    if not namespace_exists(settings):
        raise ClusterError("there is no cluster: run `cluster up` first")
    return run_inside(settings, list(command) or ["bash"])


def _leftovers(settings: Settings, _: Sequence[str]) -> int:
    left = find_leftovers(settings)
    print("\n".join(left) or "nothing")
    return 1 if left else 0


def _help(_settings: Settings, _: Sequence[str]) -> int:
    print(HELP, end="")
    return 0


COMMANDS: dict[str, Callable[[Settings, Sequence[str]], int]] = {
    "up": _up,
    "check": _check,
    "down": _down,
    "status": _status,
    "load": _load,
    "kubeconfig": _kubeconfig,
    "folder": _folder,
    "bin": _bin,
    "net": _net,
    "leftovers": _leftovers,
    "help": _help,
}
WITH_ARGUMENTS = ("load", "net", "help")


def main(arguments: Sequence[str]) -> int:
    """Run one command; errors are one line."""
    name = arguments[0] if arguments else "help"
    command = COMMANDS.get("help" if name in ("-h", "--help") else name)
    if command is None:
        print(f"cluster: no command {name}; try `cluster help`", file=sys.stderr)
        return 2
    if arguments[1:] and name not in WITH_ARGUMENTS:
        extra = " ".join(arguments[1:])
        print(f"cluster: {name} takes no argument, here is: {extra}", file=sys.stderr)
        return 2
    try:
        return command(load_settings(), arguments[1:])
    except ClusterError as error:
        print(f"cluster: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("cluster: interrupted; run the same command again to go on", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
