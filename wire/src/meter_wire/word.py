"""What a twin says about a handover, in its retained `state`. Pure.

A word has a MAC under K_ctl of its epoch: the broker's access rules say who may write it, and the
decision that rests on it is worth a second lock. Neighbours: `control` (the operator's word to the
twin), the operator's `handover` (what is decided from it).
"""

import hmac
from typing import Any, NamedTuple

from meter_wire.control import sign_record
from meter_wire.names import MAX_EPOCH

MOST_COVERS = 8
MOST_REASON = 200
"""Characters of `refuses`; a longer one is cut."""


class Cover(NamedTuple):
    """What a twin holds of an older one: the root that it named, and when it named it."""

    root: str
    frozen: str = ""
    final: bool = False


class Word(NamedTuple):
    """One twin's word.

    `store`: identity of its store; `root`: stands for what it holds, as of its last coverage;
    `frozen`: the attempt it is frozen for; `retired`: it stores nothing more; `joined`: it has a
    session with the meter; `covers`: by epoch of the older twin; `refuses`: why it cannot take
    over; `waits`: it took over, and one before it may still act on others.
    """

    store: str = ""
    root: str = ""
    frozen: str = ""
    retired: bool = False
    joined: bool = False
    covers: dict[int, Cover] = {}  # noqa: RUF012 - never changed
    refuses: str = ""
    waits: bool = False


NO_WORD = Word()


def parse_word(document: Any) -> Word:
    """Return the word of a state's `handover` field.

    Raises:
        ValueError: it is none.
    """
    try:
        covers = {
            _epoch(row[0]): Cover(_text(row[1]), _text(row[2]), row[3] is True)
            for row in document.get("covers", [])[:MOST_COVERS]
        }
        return Word(
            store=_text(document.get("store", "")),
            root=_text(document.get("root", "")),
            frozen=_text(document.get("frozen", "")),
            retired=document.get("retired") is True,
            joined=document.get("joined") is True,
            covers=covers,
            refuses=_text(document.get("refuses", ""), MOST_REASON),
            waits=document.get("waits") is True,
        )
    except (TypeError, LookupError, AttributeError) as error:
        raise ValueError(f"state.handover: {type(error).__name__}") from error


def encode_word(word: Word) -> dict[str, Any]:
    """Return the JSON form."""
    return {
        "store": word.store,
        "root": word.root,
        "frozen": word.frozen,
        "retired": word.retired,
        "joined": word.joined,
        "covers": [[epoch, *cover] for epoch, cover in sorted(word.covers.items())],
        "refuses": word.refuses[:MOST_REASON],
        "waits": word.waits,
    }


def sign_word(word: Word, epoch: int, key: bytes) -> dict[str, Any]:
    """Return the JSON form with its MAC under K_ctl of the epoch, which it covers."""
    document = encode_word(word)
    mac = sign_record({**document, "epoch": epoch}, key)["mac"]
    return {**document, "mac": mac}


def open_word(document: Any, epoch: int, key: bytes) -> Word:
    """Return an authentic word.

    Raises:
        ValueError: it is none, or its MAC is not that of the epoch.
    """
    if not isinstance(document, dict):
        raise ValueError("state.handover: no object")  # noqa: TRY004 - one error for bad input
    plain = {name: value for name, value in document.items() if name != "mac"}
    try:
        expected = sign_record({**plain, "epoch": epoch}, key)["mac"]
    except RecursionError:
        raise ValueError("state.handover: is nested too deeply") from None
    if not hmac.compare_digest(str(document.get("mac", "")).encode(), expected.encode()):
        raise ValueError("state.handover: its MAC is wrong")
    return parse_word(plain)


def _epoch(value: Any) -> int:
    if type(value) is not int or not 0 < value <= MAX_EPOCH:
        raise ValueError("state.handover: an epoch is a number")
    return value


def _text(value: Any, most: int = 32) -> str:
    if not isinstance(value, str) or len(value) > most:
        raise ValueError("state.handover: a text is missing or too long")
    return value
