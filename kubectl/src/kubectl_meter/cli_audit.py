"""`kubectl meter audit`: who has asked the archive what. Neighbour: `access`."""

import json

import click

from kubectl_meter.access import audit_table, open_archive_of
from kubectl_meter.cluster import Cluster
from kubectl_meter.options import archive_option, cluster_options, examples, output_option


@click.command(
    epilog=examples(
        "audit", "audit --who billing --from 2026-11-01", "audit --point 541448911000000017 -o json"
    )
)
@click.option("--who", metavar="NAME", help="Only this token; port-forward for this plugin.")
@click.option("--point", metavar="ID", help="Only answers that showed this metering point.")
@click.option("--from", "start", metavar="TIME", help="Start; a day before the end if left out.")
@click.option("--to", "end", metavar="TIME", help="End, not included; now if left out.")
@click.option("--before", metavar="NUMBER", type=int, help="Only older ones than this number.")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True,
              help="At most so many.")  # fmt: skip
@output_option("table", "json")
@archive_option
@cluster_options
def audit(
    cluster: Cluster,
    *,
    who: str | None,
    point: str | None,
    start: str | None,
    end: str | None,
    before: int | None,
    limit: int,
    archive_namespace: str | None,
    output: str,
) -> None:
    """List questions that the archive was asked, newest first, answered or refused.

    Who stood behind a port-forward is in the audit log of the API server.
    """
    query: dict[str, str | int | None] = {
        "who": who, "point": point, "from": start, "to": end, "before": before, "limit": limit,
    }  # fmt: skip
    with open_archive_of(cluster, archive_namespace) as archive:
        document = archive.get("/v1/audit", **query)
    click.echo(audit_table(document) if output == "table" else json.dumps(document, indent=2))
    if "next" in document:
        click.echo(f"there may be more: --before {document['next']}", err=True)
