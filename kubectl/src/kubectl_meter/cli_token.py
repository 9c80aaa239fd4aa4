"""`kubectl meter token`: who may ask the archive, and what that one sees. Neighbour: `access`."""

import json

import click

from kubectl_meter.access import open_archive_of, tokens_table
from kubectl_meter.cluster import Cluster
from kubectl_meter.errors import WrongUsage
from kubectl_meter.options import archive_option, cluster_options, examples, output_option


@click.group()
def token() -> None:
    """Make, list and end the tokens by which applications ask the archive (port 8443).

    It goes through a port-forward to the archive: who may do that, may do this. The archive notes
    each token that is made or ended, and each question that is asked with it.
    """


@token.command(
    epilog=examples(
        "token create billing --all --expires 30d",
        "token create grid-north --label feeder=F1",
        "token create tenant-17 --point 541448911000000017 --since 2026-03-01",
    )
)
@click.argument("name")
@click.option("--all", "everything", is_flag=True, help="It sees every meter.")
@click.option("--label", metavar="NAME=VALUE", help="It sees the SmartMeters with this label.")
@click.option(
    "--point", "points", metavar="ID", multiple=True,
    help="It sees this metering point; may be given several times.",
)  # fmt: skip
@click.option("--since", metavar="TIME", help="With --point: begin of the tenure.")
@click.option("--until", metavar="TIME", help="With --point: end of the tenure, not included.")
@click.option(
    "--expires", metavar="SPAN", default="90d", show_default=True,
    help="How long it can be used: 90d, 12h, 30m.",
)  # fmt: skip
@output_option("token", "json", default="token")
@archive_option
@cluster_options
def create(
    cluster: Cluster,
    *,
    name: str,
    everything: bool,
    label: str | None,
    points: tuple[str, ...],
    since: str | None,
    until: str | None,
    expires: str,
    archive_namespace: str | None,
    output: str,
) -> None:
    """Make a token and print it, this once: only its digest is stored.

    One of --all, --label and --point says what it sees. TIME is a day (2026-03-01), of the metering
    point's zone, or a time with an offset. Its owner sees nothing of whoever was at the point
    before or after.
    """
    if [everything, label is not None, bool(points)].count(True) != 1:
        raise WrongUsage(
            "what does it see? one of --all, --label and --point", field="--point",
            remedy="kubectl meter token create --help",
        )  # fmt: skip
    if points and not since:
        raise WrongUsage(
            "since when is its owner at this point?", field="--since",
            remedy="give the day on which the contract begins",
        )  # fmt: skip
    wanted = {
        "name": name, "all": everything or None, "label": label, "points": list(points) or None,
        "since": since, "until": until, "expires": expires,
    }  # fmt: skip
    body = {key: value for key, value in wanted.items() if value is not None}
    with open_archive_of(cluster, archive_namespace) as archive:
        document = archive.post("/v1/tokens", body)
    click.echo(document["token"] if output == "token" else json.dumps(document, indent=2))
    click.echo(f"{name} expires {document['expires']}; it is not shown again", err=True)


@token.command("list", epilog=examples("token list", "token list -o json"))
@output_option("table", "json")
@archive_option
@cluster_options
def list_all(cluster: Cluster, *, archive_namespace: str | None, output: str) -> None:
    """List tokens: what each sees, until when, and when it was last used."""
    with open_archive_of(cluster, archive_namespace) as archive:
        document = archive.get("/v1/tokens")
    shown = tokens_table(document) if output == "table" else json.dumps(document, indent=2)
    click.echo(shown)


@token.command(epilog=examples("token revoke billing"))
@click.argument("name")
@archive_option
@cluster_options
def revoke(cluster: Cluster, *, name: str, archive_namespace: str | None) -> None:
    """Revoke a token: the next question with it is refused."""
    with open_archive_of(cluster, archive_namespace) as archive:
        archive.post("/v1/tokens/revoke", {"name": name})
    click.echo(f"{name} is revoked")


@token.command(epilog=examples("token end tenant-17 --until 2026-09-01"))
@click.argument("name")
@click.option("--point", metavar="ID", help="Only at this metering point.")
@click.option("--until", metavar="TIME", help="End, not included; now if left out.")
@archive_option
@cluster_options
def end(
    cluster: Cluster,
    *,
    name: str,
    point: str | None,
    until: str | None,
    archive_namespace: str | None,
) -> None:
    """End the tenure of a token, as when a tenant moves out: it sees what was before."""
    wanted = {"name": name, "point": point, "until": until}
    body = {key: value for key, value in wanted.items() if value is not None}
    with open_archive_of(cluster, archive_namespace) as archive:
        archive.post("/v1/tokens/end", body)
    click.echo(f"the tenure of {name} ends {until or 'now'}")
