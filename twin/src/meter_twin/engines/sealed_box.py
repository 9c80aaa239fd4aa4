"""Engine `sealed-box` for the port `encrypt`: X25519 and XSalsa20-Poly1305, libsodium's sealed box.

PyNaCl (0.5 MiB) is loaded when the first export is sealed, never before.
"""


class SealedBox:
    """Seals to an X25519 public key with an ephemeral key: the sender cannot open it again."""

    name = "sealed-box"
    port = "encrypt"
    summary = "libsodium sealed box (X25519, XSalsa20-Poly1305)"
    algorithm = "x25519-xsalsa20-poly1305-sealed"

    def seal(self, public_key: bytes, plain: bytes) -> bytes:
        """Return the sealed bytes, 48 longer than `plain`.

        Raises:
            ValueError: the key is not 32 bytes long, or is a point of small order.
        """
        from nacl import exceptions, public  # noqa: PLC0415 - loaded only when needed

        try:
            return bytes(public.SealedBox(public.PublicKey(public_key)).encrypt(plain))
        except (exceptions.CryptoError, exceptions.TypeError, exceptions.ValueError) as error:
            raise ValueError("public key: not an X25519 key") from error
