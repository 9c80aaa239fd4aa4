"""`kubectl meter dr`: how a meter stands with its utility. Neighbour: `dr` (what is printed)."""

import json

import click

from kubectl_meter.cluster import Cluster
from kubectl_meter.dr import dr_text, dr_view
from kubectl_meter.errors import MeterError
from kubectl_meter.options import cluster_options, examples
from kubectl_meter.twin import SMART_METERS, forward_twin


@click.command(epilog=examples("dr house-1", "dr house-1 -o json"))
@click.argument("name")
@click.option(
    "-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True,
    help="How to print.",
)  # fmt: skip
@cluster_options
def dr(cluster: Cluster, *, name: str, output: str) -> None:
    """Show a meter's demand response: its registration, events and reports.

    Times are UTC and those of this house: the random offset that its utility allows is in them.
    A row that `acts now` limits a load of the meter.
    """
    meter = cluster.get(SMART_METERS, name)
    if "utility" not in meter["spec"]:
        raise MeterError(
            f"{name} has no utility",
            field="spec.utility",
            remedy="name one in spec.utility.name; `kubectl get utilities` lists them",
        )
    with forward_twin(cluster, meter) as twin:
        view = dr_view(meter, twin.get("/v1/dr"))
    click.echo(
        json.dumps(view, indent=2, ensure_ascii=False) if output == "json" else dr_text(view)
    )
