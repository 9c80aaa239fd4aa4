"""A twin takes from the twin that it was sent to, and from nobody else."""

import asyncio
import ssl

import pytest
from meter_twin.peer_client import PeerClient, PeerError
from meter_twin.taking import Donor
from meter_wire.names import build_device_host, build_twin_host, build_twin_uri

DEVICE, NAMESPACE, EPOCH = "house-1", "street", 3
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


@pytest.fixture
async def ask(world):
    """Return a function that asks a server with this certificate; the server says {}."""
    servers = []

    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ANSWER)
        await writer.drain()
        writer.close()

    async def ask(device, epoch, *hosts):
        names = [f"URI:{build_twin_uri(device, epoch)}", *(f"DNS:{host}" for host in hosts)]
        world.issue("donor", f"{device}/{epoch}", ",".join(names))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(world.folder / "donor.crt", world.folder / "donor.key")
        server = await asyncio.start_server(answer, "127.0.0.1", world.peer, ssl=context)
        servers.append(server)
        client = PeerClient(DEVICE, NAMESPACE, lambda: world.context("meter"))
        try:
            donor = Donor(EPOCH, bytes(16), f"127.0.0.1:{world.peer}")
            return await client.get_json(donor, "/v1/handover/coverage")
        finally:
            await client.close()

    yield ask
    for server in servers:
        server.close()


async def test_the_twin_asked_for_is_heard(ask):
    hosts = build_twin_host(DEVICE, EPOCH, NAMESPACE), build_device_host(DEVICE, NAMESPACE)
    assert await ask(DEVICE, EPOCH, *hosts) == {}


async def test_a_device_whose_name_reads_like_an_epoch_is_another(ask):
    """`house-1-e3` has, as its stable name, what epoch 3 of `house-1` is checked by."""
    impostor = f"{DEVICE}-e{EPOCH}"
    name = build_device_host(impostor, NAMESPACE)
    assert name == build_twin_host(DEVICE, EPOCH, NAMESPACE)
    with pytest.raises(PeerError):
        await ask(impostor, 1, build_twin_host(impostor, 1, NAMESPACE), name)


async def test_another_epoch_is_another(ask):
    with pytest.raises(PeerError):
        await ask(DEVICE, EPOCH - 1, build_twin_host(DEVICE, EPOCH - 1, NAMESPACE))


async def test_another_namespace_is_another(ask):
    with pytest.raises(PeerError):
        await ask(DEVICE, EPOCH, build_twin_host(DEVICE, EPOCH, "avenue"))


@pytest.mark.parametrize("body", [b"", b"\xff", b"{", b"[" * 200_000])
async def test_an_answer_that_is_no_json_is_the_peers_fault(body):
    client = PeerClient(DEVICE, NAMESPACE, lambda: None)

    async def answer(_donor, _path):
        return body

    client.get = answer
    with pytest.raises(PeerError, match="no JSON"):
        await client.get_json(Donor(EPOCH, bytes(16), ""), "/v1/handover/coverage")
