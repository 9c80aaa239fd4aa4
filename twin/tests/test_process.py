"""The whole process against a real Mosquitto with mutual TLS and the real meter link."""

import asyncio
import base64
import contextlib
import json
import random
import signal
import socket
import sqlite3
import ssl
import subprocess
import time
import urllib.request

import pytest
from meter_twin.store import Batch, Store
from meter_twin.store_keeper import LOOK_EVERY_S
from meter_twin.store_schema import make_folder
from meter_wire.portable.keys import derive_key

pytestmark = pytest.mark.timeout(300)


def stored(twin):
    """Return the identities of all readings and events, page by page."""
    found = []
    for name in ("readings", "events"):
        cursor = ""
        while cursor is not None:
            status, document = twin.get(f"/v1/{name}?limit=500{cursor}")
            assert status == 200
            found += [(bytes.fromhex(one["incarnation"]), one["seq"]) for one in document[name]]
            cursor = document["next"] and f"&after={document['next']}"
    return found


@contextlib.asynccontextmanager
async def running(world, tools, **changes):
    world.start_broker()
    twin = world.start_twin(world.configuration(**changes))
    await asyncio.to_thread(twin.wait_serving)
    await world.operate("active")
    meter = tools.Meter(world)
    meter.power_on()
    try:
        yield twin, meter
    finally:
        await meter.power_off()


async def ready(twin, tools):
    await tools.eventually(lambda: twin.get("/readyz", twin.world.plain)[0] == 200, "ready")
    await tools.eventually(lambda: twin.get("/v1/status")[1]["session"], "a session")


async def test_readings_go_from_the_meter_to_the_api_and_are_acknowledged(world, tools):
    async with running(world, tools) as (twin, meter):
        now_s = int(time.time()) - 10  # so no reading is on the edge of what is asked for
        for minute in range(5):
            meter.append(tools.reading(now_s - 60 * (4 - minute), 1000 + minute))
        meter.append(tools.event(now_s, 10, [1, 120, 180_000]))
        await tools.eventually(lambda: len(stored(twin)) == 6, "six entries")
        status, document = await asyncio.to_thread(twin.get, "/v1/readings?since=3m")
        assert (status, document["next"]) == (200, None)
        assert [item["seq"] for item in document["readings"]] == [3, 4, 5]
        assert document["readings"][-1]["registers"]["1-0:1.8.0*255"] == {
            "value": 1004,
            "unit": "Wh",
        }
        (event,) = (await asyncio.to_thread(twin.get, "/v1/events"))[1]["events"]
        assert event["code"] == "dip"
        assert event["arguments"] == {"phase": 1, "duration_ms": 120, "extreme_mv": 180_000}
        await tools.eventually(lambda: meter.ring.stored == 6, "the ack")
        await tools.eventually(
            lambda: sum(map(sum, twin.get("/v1/quality")[1]["dips"]["counts"])) == 1, "the dip"
        )


async def test_pages_of_a_long_list_join_without_loss_or_repetition(world, tools):
    async with running(world, tools) as (twin, meter):
        now_s = int(time.time())
        for k in range(300):
            meter.append(tools.reading(now_s - 300 + k, k))
        await tools.eventually(lambda: meter.ring.stored == 300, "300 acks")
        seqs, cursor = [], ""
        while cursor is not None:
            path = f"/v1/readings?since=1h&limit=64{cursor}"
            _, document = await asyncio.to_thread(twin.get, path)
            seqs += [item["seq"] for item in document["readings"]]
            cursor = document["next"] and f"&after={document['next']}"
        assert seqs == list(range(1, 301))


async def test_registers_are_cached_with_age_or_metered_on_demand(world, tools):
    async with running(world, tools) as (twin, meter):
        taken_s = int(time.time()) - 100
        meter.append(tools.reading(taken_s, 1000))
        await tools.eventually(lambda: meter.ring.stored == 1, "the ack")
        await tools.eventually(lambda: twin.get("/v1/registers")[1]["registers"], "registers")
        _, cached = await asyncio.to_thread(twin.get, "/v1/registers?code=1-0:1.8.0*255")
        assert (cached["source"], cached["device"]) == ("cached", "house-1")
        assert 100 <= cached["age_seconds"] <= time.time() - taken_s + 1
        assert cached["registers"] == {"1-0:1.8.0*255": {"value": 1000, "unit": "Wh"}}
        _, live = await asyncio.to_thread(twin.get, "/v1/registers?live=1&timeout=30")
        assert live["source"] == "metered"
        assert live["registers"]["1-0:1.8.0*255"]["value"] == 424_242
        await meter.power_off()
        status, late = await asyncio.to_thread(twin.get, "/v1/registers?live=1&timeout=1")
        assert (status, late["source"]) == (200, "cached")
        meter.power_on()


async def test_forward_and_load_reach_the_meter_only_from_the_active_epoch(world, tools):
    async with running(world, tools) as (twin, meter):
        await ready(twin, tools)
        body = {"data": base64.b64encode(b"hello").decode()}
        status, answer = await asyncio.to_thread(twin.post, "/v1/forward", body)
        assert (status, answer["code"]) == (200, "delivered")
        assert base64.b64decode(answer["data"]) == b"olleh"
        meter.ems = False
        assert (await asyncio.to_thread(twin.post, "/v1/forward", body))[1]["code"] == "ems_absent"
        load = {"load": 0, "limit_w": 1500, "seconds": 600}
        assert (await asyncio.to_thread(twin.post, "/v1/load", load))[0] == 200
        assert meter.loads == [(3, 0, 1500, 600)]
        for bad, field in [
            ({"data": "%"}, "body.data"),
            ({"data": "", "x": 1}, "body.x"),
            ({}, "body.data"),
        ]:
            status, answer = await asyncio.to_thread(twin.post, "/v1/forward", bad)
            assert (status, answer["error"]["field"]) == (400, field)
        await world.operate("frozen", counter=2)
        await tools.eventually(lambda: twin.get("/v1/status")[1]["gate"] == "frozen", "frozen")
        status, answer = await asyncio.to_thread(twin.post, "/v1/load", load)
        assert (status, answer["error"]["field"]) == (409, "epoch")
        assert len(meter.loads) == 1


async def test_no_entry_is_lost_or_doubled_when_twin_and_broker_are_killed(world, tools):
    chance = random.Random(3)
    world.start_broker()
    await world.operate("active")
    meter = tools.Meter(world)
    meter.power_on()
    base_s, count, twin = int(time.time()), 0, None
    try:
        for round_ in range(8):
            twin = world.start_twin()
            await asyncio.to_thread(twin.wait_serving)
            end = time.monotonic() + 0.3 + chance.random()
            while time.monotonic() < end:
                count += 1
                meter.append(tools.reading(base_s + count, count))
                await asyncio.sleep(0.002)
            if round_ % 3 == 2:
                world.kill_broker()
                await asyncio.sleep(0.3)
                world.start_broker()
                await world.operate("active", counter=round_)
            twin.kill()
        twin = world.start_twin()
        await asyncio.to_thread(twin.wait_serving)
        await tools.eventually(lambda: meter.ring.stored == meter.ring.head, "all acked")
        identities = await asyncio.to_thread(stored, twin)
        assert identities == list(meter.log)
        _, status = await asyncio.to_thread(twin.get, "/v1/status")
        assert (status["conflicts"], status["chainBreaks"], status["holes"]) == (0, 0, 0)
    finally:
        await meter.power_off()


async def test_a_lost_store_is_rebuilt_from_the_ring_and_overflow_is_a_hole(world, tools):
    world.start_broker()
    await world.operate("active")
    meter = tools.Meter(world, capacity=50)
    for k in range(80):
        meter.append(tools.reading(1_800_000_000 + k, k))
    meter.power_on()
    try:
        twin = world.start_twin()
        await tools.eventually(lambda: meter.ring.stored == 80, "acks over the hole")
        _, gaps = await asyncio.to_thread(twin.get, "/v1/gaps")
        (hole,) = gaps["holes"]
        assert (hole["first"], hole["last"], hole["reason"]) == (1, 30, "overflow")
        twin.kill()
        for file in (world.folder / "store").iterdir():
            file.unlink()
        meter.append(tools.reading(1_800_000_100, 100))
        twin = world.start_twin()
        await tools.eventually(lambda: meter.ring.stored == 81, "the ack of the new store")
        identities = await asyncio.to_thread(stored, twin)
        assert [seq for _, seq in identities] == list(range(32, 82))
    finally:
        await meter.power_off()


async def test_a_full_disk_acknowledges_nothing_and_recovers_without_loss(world, tools):
    with small_disk(world.folder / "store") as grow:
        async with running(world, tools) as (twin, meter):
            await ready(twin, tools)
            filler = [
                tools.encode_register(bytes((1, 0, n, 8, 9, 255)), bytes(30)) for n in range(14)
            ]
            for k in range(500):
                meter.append(tools.reading(1_800_000_000 + 60 * k, k, more=filler))
            await tools.eventually(
                lambda: twin.get("/readyz", world.plain) == (503, "store full\n"), "it says so"
            )
            acknowledged = meter.ring.stored
            assert 0 < acknowledged < 500
            assert len(await asyncio.to_thread(stored, twin)) >= acknowledged
            assert "give the volume more space" in twin.log
            grow()
            await tools.eventually(lambda: meter.ring.stored == 500, "all acks")
            assert await asyncio.to_thread(stored, twin) == list(meter.log)
            await ready(twin, tools)
            twin.terminate()


@contextlib.contextmanager
def small_disk(folder):
    """A tmpfs of 1 MiB, and a function that makes it 64 MiB."""
    folder.mkdir()
    options = ["mount", "-t", "tmpfs", "-o"]
    made = subprocess.run([*options, "size=1m", "tmpfs", folder], check=False, capture_output=True)
    if made.returncode:
        pytest.skip("needs the right to mount a tmpfs")
    try:
        yield lambda: subprocess.run([*options, "remount,size=64m", "tmpfs", folder], check=True)
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


async def test_the_ports_say_alive_ready_and_who_they_are(world, tools):
    async with running(world, tools) as (twin, _meter):
        await ready(twin, tools)
        assert await asyncio.to_thread(twin.get, "/healthz", world.plain) == (200, "ok\n")
        status, text = await asyncio.to_thread(twin.get, "/metrics", world.plain)
        series = [line for line in text.splitlines() if not line.startswith("#")]
        assert status == 200
        assert len(series) <= 10
        assert all(line.startswith("metertwin_twin_") for line in series)

        def identity(name):
            context = world.context(name)
            context.check_hostname = False
            url = f"https://127.0.0.1:{world.peer}/v1/identity"
            return urllib.request.urlopen(url, context=context, timeout=60)

        with await asyncio.to_thread(identity, "operator") as answer:
            assert json.load(answer)["epoch"] == 1
        with pytest.raises(urllib.error.HTTPError) as refused:
            await asyncio.to_thread(identity, "meter")
        assert refused.value.code == 403
        refused.value.close()
        with pytest.raises((ssl.SSLError, OSError)):
            await asyncio.to_thread(anonymous, world.peer)


def anonymous(port):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port), 60) as raw, context.wrap_socket(raw) as tls:
        tls.sendall(b"GET /v1/identity HTTP/1.1\r\nHost: x\r\n\r\n")
        if not tls.recv(10):
            raise OSError("closed")


async def test_a_twin_that_was_not_told_is_not_ready_and_says_why(world, tools):
    world.start_broker()
    twin = world.start_twin()
    await asyncio.to_thread(twin.wait_serving)
    await tools.eventually(
        lambda: twin.get("/readyz", world.plain) == (503, "owner gate is unknown\n"), "the reason"
    )
    await world.operate("candidate")
    await tools.eventually(
        lambda: twin.get("/readyz", world.plain) == (503, "owner gate is candidate\n"), "candidate"
    )


async def test_an_emptied_control_record_is_counted_and_takes_no_authority_by_itself(world, tools):
    async with running(world, tools) as (twin, _meter):
        await ready(twin, tools)
        await world.empty_ctl()
        refused = {"empty": 1}
        await tools.eventually(
            lambda: twin.get("/v1/status")[1]["gateRefused"] == refused, "the count"
        )
        _, status = await asyncio.to_thread(twin.get, "/v1/status")
        assert (status["gate"], status["authority"]) == ("active", True)


@pytest.mark.slow
async def test_a_twin_whose_control_record_is_deleted_loses_authority_after_the_lease(world, tools):
    async with running(world, tools) as (twin, _meter):
        await ready(twin, tools)
        await world.empty_ctl()
        begun = time.monotonic()
        await tools.eventually(lambda: not twin.get("/v1/status")[1]["authority"], "no more", 65)
        assert time.monotonic() - begun > 35
        await tools.eventually(
            lambda: twin.get("/readyz", world.plain) == (503, "owner gate is lapsed\n"), "lapsed"
        )
        await world.operate("active")
        await ready(twin, tools)


async def test_a_retired_epoch_stores_and_acknowledges_nothing_even_after_a_restart(world, tools):
    async with running(world, tools) as (twin, meter):
        meter.append(tools.reading(1_800_000_000, 1))
        await tools.eventually(lambda: meter.ring.stored == 1, "the ack")
        await world.operate("retired", counter=2)
        await tools.eventually(lambda: twin.get("/v1/status")[1]["gate"] == "retired", "retired")
        meter.append(tools.reading(1_800_000_060, 2))
        await asyncio.sleep(0.5)
        twin.kill()
        again = world.start_twin()
        await asyncio.to_thread(again.wait_serving)
        await asyncio.sleep(1)
        assert meter.ring.stored == 1
        assert len(await asyncio.to_thread(stored, again)) == 1


async def test_state_is_retained_and_the_last_will_says_offline(world, tools):
    seen = []

    async def note(message):
        seen.append(json.loads(message.payload))

    topic = f"mt/{tools.DEVICE}/1/state"
    async with (
        running(world, tools) as (twin, meter),
        world.client("operator", "Operator.metertwin", note, [topic]),
    ):
        await ready(twin, tools)
        meter.append(tools.reading(1_800_000_000, 1))
        await tools.eventually(
            lambda: seen and seen[-1]["meter"] == "connected" and seen[-1]["ready"], "connected"
        )
        assert set(seen[-1]) == {
            "online", "epoch", "store", "version", "meter", "lastSeen", "ready", "term", "counter",
            "handover",
        }  # fmt: skip
        for _ in range(4):  # what the reading changed may still be on its way
            count = len(seen)
            await asyncio.sleep(2.5)
            if len(seen) == count:
                break
        assert len(seen) == count, "published without a change"
        twin.kill()
        await tools.eventually(lambda: not seen[-1]["online"], "the last will")


async def test_sigterm_ends_the_twin_with_status_0(world, tools):
    async with running(world, tools) as (twin, _meter):
        await ready(twin, tools)
        twin.process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(twin.process.wait, 60) == 0  # a hang


async def test_an_export_is_sealed_to_the_recipients_key_only(world, tools):
    public = pytest.importorskip("nacl.public")
    key = public.PrivateKey.generate()
    policy = {
        "resolutionSeconds": 900,
        "recipients": [{"name": "utility", "publicKey": bytes(key.public_key).hex()}],
    }
    async with running(world, tools, dataPolicy=policy) as (twin, meter):
        for k in range(31):
            meter.append(tools.reading(1_800_000_000 + 60 * k, 5000 + k))
        await tools.eventually(lambda: meter.ring.stored == 31, "acks")
        status, document = await asyncio.to_thread(twin.get, "/v1/export")
        (export,) = document["exports"]
        assert (status, export["recipient"], document["next"]) == (200, "utility", None)
        opened = json.loads(public.SealedBox(key).decrypt(base64.b64decode(export["data"])))
        assert opened["device"] == "house-1"
        assert [one["seq"] for one in opened["readings"]] == [1, 16, 31]


async def test_an_export_without_recipients_names_the_field(world, tools):
    async with running(world, tools) as (twin, _meter):
        status, document = await asyncio.to_thread(twin.get, "/v1/export")
        assert (status, document["error"]["field"]) == (409, "dataPolicy.recipients")


@pytest.mark.parametrize(
    ("path", "status", "field"),
    [
        ("/v1/readings?since=yesterday", 400, "since"),
        ("/v1/readings?limit=0", 400, "limit"),
        ("/v1/readings?limit=10001", 400, "limit"),
        ("/v1/readings?after=x", 400, "after"),
        ("/v1/readings?colour=red", 400, "colour"),
        ("/v1/registers?code=1.8.0", 400, "code"),
        ("/v1/registers?live=1&timeout=99", 400, "timeout"),
        ("/v1/quality", 404, "path"),
        ("/v1/nothing", 404, "path"),
        ("/", 404, "path"),
        ("/v1/load", 405, "method"),
    ],
)
def test_a_wrong_request_names_field_and_remedy(one_twin, path, status, field):
    answer = one_twin.get(path)
    assert (answer[0], answer[1]["error"]["field"]) == (status, field)
    assert answer[1]["error"]["remedy"]


@pytest.fixture(scope="module")
def one_twin(tmp_path_factory, request):
    tools = request.config.pluginmanager.get_plugin(
        next(name for name, plugin in request.config.pluginmanager.list_name_plugin()
             if getattr(plugin, "TwinProcess", None))
    )  # fmt: skip
    world = tools.World(tmp_path_factory.mktemp("world"))
    world.start_broker()
    twin = world.start_twin(world.configuration(applications={"metering-data": {}}))
    twin.wait_serving()
    yield twin
    world.close()


def test_a_wrong_configuration_ends_with_2_and_a_termination_message(world):
    twin = world.start_twin({**world.configuration(), "epoch": 0})
    assert twin.process.wait(60) == 2
    assert twin.termination.read_text().startswith("METERTWIN_CONFIG.epoch: is too small")
    line = json.loads(twin.log.splitlines()[-1])
    assert (line["level"], line["field"]) == ("error", "METERTWIN_CONFIG.epoch")


def test_a_certificate_that_is_none_ends_with_2(world):
    configuration = world.configuration()
    (world.folder / "identity" / "tls.key").write_text("no key")
    twin = world.start_twin(configuration)
    assert twin.process.wait(60) == 2
    assert "identity" in twin.termination.read_text()


def test_a_damaged_store_ends_with_3_and_stays_as_it_is(world):
    configuration = world.configuration()
    (world.folder / "store").mkdir()
    file = world.folder / "store" / "twin.db"
    file.write_bytes(b"not a database" * 100)
    twin = world.start_twin(configuration)
    assert twin.process.wait(60) == 3
    assert file.read_bytes() == b"not a database" * 100
    assert "take over" in twin.termination.read_text()


def test_a_taken_port_ends_with_2(world):
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # the world holds its ports
        taken.bind(("0.0.0.0", world.plain))
        taken.listen()
        twin = world.start_twin()
        assert twin.process.wait(60) == 2
        assert twin.termination.read_text().startswith("ports: ")


async def test_no_value_and_no_key_reaches_log_state_or_metrics(world, tools):
    secret = 918_273_645
    async with running(world, tools) as (twin, meter):
        await ready(twin, tools)
        meter.append(tools.reading(int(time.time()), secret))
        meter.append(tools.event(int(time.time()), 10, [1, 120, secret]))
        await tools.eventually(lambda: meter.ring.stored == 2, "acks")
        for path in ("registers", "registers?live=1", f"registers?code={secret}", "readings"):
            await asyncio.to_thread(twin.get, f"/v1/{path}")
        async with world.client("meter", "house-1") as shell:
            await shell.connected.wait()
            await shell.publish("mt/house-1/1/up", b"garbage %d" % secret)
        _, metrics = await asyncio.to_thread(twin.get, "/metrics", world.plain)
        await asyncio.to_thread(twin.terminate)
        text = twin.log + metrics
        assert str(secret) not in text
        assert "424242" not in text
        for label in ("up", "down", "ctl"):
            key = derive_key(tools.K_METER, label, tools.DEVICE, 1, tools.EPOCH_ID)
            assert key.hex() not in text
            assert base64.b64encode(key).decode() not in text
        assert all(json.loads(line)["what"] for line in twin.log.splitlines())


async def test_hostile_frames_are_refused_counted_and_change_nothing(world, tools):
    async with running(world, tools) as (twin, meter):
        await ready(twin, tools)
        pid = twin.process.pid
        async with world.client("operator", "Operator.metertwin") as shell:
            await shell.connected.wait()
            chance = random.Random(5)
            for k in range(200):
                payload = chance.randbytes(chance.choice([0, 1, 20, 200, 1400]))
                await shell.publish("mt/house-1/1/up", payload, retain=k == 0)
                await shell.publish("mt/house-1/1/ctl", payload)
        meter.append(tools.reading(int(time.time()), 1))
        await tools.eventually(lambda: meter.ring.stored == 1, "the ack")
        await tools.eventually(
            lambda: sum(twin.get("/v1/status")[1]["refused"].values()) >= 100, "the count"
        )
        _, status = await asyncio.to_thread(twin.get, "/v1/status")
        assert (status["entries"], status["gate"]) == (1, "active")
        assert twin.process.poll() is None
        assert twin.process.pid == pid


def handed(configuration):
    """Return the places of the applications in the entries."""
    with contextlib.closing(sqlite3.connect(configuration["paths"]["store"])) as connection:
        return [seq for (seq,) in connection.execute("SELECT seq FROM application")]


async def test_retention_waits_for_applications_that_have_not_begun(world, tools):
    changes = {"dataPolicy": {"retentionDays": 1}}
    configuration = world.configuration(**changes)
    make_folder(configuration["paths"]["store"])
    store = Store(configuration["paths"]["store"])
    old_s = int(time.time()) - 3 * 86_400
    entries = [(seq, tools.reading(old_s + 60 * seq, 1000 + seq)) for seq in range(1, 6)]
    store.ingest([Batch(b"A" * 8, entries, (), 5, bytes(16))], old_s)
    store.close()
    world.start_broker()
    twin = world.start_twin(configuration)
    await asyncio.to_thread(twin.wait_serving)
    await asyncio.sleep(LOOK_EVERY_S + 2)
    assert len(stored(twin)) == 5
    await world.operate("active")
    await tools.eventually(lambda: handed(configuration) == [5, 5], "both applications have begun")
    twin.kill()
    twin = world.start_twin(configuration)
    await asyncio.to_thread(twin.wait_serving)
    await tools.eventually(lambda: len(stored(twin)) == 1, "what was handed on to be deleted")
