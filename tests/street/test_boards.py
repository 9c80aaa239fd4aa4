"""The two houses whose meter is an ESP8266 by its numbers and its heap: visible in the running pod."""

import json

import pytest
from demo import BOARDS, FEEDER, ask_meter, get, is_ready, kubectl, meter, secret, until

pytestmark = [pytest.mark.demo, pytest.mark.timeout(600)]
HEAP_BYTES = 38 * 1024
IMPORT = "1-0:1.8.0*255"
COMMAND_LINE = "print(open('/proc/1/cmdline').read())"
NUMBERS = """
import sys
print(1.0 + 2 ** -20 == 1.0, 1.0 + 2 ** -22 == 1.0, sys.maxsize == 2 ** 31 - 1, hasattr(str, 'partition'))
"""


def ask_interpreter(device, code, *options):
    program = ("/usr/bin/micropython", *options, "-c", code)
    return kubectl("exec", f"meter-{device}", "--", *program).stdout.strip()


@pytest.mark.parametrize("device", BOARDS)
def test_the_process_has_the_heap_of_an_esp8266(device):
    words = ask_interpreter(device, COMMAND_LINE).split("\0")
    assert words[:3] == ["/usr/bin/micropython", "-X", f"heapsize={HEAP_BYTES}"]
    said = ask_interpreter(device, "import gc; print(gc.mem_free() + gc.mem_alloc())", *words[1:3])
    assert 0.9 * HEAP_BYTES < int(said) < HEAP_BYTES


@pytest.mark.parametrize("device", BOARDS)
def test_its_python_has_the_numbers_of_an_esp8266(device):
    """Floats of 30 bits have two fewer of the fraction than those of 32, which tell both sums."""
    assert ask_interpreter(device, NUMBERS) == "False True True False"


def test_the_python_of_the_other_meters_has_not():
    assert ask_interpreter(FEEDER, NUMBERS) == "False False False True"


@pytest.mark.parametrize("device", BOARDS)
def test_it_comes_to_the_port_without_tls_with_a_password(device):
    table = json.loads(secret(f"meter-{device}")["meter.json"])
    assert table["broker"]["port"] == 1883
    assert "tls" not in table
    assert set(secret(f"meter-{device}")) == {"meter.json"}
    assert f"{device}:$7$" in secret("board-passwords")["passwords"].decode()


@pytest.mark.parametrize("device", BOARDS)
def test_its_frames_are_encrypted(device):
    assert "its frames encrypted" in meter("status", device).stdout


def test_those_of_a_meter_with_tls_are_not_once_more():
    assert "encrypted" not in meter("status", FEEDER).stdout


@pytest.mark.parametrize("device", BOARDS)
def test_its_twin_stores_every_entry_that_it_wrote(device, record):
    assert is_ready(device)
    record(device).verify()


def test_its_load_is_in_its_readings():
    def moved():
        rows = ask_meter("readings", "house-9", "--since", "1h")
        energies = [row["registers"][IMPORT]["value"] for row in rows]
        assert energies == sorted(energies)
        return len(energies) > 1 and energies[-1] > energies[0]

    until(moved, "two readings with energy between them")


def test_the_plugin_lists_them_beside_the_others():
    rows = {line.split()[0]: line for line in meter("status").stdout.splitlines() if line.strip()}
    for device in BOARDS:
        assert "connected" in rows[device], rows[device]


def test_the_broker_lets_them_in_from_the_pods_of_the_cluster_only():
    (policy,) = [
        row for row in get("networkpolicies") if row["metadata"]["name"] == "metertwin-broker"
    ]
    (plain,) = [row for row in policy["spec"]["ingress"] if row["ports"][0]["port"] == 1883]
    ranges = [row["ipBlock"]["cidr"] for row in plain["from"] if "ipBlock" in row]
    assert ranges
    assert not {"0.0.0.0/0", "10.0.0.0/8"} & set(ranges)
