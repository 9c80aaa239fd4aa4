"""The archive of the street: kill -9 of all its parts loses nothing; history is what meters counted.

The oracle is the firmware's own log, over the archive's tables (`Record.verify_archive`). What
single faults do to the service alone is in `archive/tests`. Neighbour: `test_database`.
"""

import asyncio
import time
from datetime import UTC, datetime

import aiohttp
import pytest
from broker_port import build_context, forwarded_port
from demo import (
    ask_meter,
    find_process,
    get,
    is_pod_ready,
    is_ready,
    kill,
    meter,
    restarts,
    secret,
    skip_elsewhere,
    twin_of,
    until,
)

pytestmark = [pytest.mark.demo, pytest.mark.alone, pytest.mark.timeout(600)]
HOUSES = ["house-3", "house-4", "house-9"]
IMPORT = "1-0:1.8.0*255"
SERVICE, DATABASE = "metertwin-archive", "metertwin-postgres-0"


def pods():
    """Return the pods of the service and of its database."""
    return [*get("pod", "-l", "app.kubernetes.io/component=archive"), get("pod", DATABASE)]


def kill_all():
    """Kill -9 every replica and PostgreSQL at once; return what was."""
    before = pods()
    processes = [find_process(pod) for pod in before]
    if None in processes:
        skip_elsewhere()
    for process in processes:
        kill(process)
    return before


def are_back(before):
    now = {pod["metadata"]["uid"]: pod for pod in pods()}
    for pod in before:
        after = now[pod["metadata"]["uid"]]
        assert restarts(after) > restarts(pod), pod["metadata"]["name"]
        assert is_pod_ready(after), pod["metadata"]["name"]
    return True


def test_a_kill_of_every_replica_and_of_postgresql_loses_nothing(record):
    houses = [record(house) for house in HOUSES]
    for house in houses:
        house.verify_archive()
    for _ in range(2):
        before = kill_all()
        until(lambda before=before: are_back(before), "all run again", 300)
    for house in houses:
        house.verify_archive(300)
    assert all(is_ready(house) for house in HOUSES), "meters do not need the archive"


def test_a_twin_says_how_far_it_is_archived():
    def is_told():
        link = ask_meter("status", "house-3")["link"]
        assert (link["archive"]["state"], link["archive"]["behind"]) == ("current", 0), link
        return all(mark["archived"] == mark["stored"] for mark in link["marks"])

    until(is_told, "the twin tells that all is archived")


async def push(port, context, incarnation):
    """Return what an empty batch is answered with; 0 if there is no TLS connection."""
    url = f"https://127.0.0.1:{port}/v1/batches/{incarnation}"
    connector = aiohttp.TCPConnector(ssl=context)
    async with aiohttp.ClientSession(connector=connector) as session:
        try:
            async with session.post(url, data=b"") as answer:
                return answer.status
        except (aiohttp.ClientError, OSError):
            return 0


def test_only_twins_of_the_fleet_are_heard(tmp_path):
    twin = secret(twin_of("house-1")["metadata"]["name"])
    anchors = secret("metertwin-archive-tls")["ca.crt"]

    def ask(name, credentials):
        folder = tmp_path / name
        context = build_context(folder, anchors, credentials["tls.crt"], credentials["tls.key"])
        with forwarded_port(SERVICE, 8444) as port:
            return asyncio.run(push(port, context, "00" * 8))

    assert ask("twin", twin) == 400, "heard: an empty body is no batch"
    assert ask("database", secret("metertwin-archive-database-tls")) == 403
    assert ask("archive", secret("metertwin-archive-tls")) == 403


def test_history_is_the_advance_of_the_register(record):
    record("house-4").verify_archive()
    end_s = int(time.time()) // 900 * 900
    first, last = (_format(one) for one in (end_s - 900, end_s))
    span = ("--register", "1.8.0", "--every", "15m", "--from", first, "--to", last)
    declared = get("smartmeter", "house-4")["metadata"]["creationTimestamp"]
    if end_s <= datetime.fromisoformat(declared).timestamp():
        refused = meter("history", "house-4", *span, check=False)
        assert "'house-4' is not known for that time" in refused.stderr
        return
    (device,) = ask_meter("history", "house-4", *span)["devices"]
    stored = {
        row["time"]: row["registers"][IMPORT]["value"]
        for row in ask_meter("readings", "house-4", "--since", "all")
    }
    found = [(one["quality"], one["value"]) for one in device["buckets"]]
    if first in stored and last in stored:
        assert found == [("metered", stored[last] - stored[first])]
    else:  # the street is younger than that quarter of an hour
        assert found in ([], [("missing", None)])


def _format(second):
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
