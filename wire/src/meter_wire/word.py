"""What a twin says about a handover, in its retained `state`. Pure.

A word has a MAC under K_ctl of its epoch: the broker's access rules say who may write it, and the
decision that rests on it is worth a second lock. Neighbours: `control` (the operator's word to the
twin), the operator's `handover` (what is decided from it).
"""

from typing import Any, NamedTuple

MOST_COVERS = 8


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
    over.
    """

    store: str = ""
    root: str = ""
    frozen: str = ""
    retired: bool = False
    joined: bool = False
    covers: dict[int, Cover] = {}  # noqa: RUF012 - never changed
    refuses: str = ""


NO_WORD = Word()


def parse_word(document: Any) -> Word:
    """Return the word of a state's `handover` field.

    Raises:
        ValueError: it is none.
    """
    try:
        covers = {
            int(row[0]): Cover(_text(row[1]), _text(row[2]), row[3] is True)
            for row in document.get("covers", [])[:MOST_COVERS]
        }
        return Word(
            store=_text(document.get("store", "")),
            root=_text(document.get("root", "")),
            frozen=_text(document.get("frozen", "")),
            retired=document.get("retired") is True,
            joined=document.get("joined") is True,
            covers=covers,
            refuses=_text(document.get("refuses", ""), 200),
        )
    except (TypeError, IndexError, AttributeError) as error:
        raise ValueError(f"state.handover: {error}") from error


def encode_word(word: Word) -> dict[str, Any]:
    """Return the JSON form."""
    return {
        "store": word.store,
        "root": word.root,
        "frozen": word.frozen,
        "retired": word.retired,
        "joined": word.joined,
        "covers": [[epoch, *cover] for epoch, cover in sorted(word.covers.items())],
        "refuses": word.refuses,
    }


def _text(value: Any, most: int = 32) -> str:
    if not isinstance(value, str) or len(value) > most:
        raise ValueError("state.handover: a text is missing or too long")
    return value
