"""Memory of a twin that speaks OpenADR with its utility, as JSON lists of KiB.

    sudo python twin/bench/utility_memory.py [--images build/images] [--runs 3] [--polls 20]

Unpacks the image, starts Mosquitto and openleadr's VTN with mutual TLS on loopback, and the image's
own command in the unpacked folder (`chroot`, user 65532). It registers, offers its reports, answers
an event that limits a load, stores readings of a meter and polls once a second; then the kernel is
asked (/proc/<pid>/smaps_rollup). Flavours: `none` (no utility), `tls` (2.0b and mutual TLS),
`signed` (XML signatures too, in the image twin-signed), `tls31` (3.1 over TLS with OAuth2, against
the VTN in memory of the tests) and `heard31` (and notifications over MQTT and TLS). A second twin
of the same image runs beside it, as on a node, so that pages of files which all twins share are
nobody's private ones.
"""

import argparse
import asyncio
import importlib
import json
import os
import pathlib
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from functools import partial
from typing import Any

from twin_memory import load_tools, smaps

start: Any = importlib.import_module(
    "start"
)  # twin/bench has no package; bench/ has one of that name
ROOT: pathlib.Path = start.ROOT

FLAVOURS = ("none", "tls", "signed", "tls31", "heard31")
OF_31 = ("tls31", "heard31")
READINGS = 200
VEN_ID = "ven-of-house-1"


def build_world(tools: Any, folder: pathlib.Path) -> Any:
    """Return a world with the certificates of both sides of the utility."""
    world = tools.World(folder)
    world.issue("server", "metertwin-mosquitto", "DNS:localhost,IP:127.0.0.1")
    world.issue("vtn", "vtn", "DNS:localhost,IP:127.0.0.1")
    world.issue("ven", tools.DEVICE, f"DNS:{tools.DEVICE}")
    utility = folder / "utility"
    utility.mkdir()
    for source, name in (("ca.crt", "ca.crt"), ("ven.crt", "tls.crt"), ("ven.key", "tls.key")):
        shutil.copy(folder / source, utility / name)
    return world


def describe_31(world: Any, served: Any) -> dict[str, Any]:
    """Return METERTWIN_CONFIG of a twin whose utility has 3.1, with the paths of the host."""
    found: dict[str, Any] = describe(world, None, "tls31")
    found["utility"] = {"name": "utility", "venName": "house-1"}
    address = {"protocol": "openadr-3", "url": served.url}
    (world.folder / "utility/utility.json").write_text(json.dumps(address))
    return found


@asynccontextmanager
async def utility_31(world: Any, flavour: str) -> AsyncIterator[Any]:
    """Serve the VTN in memory over TLS; with a broker, if the twin is to be told."""
    fake_vtn: Any = importlib.import_module("fake_vtn")
    over_http: Any = importlib.import_module("test_over_http31")
    for name, text in (("client_id", fake_vtn.CLIENT), ("client_secret", fake_vtn.SECRET)):
        (world.folder / "utility" / name).write_text(text)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(world.folder / "vtn.crt", world.folder / "vtn.key")
    vtn = fake_vtn.FakeVtn(int(time.time()))
    async with over_http.Served(vtn, tls=tls) as served:
        if flavour == "tls31":
            yield served
            return
        broker = importlib.import_module("vtn_broker").VtnBroker(
            world.folder / "vtn-broker", tls=world.folder
        )
        address = broker.uri.replace("127.0.0.1", "localhost")
        vtn.broker = {"URIS": [address], "authentication": {"method": "ANONYMOUS"}}
        try:
            yield served
        finally:
            broker.kill()


async def exercise_31(tools: Any, served: Any, meter: Any, world: Any) -> None:
    """Have an event that limits the load; a twin that is to be told of it has to listen."""
    fake_vtn: Any = importlib.import_module("fake_vtn")
    vtn, now_s = served.vtn, int(time.time())
    vtn.add("events", fake_vtn.describe_event(start_s=now_s - 5))
    await tools.eventually(lambda: meter.loads, "the load is limited")
    if vtn.broker is not None:
        url = f"http://127.0.0.1:{world.local}/v1/dr"
        await tools.eventually(
            lambda: tools.http("GET", url)[1]["notifications"]["listening"], "it listens"
        )


def describe(world: Any, vtn: Any, flavour: str) -> dict[str, Any]:
    """Return METERTWIN_CONFIG, with the paths of the host."""
    load = {"load": 1, "ratedWatts": 3000, "highWatts": 900}
    applications = {"metering-data": {}, "demand-response": load}
    if flavour == "none":
        applications.pop("demand-response")
    found: dict[str, Any] = world.configuration(applications=applications, engines={})
    found["broker"]["host"] = "localhost"
    found["paths"]["utility"] = str(world.folder / "utility")
    if vtn is None:
        return found
    found["utility"] = {"name": "utility", "venName": "house-1"}
    url = vtn.url("https").replace("127.0.0.1", "localhost")
    address: dict[str, Any] = {"protocol": "openadr-2.0b", "url": url}
    if flavour == "signed":
        fingerprint = importlib.import_module("openleadr.utils").certificate_fingerprint
        address["signedBy"] = [fingerprint((world.folder / "vtn.crt").read_text())]
    (world.folder / "utility/utility.json").write_text(json.dumps(address))
    return found


@contextmanager
def running(
    root: pathlib.Path, image: dict[str, Any], document: dict[str, Any], name: str
) -> Iterator[subprocess.Popen[bytes]]:
    """Run the image's command in its root with this configuration."""
    store = root / "world" / name
    store.mkdir()
    shutil.chown(store, start.USER, start.USER)
    document["paths"]["store"] = str(store / "twin.db")
    environment = dict(entry.split("=", 1) for entry in image["Env"])
    text = json.dumps(document).replace(str(root), "")
    environment |= {"PATH": "/usr/sbin:/usr/bin:/bin", "METERTWIN_CONFIG": text}
    command = ["chroot", f"--userspec={start.USER}:{start.USER}", str(root), *image["Entrypoint"]]
    with (root / f"world/{name}.log").open("wb") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def exercise(tools: Any, world: Any, vtn: Any, flavour: str, polls: int) -> None:
    """Give the twin readings, an event, and time to poll."""
    meter = tools.Meter(world)
    meter.power_on()
    base_s = int(time.time()) // 900 * 900 - 60 * READINGS
    for minute in range(READINGS):
        meter.append(tools.reading(base_s + 60 * minute, 1000 + minute))
    await tools.eventually(lambda: meter.ring.stored >= READINGS, "everything is stored")
    if flavour in OF_31:
        await exercise_31(tools, vtn, meter, world)
    elif vtn is not None:
        await vtn.until("offered")
        vtn.say(do="event", ven_id=VEN_ID, event_id="peak", value=2, duration_s=3600,
                start_s=int(time.time()) - 5)  # fmt: skip
        await vtn.until("opt")
        await tools.eventually(lambda: meter.loads, "the load is limited")
    await asyncio.sleep(polls)
    await meter.power_off()


def make_root(image: pathlib.Path, root: pathlib.Path) -> dict[str, Any]:
    """Unpack an image; return its configuration."""
    root.chmod(0o755)
    found: dict[str, Any] = start.unpack(image, root)
    start.prepare(root)
    os.sync()  # pages of files that are not written yet would count as the twin's own
    (root / "world").mkdir()
    return found


async def measure(image: pathlib.Path, flavour: str, polls: int) -> dict[str, int]:
    """Return the kernel's account of one twin after its work."""
    tools = load_tools()
    sys.path += [str(ROOT / "twin/tests" / name) for name in ("openadr2", "openadr3")]
    vtn_process: Any = importlib.import_module("vtn_process")
    with tempfile.TemporaryDirectory() as name:
        root = pathlib.Path(name)
        described = make_root(image, root)
        world = build_world(tools, root / "world")
        async with AsyncExitStack() as stack:
            stack.callback(world.close)
            world.start_broker()
            await world.operate("active")
            files = {key: str(world.folder / file) for key, file in
                     (("cert", "vtn.crt"), ("key", "vtn.key"), ("ca_file", "ca.crt"))}  # fmt: skip
            vtn, build = (
                None,
                describe_31 if flavour in OF_31 else partial(describe, flavour=flavour),
            )
            if flavour in OF_31:
                vtn = await stack.enter_async_context(utility_31(world, flavour))
            elif flavour != "none":
                made = vtn_process.VtnProcess(**files, signs=flavour == "signed")
                vtn = await stack.enter_async_context(made)
            document = build(world, vtn)
            twin = stack.enter_context(running(root, described, document, "store"))
            log = root / "world/store.log"
            await asyncio.to_thread(start.wait_ready, twin, world.plain, log)
            beside = build(world, vtn)
            beside["ports"] = dict(zip(beside["ports"], tools.free_ports(3), strict=True))
            beside["broker"]["port"] = tools.free_ports(1)[0]
            stack.enter_context(running(root, described, beside, "beside"))
            await exercise(tools, world, vtn, flavour, polls)
            account: dict[str, int] = smaps(twin.pid)
            return account


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=pathlib.Path, default=ROOT / "build/images")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--polls", type=int, default=20)
    parser.add_argument("--only", nargs="+", choices=FLAVOURS, default=FLAVOURS)
    found = parser.parse_args()
    result: dict[str, dict[str, list[int]]] = {}
    for flavour in found.only:
        image = found.images / ("twin-signed.tar" if flavour == "signed" else "twin.tar")
        rows = [asyncio.run(measure(image, flavour, found.polls)) for _ in range(found.runs)]
        result[flavour] = {key: [row[key] for row in rows] for key in rows[0]}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
