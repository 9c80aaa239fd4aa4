"""What a start of the twin costs: processor time until Ready and memory then, as JSON lists.

    sudo python twin/bench/start.py [--image build/images/twin.tar] [--runs 20]

Unpacks the image, starts Mosquitto with mutual TLS on loopback, and `--runs` times the image's own
command in the unpacked folder (`chroot`, user 65532), each time with an empty store and an *active*
control record that the broker holds. `cpu_ms` is user and system time of all threads from exec
until `/readyz` answers 200: interpreter, imports, store, TLS handshake, first control record. The
first run, which brings the files into the page cache, is not counted.
"""

import argparse
import asyncio
import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
from typing import Any

from twin_memory import load_tools, smaps

ROOT = pathlib.Path(__file__).parents[2]
USER = 65532
READY_S = 20


def unpack(image: pathlib.Path, target: pathlib.Path) -> dict[str, Any]:
    """Unpack the layers of an OCI archive; return its configuration."""
    with tarfile.open(image) as archive:

        def content(name: str) -> bytes:
            member = archive.extractfile(name)
            assert member is not None
            return member.read()

        def blob(descriptor: dict[str, str]) -> bytes:
            return content("blobs/" + descriptor["digest"].replace(":", "/"))

        index = json.loads(content("index.json"))
        manifest = json.loads(blob(index["manifests"][0]))
        for layer in manifest["layers"]:
            unpack = ["tar", "--extract", "--directory", str(target)]
            subprocess.run(unpack, input=blob(layer), check=True)
        configuration: dict[str, Any] = json.loads(blob(manifest["config"]))["config"]
    return configuration


def prepare(root: pathlib.Path) -> None:
    """Give the unpacked image what a node gives a container: two devices and /etc/hosts."""
    for name, minor in (("null", 3), ("urandom", 9)):
        os.mknod(root / "dev" / name, 0o20666, os.makedev(1, minor))
    (root / "etc/hosts").write_text("127.0.0.1 localhost\n")


def spent_ms(pid: int) -> float:
    """Return user and system time of all threads of a process."""
    tasks = pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(path.read_text().split()[0]) for path in tasks) / 1e6


def wait_ready(process: subprocess.Popen[bytes], port: int, log: pathlib.Path) -> None:
    end = time.monotonic() + READY_S
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError, urllib.error.URLError):
            url = f"http://127.0.0.1:{port}/readyz"
            with urllib.request.urlopen(url, timeout=1) as answer:
                if answer.status == 200:  # noqa: PLR2004
                    return
        time.sleep(0.01)
    raise RuntimeError(f"not ready within {READY_S} s:\n{log.read_text()}")


def start(world: Any, root: pathlib.Path, image: dict[str, Any], document: str) -> dict[str, float]:
    """Start the image's command once; return what it took."""
    store = world.folder / "store"
    shutil.rmtree(store, ignore_errors=True)
    store.mkdir()
    os.chown(store, USER, USER)
    environment = dict(entry.split("=", 1) for entry in image["Env"])
    environment |= {"PATH": "/usr/sbin:/usr/bin:/bin", "METERTWIN_CONFIG": document}
    command = ["chroot", f"--userspec={USER}:{USER}", str(root), *image["Entrypoint"]]
    log = world.folder / "twin.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
    try:
        wait_ready(process, world.plain, log)
        memory = smaps(process.pid)
        return {
            "cpu_ms": round(spent_ms(process.pid), 1),
            "anonymous_kib": memory["Anonymous"],
            "rss_kib": memory["Rss"],
        }
    finally:
        process.kill()
        process.wait()


def measure(image: pathlib.Path, runs: int) -> dict[str, list[float]]:
    """Return {name: values} of `runs` starts."""
    tools = load_tools()
    with tempfile.TemporaryDirectory() as name:
        root = pathlib.Path(name)
        root.chmod(0o755)
        described = unpack(image, root)
        prepare(root)
        folder = root / "world"
        folder.mkdir()
        world = tools.World(folder)
        configuration = world.configuration(applications={"metering-data": {}}, engines={})
        configuration["broker"]["host"] = "localhost"
        document = json.dumps(configuration).replace(str(root), "")
        try:
            world.issue("server", "metertwin-mosquitto", "DNS:localhost,IP:127.0.0.1")
            world.start_broker()
            asyncio.run(world.operate("active"))
            rows = [start(world, root, described, document) for _ in range(runs + 1)][1:]
        finally:
            world.close()
    return {key: [row[key] for row in rows] for key in rows[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image", type=pathlib.Path, default=ROOT / "build/images/twin.tar")
    parser.add_argument("--runs", type=int, default=20)
    arguments = parser.parse_args()
    print(json.dumps(measure(arguments.image, arguments.runs)))


if __name__ == "__main__":
    main()
