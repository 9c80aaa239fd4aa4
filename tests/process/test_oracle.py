"""The comparison itself can fail: each kind of damage to a store is seen."""

import hashlib
import pathlib
from collections.abc import Iterable

import pytest
from meter_wire.portable.entry import chain
from oracle import Identity, Ledger, read_oracle

NAME = "0102030405060708"


def digest(raw: bytes) -> str:
    return hashlib.sha256(raw).digest()[:8].hex()


def ledger(
    raws: dict[int, bytes], holes: Iterable[tuple[int, int, int]] = (), conflicts: int = 0
) -> Ledger:
    """A store of the entries {seq: raw}, with the mark and the chain that belong to them."""
    link = bytes(16)
    for seq, raw in sorted(raws.items()):
        link = chain(link, bytes.fromhex(NAME), seq, raw)
    top = max([*raws, *(last for _, last, _ in holes)])
    entries = {Identity(NAME, seq): (raw[0], digest(raw)) for seq, raw in raws.items()}
    return Ledger(
        entries, {NAME: sorted(raws.items())}, {NAME: list(holes)}, conflicts, {NAME: (top, link)}
    )


RAWS = {seq: b"\x01" + bytes([seq]) * 20 for seq in range(1, 6)}
LOGGED = ledger(RAWS).entries


def test_a_whole_store_agrees() -> None:
    ledger(RAWS).verify(LOGGED, LOGGED)


def test_a_lost_entry_is_seen() -> None:
    for seq in RAWS:
        short = {key: raw for key, raw in RAWS.items() if key != seq}
        with pytest.raises(AssertionError, match=r"lost|missing"):
            ledger(short).verify(LOGGED, LOGGED)


def test_a_changed_entry_is_seen() -> None:
    with pytest.raises(AssertionError, match="changed"):
        ledger({**RAWS, 3: b"\x01other"}).verify(LOGGED, LOGGED)


def test_an_invented_entry_is_seen() -> None:
    with pytest.raises(AssertionError, match="invented"):
        ledger({**RAWS, 6: b"\x01new"}).verify(LOGGED, LOGGED)


def test_a_hole_that_the_test_does_not_expect_is_seen() -> None:
    four = {key: raw for key, raw in RAWS.items() if key != 5}
    with pytest.raises(AssertionError):
        ledger(four, [(5, 5, 1)]).verify(LOGGED, LOGGED)
    ledger(four, [(5, 5, 1)]).verify(LOGGED, LOGGED, {1})


def test_a_hole_over_a_stored_entry_and_a_conflict_are_seen() -> None:
    with pytest.raises(AssertionError):
        ledger(RAWS, [(5, 5, 1)]).verify(LOGGED, LOGGED, {1})
    with pytest.raises(AssertionError):
        ledger(RAWS, conflicts=1).verify(LOGGED, LOGGED)


def test_a_broken_chain_is_seen() -> None:
    broken = ledger(RAWS)
    broken.marks[NAME] = (5, bytes(16))
    with pytest.raises(AssertionError, match="chain"):
        broken.verify(LOGGED, LOGGED)


def test_a_number_that_the_meter_uses_twice_is_seen(tmp_path: pathlib.Path) -> None:
    log = tmp_path / "oracle.log"
    log.write_text(f"append {NAME} 1 1 aa\nrecovered {NAME} 1 1 aa\nappend {NAME} 2 1 bb\nappend")
    assert len(read_oracle(log)) == 2
    for line in ("append {} 1 1 aa", "append {} 2 1 cc", "recovered {} 2 1 cc"):
        log.write_text(f"append {NAME} 1 1 aa\nappend {NAME} 2 1 bb\n{line.format(NAME)}\n")
        with pytest.raises(AssertionError):
            read_oracle(log)
