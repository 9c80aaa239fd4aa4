"""`kubectl meter history`: what the archive has of a meter, a metering point, or many of them."""

import json
from pathlib import Path

import click

from kubectl_meter.archive import open_archive
from kubectl_meter.archive_forms import Kind, build_csv, build_table, flatten
from kubectl_meter.cluster import Cluster
from kubectl_meter.errors import MeterError
from kubectl_meter.options import archive_option, cluster_options, examples, output_option
from kubectl_meter.plotting import check_plot, write_plot


@click.command(
    epilog=examples(
        "history house-1 --from 2026-11-01 --to 2026-12-01 --every 1d",
        "history house-1 --every 15m -o csv",
        "history --point 541448911000000017 --register 2.8.0 --every 1mo --from 2026-01-01",
        "history -l feeder=feeder-1 --every 1h --plot feeder.png",
        "history house-1 --demand --every 1mo --from 2026-01-01",
    )
)
@click.argument("name", required=False)
@click.option("--point", metavar="ID", help="A metering point, over all devices it has had.")
@click.option("--device", metavar="ID", help="A device, wherever it was.")
@click.option(
    "-l", "--label", metavar="KEY=VALUE",
    help="The sum of all meters with a label; feeder=F are those at a feeder.",
)  # fmt: skip
@click.option("--fleet", is_flag=True, help="The sum of all meters, with -n of a namespace.")
@click.option(
    "--register",
    metavar="CODE",
    default="1.8.0",
    show_default=True,
    help="OBIS code: 1.8.0 is energy from the grid, 2.8.0 to it.",
)
@click.option("--from", "start", metavar="TIME", help="Start; a day before the end if left out.")
@click.option("--to", "end", metavar="TIME", help="End, not included; now if left out.")
@click.option(
    "--every",
    type=click.Choice(["15m", "1h", "1d", "1mo"]),
    default="1h",
    show_default=True,
    help="Length of a row; days and months are those of the metering point's zone.",
)
@click.option("--demand", is_flag=True, help="The largest mean power of a quarter hour in a row.")
@click.option("--zone", metavar="ZONE", help="Another zone, such as Europe/Brussels.")
@click.option(
    "--plot", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
    help="Draw it into a .png, .svg or .pdf too (needs matplotlib).",
)  # fmt: skip
@archive_option
@output_option("table", "json", "csv")
@cluster_options
def history(
    cluster: Cluster,
    *,
    name: str | None,
    label: str | None,
    fleet: bool,
    demand: bool,
    plot: Path | None,
    archive_namespace: str | None,
    output: str,
    **asked: str | None,
) -> None:
    """Print what a register did, from the archive: years back, over exchanges of the device.

    TIME is a day (2026-11-01), a local time (2026-11-01T06:00) or one with an offset. The energy of
    a row is the difference of two readings of the meter; without one of them it is missing. A sum
    of many meters says how many of them it lacks.
    """
    subject = _find_subject(name, label, fleet=fleet, **asked)
    kind: Kind = "totals" if subject.keys() & {"feeder", "label", "fleet"} else "history"
    if demand and kind == "totals":
        raise MeterError(
            "the demand of many meters is not had by adding theirs",
            field="--demand",
            remedy="ask for one NAME, --point or --device",
        )
    if plot is not None:
        check_plot(plot)
    kind = "demand" if demand else kind
    query = subject | {
        "register": asked["register"], "from": asked["start"], "to": asked["end"],
        "every": asked["every"], "zone": asked["zone"],
    }  # fmt: skip
    if not subject.keys() & {"point", "device"}:
        query["namespace"] = cluster.namespace
    place = cluster._replace(namespace=archive_namespace or cluster.namespace)
    with open_archive(place) as archive:
        document = archive.get(f"/v1/{kind}", **query)
    rows = flatten(kind, document)
    if plot is not None:
        (value,) = subject.values()
        write_plot(plot, f"{document['register']} of {value}, {document['zone']}", document, rows)
        click.echo(f"drawn: {plot}", err=True)
    if output == "json":
        click.echo(json.dumps(document, indent=2))
    else:
        shown = build_csv(document, rows) if output == "csv" else build_table(document, rows)
        click.echo(shown, nl=output == "table")


def _find_subject(
    name: str | None, label: str | None, *, fleet: bool, **asked: str | None
) -> dict[str, str | None]:
    key, _, value = (label or "").partition("=")
    feeder = value if key == "feeder" else None
    kinds = {
        "meter": name, "point": asked["point"], "device": asked["device"], "feeder": feeder,
        "label": None if feeder else label, "fleet": "1" if fleet else None,
    }  # fmt: skip
    found: dict[str, str | None] = {kind: one for kind, one in kinds.items() if one}
    if len(found) != 1:
        raise MeterError(
            "whose history? one of NAME, --point, --device, --label and --fleet",
            field="NAME",
            remedy="kubectl meter history --help",
        )
    return found
