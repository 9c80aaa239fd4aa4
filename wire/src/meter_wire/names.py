"""Names shared by operator, twin, provision and archive: topics, labels, certificates, objects.

The contract is docs/reference/contracts.md; nothing else spells these strings.
"""

import re
from hashlib import sha256
from typing import NamedTuple

GROUP = "metertwin.io"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

LABEL_DEVICE = f"{GROUP}/device"
LABEL_EPOCH = f"{GROUP}/epoch"
LABEL_FEEDER = f"{GROUP}/feeder"
LABEL_ROLE = f"{GROUP}/role"
ROLE_TWIN = "twin"
ROLE_METER = "meter"
ANNOTATION_TEMPLATE_HASH = f"{GROUP}/template-hash"
ANNOTATION_PAUSED = f"{GROUP}/paused"
ANNOTATION_STOP_REASON = f"{GROUP}/stop-reason"

TWINS_SERVICE = "metertwin-twins"
FLEET_KEY_SECRET = "metertwin-fleet-key"  # noqa: S105 - a name
FLEET_KEY_FIELD = "master"
CA_SECRET = "metertwin-ca"  # noqa: S105 - a name
TRUST_CONFIG_MAP = "metertwin-trust"
TRUST_FIELD = "ca.crt"
UTILITIES_CONFIG_MAP = "metertwin-utilities"
OPERATOR_LEASE = "metertwin-operator"
OPERATOR_USER = "Operator.metertwin"
OPERATOR_URI = "urn:metertwin:operator"

DEVICE = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")
READER = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
READER_URI = "urn:metertwin:reader:"
READER_CN = "Reader."
MOST_PLAIN_READER, MOST_OF_READER = 56, 40
"""Characters of a reader's name that its common name has whole, and beside a digest."""
TWIN_URI = "urn:metertwin:twin:"
MAX_EPOCH = 0xFFFFFFFF
MAX_SEQ = 0xFFFFFFFF
CHANNELS = ("up", "down", "ctl", "state")
DEVICE_CHANNELS = ("owner", "hello", "renew", "renewed")
TO_EMS, FROM_EMS = ("plan", "answer"), ("state", "override")
"""What a twin and the home's energy management (EMS) say to each other."""


class Topic(NamedTuple):
    """A parsed topic; epoch is None for `DEVICE_CHANNELS`."""

    device: str
    epoch: int | None
    channel: str


def check_device(device: str) -> str:
    """Return the device id.

    Raises:
        ValueError: it is not 1 to 32 of a-z, 0-9 and -, or begins or ends with -.
    """
    if not DEVICE.fullmatch(device):
        raise ValueError(f"device: {device!r} does not match {DEVICE.pattern}")
    return device


def check_epoch(epoch: int) -> int:
    """Return the epoch.

    Raises:
        ValueError: it is not 1 to 2**32 - 1.
    """
    if not 1 <= epoch <= MAX_EPOCH:
        raise ValueError(f"epoch: {epoch} is not 1 to {MAX_EPOCH}")
    return epoch


def build_topic(device: str, channel: str, epoch: int | None = None) -> str:
    """Return `mt/<device>/<epoch>/<channel>`, or `mt/<device>/<channel>` for `DEVICE_CHANNELS`.

    Raises:
        ValueError: unknown channel, or an epoch where there is none, or a bad name.
    """
    check_device(device)
    if epoch is None and channel in DEVICE_CHANNELS:
        return f"mt/{device}/{channel}"
    if epoch is not None and channel in CHANNELS:
        return f"mt/{device}/{check_epoch(epoch)}/{channel}"
    raise ValueError(f"channel: {channel!r} with epoch {epoch}")


def parse_topic(topic: str) -> Topic:
    """Return the parts of a topic; the inverse of `build_topic`.

    Raises:
        ValueError: it is not a topic of this contract.
    """
    parts = topic.split("/")
    if parts[0] == "mt" and len(parts) == 3:  # noqa: PLR2004
        found = Topic(parts[1], None, parts[2])
    elif parts[0] == "mt" and len(parts) == 4:  # noqa: PLR2004
        if not re.fullmatch(r"[1-9][0-9]{0,9}", parts[2]):
            raise ValueError(f"epoch: {parts[2]!r}")
        found = Topic(parts[1], int(parts[2]), parts[3])
    else:
        raise ValueError(f"topic: {topic!r} is not of this contract")
    if build_topic(found.device, found.channel, found.epoch) != topic:
        raise ValueError(f"topic: {topic!r} is not of this contract")
    return found


def build_ems_topic(device: str, epoch: int, name: str, channel: str) -> str:
    """Return the topic of a channel between a twin and its home's energy management.

    `ems/to/<device>/<epoch>/<reader's common name>/<channel>`, which the twin writes, or
    `ems/from/<reader's common name>/<device>/<epoch>/<channel>`, which it reads. The first level of
    each writer is where the access rules have its user name.

    Raises:
        ValueError: unknown channel, or a bad name.
    """
    twin, reader = build_twin_cn(device, epoch), build_reader_cn(name)
    if channel in TO_EMS:
        return f"ems/to/{twin}/{reader}/{channel}"
    if channel in FROM_EMS:
        return f"ems/from/{reader}/{twin}/{channel}"
    raise ValueError(f"channel: {channel!r} of an energy management")


def build_twin_name(device: str, epoch: int) -> str:
    """Return the name of the twin's pod and of its Secret."""
    return f"{check_device(device)}-e{check_epoch(epoch)}"


def build_twin_host(device: str, epoch: int, namespace: str) -> str:
    """Return the name by which the certificate of one epoch's twin is checked; DNS has it not."""
    return f"{build_twin_name(device, epoch)}.{TWINS_SERVICE}.{namespace}.svc"


def build_device_host(device: str, namespace: str) -> str:
    """Return the DNS name of a device's active twin, which stays over its epochs."""
    return f"{check_device(device)}.{TWINS_SERVICE}.{namespace}.svc"


def build_twin_cn(device: str, epoch: int) -> str:
    """Return the common name of a twin's certificate."""
    return f"{check_device(device)}/{check_epoch(epoch)}"


def build_twin_uri(device: str, epoch: int) -> str:
    """Return the URI SAN of a twin's certificate."""
    return f"{TWIN_URI}{check_device(device)}:{check_epoch(epoch)}"


def build_reader_cn(name: str) -> str:
    """Return the common name of a reader's certificate, outside the device alphabet.

    It is unique: a long name is cut, as 64 characters are the most (RFC 5280, appendix A.1), and
    ends with its digest.

    Raises:
        ValueError: the name is not 1 to 63 of a-z, 0-9 and -, or begins or ends with -.
    """
    build_reader_uri(name)
    if len(name) <= MOST_PLAIN_READER:
        return f"{READER_CN}{name}"
    return f"{READER_CN}{name[:MOST_OF_READER]}.{sha256(name.encode()).hexdigest()[:16]}"


def build_reader_uri(name: str) -> str:
    """Return the URI SAN of the certificate of a recipient that reads from twins.

    Raises:
        ValueError: the name is not 1 to 63 of a-z, 0-9 and -, or begins or ends with -.
    """
    if not READER.fullmatch(name):
        raise ValueError(f"reader: {name!r} does not match {READER.pattern}")
    return f"{READER_URI}{name}"


def build_meter_uri(device: str) -> str:
    """Return the URI SAN of a meter's certificate."""
    return f"urn:metertwin:meter:{check_device(device)}"


def build_meter_secret(device: str) -> str:
    """Return the name of the Secret with a simulated meter's bundle, and of its pod."""
    return f"meter-{check_device(device)}"
