"""Over real TLS: what is stored comes to the archive, whatever the archive or its place do."""

import asyncio
import contextlib
import json
import subprocess
import sys
import time
import tracemalloc
from types import SimpleNamespace

import pytest
from archive_server import OK, Server, say
from meter_twin import archive_line
from meter_twin.archive_lack import ArchiveLack
from meter_twin.archive_line import ArchiveLine
from meter_twin.archive_pace import ArchivePace
from meter_twin.configuration import ArchiveAddress
from meter_twin.store import Batch, Store
from meter_twin.store_schema import StoreError
from meter_wire.archive_batch import encode_batch
from meter_wire.effects import Hole

A = b"A" * 8


def entry(seq, size=20):
    return bytes([1, 0, 0]) + (1000 + seq).to_bytes(4, "big") + b"%d" % seq + bytes(size)


class Loop:
    """What the line needs of the link's loop."""

    def __init__(self, store):
        self.store = store
        self.told = []
        self.imported_times = 0

    def imported(self):
        self.imported_times += 1

    def archived(self, incarnation, mark):
        self.store.save_archived(incarnation, mark)
        self.told.append(mark)


@pytest.fixture
async def street(world, monkeypatch):
    """A store, its line, and a server that is started by the test."""
    monkeypatch.setattr(archive_line, "_draw", lambda: 0.02)
    store = Store(str(world.folder / "twin.db"))
    ArchiveLack(store).note()  # it is whole: taking back is `test_archive_refill`'s
    made = SimpleNamespace(
        store=store, owns=True, server=Server(world, world.peer), loop=Loop(store)
    )
    made.context = world.context("tls")

    def build(timeout_s=20.0, host="127.0.0.1"):
        made.line = ArchiveLine(
            *(ArchiveAddress(host, world.peer), store, made.loop, lambda: made.owns),
            lambda: made.context,
            (60, 1 << 28),
            timeout_s=timeout_s,
        )
        made.line.push.pace = ArchivePace(spread_ms=0)
        made.task = asyncio.create_task(made.line.run())

    def put(seqs, holes=(), size=20):
        rows = [(seq, entry(seq, size)) for seq in seqs]
        store.ingest([Batch(A, rows, holes, -1, b"")], 0)
        made.line.look()

    async def until(condition):
        async with asyncio.timeout(60):
            while not condition():  # noqa: ASYNC110 - looks into several objects
                await asyncio.sleep(0.01)

    async def all_there():
        await until(lambda: made.line.describe()["state"] == "current")
        marks = store.marks()[A]
        assert marks.archived == marks.stored
        stored = dict(store.connection.execute("SELECT seq, raw FROM entry").fetchall())
        assert made.server.archive.rows(A)[0] == stored

    made.build, made.put, made.until, made.all_there = build, put, until, all_there
    yield made
    made.task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await made.task
    store.close()
    if made.server.server is not None:
        made.server.stop()


async def test_what_is_stored_is_in_the_archive_and_the_meter_is_told(street):
    await street.server.start()
    street.build()
    street.put(range(1, 1301), holes=(Hole(1301, 1400, 2),))
    await street.all_there()
    assert street.loop.told[-1] == 1400
    assert set(street.server.uris) == {"urn:metertwin:twin:house-1:1"}
    assert street.server.connections == 1
    said = street.line.describe()
    assert (said["behind"], said["message"], said["refused"]) == (0, "", 0)
    assert said["lastAnswer"]


async def test_a_hole_that_the_archive_has_and_the_store_has_not_is_filled(street):
    """A twin before this one has told of it, and died with its store."""
    rows = [(seq, entry(seq)) for seq in (1, 2, 6, 7)]
    street.server.archive.give(A, encode_batch(7, (Hole(3, 5, 3),), rows))
    await street.server.start()
    street.build()
    street.put(range(1, 8))
    await street.until(lambda: len(street.server.archive.rows(A)[0]) == 7)
    await street.all_there()


async def test_a_twin_that_does_not_own_its_meter_says_nothing(street):
    street.owns = False
    await street.server.start()
    street.build()
    street.put([1, 2])
    await asyncio.sleep(0.3)
    assert street.server.connections == 0
    assert street.line.describe()["state"] == "waiting"
    street.owns = True
    street.line.look()
    await street.all_there()


async def test_an_answer_after_the_end_of_ownership_is_not_taken(street):
    async def end(server, given, writer):
        street.owns = False
        writer.write(server.take(*given))
        return True

    street.server.faults = [say(OK, '{"archived":0,"new":0,"duplicates":0,"conflicts":0}'), end]
    await street.server.start()
    street.build()
    street.put([1, 2])
    await street.until(lambda: not street.owns)
    await asyncio.sleep(0.2)
    assert street.loop.told == []
    assert street.server.archive.archived(A) == 2


async def hang(_server, _given, _writer):
    await asyncio.sleep(60)


async def cut(_server, _given, writer):
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-le")
    return False


async def cut_after_taking(server, given, _writer):
    server.take(*given)
    return False


FAULTS = {
    "it closes without an answer": cut_after_taking,
    "it cuts its answer": cut,
    "no HTTP": b"220 mail.example.com ESMTP\r\n\r\n",
    "a head without an end": b"HTTP/1.1 200 OK\r\n" + b"x: " + bytes([97]) * 100_000,
    "a body that is too large": say(OK, b" " * 100_000),
    "a length that is a lie": b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999\r\n\r\n",
    "no JSON": say(OK, b"\xff\xfe"),
    "deep JSON": say(OK, b"[" * 8000),
    "JSON of something else": say(OK, "[1, 2]"),
    "a mark that is no number": say(
        OK, '{"archived":"9","new":0,"duplicates":0,"conflicts":0}'
    ),
    "an error without a body": say("HTTP/1.1 500 No", b""),
    "an error whose body is garbage": say("HTTP/1.1 502 No", b"\x00{[<html>"),
    "another place": say("HTTP/1.1 302 Found", b"", "location: https://example.com/"),
    "an error that is a list": say("HTTP/1.1 400 No", '{"error": []}'),
    "busy": say("HTTP/1.1 503 Busy", b"", "retry-after: 0"),
    "busy until a date": say("HTTP/1.1 503 Busy", b"", "retry-after: Tue, 24 Nov 2026 00:00:00 GMT"),
    "busy for ever": say("HTTP/1.1 503 Busy", b"", "retry-after: " + "9" * 30),
}  # fmt: skip


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("name", FAULTS)
async def test_whatever_the_archive_answers_nothing_is_lost(street, name, place):
    """As the answer to the first question, and to the first batch."""
    learned = say(OK, '{"archived":0,"new":0,"duplicates":0,"conflicts":0}')
    street.server.faults = [learned] * place + [FAULTS[name]]
    await street.server.start()
    street.build()
    street.put(range(1, 101))
    await street.all_there()


async def test_an_archive_that_hangs_is_left_after_a_time(street):
    street.server.faults = [hang]
    await street.server.start()
    street.build(timeout_s=0.5)
    street.put(range(1, 101))
    await street.until(lambda: street.line.describe()["state"] == "unreachable")
    assert street.line.describe()["message"].startswith("no answer within")
    await street.all_there()


async def test_a_busy_archive_is_asked_when_it_said(street):
    street.server.faults = [say("HTTP/1.1 503 Busy", b"", "retry-after: 1")]
    await street.server.start()
    street.build()
    street.put([1])
    await street.until(lambda: street.line.describe()["state"] == "waiting")
    start = asyncio.get_running_loop().time()
    await street.all_there()
    assert asyncio.get_running_loop().time() - start > 0.8


async def test_a_slow_archive_holds_one_batch_in_memory(street):
    street.server.delay_s = 0.05
    await street.server.start()
    street.build()
    street.put([1])
    await street.all_there()
    tracemalloc.start()
    try:
        street.put(range(2, 4001), size=200)
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        await street.until(lambda: street.store.marks()[A].archived > 2000)
        assert tracemalloc.get_traced_memory()[1] - before < 2_500_000, "archive and test included"
    finally:
        tracemalloc.stop()
    await street.all_there()


async def test_a_higher_epoch_that_has_pushed_is_no_reason_to_hurry(street, capfd):
    street.server.archive.epoch = 2
    await street.server.start()
    street.build()
    street.put([1])
    await street.until(lambda: street.line.describe()["state"] == "refused")
    assert "409: batch epoch 2 has pushed" in street.line.describe()["message"]
    for _ in range(5):
        street.line.look()
        await asyncio.sleep(0.05)
    assert street.server.connections == 1
    assert capfd.readouterr().err.count("first of its kind") == 1


async def test_a_refused_entry_is_named_in_the_log_and_stops_none(street, capfd):
    street.server.archive.takes = lambda seq, _raw: seq != 33
    await street.server.start()
    street.build()
    street.put(range(1, 65))
    await street.until(lambda: len(street.server.archive.rows(A)[0]) == 63)
    await street.until(lambda: street.line.describe()["refused"] == 1)
    said = street.line.describe()
    assert (said["state"], said["behind"]) == ("refused", 32)
    lines = [json.loads(one) for one in capfd.readouterr().err.splitlines()]
    assert [one["seq"] for one in lines if "refuses an entry" in one["what"]] == [33]


async def test_an_archive_that_comes_back_is_gone_on_with(street):
    street.build()
    street.put(range(1, 11))
    await street.until(lambda: street.line.describe()["state"] == "unreachable")
    await street.server.start()
    await street.all_there()


async def test_the_certificate_of_another_host_is_refused(street, world):
    world.issue("other", "other", "DNS:metertwin-archive.elsewhere.svc")
    await street.server.start("other")
    street.build()
    street.put([1])
    await street.until(lambda: street.line.describe()["state"] == "unreachable")
    assert "certificate is refused" in street.line.describe()["message"]
    assert street.server.archive.bodies == []


async def test_a_certificate_of_another_authority_is_refused(street, world):
    subject = ["-subj", "/CN=x", "-addext", "subjectAltName=IP:127.0.0.1"]
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    world._openssl("req", "-x509", *key, "-keyout", "own.key", "-out", "own.crt", *subject)
    await street.server.start("own")
    street.build()
    street.put([1])
    await street.until(lambda: street.line.describe()["state"] == "unreachable")
    assert street.server.archive.bodies == []


async def test_a_renewed_certificate_is_shown_by_the_next_batch(street, world):
    await street.server.start()
    street.build()
    street.put([1])
    await street.all_there()
    world.issue_twin(2)
    street.context = world.context("tls-2")
    street.put([2])
    await street.all_there()
    assert street.server.uris == ["urn:metertwin:twin:house-1:1", "urn:metertwin:twin:house-1:2"]


async def test_a_connection_is_not_kept_for_nothing(street, monkeypatch):
    monkeypatch.setattr(archive_line, "IDLE_S", 0.2)
    await street.server.start()
    street.build()
    street.put([1])
    await street.all_there()
    await street.until(lambda: street.line._client._streams is None)
    street.put([2])
    await street.all_there()
    assert street.server.connections == 2


async def test_a_store_that_fails_is_no_reason_to_end(street, monkeypatch):
    await street.server.start()
    street.build()
    failing = street.loop.archived
    monkeypatch.setattr(street.loop, "archived", fail)
    street.put([1])
    await street.until(lambda: street.line.describe()["state"] == "waiting")
    monkeypatch.setattr(street.loop, "archived", failing)
    await street.all_there()


def fail(_incarnation, _mark):
    raise StoreError("store is away", "bring it back")


def test_a_twin_without_an_archive_has_nothing_of_it():
    parts = ("lack", "line", "pace", "push", "refill", "return", "shelf", "told")
    names = [f"meter_twin.archive_{one}" for one in parts] + ["meter_wire.archive_page"]
    names += ["meter_wire.archive_batch", "meter_twin.http_client"]
    program = "import sys, meter_twin.shell; print({*sys.argv[1:]} & {*sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", program, *names], capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\n"


async def test_applications_wait_until_the_store_is_whole_or_nobody_answers(street, monkeypatch):
    monkeypatch.setattr(archive_line, "PATIENCE_MS", 600)
    street.store.save_properties({"archive_asked": ""})
    street.build()
    await asyncio.sleep(0.7)
    assert street.line.holds_back, "who does not own its meter knows nothing of time"
    street.line.look()
    assert street.line.holds_back
    assert street.line.describe()["restore"]["missing"] is None
    await street.until(lambda: street.loop.imported_times == 1)
    assert not street.line.holds_back
    fresh = bytes([1, 0, 0]) + int(time.time()).to_bytes(4, "big")
    street.server.archive.rows(A)[0].update({seq: fresh + b"%d" % seq for seq in range(1, 601)})
    await street.server.start()
    await street.until(lambda: street.line.describe()["restore"]["state"] == "whole")
    street.line.look()  # as the link's loop has it done
    await street.until(lambda: street.store.marks()[A].archived == 600)
    await street.all_there()
    assert street.line.describe()["restore"]["restored"] == 600
    assert street.server.archive.conflicts == []
