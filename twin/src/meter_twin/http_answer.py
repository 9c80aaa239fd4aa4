"""The client's side of HTTP/1.1 without I/O: bytes in, one answer out (RFC 9112).

Neighbours: `http_codec` (the server's side, and why it is ours), `http_client` (who asks). Strict
where two readers could disagree on where an answer ends: one Content-Length, none beside chunks.
"""

import re
from typing import NamedTuple

MOST_HEAD = 16_384
MOST_LINE = 256
"""Of a chunk's size line and of each line after the last chunk."""
_STATUS = re.compile(rb"HTTP/1\.([01]) (\d{3})(?: [^\r\n]*)?")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\0]*?)[ \t]*")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]*)?")
_NO_BODY = frozenset({204, 304})
_HEAD_END, _LINE_END = b"\r\n\r\n", b"\r\n"


class AnswerError(ValueError):
    """What came is no answer of HTTP/1.1, or more than is read."""


class HttpAnswer(NamedTuple):
    """A whole answer; names of headers are lower case, of one that is repeated the last counts."""

    status: int
    headers: dict[str, str]
    body: bytes
    keep_alive: bool
    """The connection can be used again."""


class AnswerReader:
    """Feed it what a connection brings after one request; it is for one answer."""

    def __init__(self, most_body: int) -> None:
        """Read bodies up to this size."""
        self._most_body = most_body
        self._buffer = bytearray()
        self._body = bytearray()
        self._status = 0
        self._headers: dict[str, str] | None = None
        self._keep_alive = False
        self._left: int | None = 0
        """Octets of the body, or of this chunk, that are missing; None: until the end."""
        self._is_chunked = False
        self._is_in_chunk = False
        """The octets of a chunk have come, the end of its line is missing."""
        self._is_last = False
        self.has_begun = False
        """Whether anything has come."""

    def feed(self, octets: bytes) -> HttpAnswer | None:
        """Take octets; return the answer when it is whole.

        Raises:
            AnswerError: malformed, too large, or more than one answer.
        """
        self.has_begun |= bool(octets)
        self._buffer += octets
        while self._headers is None:
            if not self._take_head():
                return None
        return self._take_body()

    def feed_end(self) -> HttpAnswer:
        """Take that the connection has ended; return the answer if it ends so.

        Raises:
            AnswerError: it is cut off.
        """
        if self._headers is None or self._left is not None or self._is_chunked:
            raise AnswerError("the connection ended in the middle of an answer")
        return self._finish()

    def _take_head(self) -> bool:
        end = self._buffer.find(_HEAD_END)
        if end < 0 or end > MOST_HEAD:
            if len(self._buffer) > MOST_HEAD:
                raise AnswerError(f"a head longer than {MOST_HEAD} octets")
            return False
        first, *rows = bytes(self._buffer[:end]).split(_LINE_END)
        del self._buffer[: end + len(_HEAD_END)]
        line = _STATUS.fullmatch(first)
        if line is None:
            raise AnswerError("no status line of HTTP/1.1")
        status = int(line[2])
        if status // 100 == 1:
            if status == 101:  # noqa: PLR2004 - Switching Protocols was not asked for
                raise AnswerError("status 101")
            return bool(self._buffer)  # the answer itself follows (RFC 9110, 15.2)
        self._status = status
        self._headers = _parse_headers(rows)
        self._find_length(is_1_1=line[1] == b"1")
        return True

    def _find_length(self, *, is_1_1: bool) -> None:
        headers = self._headers or {}
        connection = {one.strip() for one in headers.get("connection", "").lower().split(",")}
        self._keep_alive = "close" not in connection if is_1_1 else "keep-alive" in connection
        encoding, length = headers.get("transfer-encoding"), headers.get("content-length")
        if encoding is not None:
            if length is not None or encoding.lower() != "chunked":
                raise AnswerError("a transfer encoding that is not read")
            self._is_chunked = True
        elif self._status in _NO_BODY:
            self._left = 0
        elif length is None:
            self._left, self._keep_alive = None, False
        elif not (length.isascii() and length.isdigit()) or len(length) > 10:  # noqa: PLR2004 - 10 GB
            raise AnswerError("a Content-Length that is no number")
        else:
            self._left = int(length)
            self._check_size(self._left)

    def _check_size(self, more: int) -> None:
        if len(self._body) + more > self._most_body:
            raise AnswerError(f"a body longer than {self._most_body} octets")

    def _take_body(self) -> HttpAnswer | None:
        if self._is_chunked:
            return self._take_chunks()
        if self._left is None:
            self._check_size(len(self._buffer))
            self._move(len(self._buffer))
            return None
        self._left -= self._move(self._left)
        return self._finish() if self._left == 0 else None

    def _move(self, most: int) -> int:
        count = min(most, len(self._buffer))
        self._body += self._buffer[:count]
        del self._buffer[:count]
        return count

    def _take_line(self) -> bytes | None:
        end = self._buffer.find(_LINE_END)
        if end < 0 or end > MOST_LINE:
            if len(self._buffer) > MOST_LINE + 1:
                raise AnswerError("a line of chunks that is too long")
            return None
        line = bytes(self._buffer[:end])
        del self._buffer[: end + len(_LINE_END)]
        return line

    def _take_chunks(self) -> HttpAnswer | None:
        while True:
            if self._left:
                self._left -= self._move(self._left)
                if self._left:
                    return None
                self._is_in_chunk = True
            line = self._take_line()
            if line is None:
                return None
            if self._is_in_chunk:
                if line:
                    raise AnswerError("a chunk longer than it says")
                self._is_in_chunk = False
            elif self._is_last:
                if not line:
                    return self._finish()
            else:
                self._begin_chunk(line)

    def _begin_chunk(self, line: bytes) -> None:
        size = _CHUNK.fullmatch(line)
        if size is None:
            raise AnswerError("a chunk without its size")
        self._left = int(size[1], 16)
        self._is_last = self._left == 0
        self._check_size(self._left)

    def _finish(self) -> HttpAnswer:
        if self._buffer:
            raise AnswerError("more than one answer")
        return HttpAnswer(self._status, self._headers or {}, bytes(self._body), self._keep_alive)


def _parse_headers(rows: list[bytes]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for row in rows:
        header = _HEADER.fullmatch(row)
        if header is None:
            raise AnswerError("a malformed header")
        name = header[1].decode("ascii").lower()
        if name in headers and name in ("content-length", "transfer-encoding"):
            raise AnswerError(f"{name} twice")
        headers[name] = header[2].decode("latin-1")
    return headers
