"""`kubectl meter history`: what the archive has of a meter, a metering point or a device."""

import json

import click

from kubectl_meter.cluster import Cluster
from kubectl_meter.errors import MeterError
from kubectl_meter.history import history_csv, history_table, open_archive
from kubectl_meter.options import cluster_options, examples, output_option


@click.command(
    epilog=examples(
        "history house-1 --from 2026-11-01 --to 2026-12-01 --every 1d",
        "history house-1 --every 15m -o csv",
        "history --point 541448911000000017 --register 2.8.0 --every 1mo --from 2026-01-01",
    )
)
@click.argument("name", required=False)
@click.option("--point", metavar="ID", help="A metering point, over all devices it has had.")
@click.option("--device", metavar="ID", help="A device, wherever it was.")
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
@click.option("--zone", metavar="ZONE", help="Another zone, such as Europe/Brussels.")
@click.option(
    "--archive-namespace", metavar="NS", help="Where the archive is; else that of the meters."
)
@output_option("table", "json", "csv")
@cluster_options
def history(
    cluster: Cluster,
    *,
    name: str | None,
    point: str | None,
    device: str | None,
    register: str,
    start: str | None,
    end: str | None,
    every: str,
    zone: str | None,
    archive_namespace: str | None,
    output: str,
) -> None:
    """Print what a register did, from the archive: years back, over exchanges of the device.

    TIME is a day (2026-11-01), a local time (2026-11-01T06:00) or one with an offset. The energy of
    a row is the difference of two readings of the meter; without one of them it is missing.
    """
    if [name, point, device].count(None) != 2:  # noqa: PLR2004 - one of three is given
        raise MeterError(
            "whose history? one of NAME, --point and --device",
            field="NAME",
            remedy="kubectl meter history --help",
        )
    query = {
        "meter": name, "point": point, "device": device, "register": register, "from": start,
        "to": end, "every": every, "zone": zone, "namespace": cluster.namespace if name else None,
    }  # fmt: skip
    place = cluster._replace(namespace=archive_namespace or cluster.namespace)
    with open_archive(place) as archive:
        document = archive.get("/v1/history", **query)
    if output == "json":
        click.echo(json.dumps(document, indent=2))
    else:
        shown = history_csv(document) if output == "csv" else history_table(document)
        click.echo(shown, nl=output == "table")
