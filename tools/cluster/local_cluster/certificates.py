"""Keys and certificates of the cluster, made with the openssl program.

Two authorities: etcd trusts only its own, so that no certificate of the API opens the store.
"""

from dataclasses import dataclass
from pathlib import Path

from .commands import run
from .settings import Settings

_DAYS = "3650"
_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
_CONFIG = "[req]\ndistinguished_name = name\n[name]\n"


@dataclass(frozen=True)
class Identity:
    """One certificate: file name, authority, subject and the names of a server."""

    file: str
    authority: str
    common_name: str
    organisation: str = ""
    names: tuple[str, ...] = ()

    @property
    def subject(self) -> str:
        """The subject in openssl's notation."""
        prefix = f"/O={self.organisation}" if self.organisation else ""
        return f"{prefix}/CN={self.common_name}"


def identities(settings: Settings) -> list[Identity]:
    """Every certificate of the cluster."""
    api_names = (
        "IP:127.0.0.1",
        f"IP:{settings.api_address}",
        f"IP:{settings.api_service}",
        "DNS:localhost",
        "DNS:kubernetes",
        "DNS:kubernetes.default",
        "DNS:kubernetes.default.svc",
        "DNS:kubernetes.default.svc.cluster.local",
    )
    own = [
        Identity("etcd", "etcd-ca", "etcd", names=("IP:127.0.0.1", "DNS:localhost")),
        Identity("etcd-client", "etcd-ca", "kube-apiserver"),
        Identity("apiserver", "ca", "kube-apiserver", names=api_names),
        Identity("apiserver-kubelet", "ca", "kube-apiserver-kubelet"),
        Identity("admin", "ca", "metertwin-admin", "system:masters"),
        Identity("kube-controller-manager", "ca", "system:kube-controller-manager"),
        Identity("kube-scheduler", "ca", "system:kube-scheduler"),
        Identity("kube-proxy", "ca", "system:kube-proxy"),
    ]
    for node in settings.nodes:
        names = (f"IP:{node.address}", f"DNS:{node.name}")
        own.append(
            Identity(f"kubelet-{node.index}", "ca", f"system:node:{node.name}", "system:nodes")
        )
        own.append(Identity(f"kubelet-{node.index}-server", "ca", node.name, names=names))
    return own


def _extensions(identity: Identity) -> list[str]:
    usage = "serverAuth,clientAuth" if identity.names else "clientAuth"
    lines = ["basicConstraints=critical,CA:FALSE", f"extendedKeyUsage={usage}"]
    lines.append("keyUsage=critical,digitalSignature")
    if identity.names:
        lines.append("subjectAltName=" + ",".join(identity.names))
    return [part for line in lines for part in ("-addext", line)]


def _make_authority(name: str, folder: Path, config: Path) -> None:
    extensions = ["-addext", "basicConstraints=critical,CA:TRUE"]
    extensions += ["-addext", "keyUsage=critical,keyCertSign,cRLSign,digitalSignature"]
    extensions += ["-addext", "subjectKeyIdentifier=hash"]
    command: list[str | Path] = ["openssl", "req", "-x509", "-config", config, *_KEY, *extensions]
    command += ["-subj", f"/CN=metertwin-{name}", "-days", _DAYS]
    command += ["-keyout", folder / f"{name}.key", "-out", folder / f"{name}.crt"]
    run(command, f"making the authority {name}")


def _make_certificate(identity: Identity, folder: Path, config: Path) -> None:
    authority = folder / identity.authority
    command: list[str | Path] = [
        "openssl",
        "req",
        "-x509",
        "-config",
        config,
        *_KEY,
        *_extensions(identity),
    ]
    command += ["-CA", f"{authority}.crt", "-CAkey", f"{authority}.key", "-days", _DAYS]
    command += ["-subj", identity.subject, "-keyout", folder / f"{identity.file}.key"]
    command += ["-out", folder / f"{identity.file}.crt"]
    run(command, f"making the certificate {identity.file}")


def ensure_certificates(settings: Settings) -> None:
    """Make what is missing; keys are readable by root only."""
    folder = settings.pki
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    config = folder / "openssl.cnf"
    config.write_text(_CONFIG)
    for name in ("ca", "etcd-ca"):
        if not (folder / f"{name}.crt").exists():
            _make_authority(name, folder, config)
    for identity in identities(settings):
        if not (folder / f"{identity.file}.crt").exists():
            _make_certificate(identity, folder, config)
    accounts = folder / "service-accounts.key"
    if not accounts.exists():
        run(["openssl", "genrsa", "-out", accounts, "2048"], "making the key of service accounts")
