"""Memory of a twin that speaks OpenADR 2.0b with its utility, as JSON lists of KiB.

    sudo python twin/bench/utility_memory.py [--images build/images] [--runs 3] [--polls 20]

Unpacks the image, starts Mosquitto and openleadr's VTN with mutual TLS on loopback, and the image's
own command in the unpacked folder (`chroot`, user 65532). It registers, offers its reports, answers
an event that limits a load, stores readings of a meter and polls once a second; then the kernel is
asked (/proc/<pid>/smaps_rollup). Three flavours: `none` (no utility), `tls` (2.0b and mutual TLS),
`signed` (XML signatures too, in the image twin-signed). A second twin of the same image runs beside
it, as on a node, so that pages of files which all twins share are nobody's private ones.
"""

import argparse
import asyncio
import importlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Any

from twin_memory import load_tools, smaps

start: Any = importlib.import_module(
    "start"
)  # twin/bench has no package; bench/ has one of that name
ROOT: pathlib.Path = start.ROOT

FLAVOURS = ("none", "tls", "signed")
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


async def exercise(tools: Any, world: Any, vtn: Any, polls: int) -> None:
    """Give the twin readings, an event, and time to poll."""
    meter = tools.Meter(world)
    meter.power_on()
    base_s = int(time.time()) // 900 * 900 - 60 * READINGS
    for minute in range(READINGS):
        meter.append(tools.reading(base_s + 60 * minute, 1000 + minute))
    await tools.eventually(lambda: meter.ring.stored >= READINGS, "everything is stored")
    if vtn is not None:
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
    sys.path.append(str(ROOT / "twin/tests/openadr2"))
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
            vtn = None
            if flavour != "none":
                made = vtn_process.VtnProcess(**files, signs=flavour == "signed")
                vtn = await stack.enter_async_context(made)
            document = describe(world, vtn, flavour)
            twin = stack.enter_context(running(root, described, document, "store"))
            log = root / "world/store.log"
            await asyncio.to_thread(start.wait_ready, twin, world.plain, log)
            beside = describe(world, vtn, flavour)
            beside["ports"] = dict(zip(beside["ports"], tools.free_ports(3), strict=True))
            beside["broker"]["port"] = tools.free_ports(1)[0]
            stack.enter_context(running(root, described, beside, "beside"))
            await exercise(tools, world, vtn, polls)
            account: dict[str, int] = smaps(twin.pid)
            return account


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=pathlib.Path, default=ROOT / "build/images")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--polls", type=int, default=20)
    found = parser.parse_args()
    result: dict[str, dict[str, list[int]]] = {}
    for flavour in FLAVOURS:
        image = found.images / ("twin-signed.tar" if flavour == "signed" else "twin.tar")
        rows = [asyncio.run(measure(image, flavour, found.polls)) for _ in range(found.runs)]
        result[flavour] = {key: [row[key] for row in rows] for key in rows[0]}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
