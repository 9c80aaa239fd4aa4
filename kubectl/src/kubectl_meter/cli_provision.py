"""`kubectl meter provision`: the command's options and its story. `provisioning` does the work."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import click
from meter_wire.names import CA_SECRET, FLEET_KEY_SECRET, build_meter_secret

from kubectl_meter import constrained, lifetimes, provisioning, settings
from kubectl_meter.cluster import Cluster
from kubectl_meter.errors import MeterError, WrongUsage
from kubectl_meter.options import cluster_options, examples

BROKER_PORT = 8883
KEPT = "kept (--renew replaces it)"


class Wish(NamedTuple):
    """The options of one call."""

    csr: str | None
    out: str | None
    constrained: bool
    as_secret: bool
    renew: bool
    days: int | None
    broker: str | None
    renewal_port: int | None
    key_version: int
    settings_file: str | None
    assignments: tuple[str, ...]
    system_namespace: str | None
    ca_secret: str
    fleet_key_secret: str


@click.command(
    epilog=examples(
        "provision house-1 --out bundle/            # key and certificate, written once",
        "provision house-1 --csr meter.csr --out b/ # the device made its own key",
        "provision board-1 --constrained --out b/   # a board without TLS: a password instead",
        "provision house-1 --secret                 # Secret meter-house-1, to simulate it",
        "provision --secret --settings street.json  # every meter of the file",
    )
)
@click.argument("devices", nargs=-1, metavar="[DEVICE]...")
@click.option("--csr", metavar="FILE", help="Sign this request (EC P-256, PEM); makes no key.")
@click.option("--out", metavar="DIR", help="Write the bundle into this folder, once.")
@click.option("--constrained", is_flag=True,
              help="For the small profile at the broker's port without TLS.")  # fmt: skip
@click.option("--secret", "as_secret", is_flag=True, help="Write the Secret meter-DEVICE instead.")
@click.option("--renew", is_flag=True, help="Replace a Secret that exists; else it is kept.")
@click.option("--days", type=click.IntRange(1, lifetimes.MAX_DAYS), metavar="N",
              help="Days that the certificate lasts; else 3650, or as many as its CA.")  # fmt: skip
@click.option("--broker", metavar="HOST[:PORT]", help="What the meter dials; else the Service.")
@click.option("--renewal-port", type=click.IntRange(1, 65535), metavar="PORT",
              help="The broker's for meters that were dark too long: 8884.")  # fmt: skip
@click.option("--key-version", type=click.IntRange(1), default=1, show_default=True,
              help="As spec.keyVersion of the SmartMeter.")  # fmt: skip
@click.option("--settings", "settings_file", metavar="FILE",
              help="JSON that goes into meter.json: tariff, capture_period_s, …")  # fmt: skip
@click.option("--set", "assignments", multiple=True, metavar="PATH=VALUE",
              help="One more setting, JSON or text; may be repeated.")  # fmt: skip
@click.option("--system-namespace", metavar="NAMESPACE",
              help="Where CA and fleet key are; else the namespace of the meters.")  # fmt: skip
@click.option("--ca-secret", default=CA_SECRET, show_default=True, help="Secret of the CA.")
@click.option("--fleet-key-secret", default=FLEET_KEY_SECRET, show_default=True,
              help="Secret of the fleet key.")  # fmt: skip
@cluster_options
def provision(cluster: Cluster, devices: tuple[str, ...], **options: Any) -> None:
    """Make or sign the credentials of devices.

    A bundle holds meter.json (with the device's symmetric key), ca.der (while the CA is rotated
    ca-2.der too), meter.crt.der and, unless a request was signed, meter.key.der. Private keys are
    kept nowhere: a lost bundle is made anew. The meter has its certificate renewed by itself.
    With --constrained it holds meter.json, a password in it, and a line for the broker's passwords.
    """
    wish = Wish(**options)
    document = settings.load_settings(wish.settings_file) if wish.settings_file else {}
    wanted = [provisioning.check_name(device) for device in devices or document.get("meters", {})]
    _check(wish, wanted)
    system = cluster._replace(namespace=wish.system_namespace or cluster.namespace)
    issuer = provisioning.load_issuer(system, wish.ca_secret, wish.fleet_key_secret)
    for device in wanted:
        _provision_one(cluster, issuer, device, wish, document)


def _check(wish: Wish, devices: list[str]) -> None:
    """Refuse options that do not go together, before anything is read or made."""
    if not devices:
        raise WrongUsage(
            "no device is named", field="DEVICE", remedy="kubectl meter provision house-1"
        )
    if wish.as_secret == (wish.out is not None):
        raise WrongUsage(
            "where should the bundle go?",
            field="--out, --secret",
            remedy="--out DIR for a board, --secret for a simulated meter; one of them",
        )
    if wish.constrained and (wish.csr or wish.as_secret or wish.days or wish.renewal_port):
        raise WrongUsage(
            "a board without TLS has no certificate, and its broker needs a line of the bundle",
            field="--constrained",
            remedy="use it with --out DIR alone",
        )
    if wish.csr and wish.as_secret:
        raise WrongUsage("a request has no private key", field="--csr", remedy="use --out DIR")
    if wish.csr and len(devices) > 1:
        raise WrongUsage("a request is for one device", field="--csr", remedy="name one DEVICE")


def _provision_one(
    cluster: Cluster,
    issuer: provisioning.Issuer,
    device: str,
    wish: Wish,
    document: dict[str, Any],
) -> None:
    now = datetime.now(UTC)
    found = settings.settings_of(document, device, now)
    for assignment in wish.assignments:
        found = settings.assign(found, assignment)
    settings.check_settings(found, settings.KNOWN_SMALL if wish.constrained else settings.KNOWN)
    broker = _broker(cluster, wish)
    meter = provisioning.meter_json(issuer, device, wish.key_version, broker, found)
    if wish.constrained:
        files = constrained.build_bundle(meter)
        valid = ""
    else:
        lifetime = lifetimes.choose_lifetime(issuer.authority, wish.days, now)
        request = _read_request(wish.csr)
        files = provisioning.build_bundle(issuer, meter, now, lifetime, request)
        end = lifetimes.describe_end(files[provisioning.CERTIFICATE_FILE], issuer.authority)
        valid = f", {end}"
    if wish.out is not None:
        folder = Path(wish.out) / device
        provisioning.write_folder(folder, files)
        click.echo(f"{folder}: {', '.join(files)}{valid}")
        return
    manifest = json.dumps(provisioning.build_secret(device, files))
    done = _write(cluster, device, manifest, wish)
    click.echo(f"secret/{build_meter_secret(device)} {done}{valid if done != KEPT else ''}")


def _write(cluster: Cluster, device: str, manifest: str, wish: Wish) -> str:
    """Write the Secret without reading it, and say what became of it.

    Creating it first needs no right to read Secrets: where meters are, those of twins are too.
    """
    if not wish.renew:
        return "created" if cluster.create(manifest) else KEPT
    try:
        cluster.run("apply", "--server-side", "--force-conflicts", "-f", "-", text=manifest)
    except MeterError as error:
        if not error.message.startswith("(Forbidden)"):
            raise
        name = build_meter_secret(device)
        remedy = (
            f"ask for this role: kubectl create role renew-{name} --verb=create,patch"
            f" --resource=secrets --resource-name={name}"
        )
        raise MeterError(error.message, field="--renew", remedy=remedy) from None
    return "renewed"


def _read_request(path: str | None) -> bytes | None:
    if path is None:
        return None
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise MeterError(
            f"{path}: {error.strerror}", field="--csr", remedy=provisioning.CSR_REMEDY
        ) from None


def _broker(cluster: Cluster, wish: Wish) -> dict[str, Any]:
    """Return what meter.json says of the broker: its ports, and where it is."""
    host, port = _address(cluster, wish)
    renewal = {"renewal_port": wish.renewal_port} if wish.renewal_port else {}
    return {"host": host, "port": port, **renewal}


def _address(cluster: Cluster, wish: Wish) -> tuple[str, int]:
    """Return host and port of the broker, as given or as the chart's Service is called."""
    default = constrained.PORT if wish.constrained else BROKER_PORT
    if wish.broker is None:
        namespace = wish.system_namespace or cluster.namespace or _current_namespace(cluster)
        return f"metertwin-mosquitto.{namespace}.svc", default
    host, colon, port = wish.broker.rpartition(":")
    if not colon:
        return wish.broker, default
    if not host or not port.isdigit():
        raise MeterError(
            f"{wish.broker!r} is no host and port",
            field="--broker",
            remedy="--broker meters.example.org:8883",
        )
    return host, int(port)


def _current_namespace(cluster: Cluster) -> str:
    view = cluster.run("config", "view", "--minify", "-o", "jsonpath={..namespace}")
    return view.strip() or "default"
