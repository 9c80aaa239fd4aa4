"""The process around the reconciler: it ends when it is told to, and counts its writes once."""

import asyncio
import base64
import json
import os
import signal
from datetime import UTC, datetime
from types import SimpleNamespace

import kopf
import meter_operator.__main__ as program
import pytest
from aiohttp import web
from meter_operator import http_server
from meter_operator.broker_errors import RivalError
from meter_operator.cluster import find_connection
from meter_operator.desired import Key
from meter_operator.lease import LeaseLostError
from meter_wire.names import CA_SECRET, FLEET_KEY_FIELD, FLEET_KEY_SECRET

from .street import AUTHORITY, MASTER

SETTINGS = SimpleNamespace(
    watch_namespaces=("street",), namespace="street", holder="a", http_port=0
)


SECRETS = {
    CA_SECRET: {"tls.crt": AUTHORITY.certificate_pem, "tls.key": AUTHORITY.key_pem},
    FLEET_KEY_SECRET: {FLEET_KEY_FIELD: MASTER},
}


class ApiServer:
    """What an API server says to an operator that another replica keeps from acting."""

    def __init__(self):
        self.lease_asked = asyncio.Event()

    async def handle(self, request):
        return web.json_response(self.answer(*request.path.rsplit("/", 1)))

    def answer(self, kind, name):
        if name in SECRETS:
            data = {key: base64.b64encode(value).decode() for key, value in SECRETS[name].items()}
            return {"metadata": {"name": name}, "data": data}
        if kind.endswith("/leases"):
            self.lease_asked.set()
            now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            spec = {"holderIdentity": "another", "leaseDurationSeconds": 15, "renewTime": now}
            return {"metadata": {"name": name}, "spec": spec}
        return {"versions": [], "groups": [], "resources": []}


@pytest.fixture
async def api_server(monkeypatch, tmp_path):
    """Serve on loopback; KUBECONFIG names it."""
    made, app = ApiServer(), web.Application()
    app.router.add_get("/{path:.*}", made.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    kubeconfig = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
    }
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps(kubeconfig))
    monkeypatch.setenv("KUBECONFIG", str(path))
    yield made
    await runner.cleanup()


def stop_soon():
    asyncio.get_running_loop().call_later(0.05, os.kill, os.getpid(), signal.SIGTERM)


@pytest.mark.usefixtures("api_server")
async def test_the_end_of_the_watches_ends_the_process():
    registry = kopf.OperatorRegistry()
    kopf.on.login(registry=registry, id="login")(lambda **_: find_connection())
    process, stop = program.Process(SETTINGS), asyncio.Event()
    process.watches = SimpleNamespace(registry=lambda: registry)
    stop_soon()  # kopf takes the signal, and waits 5 s for its own task that waits for `stop`
    await asyncio.wait_for(process._watch(stop), 60)
    assert stop.is_set()


async def test_a_replica_that_stands_by_ends_on_a_signal(api_server):
    standing = asyncio.create_task(program.Process(SETTINGS).run())
    await asyncio.wait_for(api_server.lease_asked.wait(), 60)
    stop_soon()
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
def test_a_lost_lease_or_a_rival_at_the_broker_is_an_exit_code_that_kubernetes_sees(caplog, error):
    async def end():
        raise error

    assert program.run_to_its_end(end()) == 1
    assert str(error) in caplog.text


def test_an_end_that_was_asked_for_is_no_failure():
    async def end():
        raise asyncio.CancelledError

    assert program.run_to_its_end(end()) == 0
