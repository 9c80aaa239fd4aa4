# ruff: noqa: PLR2004
"""Memory of one twin under mutual TLS, as JSON: fields of /proc/<pid>/smaps_rollup in KiB.

`twin_memory.py --pid PID` looks at a running twin. Without a pid it starts Mosquitto, a twin and a
meter on loopback, feeds `--readings` readings of 24 registers, uses every port, and then looks;
`--runs` of it, medians. `start_cpu_ms` is the processor time from exec until the ports listen.
Private heap = Private_Dirty (what every further twin on a node costs); RSS = Rss.
`--python` may be a script that runs the image's own interpreter.
"""

import argparse
import asyncio
import importlib.util
import json
import pathlib
import ssl
import statistics
import sys
import tempfile
import time
import urllib.request
from typing import Any

FIELDS = ("Rss", "Pss", "Private_Dirty", "Private_Clean", "Shared_Clean", "Anonymous")


def smaps(pid: int) -> dict[str, int]:
    """Return the fields of a process in KiB."""
    lines = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    found = {line.split(":")[0]: int(line.split()[1]) for line in lines[1:]}
    return {name: found[name] for name in FIELDS}


def load_tools() -> Any:
    """Return the world of the twin's tests, with the modules that it shares with other suites."""
    root = pathlib.Path(__file__).parents[2]
    sys.path.append(str(root / "tests/process"))
    path = root / "twin/tests/conftest.py"
    spec = importlib.util.spec_from_file_location("twin_world", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def many_registers(tools: Any, minute: int) -> list[bytes]:
    codes = [bytes((1, 0, c, d, e, 255)) for c in (1, 2) for d in (8,) for e in range(1, 5)]
    codes += [bytes((1, 0, c, 7, 0, 255)) for c in (1, 2, 13, 14, 16, 31, 32, 51, 52, 71, 72)]
    codes += [bytes((1, 0, c, 8, 0, 255)) for c in (3, 4)]
    return [tools.encode_register(code, 230_000 + minute) for code in codes]


async def exercise(tools: Any, world: Any, twin: Any, count: int) -> dict[str, int]:
    """Feed the twin and use its ports; return figures of the run."""
    await world.operate("active")
    meter = tools.Meter(world)
    meter.power_on()
    base_s = int(time.time()) // 900 * 900 - 60 * count
    start = time.monotonic()
    for minute in range(count):
        more = many_registers(tools, minute)
        meter.append(tools.reading(base_s + 60 * minute, 1000 + minute, more=more))
    await tools.eventually(lambda: meter.ring.stored >= count, "everything is stored", 300)
    seconds = time.monotonic() - start
    await asyncio.to_thread(use_ports, tools, world, twin)
    await asyncio.sleep(2)
    after = {"readings": count, "readings_per_s": round(count / seconds), **smaps(twin.process.pid)}
    await meter.power_off()
    return after


def use_ports(tools: Any, world: Any, twin: Any) -> None:
    for path in ("registers", "registers?live=1", "readings?limit=1000", "profile", "status"):
        assert twin.get(f"/v1/{path}")[0] == 200, path
    tools.http("GET", f"http://127.0.0.1:{world.plain}/metrics")
    context = world.context("operator")
    context.check_hostname = False
    url = f"https://127.0.0.1:{world.peer}/v1/identity"
    with urllib.request.urlopen(url, context=context, timeout=10) as answer:
        assert json.load(answer)["epoch"] == 1


def measure(python: str, readings: int) -> dict[str, dict[str, int]]:
    """Run one twin and return what it took when it had started and after its work."""
    tools = load_tools()
    with tempfile.TemporaryDirectory() as folder:
        world = tools.World(pathlib.Path(folder))
        try:
            world.start_broker()
            twin = world.start_twin(python=python)
            twin.wait_serving()
            spent = int(pathlib.Path(f"/proc/{twin.process.pid}/schedstat").read_text().split()[0])
            time.sleep(1)
            idle = {"start_cpu_ms": spent // 1_000_000, **smaps(twin.process.pid)}
            return {"idle": idle, "after": asyncio.run(exercise(tools, world, twin, readings))}
        finally:
            world.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pid", type=int)
    parser.add_argument("--readings", type=int, default=1440)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--runs", type=int, default=1)
    arguments = parser.parse_args()
    if arguments.pid:
        print(json.dumps(smaps(arguments.pid)))
        return
    rows = [measure(arguments.python, arguments.readings) for _ in range(arguments.runs)]
    result: dict[str, Any] = {"python": sys.version.split()[0], "openssl": ssl.OPENSSL_VERSION}
    for moment in ("idle", "after"):
        found = [row[moment] for row in rows]
        result[moment] = {name: statistics.median(one[name] for one in found) for name in found[0]}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
