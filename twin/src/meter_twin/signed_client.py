"""A client of the utility whose payloads are signed, and which believes only what the VTN signed.

It stands in the place of `http_client.HttpClient` for a utility that signs. What is not believed is
no answer: the agent asks again, later and later, and says `BadSignature`. Neighbours:
`openadr2.signature_rules` (decides), `xml_signatures` (proves), `utility` (builds it).
"""

import secrets
import time
from collections.abc import Callable, Mapping

from .configuration import ConfigurationError, UtilitySettings
from .http_answer import HttpAnswer
from .http_client import HttpClient, HttpClientError
from .openadr2.signature_rules import SignatureError, SignaturePort, SignatureRules
from .option_schema import Violation

_NONCE_OCTETS = 16
REASON = "BadSignature"
_BARE_ANSWER_TO = b"<oadr:oadrResponse "
"""A VTN has nothing to say to this one, and an empty body cannot be signed."""


class SignedClient:
    """Signs what is asked, opens what is answered."""

    def __init__(
        self,
        client: HttpClient,
        signatures: SignaturePort,
        rules: SignatureRules,
        new_nonce: Callable[[], str],
    ) -> None:
        """`new_nonce` makes one that was never used before."""
        self._client = client
        self._signatures = signatures
        self._rules = rules
        self._new_nonce = new_nonce

    async def ask(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> HttpAnswer:
        """Return the answer to a request, its body as it was signed.

        What is refused by status alone is handed on as it came: it changes nothing that is kept.

        Raises:
            HttpClientError: there is none, or none that is believed.
        """
        now_s = int(time.time())
        try:
            signed = self._signatures.sign(body.decode(), now_s, self._new_nonce())
        except SignatureError as error:
            raise HttpClientError("Certificate", f"nothing can be signed: {error}") from error
        answer = await self._client.ask(method, path, signed, headers)
        is_bare = not answer.body.strip() and _BARE_ANSWER_TO in body
        if answer.status // 100 != 2 or is_bare:  # noqa: PLR2004 - 2xx
            return answer
        try:
            sealed = self._signatures.open(answer.body)
            self._rules.check(sealed, int(time.time()))
        except SignatureError as error:
            raise HttpClientError(REASON, f"an answer that is not believed: {error}") from error
        return answer._replace(body=sealed.payload)

    async def close(self) -> None:
        """Drop the connection."""
        await self._client.close()


def build_signed_client(client: HttpClient, settings: UtilitySettings) -> SignedClient:
    """Return a client for a utility that signs; signxml is loaded here, and nowhere else.

    Raises:
        ConfigurationError: this image cannot sign.
    """
    try:
        from .xml_signatures import XmlSignatures  # noqa: PLC0415
    except ImportError as error:
        field, text = "METERTWIN_CONFIG.utility.signedBy", f"this image cannot sign: {error}"
        remedy = "use the image twin-signed, or leave signedBy out"
        raise ConfigurationError(Violation(field, text, remedy)) from error
    return SignedClient(
        client,
        XmlSignatures(f"{settings.folder}/tls.crt", f"{settings.folder}/tls.key"),
        SignatureRules(settings.signed_by, int(time.time())),
        lambda: secrets.token_hex(_NONCE_OCTETS),
    )
