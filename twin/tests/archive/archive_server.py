"""The archive of the tests behind real TLS, with answers that are given instead of its own."""

import asyncio
import contextlib
import json
import ssl
import urllib.parse

from dict_archive import DictArchive
from meter_wire.archive_batch import PATH, encode_answer
from meter_wire.archive_page import PATH as PAGES
from meter_wire.archive_page import encode_holdings, encode_page

OK = "HTTP/1.1 200 OK"


class Server:
    """A DictArchive behind mutual TLS; `faults` are answers that are given instead, in turn."""

    def __init__(self, world, port):
        self.world = world
        self.port = port
        self.archive = DictArchive()
        self.faults = []
        self.uris = []
        self.connections = 0
        self.delay_s = 0.0
        self.page_faults = []
        self.asked = []
        self.page_delay_s = 0.0
        self.server = None

    async def start(self, name="server"):
        folder = self.world.folder
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / f"{name}.crt", folder / f"{name}.key")
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(folder / "ca.crt")
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", self.port, ssl=context)

    def stop(self):
        self.server.close()

    async def serve(self, reader, writer):
        self.connections += 1
        names = writer.get_extra_info("peercert")["subjectAltName"]
        self.uris.append(next(value for kind, value in names if kind == "URI"))
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while await self.answer(reader, writer):
                pass
        writer.close()

    async def answer(self, reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        lines = head.split("\r\n")
        body = await reader.readexactly(
            int(next(one for one in lines if one.startswith("content-length: "))[16:])
        )
        method, path, _ = lines[0].split()
        if method == "GET":
            return await self.give_back(path, writer)
        assert (method, path[: len(PATH)]) == ("POST", PATH)
        fault = self.faults.pop(0) if self.faults else None
        if callable(fault):
            return await fault(self, (path, body), writer)
        writer.write(fault or self.take(path, body))
        await asyncio.sleep(self.delay_s)
        await writer.drain()
        return True

    async def give_back(self, path, writer):
        """Answer what a twin lacks; `page_faults` are answers that are given instead, in turn."""
        self.asked.append(path)
        fault = self.page_faults.pop(0) if self.page_faults else None
        if callable(fault):
            fault = await fault(self, path)
        url = urllib.parse.urlsplit(path)
        query = {name: int(value) for name, value in urllib.parse.parse_qsl(url.query)}
        if fault is None and url.path == PAGES:
            fault = say(OK, json.dumps(encode_holdings(self.archive.tell(query["since"]))))
        elif fault is None:
            incarnation = bytes.fromhex(url.path.removeprefix(f"{PAGES}/"))
            page = self.archive.page(incarnation, query["from"], query["until"])
            fault = say(OK, encode_page(page))
        writer.write(fault)
        await asyncio.sleep(self.page_delay_s)
        await writer.drain()
        return True

    def take(self, path, body):
        incarnation = bytes.fromhex(path.removeprefix(PATH))
        status, what = self.archive.give(incarnation, body, int(self.uris[-1].rsplit(":")[-1]))
        if status == 200:
            return say(OK, json.dumps(encode_answer(what)))
        error = {"error": {"field": "batch", "message": what, "remedy": "report this"}}
        return say(f"HTTP/1.1 {status} No", json.dumps(error))


def say(line, body, *headers):
    octets = body.encode() if isinstance(body, str) else body
    lines = [line, f"content-length: {len(octets)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + octets
