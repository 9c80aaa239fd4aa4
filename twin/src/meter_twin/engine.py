"""Ports of engines: computations that can be replaced without touching who uses them.

An engine is stateless. Ports so far: `encrypt`. Neighbours: `registry` finds engines, `export`
uses the first port.
"""

from typing import Any, Protocol


class Encrypt(Protocol):
    """Port `encrypt`: seals bytes so that only the owner of a private key reads them."""

    algorithm: str

    def seal(self, public_key: bytes, plain: bytes) -> bytes:
        """Return the sealed bytes.

        Raises:
            ValueError: the key is not one of this algorithm.
        """


class EngineType(Protocol):
    """What an entry point of `metertwin.engines` names."""

    name: str
    port: str
    summary: str

    def __call__(self) -> Any:
        """Build the engine."""
