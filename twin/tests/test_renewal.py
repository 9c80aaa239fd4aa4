"""A renewed certificate is used without a restart; a broken one changes nothing."""

import asyncio
import contextlib
import http.client
import json
import pathlib
import ssl

import pytest
from meter_twin.configuration import load_configuration
from meter_twin.credentials import Credentials, parse_expiry

pytestmark = pytest.mark.timeout(300)


class Volume:
    """A Secret volume as kubelet keeps it: files behind `..data`, which is swapped in one step."""

    def __init__(self, folder):
        self.folder = folder
        self.count = 0

    def swap(self, files):
        self.count += 1
        (self.folder / f"..{self.count}").mkdir()
        for name, content in files.items():
            (self.folder / f"..{self.count}" / name).write_bytes(content)
        (self.folder / "..new").symlink_to(f"..{self.count}")
        (self.folder / "..new").replace(self.folder / "..data")
        for name in files:
            link = self.folder / name
            if not link.is_symlink():
                link.unlink(missing_ok=True)
                link.symlink_to(f"..data/{name}")


@pytest.fixture
def secret(world):
    """The mounted Secret: `swap(name)` renews it with a certificate of that name."""
    configuration = world.configuration(certificatePollSeconds=1)
    identity = pathlib.Path(configuration["paths"]["identity"])
    volume = Volume(identity)
    keys = (identity / "keys.json").read_bytes()

    def content(certificate, key=None):
        return {
            "tls.crt": (world.folder / f"{certificate}.crt").read_bytes(),
            "tls.key": (world.folder / f"{key or certificate}.key").read_bytes(),
            "keys.json": keys,
        }

    volume.configuration = configuration
    volume.content = content
    volume.swap(content("tls"))
    return volume


def issue(world, tools, name, device=None):
    device = device or tools.DEVICE
    world.issue(name, f"{device}/1", f"URI:urn:metertwin:twin:{device}:1")
    return certificate_of(world, name)


def certificate_of(world, name):
    return ssl.PEM_cert_to_DER_cert((world.folder / f"{name}.crt").read_text())


def connect(world):
    context = world.context("operator")
    context.check_hostname = False
    connection = http.client.HTTPSConnection("127.0.0.1", world.peer, context=context, timeout=60)
    connection.connect()
    return connection


def served(world):
    """Return the certificate that a new handshake on the peer port shows."""
    with contextlib.closing(connect(world)) as connection:
        return connection.sock.getpeercert(binary_form=True)


def identity_over(connection):
    connection.request("GET", "/v1/identity")
    return json.load(connection.getresponse())["device"]


def sessions(world):
    """Return how often the twin has connected to the broker; others may do so at any time."""
    lines = (world.folder / "mosquitto.log").read_text().splitlines()
    return sum("New client connected" in line and " as house-1/1 " in line for line in lines)


async def test_a_renewed_certificate_is_used_on_both_connections_without_a_restart(
    world, tools, secret
):
    renewed = issue(world, tools, "renewed")
    states = []

    async def note(message):
        states.append(json.loads(message.payload)["online"])

    world.start_broker()
    twin = world.start_twin(secret.configuration)
    await asyncio.to_thread(twin.wait_serving)
    await world.operate("active")
    meter = tools.Meter(world)
    meter.power_on()
    async with world.client(
        "operator", "Operator.metertwin", note, [f"mt/{tools.DEVICE}/1/state"]
    ) as _:
        meter.append(tools.reading(1_800_000_000, 1))
        await tools.eventually(lambda: meter.ring.stored == 1, "the first ack")
        open_before = await asyncio.to_thread(connect, world)
        before = await asyncio.to_thread(sessions, world)
        assert before == 1
        secret.swap(secret.content("renewed"))
        await tools.eventually(lambda: served(world) == renewed, "the new certificate")
        await tools.eventually(lambda: sessions(world) == before + 1, "a new broker session")
        meter.append(tools.reading(1_800_000_060, 2))
        await tools.eventually(lambda: meter.ring.stored == 2, "the second ack")
        assert await asyncio.to_thread(identity_over, open_before) == tools.DEVICE
        open_before.close()
        assert all(states), "the last will was published"
        _, status = await asyncio.to_thread(twin.get, "/v1/status")
        assert (status["certificate"]["renewed"], status["certificate"]["refused"]) == (1, 0)
        await asyncio.sleep(2.5)
        assert await asyncio.to_thread(sessions, world) == before + 1, "reconnects for ever"
    await meter.power_off()
    assert twin.process.poll() is None
    assert '"what":"broker session lost"' not in twin.log


async def test_no_reading_is_lost_or_doubled_while_certificates_are_renewed(world, tools, secret):
    for name in ("renewed", "again"):
        issue(world, tools, name)
    world.start_broker()
    twin = world.start_twin(secret.configuration)
    await asyncio.to_thread(twin.wait_serving)
    await world.operate("active")
    meter = tools.Meter(world)
    meter.power_on()
    for round_, name in enumerate(("renewed", "again", "tls"), 1):
        secret.swap(secret.content(name))
        for _ in range(10_000):
            meter.append(tools.reading(1_800_000_000 + meter.ring.head, meter.ring.head))
            await asyncio.sleep(0.003)
            if twin.log.count('"what":"certificate renewed"') == round_:
                break
    await tools.eventually(lambda: meter.ring.stored == meter.ring.head, "everything is stored")
    _, status = await asyncio.to_thread(twin.get, "/v1/status")
    assert status["certificate"]["renewed"] == 3
    assert status["entries"] == len(meter.log)
    assert (status["conflicts"], status["holes"]) == (0, 0)
    await meter.power_off()


async def test_a_broken_certificate_keeps_the_old_one_until_a_whole_one_comes(world, tools, secret):
    issue(world, tools, "renewed")
    world.start_broker()
    twin = world.start_twin(secret.configuration)
    await asyncio.to_thread(twin.wait_serving)
    whole = secret.content("renewed")
    secret.swap({**whole, "tls.crt": whole["tls.crt"][:300]})

    def refused():
        return twin.get("/v1/status")[1]["certificate"]["refused"]

    await tools.eventually(lambda: refused() == 1, "the half-written one is refused")
    await asyncio.sleep(2.5)
    assert await asyncio.to_thread(refused) == 1, "counted at each look"
    assert await asyncio.to_thread(served, world) == certificate_of(world, "tls")
    secret.swap(whole)
    await tools.eventually(lambda: served(world) == certificate_of(world, "renewed"), "a whole one")
    lines = [json.loads(line) for line in twin.log.splitlines()]
    (line,) = [one for one in lines if "refused" in one["what"]]
    assert line["level"] == "error"
    assert "PRIVATE" not in twin.log


@pytest.fixture
def credentials(secret):
    return Credentials(load_configuration(json.dumps(secret.configuration)))


NOW_S = 1_700_000_000


def test_nothing_is_built_while_the_files_are_the_same(credentials):
    before = credentials.contexts
    assert not credentials.poll(NOW_S)
    assert credentials.contexts is before


@pytest.mark.parametrize("fault", ["key", "identity", "expired", "missing", "trust"])
def test_what_cannot_be_used_is_refused_once_and_the_old_stays(
    world, tools, secret, credentials, fault
):
    before = credentials.contexts
    issue(world, tools, "other", "house-2" if fault == "identity" else None)
    secret.swap(secret.content("other", "tls" if fault == "key" else None))
    if fault == "missing":
        (secret.folder / "..data" / "tls.key").unlink()
    if fault == "trust":
        (world.folder / "ca.crt").write_text("")
    now_s = 4_000_000_000 if fault == "expired" else NOW_S
    assert [credentials.poll(now_s) for _ in range(3)] == [False] * 3
    assert credentials.contexts is before
    assert (credentials.renewed, credentials.refused) == (0, 1)


def test_a_whole_certificate_after_a_refused_one_is_taken(world, tools, secret, credentials):
    issue(world, tools, "other")
    secret.swap(secret.content("other", "tls"))
    assert not credentials.poll(NOW_S)
    secret.swap(secret.content("other"))
    assert credentials.poll(NOW_S)
    assert (credentials.renewed, credentials.refused) == (1, 1)
    assert not credentials.poll(NOW_S)


def test_the_end_of_a_certificate_is_read_as_the_standard_library_reads_it():
    for text in (
        "Nov  1 07:49:49 2026 GMT",
        "Feb 29 23:59:59 2028 GMT",
        "Jan 31 00:00:00 2050 GMT",
    ):
        assert parse_expiry(text) == ssl.cert_time_to_seconds(text)
