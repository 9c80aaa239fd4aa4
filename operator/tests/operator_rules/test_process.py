"""The process around the reconciler: it ends when it is told to, and counts its writes once."""

import asyncio
import os
import signal
from types import SimpleNamespace

import kopf
import meter_operator.__main__ as program
import pytest
from meter_operator import http_server
from meter_operator.broker_errors import RivalError
from meter_operator.desired import Key
from meter_operator.lease import LeaseLostError
from meter_operator.watches import build_kopf_settings

SETTINGS = SimpleNamespace(
    watch_namespaces=("street",), namespace="street", holder="a", http_port=0
)


async def test_the_end_of_the_watches_ends_the_process(monkeypatch):
    async def ended(**_kwargs):
        return None

    monkeypatch.setattr(kopf, "operator", ended)
    process, stop = program.Process(SETTINGS), asyncio.Event()
    process.watches = SimpleNamespace(registry=kopf.OperatorRegistry)
    await process._watch(stop)
    assert stop.is_set()
    assert build_kopf_settings()


async def test_a_replica_that_stands_by_ends_on_a_signal(monkeypatch):
    async def nothing(*_arguments):
        return None

    class Closable:
        close = cleanup = nothing

    async def serve(*_arguments):
        return Closable()

    async def wait_for_ever(*_arguments):
        await asyncio.Event().wait()

    monkeypatch.setattr(http_server, "serve", serve)
    monkeypatch.setattr(program, "find_connection", lambda: None)
    monkeypatch.setattr(program, "Cluster", lambda _info: Closable())
    monkeypatch.setattr(program, "load_fleet", nothing)
    monkeypatch.setattr(program, "Lease", lambda *_: SimpleNamespace(acquire=wait_for_ever))
    standing = asyncio.create_task(program.Process(SETTINGS).run())
    await asyncio.sleep(0.05)
    os.kill(os.getpid(), signal.SIGTERM)
    done, _ = await asyncio.wait([standing], timeout=60)
    assert done
    assert standing.cancelled()


async def test_a_write_is_counted_once_however_many_look_at_the_same_time():
    process = program.Process(SETTINGS)
    process.cluster = SimpleNamespace(writes=0)

    async def reconcile(_key):
        process.cluster.writes += 1
        await asyncio.sleep(0.01)
        return False

    process.reconciler = SimpleNamespace(reconcile=reconcile, pause_s=lambda _key: None)
    before = http_server.API_WRITES._value.get()
    await asyncio.gather(*(process._look(Key("street", f"house-{n}")) for n in range(8)))
    assert http_server.API_WRITES._value.get() - before == 8


@pytest.mark.parametrize("error", [RivalError(6), LeaseLostError("another replica")], ids=repr)
def test_a_lost_lease_or_a_rival_at_the_broker_is_an_exit_code_that_kubernetes_sees(
    monkeypatch, caplog, error
):
    async def end(_self):
        raise error

    monkeypatch.setattr(program, "load_settings", lambda: SimpleNamespace(log_level="info"))
    monkeypatch.setattr(program, "start_journal", lambda _level: None)
    monkeypatch.setattr(program.Process, "__init__", lambda *_: None)
    monkeypatch.setattr(program.Process, "run", end)
    assert program.main() == 1
    assert str(error) in caplog.text
