"""ECDSA P-256 with SHA-256: the vectors of RFC 6979, A.2.5. Both Pythons."""

from binascii import unhexlify

from meter_wire.portable.p256 import verify

KEY = unhexlify(
    "60FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6"
    "7903FE1008B8BC99A41AE9E95628BC64F2F1B20C2D7E9F5177A3C294D4462299"
)
SAMPLE = unhexlify(
    "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716"
    "F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8"
)


def test_the_signature_of_rfc_6979_is_genuine():
    assert verify(KEY, b"sample", SAMPLE)


def test_another_message_key_or_signature_is_not():
    assert not verify(KEY, b"Sample", SAMPLE)
    assert not verify(KEY[:-1] + b"\x98", b"sample", SAMPLE)
    assert not verify(KEY, b"sample", SAMPLE[:-1] + b"\xa9")
    assert not verify(KEY, b"sample", bytes(64))
    assert not verify(KEY, b"sample", b"")
    assert not verify(b"", b"sample", SAMPLE)
