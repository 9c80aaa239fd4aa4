"""The small meter over brokers that others wrote: what its session needs is MQTT, not Mosquitto."""

import contextlib
import importlib.util
import pathlib
import socket
import subprocess
import sys
import time

import pytest

HERE = pathlib.Path(__file__).parent

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


def load(path):
    spec = importlib.util.spec_from_file_location(f"{path.stem}_of_others", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


story = load(HERE / "test_two_brokers.py")


@contextlib.contextmanager
def process(command, folder, port):
    """Run a broker until the block ends; the block begins when it listens."""
    with (folder / "broker.log").open("ab") as log:
        running = subprocess.Popen([*command, str(port)], stdout=log, stderr=log)
    try:
        for _ in range(600):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.1)
        else:
            raise AssertionError((folder / "broker.log").read_text())
        yield
    finally:
        running.kill()
        running.wait()


@contextlib.contextmanager
def amqtt(folder, port, *, tls):
    assert not tls
    with process([sys.executable, HERE / "brokers/amqtt_broker.py"], folder, port):
        yield


@pytest.mark.parametrize("serve", [amqtt], ids=lambda serve: serve.__name__)
def test_a_small_meter_s_readings_arrive_over_a_broker_that_comes_back(serve, tmp_path):
    site = story.Site(tmp_path, tls=False, serve=serve)
    site.start()
    twin = site.make_twin(1)
    story.tell([site], story.record(1, "", 1))
    meter = story.start_small(tmp_path / "meter", site, "esp8266-model")
    try:
        story.wait_for(lambda: story.last(twin) > 4, "the twin fills")
        site.stop()
        before = story.last(twin)
        time.sleep(2)
        site.start()
        story.wait_for(lambda: story.last(twin) > before + 4, "it goes on")
        story.check(twin, tmp_path / "meter")
    finally:
        meter.kill()
        site.stop()
    log = meter.log.read_text()
    assert "MemoryError" not in log
    assert story.small_image.least_free_bytes(log) > 3000
