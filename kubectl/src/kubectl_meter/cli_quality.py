"""`kubectl meter quality`: what came in time, what is missing or doubtful, and clocks."""

import json
from typing import Any

import click

from kubectl_meter.archive import open_archive
from kubectl_meter.cluster import Cluster
from kubectl_meter.errors import MeterError
from kubectl_meter.options import cluster_options, examples, output_option
from kubectl_meter.quality import ask_quality, quality_text


@click.command(
    epilog=examples(
        "quality house-1 --from 2026-11-01 --to 2026-11-08",
        "quality --fleet",
        "quality --feeder F12 --from 2026-11-01 --to 2026-11-02 -o json",
    )
)
@click.argument("name", required=False)
@click.option("--point", metavar="ID", help="A metering point, over all devices it has had.")
@click.option("--feeder", metavar="NAME", help="All meters of a feeder.")
@click.option("--label", metavar="KEY=VALUE", help="All meters with a label.")
@click.option("--fleet", is_flag=True, help="All meters.")
@click.option(
    "--from", "start", metavar="DAY", help="First day; the day before the end if left out."
)
@click.option("--to", "end", metavar="DAY", help="Day after the last; today if left out.")
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=20, show_default=True,
    help="Most meters to list.",
)  # fmt: skip
@click.option(
    "--archive-namespace", metavar="NS", help="Where the archive is; else that of the meters."
)
@output_option("table", "json")
@cluster_options
def quality(
    cluster: Cluster,
    *,
    name: str | None,
    fleet: bool,
    start: str | None,
    end: str | None,
    limit: int,
    archive_namespace: str | None,
    output: str,
    **kinds: str | None,
) -> None:
    """Print how well meters are read, from the archive: 99 % by 08:00 is what is expected.

    For one meter or metering point it lists gaps with their reason and findings of validation too.
    A day is that of the metering point's zone.
    """
    subjects: dict[str, Any] = {"meter": name, **kinds, "fleet": 1 if fleet else None}
    subjects = {kind: value for kind, value in subjects.items() if value}
    if len(subjects) != 1:
        raise MeterError(
            "whose quality? one of NAME, --point, --feeder, --label and --fleet",
            field="NAME",
            remedy="kubectl meter quality --help",
        )
    query = subjects | {"from": start, "to": end}
    if "point" not in subjects:
        query["namespace"] = cluster.namespace
    with open_archive(
        cluster._replace(namespace=archive_namespace or cluster.namespace)
    ) as archive:
        report = ask_quality(archive, query, limit)
    if output == "json":
        click.echo(json.dumps(report.document(), indent=2))
    else:
        click.echo(quality_text(report))
