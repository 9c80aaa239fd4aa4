"""`kubectl meter sign-calendar`, `order`, `calendar`: a tariff's way from its file to the meter.

Signing needs the utility's key and no cluster; handing over needs the cluster and no key.
Neighbours: `calendar_file`, `signed_orders`.
"""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from meter_pki.authority import CredentialError
from meter_pki.order_key import OrderKey
from meter_wire.utility_order import UtilityOrder, encode_utility_order

from kubectl_meter.calendar_file import (
    build_calendar,
    choose_calendars,
    load_calendars,
    parse_activation,
)
from kubectl_meter.cluster import Cluster
from kubectl_meter.errors import MeterError, WrongUsage
from kubectl_meter.options import cluster_options, examples, output_option
from kubectl_meter.signed_orders import (
    MEANINGS,
    SignedOrder,
    describe,
    find_files,
    format_seconds,
    load_order,
    write_order,
)
from kubectl_meter.twin import SMART_METERS, forward_twin, open_twin

_SPAN_S = {"m": 60, "h": 3600, "d": 86400}
_TTL_S = 35
"""Less than a client waits for its twin."""
_AT_ONCE = 8
"""Meters that orders are handed to at the same time; each is a port-forward of kubectl."""


@click.command(
    "sign-calendar",
    epilog=examples(
        "sign-calendar t.json --key k.pem --operator dso --activates 2027-01-01 --out orders/",
        "sign-calendar t.json house-1 --calendar night --activates now --key … --out again/",
    ),
)
@click.argument("file", metavar="FILE")
@click.argument("devices", nargs=-1, metavar="[DEVICE]...")
@click.option("--key", required=True, metavar="FILE",
              help="The utility's private key, EC P-256 in PEM; it stays where it is.")  # fmt: skip
@click.option("--operator", required=True, metavar="TEXT",
              help="Who answers for the order, 1 to 64 bytes; it is part of it.")  # fmt: skip
@click.option("--activates", required=True, metavar="TIME",
              help="now, a local date or time of the zone (2027-01-01T06:00), or RFC 3339. "
              "The meter switches at the first quarter hour from then on.")  # fmt: skip
@click.option("--out", required=True, metavar="DIR", help="Folder for DEVICE.order.json, once.")
@click.option("--calendar", metavar="NAME", help="This calendar, whatever `meters` says.")
@click.option("--valid-for", default="1d", show_default=True, metavar="SPAN",
              help="The meter refuses it later than that: 30m, 12h, 7d.")  # fmt: skip
@click.option("--reason", type=click.IntRange(0, 0xFFFF), default=0, show_default=True,
              help="Your own code; the meter records it.")  # fmt: skip
@click.option("--counter", type=click.IntRange(1, 0xFFFFFFFF),
              help="Above that of each meter's last order; else the seconds of now.")  # fmt: skip
def sign_calendar(file: str, devices: tuple[str, ...], **options: Any) -> None:
    """Sign orders that give meters a time-of-use calendar; the cluster is not asked.

    FILE is JSON: `zone`, `calendars` (name to rows of weekdays, "HH:MM", rate 1 to 4) and `meters`
    (device to calendar). Without DEVICE every meter of the file gets an order. A calendar waits in
    the meter until its time and is then in force by itself, even if nobody is connected.
    """
    found = load_calendars(file)
    now = datetime.now(UTC)
    wanted = choose_calendars(found, devices, options["calendar"])
    calendars = {name: build_calendar(found, name, now) for name in set(wanted.values())}
    activates = parse_activation(options["activates"], found.zone)
    not_after = int(now.timestamp()) + _parse_span(options["valid_for"])
    key = _load_key(Path(options["key"]))
    signed = []
    for device, name in wanted.items():
        order = UtilityOrder(
            device, "set_calendar", options["reason"], options["operator"], not_after,
            options["counter"] or int(now.timestamp()),
            activates=activates, calendar=calendars[name],
        )  # fmt: skip
        try:
            encoded = encode_utility_order(order)
        except ValueError as error:
            field = str(error).partition(":")[0]
            raise MeterError(str(error), field=field, remedy="change it and sign again") from None
        signed.append((order, encoded))
    for order, encoded in signed:
        path = write_order(Path(options["out"]), order.device, encoded, key.sign(encoded))
        click.echo(f"{path}: {describe(order)}, handed over before {format_seconds(not_after)}")
    click.echo(f"utility_key of these meters: {key.public_hex}")


def _parse_span(text: str) -> int:
    found = re.fullmatch(r"([1-9]\d{0,3})(m|h|d)", text)
    if found is None:
        raise WrongUsage(
            f"{text!r} is no span",
            field="--valid-for",
            remedy="write a span such as 30m, 12h or 7d",
        )
    return int(found[1]) * _SPAN_S[found[2]]


def _load_key(path: Path) -> OrderKey:
    remedy = "openssl ecparam -name prime256v1 -genkey -noout -out utility.pem"
    try:
        pem = path.read_bytes()
        if b"ENCRYPTED" not in pem:
            return OrderKey.load(pem)
        passphrase = click.prompt(f"Passphrase of {path}", hide_input=True, err=True)
        return OrderKey.load(pem, passphrase.encode())
    except OSError as error:
        raise MeterError(f"{path}: {error.strerror}", field="--key", remedy=remedy) from None
    except CredentialError as error:
        raise MeterError(f"{path}: {error}", field="--key", remedy=remedy) from None


@click.command(
    epilog=examples(
        "order orders/                        # each to the meter that it names",
        "order orders/ -l metertwin.io/feeder=feeder-1",
        "order orders/house-1.order.json -o json",
    )
)
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("-l", "--selector", help="Only to meters with these labels.")
@output_option("table", "json")
@cluster_options
def order(cluster: Cluster, *, paths: tuple[str, ...], selector: str | None, output: str) -> None:
    """Hand orders that the utility has signed to the meters that they name, and print each answer.

    PATH is a file, or a folder of *.order.json. The twin passes an order on and cannot change it;
    the meter carries it out only with its utility's signature, once, and in time. Handing the same
    files over again is harmless: who has done it says `repeated`.
    """
    orders = [load_order(path) for path in find_files(paths)]
    labels = [f"--selector={selector}"] if selector else []
    found = cluster.get(SMART_METERS, *labels)["items"]
    meters = {one["spec"].get("device") or one["metadata"]["name"]: one for one in found}
    wanted = [one for one in orders if not selector or one.content.device in meters]
    rows = []
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for row in pool.map(
            lambda one: _hand_over(cluster, one, meters.get(one.content.device)), wanted
        ):
            rows.append(row)
            if output == "table":
                click.echo(f"{row['device']}: {row['order']}: {row['code']}: {row['message']}")
    if output == "json":
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
    failed = [row for row in rows if row["code"] != "ok"]
    if failed:
        raise MeterError(
            f"{len(failed)} of {len(rows)} orders were not carried out",
            remedy="see each line; what is `repeated` was carried out before",
        )
    if not rows:
        raise MeterError("no order is for these meters", field="-l", remedy="kubectl get meters")


def _hand_over(cluster: Cluster, one: SignedOrder, meter: dict[str, Any] | None) -> dict[str, str]:
    row = {"device": one.content.device, "order": describe(one.content)}
    if meter is None:
        message = f"no SmartMeter of this namespace has this device ({one.path})"
        return {**row, "code": "no_meter", "message": message}
    try:
        with forward_twin(cluster, meter) as twin:
            code = twin.post("/v1/order", {**one.body(), "ttl_seconds": _TTL_S})["code"]
    except MeterError as error:
        return {**row, "code": "no_twin", "message": f"{error.message}; {error.remedy}"}
    return {**row, "code": code, "message": MEANINGS.get(code, "see the reference of the link")}


@click.command(epilog=examples("calendar house-1", "calendar house-1 -o json"))
@click.argument("name")
@output_option("table", "json")
@cluster_options
def calendar(cluster: Cluster, *, name: str, output: str) -> None:
    """Ask a meter which time-of-use calendar is in force, and which one waits for its time.

    `configured` is the one of its meter.json, before the first order of the utility.
    """
    with open_twin(cluster, name) as twin:
        found = {"meter": name, **twin.get("/v1/calendar")}
    if output == "json":
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
    elif found["active"] is not None:
        click.echo(_calendar_text(found))
    if found["active"] is None:
        code = found["live"]
        raise MeterError(
            f"{name} did not say: {code}", field="live",
            remedy=MEANINGS.get(code, f"kubectl meter status {name}"),
        )  # fmt: skip


def _calendar_text(found: dict[str, Any]) -> str:
    active, passive = found["active"], found["passive"]
    since = f" since {active['since']}" if active["since"] else ""
    text = f"{found['meter']}: {active['name'] or 'configured'}{since}"
    return text + (f"; {passive['name']} from {passive['since']}" if passive else "")
