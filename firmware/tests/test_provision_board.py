"""A board is provisioned over its line: MicroPython at the other end, mpremote at this one."""

import contextlib
import hashlib
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "firmware"))
import board_bundle
import board_file
import build_firmware
import provision_board
from board_line import BoardLine, LineError

MICROPYTHON = ROOT / "tools/micropython/micropython"
KEY = "5a" * 32
PASSWORD = "correct horse battery"


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Board:
    """MicroPython's unix port with a raw REPL on a socket; its root is a folder."""

    def __init__(self, root):
        self.root = root
        root.mkdir()
        self.port = free_port()
        self.process = None
        self.start()

    def start(self):
        script = ROOT / "firmware/tests/raw_repl.py"
        command = [MICROPYTHON, "--arch", "amd64", script, str(self.port), str(self.root)]
        self.process = subprocess.Popen(command)
        for _ in range(100):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return
            time.sleep(0.05)
        raise AssertionError("the board does not listen")

    @property
    def url(self):
        return f"socket://127.0.0.1:{self.port}"

    def restart(self):
        assert self.process.wait(timeout=10) == 0
        self.start()

    def end(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture
def board(tmp_path):
    one = Board(tmp_path / "flash")
    yield one
    one.end()


def make_bundle(folder, device="house-1", **settings):
    folder.mkdir(exist_ok=True)
    table = {"device": device, "key": KEY, "broker": {"host": "broker.example"}}
    for name in ("ca.der", "meter.crt.der", "meter.key.der"):
        (folder / name).write_bytes(f"{name} of {device}".encode())
    table["tls"] = {"ca": "ca.der", "cert": "meter.crt.der", "key": "meter.key.der"}
    table["tls"]["server_name"] = "broker.example"
    (folder / "meter.json").write_text(json.dumps(table | settings))
    return folder


def provision(bundle, *options, board="unix"):
    command = [sys.executable, ROOT / "firmware/provision_board.py", "--board", board]
    return subprocess.run(
        [*command, "--bundle", bundle, *options],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, provision_board.PASSWORD_VARIABLE: PASSWORD},
    )


def test_a_board_gets_firmware_and_credentials_and_what_starts_it_last(board, tmp_path):
    bundle = make_bundle(tmp_path / "bundle")
    done = provision(bundle, "--port", board.url, "--wifi-ssid", "street")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-2].strip() == "/main.py"
    assert json.loads((board.root / "meter/meter.json").read_text())["device"] == "house-1"
    assert (board.root / "meter/meter.key.der").read_bytes() == b"meter.key.der of house-1"
    build_firmware.build_board(board_file.load_board("unix"), tmp_path / "built")
    built = tmp_path / "built/lib"
    for path in built.rglob("*.mpy"):
        copy = board.root / "lib" / path.relative_to(built)
        assert (
            hashlib.sha256(copy.read_bytes()).digest() == hashlib.sha256(path.read_bytes()).digest()
        )
    assert board.process.wait(timeout=10) == 0  # it was reset
    for text in (KEY, PASSWORD):
        assert text not in done.stdout + done.stderr


def test_what_the_meter_has_measured_stays_when_it_is_provisioned_again(board, tmp_path):
    state = board.root / "meter/state"
    state.mkdir(parents=True)
    (state / "ring0").write_bytes(b"readings")
    (board.root / "meter/meter.json").write_text(json.dumps({"device": "house-1"}))
    (board.root / "lib").mkdir()
    (board.root / "lib/left_over.mpy").write_bytes(b"old")
    done = provision(make_bundle(tmp_path / "bundle"), "--port", board.url)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (state / "ring0").read_bytes() == b"readings"
    assert not (board.root / "lib/left_over.mpy").exists()


def test_both_anchors_of_a_bundle_go_onto_the_board(tmp_path):
    bundle = make_bundle(tmp_path / "bundle")
    (bundle / "next.der").write_bytes(b"the next CA")
    table = json.loads((bundle / "meter.json").read_text())
    table["tls"] |= {"ca": ["ca.der", "next.der"], "renew_from": 1_900_000_000}
    files = board_bundle.list_files(table, board_file.load_board("unix"), bundle)
    assert files["/meter/next.der"] == b"the next CA"
    names = {path.rpartition("/")[2] for path in files}
    assert names == {"ca.der", "next.der", "meter.crt.der", "meter.key.der", "meter.json"}


START = """
import vfs
vfs.umount("/")
vfs.mount(vfs.VfsPosix("ROOT"), "/")
with open("/main.py") as file:
    exec(file.read())
"""


def test_a_provisioned_board_starts_as_the_meter_that_it_was_made(board, tmp_path):
    bundle = make_bundle(tmp_path / "bundle", broker={"host": "127.0.0.1", "port": free_port()})
    table = json.loads((bundle / "meter.json").read_text())
    del table["tls"]
    (bundle / "meter.json").write_text(json.dumps(table))
    assert provision(bundle, "--port", board.url).returncode == 0
    command = [MICROPYTHON, "--arch", "i386", "-c", START.replace("ROOT", str(board.root))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as meter:
        said = [meter.stdout.readline() for _ in range(3)]
        meter.kill()
    assert "metertwin: device house-1, boot 1\n" in said, said
    assert {"state0", "state1"} & {path.name for path in (board.root / "meter/state").iterdir()}


def test_what_is_there_already_is_not_written_again(board, tmp_path):
    bundle = make_bundle(tmp_path / "bundle")
    provision(bundle, "--port", board.url)
    board.restart()
    assert " written" not in provision(bundle, "--port", board.url).stdout


def test_another_meters_board_is_refused_and_nothing_is_written(board, tmp_path):
    bundle = make_bundle(tmp_path / "bundle")
    state = board.root / "meter/state"
    state.mkdir(parents=True)
    (state / "ring0").write_bytes(b"readings")
    (board.root / "meter/meter.json").write_text(json.dumps({"device": "house-2"}))
    (board.root / "main.py").write_text("pass")
    done = provision(bundle, "--port", board.url)
    assert done.returncode == 1
    assert "house-2" in done.stderr
    assert "--replace" in done.stderr
    assert (state / "ring0").exists()
    assert (board.root / "main.py").exists()
    with BoardLine(board.url) as line:
        declared = board_file.load_board("unix")
        provision_board.admit(line, declared, "house-1", replaces=True)
    assert not (state / "ring0").exists()
    assert not (board.root / "main.py").exists()


def test_a_board_of_another_port_is_refused(board, tmp_path):
    bundle = make_bundle(tmp_path / "bundle")
    done = provision(bundle, "--port", board.url, "--wifi-ssid", "street", board="esp32")
    assert done.returncode == 1
    assert "esp32" in done.stderr
    assert list(board.root.iterdir()) == []


def test_nobody_at_the_port_is_told_with_what_to_check(tmp_path):
    done = provision(
        make_bundle(tmp_path / "bundle"), "--port", f"socket://127.0.0.1:{free_port()}"
    )
    assert done.returncode == 1
    assert "no MicroPython answers" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_that_does_not_read_back_is_told(board, monkeypatch):
    with BoardLine(board.url) as line:
        line.write("/one", b"\x00\x01" * 400)
        assert (board.root / "one").read_bytes() == b"\x00\x01" * 400
        monkeypatch.setattr(type(line._line), "fs_writefile", lambda *_, **__: None)
        with pytest.raises(LineError, match="does not read back"):
            line.write("/one", b"other")


@pytest.mark.parametrize(
    ("settings", "options", "board", "said"),
    [
        ({"capture_period_s": 7}, [], "unix", "capture_period_s"),
        ({"key": "00"}, [], "unix", "key: is not 64"),
        ({}, [], "esp32", "wifi: is missing"),
        ({}, ["--wifi-ssid", "s" * 33], "esp32", "1 to 32 octets"),
        ({}, ["--wifi-ssid", "street"], "esp8266", "--constrained"),
        ({"pulses": {"generator": {"per_kwh": 0}}}, ["--wifi-ssid", "street"], "esp32", "pulses.generator.per_kwh"),
        ({"calibration": {"voltage": {"gain_ppm": "much"}}}, ["--wifi-ssid", "street"], "esp32", "calibration.voltage"),
        ({}, ["--wifi-ssid", "street", "--wifi-password-file", "nowhere"], "esp32", "nowhere"),
        ({}, ["--calibration", "nowhere"], "unix", "--calibration: nowhere"),
        ({"tls": {"ca": "x.der", "cert": "meter.crt.der", "key": "meter.key.der"}}, [], "unix", "tls.ca"),
        ({"tls": {"ca": "ca.der", "cert": "meter.crt.der", "key": "x.der"}}, [], "unix", "give --key"),
        ({"tls": {"ca": ["ca.der", "x.der"], "cert": "meter.crt.der", "key": "meter.key.der"}}, [], "unix", "tls.ca"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_before_anything_is_written(
    tmp_path, settings, options, board, said
):
    done = provision(make_bundle(tmp_path / "bundle", **settings), *options, "--check", board=board)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert KEY not in done.stderr


def test_a_bundle_without_a_private_key_takes_it_from_elsewhere(tmp_path):
    bundle = make_bundle(tmp_path / "bundle")
    key = tmp_path / "own.der"
    (bundle / "meter.key.der").rename(key)
    assert provision(bundle, "--check").returncode == 2
    assert provision(bundle, "--check", "--key", key).returncode == 0


def test_the_board_says_what_the_bundle_does_not():
    board = {"port": "esp32", "profile": "whole", "ring_bytes": 524288, "pins": {"load0": {}}}
    found = board_bundle.complete({"ring_bytes": 8192}, board, board_bundle.Wifi("street", ""))
    assert found["ring_bytes"] == 8192
    assert (found["rtc"], found["supply_relay"], found["watchdog_s"]) == (False, False, 120)
    assert found["wifi"] == {"ssid": "street", "password": ""}
    with pytest.raises(board_bundle.BundleError, match="8 to 63"):
        board_bundle.complete({}, board, board_bundle.Wifi("street", "short"))


def test_the_small_profile_is_told_what_a_pulse_is_worth_and_whole_readings_add_up():
    board = board_file.load_board("esp8266")
    found = board_bundle.complete({}, board)["pulse_uj"]
    twice = {"calibration": {"active_power": {"gain_ppm": 2000000}}}
    assert found == pytest.approx(10.34e6, rel=1e-3)
    assert abs(board_bundle.complete(twice, board)["pulse_uj"] - 2 * found) <= 1
    pulses = {"pulses": {"utility": {"per_kwh": 1600}}}
    assert board_bundle.complete(pulses, board)["pulse_uj"] == 2_250_000_000
    with pytest.raises(board_bundle.BundleError, match="per_kwh"):
        board_bundle.complete({"pulses": {"utility": {"per_kwh": 0}}}, board)


def test_the_small_profile_gets_what_it_reads_and_a_load_where_there_is_a_relay():
    board = board_file.load_board("esp8266")
    wish = {"calibration": {"active_power": {"gain_ppm": 2000000}}}
    found = board_bundle.complete(wish, board)
    assert set(found) == {"ring_bytes", "watchdog_s", "pulse_uj", "loads"}
    assert found["loads"] == [{}]
    assert board_bundle.complete({"loads": []}, board)["loads"] == []
    del board["pins"]["load0"]
    assert "loads" not in board_bundle.complete({}, board)
    board["pins"]["generator_pulse"] = {"gpio": 4}
    generator = {"pulses": {"generator": {"per_kwh": 300}}}
    assert board_bundle.complete(generator, board)["generator_uj"] == 12_000_000_000


LIMIT = {"load_limit": {"pick_up_w": 3000, "drop_out_w": 2500}}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"loads": [{}, {}]}, "loads: the small profile has one, not 2"),
        ({"trips": {"over_voltage": {"pick_up_mv": 9, "drop_out_mv": 8}}}, "trips.over_voltage"),
        ({"trips": {"over_current": {"pick_up_ma": 9, "drop_out_ma": 8}}}, "power alone"),
        ({"loads": [], "trips": LIMIT}, "trips: there is no load"),
        ({"loads": [{"safe_w": -1}]}, "safe_w"),
        ({"watchdog_s": 20}, "watchdog_s"),
        (
            {"pulses": {"utility": {"per_kwh": 1600}}},
            "pulses.utility: the board counts its hlw8012",
        ),
        ({"pulses": {"generator": {"per_kwh": 300}}}, "no pin generator_pulse"),
    ],
)
def test_what_the_small_profile_does_not_do_is_refused(tmp_path, settings, said):
    board = board_file.load_board("esp8266")
    meter = {"device": "house-1", "key": "00" * 32, "broker": {"host": "b", "port": 1883}}
    right = board_bundle.complete(meter | {"trips": LIMIT}, board)
    board_bundle.check(right, board, tmp_path)
    with pytest.raises(board_bundle.BundleError, match=said):
        board_bundle.check(board_bundle.complete(meter | settings, board), board, tmp_path)
