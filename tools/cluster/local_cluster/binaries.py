"""Build every program of the cluster from the Go module proxy, once, into the cache.

Each folder of `go/` is one Go module. Its programs lie in a cache folder named by the hash of
the module's files and of the build flags, so a changed version never meets an old binary.
"""

import hashlib
import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from .progress import say
from .settings import KUBERNETES_VERSION, SOURCE, ClusterError, Settings

_STRIP = "-s -w"
_VERSION = f"{_STRIP} -X k8s.io/component-base/version.gitVersion={KUBERNETES_VERSION}"
_KUBERNETES = "k8s.io/kubernetes/cmd/"
_CONTAINERD = "github.com/containerd/containerd/v2/cmd/"
_A_FEW = 3
_OWN = "metertwin/tools/cluster/go/local/"


@dataclass(frozen=True)
class Module:
    """One Go module and the programs that it builds."""

    name: str
    programs: tuple[tuple[str, str], ...]
    link_flags: str = _STRIP
    tags: str = ""

    @property
    def folder(self) -> Path:
        """Where its go.mod lies."""
        return SOURCE / "go" / self.name


MODULES = (
    Module("local", (("pause", _OWN + "pause"), ("loopback", _OWN + "loopback"))),
    Module(
        "kubernetes",
        (
            ("kube-apiserver", _KUBERNETES + "kube-apiserver"),
            ("kube-controller-manager", _KUBERNETES + "kube-controller-manager"),
            ("kube-scheduler", _KUBERNETES + "kube-scheduler"),
            ("kubelet", _KUBERNETES + "kubelet"),
            ("kube-proxy", _KUBERNETES + "kube-proxy"),
            ("kubectl", _KUBERNETES + "kubectl"),
            ("etcd", "go.etcd.io/etcd/server/v3"),
        ),
        link_flags=_VERSION,
    ),
    Module(
        "containerd",
        (
            ("containerd", _CONTAINERD + "containerd"),
            ("containerd-shim-runc-v2", _CONTAINERD + "containerd-shim-runc-v2"),
            ("ctr", _CONTAINERD + "ctr"),
        ),
        tags="no_btrfs,no_devmapper",
    ),
    Module("coredns", (("coredns", "metertwin/tools/cluster/go/coredns"),)),
    Module("helm", (("helm", "helm.sh/helm/v4/cmd/helm"),)),
)


def hash_of(module: Module) -> str:
    """Sixteen hex digits over the module's files and its build flags."""
    digest = hashlib.sha256(f"{module.link_flags}|{module.tags}|trimpath".encode())
    for path in sorted(module.folder.rglob("*")):
        if path.is_file():
            digest.update(path.relative_to(module.folder).as_posix().encode() + b"\0")
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def folder_of(module: Module, settings: Settings) -> Path:
    """The cache folder of the module's programs."""
    return settings.cache / "bin" / f"{module.name}-{hash_of(module)}"


def missing_programs(settings: Settings) -> list[tuple[Module, str, str]]:
    """What is still to be built: module, program, package."""
    return [
        (module, program, package)
        for module in MODULES
        for program, package in module.programs
        if not (folder_of(module, settings) / program).exists()
    ]


def bin_folder(settings: Settings) -> Path:
    """One folder with links to all programs, for a PATH."""
    joined = hashlib.sha256("".join(hash_of(module) for module in MODULES).encode())
    return settings.cache / "bin" / joined.hexdigest()[:16]


def _build(module: Module, program: str, package: str, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = folder / f".{program}.{os.getpid()}"
    flags = ["-mod=readonly", "-trimpath", "-ldflags", module.link_flags]
    flags += ["-tags", module.tags] if module.tags else []
    command = ["nice", "-n", "5", "go", "build", *flags, "-o", str(unfinished), package]
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": ""}
    log = folder / f".{program}.log"
    with log.open("w") as output:
        finished = subprocess.run(
            command, cwd=module.folder, env=environment, stdout=output, stderr=output, check=False
        )
    if finished.returncode:
        last = log.read_text().strip().splitlines()[-3:]
        raise ClusterError(f"while building {program}: {' | '.join(last)} (whole log: {log})")
    unfinished.rename(folder / program)
    log.unlink()


def _link(settings: Settings) -> None:
    folder = bin_folder(settings)
    folder.mkdir(parents=True, exist_ok=True)
    for module in MODULES:
        for program, _ in module.programs:
            link = folder / program
            if not link.exists():
                link.unlink(missing_ok=True)
                link.symlink_to(folder_of(module, settings) / program)


def ensure_binaries(settings: Settings) -> Path:
    """Build what is missing and return the folder with all programs.

    Raises:
        ClusterError: Go is missing, or a build failed.
    """
    missing = missing_programs(settings)
    if missing and not shutil.which("go"):
        raise ClusterError("go is not installed: the programs are built from Go modules")
    if len(missing) > _A_FEW:
        say(f"building {len(missing)} programs: about 10 minutes on 2 cores, only this once")
    for position, (module, program, package) in enumerate(missing, 1):
        say(f"building {program} ({position} of {len(missing)})")
        before = time.monotonic()
        _build(module, program, package, folder_of(module, settings))
        say(f"built {program} in {time.monotonic() - before:.0f} s")
    _link(settings)
    return bin_folder(settings)
