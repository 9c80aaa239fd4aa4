"""How large a twin's store may grow: a part of its volume, in bytes. Pure.

A full volume keeps SQLite from committing, and an emptyDir above its limit has its pod evicted;
with this the twin prunes before (contracts.md). Neighbours: `desired`, `builders`.
"""

import re
from decimal import Decimal
from typing import Any

EMPTY_DIR_SIZE = "256Mi"
USED_PERCENT = 80
# What the twin accepts (meter_twin/configuration.py).
LEAST_BYTES = 1 << 20
MOST_BYTES = 1 << 40
_QUANTITY = re.compile(r"\+?([0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE]([+-]?[0-9]{1,3})|([A-Za-z]{0,2}))")
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}


def parse_quantity(text: str) -> int:
    """Return a quantity of Kubernetes, such as 1Gi, 500M or 1e9, rounded down.

    Raises:
        ValueError: it is none, or negative.
    """
    found = _QUANTITY.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no quantity such as 100Mi")
    number, exponent, suffix = Decimal(found[1]), found[2], found[3]
    if exponent is not None:
        return int(number.scaleb(int(exponent)))
    if suffix in _BINARY:
        return int(number * (1 << _BINARY[suffix]))
    if suffix in _DECIMAL:
        return int(number.scaleb(_DECIMAL[suffix]))
    raise ValueError(f"{text!r} is no quantity such as 100Mi")


def store_limit_bytes(store: dict[str, Any]) -> int:
    """Return how large the store's file may be on its volume, within what the twin accepts."""
    size = store["size"] if store.get("type") == "PersistentVolume" else EMPTY_DIR_SIZE
    part = parse_quantity(str(size)) * USED_PERCENT // 100
    return min(MOST_BYTES, max(LEAST_BYTES, part))
