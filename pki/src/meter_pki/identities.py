"""What the certificate of each party says (docs/reference/contracts.md, Certificates)."""

from dataclasses import dataclass

from meter_wire.names import (
    OPERATOR_URI,
    OPERATOR_USER,
    build_device_host,
    build_meter_uri,
    build_reader_cn,
    build_reader_uri,
    build_twin_cn,
    build_twin_host,
    build_twin_uri,
    check_device,
)

BROKER_NAME = "metertwin-mosquitto"
ARCHIVE_NAME = "metertwin-archive"
DATABASE_NAME = "metertwin-postgres"
ARCHIVE_USER = "Archive.metertwin"
ARCHIVE_URI = "urn:metertwin:archive"


@dataclass(frozen=True, slots=True)
class Identity:
    """Common name and subject alternative names of one party; `server` adds server use."""

    common_name: str
    uri: str = ""
    dns: tuple[str, ...] = ()
    server: bool = False


def meter_identity(device: str) -> Identity:
    """Return the identity of a meter.

    Raises:
        ValueError: the device id is outside its alphabet.
    """
    return Identity(check_device(device), build_meter_uri(device))


def twin_identity(device: str, epoch: int, namespace: str) -> Identity:
    """Return the identity of one epoch's twin, which is a client and a server.

    Raises:
        ValueError: the device id or the epoch is out of range.
    """
    hosts = (build_twin_host(device, epoch, namespace), build_device_host(device, namespace))
    return Identity(build_twin_cn(device, epoch), build_twin_uri(device, epoch), hosts, True)


def operator_identity() -> Identity:
    """Return the identity of the operator, outside the device alphabet."""
    return Identity(OPERATOR_USER, OPERATOR_URI)


def reader_identity(name: str) -> Identity:
    """Return the identity of a recipient that reads from twins on port 8443.

    Its common name lies outside the device alphabet: at the broker it may speak as the energy
    management of a home whose SmartMeter names it, and is nobody else.

    Raises:
        ValueError: the name is outside its alphabet.
    """
    return Identity(build_reader_cn(name), build_reader_uri(name))


def archive_client_identity() -> Identity:
    """Return the identity by which the archive's database knows it, outside the device alphabet."""
    return Identity(ARCHIVE_USER, ARCHIVE_URI)


def service_identity(namespace: str, service: str, extra: tuple[str, ...] = ()) -> Identity:
    """Return the identity of a server, with every name of its Service."""
    names = (service, f"{service}.{namespace}", f"{service}.{namespace}.svc")
    return Identity(service, "", (*names, f"{names[-1]}.cluster.local", *extra), True)


def broker_identity(
    namespace: str, service: str = BROKER_NAME, extra: tuple[str, ...] = ()
) -> Identity:
    """Return the identity of the broker."""
    return service_identity(namespace, service, extra)
