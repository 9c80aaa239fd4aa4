"""How much later an event begins for one VEN, so that a fleet does not begin in one second.

OpenADR 2.0b gives an event a tolerance (`startafter`) and leaves the random number to the VEN. A
hash of the VEN, the event and its modification is as good, and the same in a twin's successor.
"""

import hashlib


def find_random_offset(ven_id: str, event_id: str, modification: int, tolerance_s: int) -> int:
    """Return seconds in [0, tolerance), even over the VENs, the same whoever computes it."""
    if tolerance_s <= 0:
        return 0
    named = "".join(f"{len(part)}:{part}" for part in (ven_id, event_id, str(modification)))
    return int.from_bytes(hashlib.sha256(named.encode()).digest()[:8], "big") % tolerance_s
