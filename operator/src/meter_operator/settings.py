"""Settings of the process, from the environment; no secret is among them."""

import os
import socket
import uuid
from dataclasses import dataclass
from pathlib import Path


class SettingsError(ValueError):
    """An environment variable is missing or wrong; the message names it and the remedy."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the chart tells the operator."""

    namespace: str
    watch_namespaces: tuple[str, ...]
    broker_host: str
    broker_port: int
    twin_image: str
    pull_policy: str = "IfNotPresent"
    log_level: str = "info"
    identity: Path = Path("/var/run/metertwin/identity")
    trust: Path = Path("/var/run/metertwin/trust/ca.crt")
    http_port: int = 8080
    holder: str = ""
    watch_nodes: bool = True
    handover: bool = True
    message_size_limit_bytes: int = 1536
    """Of a payload: the broker passes no more."""
    archive_host: str = ""
    """Where twins bring their entries; empty: there is no archive."""
    archive_port: int = 8444

    @property
    def image_repository(self) -> str:
        """The image without tag or digest."""
        head, _, last = self.twin_image.rpartition("/")
        last = last.split("@")[0].split(":")[0]
        return f"{head}/{last}" if head else last

    @property
    def image_version(self) -> str:
        """The tag, or the digest's first digits."""
        last = self.twin_image.rsplit("/", 1)[-1]
        if "@" in last:
            return last.split("@")[1].replace("sha256:", "sha-")[:16]
        return last.split(":")[1] if ":" in last else "latest"


def _required(name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        raise SettingsError(f"{name}: is not set; the chart sets it")
    return value


def load_settings() -> Settings:
    """Read the environment.

    Raises:
        SettingsError: a variable is missing or no number.
    """
    namespace = _required("METERTWIN_NAMESPACE")
    watched = os.environ.get("METERTWIN_WATCH_NAMESPACES", "")
    try:
        broker_port = int(os.environ.get("METERTWIN_BROKER_PORT", "8883"))
        http_port = int(os.environ.get("METERTWIN_HTTP_PORT", "8080"))
        message_size_limit_bytes = int(os.environ.get("METERTWIN_MESSAGE_SIZE_LIMIT", "1536"))
        archive_port = int(os.environ.get("METERTWIN_ARCHIVE_PORT") or "8444")
    except ValueError as error:
        names = (
            "METERTWIN_BROKER_PORT, METERTWIN_HTTP_PORT, METERTWIN_MESSAGE_SIZE_LIMIT, "
            "METERTWIN_ARCHIVE_PORT"
        )
        raise SettingsError(f"{names}: {error}") from None
    pod = os.environ.get("POD_NAME") or socket.gethostname()
    return Settings(
        namespace=namespace,
        watch_namespaces=tuple(part for part in watched.split(",") if part) or (namespace,),
        broker_host=_required("METERTWIN_BROKER_HOST"),
        broker_port=broker_port,
        twin_image=_required("METERTWIN_TWIN_IMAGE"),
        pull_policy=os.environ.get("METERTWIN_TWIN_PULL_POLICY", "IfNotPresent"),
        log_level=os.environ.get("METERTWIN_LOG_LEVEL", "info"),
        identity=Path(os.environ.get("METERTWIN_IDENTITY", "/var/run/metertwin/identity")),
        trust=Path(os.environ.get("METERTWIN_TRUST", "/var/run/metertwin/trust/ca.crt")),
        http_port=http_port,
        watch_nodes=os.environ.get("METERTWIN_WATCH_NODES", "true") != "false",
        handover=os.environ.get("METERTWIN_HANDOVER", "true") != "false",
        message_size_limit_bytes=message_size_limit_bytes,
        archive_host=os.environ.get("METERTWIN_ARCHIVE_HOST", ""),
        archive_port=archive_port,
        holder=f"{pod}-{uuid.uuid4().hex[:8]}",
    )
