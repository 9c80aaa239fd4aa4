"""PostgreSQL, replicas of the archive and twins that push, each a real process or connection.

A pushing twin here is the least that the contract asks for: it gives what is after the answer's
mark, again and again, until everything is archived. Neighbour: `fleet_of_batches` (the entries).
"""

import asyncio
import pathlib
import ssl
import sys
from datetime import UTC, datetime

import aiohttp
from fleet_of_batches import A, entries
from loopback import free_port
from meter_archive.migrate import migrate
from meter_pki import authority, identities
from meter_wire.archive_batch import PATH, encode_batch, parse_answer
from postgres_server import PostgresServer
from processes import Process, wait_for

NAMESPACE = "homes"


class ArchiveWorld:
    def __init__(
        self,
        folder: pathlib.Path,
        postgres: PostgresServer,
        signer: authority.Authority | None = None,
    ) -> None:
        """`signer`: who has signed the twins' certificates, if they are there already."""
        self.folder = folder
        self.postgres = postgres
        self.authority = signer or authority.Authority.create(datetime.now(UTC))
        (folder / "ca.crt").write_bytes(self.authority.certificate_pem)
        self.issue(
            "tls", identities.broker_identity(NAMESPACE, "metertwin-archive", ("localhost",))
        )
        self.url = postgres.new_database()
        self.ports: list[int] = []
        self.questions: list[tuple[int, int]] = []
        self.plain_ports: list[int] = []
        self.query_ports: list[int] = []
        self.replicas: list[Process] = []

    def issue(self, name: str, identity: identities.Identity) -> pathlib.Path:
        """Write tls.crt and tls.key into a folder of this name."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        bundle = self.authority.issue(identity, datetime.now(UTC))
        (folder / "tls.crt").write_bytes(bundle.certificate)
        (folder / "tls.key").write_bytes(bundle.key)
        return folder

    async def start(self, replicas: int = 2) -> None:
        await migrate(self.url)
        for number in range(replicas):
            ingest, plain, queries, readers = (free_port() for _ in range(4))
            command = [sys.executable, "-m", "meter_archive", "serve", "--host", "127.0.0.1",
                       "--ingest-port", str(ingest), "--plain-port", str(plain), "--query-port", str(queries),
                       "--reader-port", str(readers)]  # fmt: skip
            environment = {
                "PYTHONPATH": ":".join(sys.path),
                "METERTWIN_ARCHIVE_DATABASE": self.url,
                "METERTWIN_ARCHIVE_TLS": str(self.folder / "tls"),
                "METERTWIN_ARCHIVE_TRUST": str(self.folder / "ca.crt"),
                "METERTWIN_ARCHIVE_RETENTION_DAYS": "36500",
            }
            self.ports.append(ingest)
            self.questions.append((queries, readers))
            self.plain_ports.append(plain)
            self.query_ports.append(queries)
            self.replicas.append(Process(f"archive-{number}", command, self.folder, environment))
            self.replicas[-1].start()
        for replica in self.replicas:
            wait_for(lambda one=replica: "serving" in one.log, f"{replica.name} {replica.log}", 60)

    def stop(self) -> None:
        for replica in self.replicas:
            replica.kill()

    def context(self, device: str, epoch: int) -> ssl.SSLContext:
        """The TLS context of a twin."""
        name = f"{device}-{epoch}"
        if not (self.folder / name).exists():
            self.issue(name, identities.twin_identity(device, epoch, NAMESPACE))
        return self.client_context(name)

    def client_context(self, name: str | None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.folder / "ca.crt"))
        if name:
            context.load_cert_chain(self.folder / name / "tls.crt", self.folder / name / "tls.key")
        return context

    async def post(
        self, context: ssl.SSLContext, body: bytes, *, replica: int = 0, incarnation: bytes = A
    ):
        """Give one body to a replica; return status and document."""
        url = f"https://localhost:{self.ports[replica]}{PATH}{incarnation.hex()}"
        timeout = aiohttp.ClientTimeout(total=15)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.post(url, data=body, ssl=context) as answer,
        ):
            return answer.status, await answer.json()


class PushingTwin:
    """Pushes entries 1 to `last`; `marks` are those that were answered, in order."""

    def __init__(
        self, world: ArchiveWorld, device: str, last: int, *, epoch: int = 1, batch: int = 7
    ) -> None:
        self.device = device
        self.world = world
        self.last = last
        self.batch = batch
        self.context = world.context(device, epoch)
        self.marks = [0]
        self.retired = False
        self.entries: dict[str, int] = {}

    async def push(self, timeout_s: float = 120) -> None:
        async with asyncio.timeout(timeout_s):
            turn = 0
            while self.marks[-1] < self.last and not self.retired:
                turn += 1
                replica = (turn + len(self.device)) % len(self.world.ports)
                await self._once(replica)

    async def _once(self, replica: int) -> None:
        first = self.marks[-1] + 1
        last = min(first + self.batch - 1, self.last)
        body = encode_batch(self.last, (), entries(first, last, **self.entries))
        try:
            status, document = await self.world.post(self.context, body, replica=replica)
        except (aiohttp.ClientError, OSError, TimeoutError):
            await asyncio.sleep(0.05)
            return
        if status == 200:
            self.marks.append(parse_answer(document).archived)
            return
        self.retired = status == 409
        assert status in {409, 503}, (status, document)
        await asyncio.sleep(0.05)
