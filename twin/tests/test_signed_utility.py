"""A twin as a process whose utility signs: openleadr's VTN, mutual TLS, XML signatures."""

import asyncio
import json
import pathlib
import shutil
import sys
import time

import pytest
from meter_twin.signed_client import build_signed_client
from meter_twin.utility_file import UtilityFileError, parse_address
from openleadr.utils import certificate_fingerprint
from vtn_process import VtnProcess

pytestmark = pytest.mark.timeout(300)
VEN_ID = "ven-of-house-1"
UNKNOWN = "00:11:22:33:44:55:66:77:88:99"
HEAVY = ("lxml/etree", "cryptography/hazmat")


@pytest.fixture
def utility(world):
    """Return the settings of a VTN with this world's certificates, and the twin's folder."""
    world.issue("vtn", "vtn", "IP:127.0.0.1")
    world.issue("ven", "house-1", "DNS:house-1")
    folder = world.folder / "utility"
    folder.mkdir()
    for source, name in (("ca.crt", "ca.crt"), ("ven.crt", "tls.crt"), ("ven.key", "tls.key")):
        shutil.copy(world.folder / source, folder / name)
    files = {name: str(world.folder / file) for name, file in
             (("cert", "vtn.crt"), ("key", "vtn.key"), ("ca_file", "ca.crt"))}  # fmt: skip
    return files, folder


def configure(world, vtn, folder, signed_by):
    configuration = world.configuration(
        applications={
            "metering-data": {},
            "demand-response": {"load": 1, "ratedWatts": 3000, "highWatts": 900},
        },
        utility={"name": "city-grid", "venName": "house-1"},
    )
    configuration["paths"]["utility"] = str(folder)
    (folder / "utility.json").write_text(describe(vtn, signed_by))
    return configuration


def describe(vtn, signed_by, scheme="https"):
    address = {"protocol": "openadr-2.0b", "url": vtn.url(scheme), "signedBy": signed_by}
    return json.dumps(address)


def fingerprint(world):
    return certificate_fingerprint((world.folder / "vtn.crt").read_text())


def heavy_of(twin):
    maps = pathlib.Path(f"/proc/{twin.process.pid}/maps").read_text()
    return [name for name in HEAVY if name in maps]


async def start(world, tools, configuration):
    world.start_broker()
    twin = world.start_twin(configuration)
    await asyncio.to_thread(twin.wait_serving)
    meter = tools.Meter(world)
    meter.power_on()
    await world.operate()
    return twin, meter


async def test_an_event_under_signatures_limits_the_load(world, tools, utility):
    files, folder = utility
    async with VtnProcess(**files, signs=True) as vtn:
        configuration = configure(world, vtn, folder, [fingerprint(world)])
        twin, meter = await start(world, tools, configuration)
        await vtn.until("registered")
        vtn.say(do="event", ven_id=VEN_ID, event_id="peak-1", value=2,
                start_s=int(time.time()) - 5, duration_s=60)  # fmt: skip
        await vtn.until("opt")
        await tools.eventually(lambda: meter.loads, "the load is limited")
        assert heavy_of(twin) == list(HEAVY)
        found = (await asyncio.to_thread(twin.get, "/v1/dr"))[1]
        assert (found["reason"], found["troubles"]) == ("Registered", {})
        await meter.power_off()


async def test_without_signatures_nothing_of_them_is_loaded(world, tools, utility):
    files, folder = utility
    async with VtnProcess(**files) as vtn:
        twin, meter = await start(world, tools, configure(world, vtn, folder, []))
        await vtn.until("offered")
        assert heavy_of(twin) == []
        await meter.power_off()


async def test_what_is_not_believed_is_told_and_metering_goes_on(world, tools, utility):
    files, folder = utility
    async with VtnProcess(**files, signs=True) as vtn:
        twin, meter = await start(world, tools, configure(world, vtn, folder, [UNKNOWN]))
        await tools.eventually(
            lambda: twin.get("/v1/dr")[1]["troubles"].get("BadSignature", 0) > 1, "it is refused"
        )
        found = (await asyncio.to_thread(twin.get, "/v1/dr"))[1]
        assert (found["reason"], found["registered"]) == ("BadSignature", False)
        assert f"unknown certificate, fingerprint {fingerprint(world)}" in found["message"]
        assert '"reason": "BadSignature"' in twin.log or '"reason":"BadSignature"' in twin.log
        seq = meter.append(tools.reading(int(time.time()) // 60 * 60, 1234))
        await tools.eventually(lambda: meter.ring.stored >= seq, "the reading is stored")
        await meter.power_off()


@pytest.mark.parametrize("name", ["signxml.signer", "lxml", "cryptography"])
def test_an_image_that_cannot_sign_says_so(utility, monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "meter_twin.xml_signatures", raising=False)
    with pytest.raises(UtilityFileError, match="this image cannot sign") as caught:
        build_signed_client(None, str(utility[1]), (UNKNOWN,))
    assert caught.value.reason == "Misconfigured"
    assert name in str(caught.value)
    assert "twin-signed" in str(caught.value)


@pytest.mark.parametrize("wrong", ["", "00:11", UNKNOWN.lower() + ":AA", UNKNOWN + "\n"])
def test_a_fingerprint_of_another_form_is_named(wrong):
    with pytest.raises(UtilityFileError, match=r"signedBy\[0\]"):
        parse_address(describe(VtnProcess(), [wrong]))


def test_signatures_need_certificates():
    with pytest.raises(UtilityFileError, match="signedBy"):
        parse_address(describe(VtnProcess(), [UNKNOWN], "http"))
