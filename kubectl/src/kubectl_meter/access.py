"""Shows tokens of the archive and its audit. Neighbours: `cli_token`, `cli_audit`, `history`."""

import contextlib
from collections.abc import Iterator
from typing import Any

from kubectl_meter.archive import open_archive
from kubectl_meter.cluster import Cluster
from kubectl_meter.tables import format_table
from kubectl_meter.twin import Twin

Json = dict[str, Any]


@contextlib.contextmanager
def open_archive_of(cluster: Cluster, namespace: str | None) -> Iterator[Twin]:
    """Connect to a replica of the archive in a namespace, else in that of the meters.

    Raises:
        MeterError: there is none that is ready, or no port-forward.
    """
    with open_archive(cluster._replace(namespace=namespace or cluster.namespace)) as archive:
        yield archive


def tokens_table(document: Json) -> str:
    """Return tokens, one a line."""
    head = ("NAME", "SEES", "STATE", "EXPIRES", "LAST USED")
    return format_table(
        head,
        [
            (one["name"], _sees(one), one["state"], one["expires"], one["lastUsed"] or "never")
            for one in document["tokens"]
        ],
    )


def _sees(one: Json) -> str:
    if one["scope"] != "points":
        return str(one["label"] or "all")
    grants = [
        f"{grant['point']} {grant['since'][:10]}..{(grant['until'] or '')[:10]}"
        for grant in one["grants"]
    ]
    more = f" and {len(grants) - 1} more" if len(grants) > 1 else ""
    return "".join(grants[:1]) + more


def audit_table(document: Json) -> str:
    """Return questions, one a line."""
    head = ("TIME", "WHO", "FROM", "STATUS", "DEVICES", "QUESTION")
    return format_table(
        head,
        [
            (
                one["time"][:19], one["who"] or "-", one["address"], str(one["status"]),
                str(one["devices"]), f"{one['route']} {one['parameters']}".strip(),
            )
            for one in document["accesses"]
        ],
    )  # fmt: skip
