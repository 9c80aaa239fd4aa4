"""AES of OpenSSL's libcrypto in the shape of MicroPython's `cryptolib.aes`, by ctypes.

A twin has libcrypto in its process already, for TLS; ctypes (0.5 MiB) is loaded with this module,
when the first meter wants an encrypted session. Why not PyNaCl: its AES needs the processor's
instructions, which a Raspberry Pi 4 lacks. Neighbour: `portable/frame_cipher`.
"""

import ctypes

ECB = 1
_KEY_BYTES = 32
_BLOCK_BYTES = 16

_library = ctypes.CDLL("libcrypto.so.3")


def _function(name: str, result: type | None, *arguments: type) -> "ctypes._NamedFuncPointer":
    function = getattr(_library, name)
    function.restype = result
    function.argtypes = arguments
    return function  # type: ignore[no-any-return]


_p, _n = ctypes.c_void_p, ctypes.c_int
_new = _function("EVP_CIPHER_CTX_new", _p)
_free = _function("EVP_CIPHER_CTX_free", None, _p)
_algorithm = _function("EVP_aes_256_ecb", _p)
_init = _function("EVP_EncryptInit_ex", _n, _p, _p, _p, ctypes.c_char_p, _p)
_update = _function("EVP_EncryptUpdate", _n, _p, _p, _p, _p, _n)


class aes:  # noqa: N801 - MicroPython's name
    """AES-256 of single blocks; only `encrypt`, which counter mode needs in both directions."""

    def __init__(self, key: bytes, mode: int) -> None:
        """Expand the key.

        Args:
            key: 32 bytes.
            mode: 1, ECB.

        Raises:
            ValueError: another mode, or a key of another length.
            MemoryError: libcrypto has none.
        """
        if mode != ECB or len(key) != _KEY_BYTES:
            raise ValueError("aes: only ECB (mode 1) with a key of 32 bytes")
        self._context = _new()
        if not self._context or not _init(self._context, _algorithm(), None, bytes(key), None):
            raise MemoryError("libcrypto")
        self._length = ctypes.c_int()

    def encrypt(self, data: bytearray, into: bytearray) -> None:
        """Encrypt one block.

        Args:
            data: 16 bytes.
            into: 16 bytes, may be `data`.

        Raises:
            ValueError: a buffer of another length.
        """
        if len(data) != _BLOCK_BYTES or len(into) != _BLOCK_BYTES:
            raise ValueError("aes: one block is 16 bytes")
        block = ctypes.c_char * _BLOCK_BYTES
        source, target = block.from_buffer(data), block.from_buffer(into)
        if not _update(self._context, target, ctypes.byref(self._length), source, _BLOCK_BYTES):
            raise ValueError("aes: libcrypto refused")

    def __del__(self) -> None:
        """Give the expanded key back; libcrypto wipes it."""
        if getattr(self, "_context", None):
            _free(self._context)
