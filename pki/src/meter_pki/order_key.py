"""The utility's key for orders: a file outside the cluster that signs what meters carry out.

It is nobody's but the utility's: no Secret, no part of MeterTwin holds it. Who keeps the key in
hardware signs `meter_wire.utility_order.build_signed_message` there instead.
"""

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from meter_wire.utility_order import build_signed_message, pack_signature

from meter_pki.authority import CredentialError


class OrderKey:
    """An EC P-256 key pair."""

    def __init__(self, private: ec.EllipticCurvePrivateKey) -> None:
        """Take a key; `load` reads one."""
        self._private = private

    @classmethod
    def load(cls, pem: bytes, passphrase: bytes | None = None) -> "OrderKey":
        """Read a private key in PEM.

        Raises:
            CredentialError: it is none, of another kind, or the passphrase is wrong or missing.
        """
        try:
            private = serialization.load_pem_private_key(pem, passphrase)
        except TypeError:
            why = "needs a passphrase" if passphrase is None else "has no passphrase"
            raise CredentialError(f"the key {why}") from None
        except ValueError:
            what = "is no private key in PEM" + (", or the passphrase is wrong" * bool(passphrase))
            raise CredentialError(f"the file {what}") from None
        if not isinstance(private, ec.EllipticCurvePrivateKey) or not isinstance(
            private.curve, ec.SECP256R1
        ):
            raise CredentialError("the key is not of EC P-256 (prime256v1)")
        return cls(private)

    @property
    def public_hex(self) -> str:
        """What `utility_key` of meter.json is: x and y, 128 hex digits."""
        point = self._private.public_key().public_numbers()
        return (point.x.to_bytes(32, "big") + point.y.to_bytes(32, "big")).hex()

    def sign(self, order: bytes) -> bytes:
        """Return r and s, 64 bytes, of an order."""
        return pack_signature(
            self._private.sign(build_signed_message(order), ec.ECDSA(hashes.SHA256()))
        )
