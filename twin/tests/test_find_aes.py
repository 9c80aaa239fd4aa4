"""AES for a meter without TLS: libcrypto's, found when the first one asks, missed without harm."""

import ctypes
import subprocess
import sys

import pytest
from meter_twin import link_loop

ASKED = """
import sys
from meter_twin.link_loop import find_aes
assert "ctypes" not in sys.modules
block = bytearray(16)
find_aes()(bytes(32), 1).encrypt(block, block)
print(block.hex())
"""


def test_it_is_loaded_when_a_meter_asks_and_is_that_of_fips_197():
    done = subprocess.run([sys.executable, "-c", ASKED], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "dc95c078a2408989ad48a21492842087"  # CAVS, ECBVarKey256 of zeros


def test_a_machine_without_it_serves_the_meter_in_the_clear_and_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "meter_wire.libcrypto_aes", raising=False)

    def fail(name: str) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(ctypes, "CDLL", fail)
    assert link_loop.find_aes() is None
    assert "frames stay unencrypted: no libcrypto" in capsys.readouterr().err
