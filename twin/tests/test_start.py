"""The start of a twin: who asks early waits for the answer and is not refused."""

import asyncio
import json
import subprocess
import sys

import pytest
from meter_twin import link_loop
from meter_twin.description import Description
from meter_twin.health import MOST_WAIT_S, Health
from meter_twin.http_server import ApiError, Request
from meter_twin.store import Store
from meter_twin.store_schema import StoreError
from meter_wire.effects import MeterHello, StoreEntries
from meter_wire.twin_link import EpochKeys

pytestmark = pytest.mark.timeout(300)

LOOK = """
import socket, sys

class Look:
    def find_spec(self, name, path=None, target=None):
        if name == "meter_twin.serving":
            for port in {ports}:
                socket.create_connection(("127.0.0.1", port), 10).close()
            print("all listen,", "asyncio" in sys.modules and "with" or "without", "asyncio")
            sys.exit(0)

sys.meta_path.insert(0, Look())
from meter_twin.process import run
run()
"""


def ask(health, query):
    return health.handle(Request("GET", "/readyz", query, b"", ()))


def test_the_ports_listen_before_the_long_imports(world):
    ports = [world.plain, world.local, world.peer]
    done = subprocess.run(
        [sys.executable, "-c", LOOK.format(ports=ports)], text=True, timeout=60,
        capture_output=True, check=False,
        env={"PYTHONPATH": ":".join(sys.path), "METERTWIN_CONFIG": json.dumps(world.configuration())},
    )  # fmt: skip
    assert done.stdout == "all listen, without asyncio\n", done.stderr


async def test_a_question_with_patience_is_answered_when_the_twin_becomes_ready():
    reasons = ["no broker session yet"]
    health = Health(lambda: reasons[0] if reasons else "", list)
    waiting = asyncio.create_task(ask(health, {"wait": "30"}))
    await asyncio.sleep(0.2)
    assert not waiting.done()
    reasons.clear()
    assert (await waiting)[:2] == (200, b"ok\n")


async def test_patience_ends_with_the_reason():
    health = Health(lambda: "no broker session yet", list)
    loop = asyncio.get_running_loop()
    begun = loop.time()
    assert (await ask(health, {"wait": "1"}))[:2] == (503, b"no broker session yet\n")
    assert loop.time() - begun >= 1
    assert (await ask(health, {}))[:2] == (503, b"no broker session yet\n")


@pytest.mark.parametrize("wait", ["", "x", "-1", "1.5", "²", str(MOST_WAIT_S + 1), "100"])
async def test_patience_that_is_no_number_of_seconds_is_refused(wait):
    with pytest.raises(ApiError) as refused:
        await ask(Health(str, list), {"wait": wait})
    assert (refused.value.status, refused.value.document["error"]["field"]) == (400, "wait")


async def test_a_probe_that_comes_before_the_operator_is_answered_when_it_has_spoken(world, tools):
    world.start_broker()
    twin = world.start_twin()
    await asyncio.to_thread(twin.wait_serving)
    await tools.eventually(lambda: twin.get("/v1/status")[1]["broker"], "a broker session")
    probe = asyncio.create_task(asyncio.to_thread(twin.get, "/readyz?wait=30", world.plain))
    await asyncio.sleep(0.2)
    assert not probe.done()
    await world.operate("active")
    assert (await probe)[0] == 200


def end(world, **paths):
    """Start a twin with other paths; return what it did when it has ended."""
    configuration = world.configuration()
    configuration["paths"].update(paths)
    return subprocess.run(
        [sys.executable, "-m", "meter_twin"], text=True, timeout=60,
        capture_output=True, check=False,
        env={"PYTHONPATH": ":".join(sys.path), "METERTWIN_CONFIG": json.dumps(configuration)},
    )  # fmt: skip


def test_what_nobody_expected_is_told_by_type_and_place_only(world):
    done = end(world, identity="/secret\0")
    (line,) = [json.loads(row) for row in done.stderr.splitlines()]
    assert (done.returncode, line["what"], line["error"]) == (1, "twin failed", "ValueError")
    assert "secret" not in done.stderr


def test_a_store_whose_folder_cannot_be_made_is_said(world):
    done = end(world, store="/proc/nowhere/twin.db")
    line = json.loads(done.stderr.splitlines()[-1])
    assert (done.returncode, line["field"]) == (3, "paths.store")
    assert "its folder cannot be made" in line["message"]


async def test_a_session_and_a_failing_store_are_said_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(link_loop, "_STORE_PAUSE_S", 0)
    store = Store(str(tmp_path / "twin.db"))
    changes = []
    loop = link_loop.LinkLoop(
        *("house-1", EpochKeys(1, bytes(32), bytes(32)), store, None, lambda: None),
        Description(store),
        lambda: None,
        lambda: changes.append(loop.store_fault),
    )
    loop._perform(
        [MeterHello("house-1", bytes(8), (1, 1), *[0] * (len(MeterHello._fields) - 3))], []
    )
    await loop._fail(StoreError("no disk", "look at it"))
    loop._commit([StoreEntries(1, bytes(8), (), (), 0, bytes(16))])
    assert changes == ["", "failed", ""]
    store.close()
