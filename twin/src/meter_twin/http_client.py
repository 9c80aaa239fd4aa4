"""Asks a server of the utility over HTTP/1.1, one request at a time; keeps the connection.

Own for its memory: aiohttp costs 8.3 MiB a twin, `http.client` blocks the loop. Redirects are not
followed and no proxy is used: a utility's URL is where its VTN is. Neighbours: `http_answer` (reads
what comes), `dialing` (the buffers of TLS).
"""

import asyncio
import contextlib
import ssl
from collections.abc import Callable, Mapping

from .http_answer import AnswerError, AnswerReader, HttpAnswer
from .http_url import Url

TIMEOUT_S = 30.0
MOST_BODY = 1 << 20
_CHUNK = 16_384


class HttpClientError(Exception):
    """No answer; `reason` is Unreachable, Timeout, Certificate, Closed or BadAnswer.

    Whoever builds the context of TLS may raise one, with another reason.
    """

    def __init__(self, reason: str, message: str) -> None:
        """Keep the reason."""
        super().__init__(message)
        self.reason = reason


class HttpClient:
    """The client of one server."""

    def __init__(
        self, url: Url, tls: Callable[[], ssl.SSLContext], *,
        most_body: int = MOST_BODY, timeout_s: float = TIMEOUT_S,
    ) -> None:  # fmt: skip
        """`tls` returns the context as it is now; it is not asked for http."""
        self._url = url
        self._tls = tls
        self._most_body = most_body
        self._timeout_s = timeout_s
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> HttpAnswer:
        """Return the answer to a request below the URL's path.

        A connection that the server has closed meanwhile is opened once more; the request may have
        reached it then, so what is asked must bear being asked twice.

        Raises:
            HttpClientError: there is no answer.
        """
        lines = [
            f"{method} {self._url.path}{path} HTTP/1.1",
            f"host: {self._url.authority}",
            f"content-length: {len(body)}",
            *(f"{name}: {value}" for name, value in (headers or {}).items()),
        ]
        request = "\r\n".join([*lines, "", ""]).encode("ascii") + body
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._exchange(request)
        except HttpClientError:
            raise
        except BaseException as error:
            await self.close()
            found = self._describe(error)
            if found is None:
                raise
            raise found from error

    async def _exchange(self, request: bytes) -> HttpAnswer:
        if self._streams is not None:
            reader = AnswerReader(self._most_body)
            try:
                return await self._exchange_on(self._streams, request, reader)
            except (OSError, EOFError):
                await self.close()
                if reader.has_begun:
                    raise
        self._streams = await asyncio.open_connection(
            self._url.host.strip("[]"),
            self._url.port,
            ssl=self._tls() if self._url.is_secure else None,
            limit=_CHUNK,
        )
        return await self._exchange_on(self._streams, request, AnswerReader(self._most_body))

    async def _exchange_on(
        self,
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        request: bytes,
        answer: AnswerReader,
    ) -> HttpAnswer:
        reader, writer = streams
        try:
            writer.write(request)
            await writer.drain()
            while octets := await reader.read(_CHUNK):
                found = answer.feed(octets)
                if found is not None:
                    if not found.keep_alive:
                        await self.close()
                    return found
        except ConnectionError as error:
            if answer.has_begun:
                raise
            raise EOFError(self._describe_end()) from error
        if not answer.has_begun:
            raise EOFError(self._describe_end())
        await self.close()
        return answer.feed_end()

    def _describe_end(self) -> str:
        """Many servers end a session whose certificate they refuse so, without an alert."""
        doubt = "; perhaps it refuses our certificate (its log says)" if self._url.is_secure else ""
        return "it closed the connection without an answer" + doubt

    async def close(self) -> None:
        """Drop the connection; the next request opens another one."""
        streams, self._streams = self._streams, None
        if streams is not None:
            streams[1].close()
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(1):
                    await streams[1].wait_closed()

    def _describe(self, error: BaseException) -> HttpClientError | None:
        """Return what a failure means to a user; None if it is no failure of the exchange."""
        if isinstance(error, ssl.SSLCertVerificationError):
            return HttpClientError(
                "Certificate", f"its certificate is refused: {error.verify_message}"
            )
        if isinstance(error, ssl.SSLError):
            reason = (error.reason or "TLS").lower().replace("_", " ")
            return HttpClientError("Certificate", f"no TLS session: {reason}")
        if isinstance(error, TimeoutError):
            return HttpClientError("Timeout", f"no answer within {self._timeout_s:.0f} s")
        if isinstance(error, AnswerError):
            return HttpClientError("BadAnswer", str(error))
        if isinstance(error, EOFError):
            return HttpClientError("Closed", str(error))
        if isinstance(error, OSError):
            text = getattr(error, "strerror", None) or str(error) or type(error).__name__
            return HttpClientError("Unreachable", text)
        return None
