"""docs/reference/twin-api.md says what the twin does: paths, parameters, bodies, fields."""

import asyncio
import base64
import contextlib
import http.client
import json
import pathlib
import re
import time
from types import SimpleNamespace

import pytest
from meter_twin.api import Api
from meter_twin.peer_port import PeerPort
from meter_twin.registry import APPLICATIONS, find_application
from meter_twin.utility_memory import UtilityMemory

pytestmark = pytest.mark.timeout(300)
PAGE = (pathlib.Path(__file__).parents[2] / "docs/reference/twin-api.md").read_text()
READER = "urn:metertwin:reader:utility"
POLICY = {"recipients": [{"name": "utility", "publicKey": "ab" * 32}]}


def parse_page():
    """Return {(port, method, path): {table heading: [names]}}."""
    found, port, place, heading = {}, "", None, ""
    for line in PAGE.splitlines():
        if line.startswith("## "):
            port, place = line.removeprefix("## Port "), None
        elif route := re.fullmatch(r"### `(\w+) (\S+)`", line):
            place = found.setdefault((port, *route.groups()), {})
        elif place is not None and (row := re.match(r"\| `?(\w+)`? \|", line)):
            if "`" in line[:4]:
                place[heading].append(row[1])
            else:
                heading = row[1]
                place[heading] = []
    return found


ROUTES = parse_page()


def test_every_path_of_the_twin_is_documented_and_no_other():
    configuration = SimpleNamespace(
        device="d", registers=frozenset(), resolution_s=900, recipients=(), ems_name=""
    )
    commands = SimpleNamespace(forward=None, load=None, order=None, calendar=None)
    rest = [None] * 4
    api = Api(configuration, None, None, None, commands, None, *rest[:2])
    api.serve_ems(None)
    local = {("8081", *route) for route in api._routes}
    for kind in [UtilityMemory, *filter(None, map(find_application, APPLICATIONS))]:
        local |= {("8081", "GET", f"/v1/{name}") for name in kind.queries}
    peer = PeerPort(configuration, None, {}, dict, None)
    paths = {*peer._reads, "/v1/identity"}
    plain = {("8080", "GET", path) for path in ("/healthz", "/readyz", "/metrics")}
    assert set(ROUTES) == local | plain | {("8443", "GET", path) for path in paths}


@contextlib.asynccontextmanager
async def street(world, tools):
    world.issue("utility", "Reader.utility", f"URI:{READER}")
    world.start_broker()
    nobody = {"name": "nobody"}
    twin = world.start_twin(world.configuration(dataPolicy=POLICY, utility=nobody))
    await asyncio.to_thread(twin.wait_serving)
    await world.operate("active")
    meter = tools.Meter(world)
    meter.power_on()
    meter.append(tools.reading(int(time.time()) // 900 * 900, 5000))
    await tools.eventually(lambda: meter.ring.stored == 1, "everything is stored")
    await tools.eventually(lambda: twin.get("/v1/status")[1]["authority"], "authority")
    yield twin
    await meter.power_off()


def ask(world, port, path):
    """Return (status, document) of a GET."""
    if port != "8443":
        connection = http.client.HTTPConnection("127.0.0.1", world.local, timeout=60)
    else:
        context = world.context("utility")
        context.check_hostname = False
        connection = http.client.HTTPSConnection(
            "127.0.0.1", world.peer, context=context, timeout=60
        )
    with contextlib.closing(connection):
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, json.load(answer)


def compare(world, twin):
    for (port, method, path), tables in ROUTES.items():
        place = f"{port} {method} {path}"
        if method == "GET" and port != "8080":
            status, document = ask(world, port, path)
            assert (status, sorted(document)) == (200, sorted(tables["field"])), place
            status, document = ask(world, port, f"{path}?colour=red")
            if path != "/v1/identity":
                known = document["error"]["remedy"].partition("known are: ")[2].split()
                assert (status, document["error"]["field"]) == (400, "colour"), place
                assert sorted(known) == sorted(tables.get("parameter", [])), place
    bodies = {
        "/v1/forward": {"data": base64.b64encode(b"hello").decode()},
        "/v1/load": {"limit_w": 0, "seconds": 60},
        "/v1/order": {"order": "AQ==", "signature": base64.b64encode(bytes(64)).decode()},
    }
    for path, body in bodies.items():
        tables = ROUTES["8081", "POST", path]
        _, document = twin.post(path, {"colour": "red"})
        known = document["error"]["remedy"].partition("known are: ")[2].split(", ")
        assert sorted(known) == sorted(tables["body"]), path
        status, document = twin.post(path, body)
        assert (status, sorted(document)) == (200, sorted(tables["field"])), path


async def test_parameters_and_fields_are_those_of_a_running_twin(world, tools):
    async with street(world, tools) as twin:
        await asyncio.to_thread(compare, world, twin)
