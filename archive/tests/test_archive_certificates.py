"""A certificate that was renewed is shown by both ports without a restart."""

import asyncio
from datetime import UTC, datetime

from meter_archive import service
from meter_archive.ingest_port import build_context
from meter_archive.service import Contexts, Ports, Service
from meter_archive.settings import Settings
from meter_pki import authority, identities


async def test_both_ports_show_a_renewed_certificate(tmp_path, monkeypatch):
    monkeypatch.setattr(service, "_CERTIFICATE_POLL_S", 0.05)
    ca = authority.Authority.create(datetime.now(UTC))
    trust = tmp_path / "ca.crt"
    trust.write_bytes(ca.certificate_pem)

    def issue():
        identity = identities.service_identity("homes", "metertwin-archive", ("localhost",))
        bundle = ca.issue(identity, datetime.now(UTC))
        (tmp_path / "tls.key").write_bytes(bundle.key)
        (tmp_path / "tls.crt").write_bytes(bundle.certificate)

    async def shown(context):
        """Return what a new connection is shown."""
        seen = []
        server = await asyncio.start_server(
            lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=context
        )
        async with server:
            client = build_client(trust, tmp_path)
            port = server.sockets[0].getsockname()[1]
            _, writer = await asyncio.open_connection("localhost", port, ssl=client)
            seen.append(writer.get_extra_info("ssl_object").getpeercert(binary_form=True))
            writer.close()
        return seen[0]

    issue()
    contexts = Contexts(
        build_context(tmp_path, trust, clients=True), build_context(tmp_path, trust, clients=False)
    )
    settings = Settings("postgresql://none", tmp_path, trust, 1)
    renewing = asyncio.create_task(Service(settings, Ports())._renew(contexts))
    before = [await shown(one) for one in contexts]
    await asyncio.sleep(0)
    issue()
    await asyncio.sleep(0.5)
    after = [await shown(one) for one in contexts]
    renewing.cancel()
    assert before[0] == before[1] != after[0] == after[1]


def build_client(trust, folder):
    import ssl

    context = ssl.create_default_context(cafile=str(trust))
    context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    return context
