"""Encrypted frames: AES-256 in counter mode, encrypt then MAC.

For meters without TLS. Key of an epoch = HKDF-Expand(key `up`, label) (RFC 5869, 2.3); counter
block = SHA-256(nonces)[:10] ‖ the frame's type, whose bit 7 is the direction ‖ its counter u32 ‖
block u8 (NIST SP 800-38A, 6.5 and B.2): no two frames share one. A MAC's input has the version, 1,
where the label has another byte: no MAC is ever the key. AES itself is the board's `cryptolib.aes`,
or `libcrypto_aes`. Used by both links, loaded when a session is encrypted.
"""

from hashlib import sha256

from .constant import const
from .frame import build_head
from .keys import hmac_sha256, mac16
from .tlv import RemoteProtocolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from meter_wire.ports import Aes

_LABEL = b"metertwin/v1 cipher"
_ECB = const(1)
_HEADER = const(6)
_MAC = const(16)
_BLOCK = const(16)
_SESSION = const(10)
_MOST_FIELDS = const(4096)


class FrameCipher:
    """The encrypted sessions of one epoch.

    AES is made once: it takes a small board 528 bytes in one piece, which a later session might
    not find.
    """

    def __init__(self, aes: "Aes", up: bytes) -> None:
        """Derive the key.

        Args:
            aes: (key, mode 1) → AES, as MicroPython's `cryptolib.aes`.
            up: key `up` of the epoch, 32 bytes.
        """
        self._encrypt = aes(hmac_sha256(up, _LABEL, b"\x01"), _ECB).encrypt

    def begin(self, nonces: bytes) -> None:
        """Begin a session; `nonces` are the meter's and the twin's."""
        self._nonces = nonces
        self._session = sha256(nonces).digest()[:_SESSION]

    def _apply(self, frame: bytearray) -> None:
        """Encrypt or decrypt the fields of a frame in place; its header says which keystream.

        Raises:
            RemoteProtocolError: `oversized`: the blocks' numbers would begin anew.
        """
        counters = bytearray(_BLOCK)
        counters[:_SESSION] = self._session
        counters[_SESSION:15] = frame[1:_HEADER]
        stream = bytearray(_BLOCK)
        end = len(frame) - _MAC
        if end - _HEADER > _MOST_FIELDS:
            raise RemoteProtocolError("oversized")
        block = 0
        for start in range(_HEADER, end, _BLOCK):
            counters[15] = block
            block += 1
            self._encrypt(counters, stream)
            for offset in range(min(_BLOCK, end - start)):
                frame[start + offset] ^= stream[offset]

    def seal(self, key: bytes, kind: int, counter: int, *body: bytes) -> bytes:
        """Return an encrypted frame with its MAC under `key`; never twice with one counter.

        One buffer for all: a small board has no room for a frame in pieces and another one.
        """
        frame = bytearray(_HEADER + sum([len(part) for part in body]) + _MAC)
        frame[:_HEADER] = build_head(kind, counter)
        at = _HEADER
        for part in body:
            frame[at : at + len(part)] = part
            at += len(part)
        self._apply(frame)
        frame[at:] = mac16(key, self._nonces, memoryview(frame)[:at])
        return frame  # type: ignore[return-value]  # who sends it takes both

    def open(self, payload: bytes) -> bytes:
        """Return an authentic frame with plain fields, and its MAC as it came.

        Raises:
            RemoteProtocolError: `oversized`.
        """
        frame = bytearray(payload)
        self._apply(frame)
        return bytes(frame)
