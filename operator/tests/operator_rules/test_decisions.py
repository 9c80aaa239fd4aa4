"""What a decision writes: the epochs that have to be told that they are retired."""

from types import SimpleNamespace

import pytest
from meter_operator import decisions
from meter_operator.desired import EPOCHS_KEPT, PreviousEpoch, parse_meter
from meter_operator.handover import FROZEN, Handover, encode_handover
from meter_operator.owner import build_overdue_removal

BURNED = 7


def meter_after_aborts(*, handover=None):
    """Return a meter whose twin of epoch 1 serves after tries of 2 to 8 were given up."""
    status = {"epoch": 1, "epochId": "01" * 16, "highestEpoch": 1, "ownerCounter": 1}
    for number in range(2, 2 + BURNED):
        status["handover"] = encode_handover(build_handover(number))
        status |= decisions.build_abort(parse_meter(body_of(status)), "DeadlineExceeded", "")
    status["handover"] = handover and encode_handover(handover)
    return parse_meter(body_of(status))


def body_of(status):
    metadata = {"name": "house-1", "namespace": "street", "uid": "u"}
    return {"metadata": metadata, "spec": {}, "status": status}


def build_handover(epoch):
    names = ("phase", "epoch", "epoch_id", "key_version", "store_claim", "source", "begun")
    found = dict.fromkeys(Handover._fields, "")
    values = (FROZEN, epoch, bytes([epoch] * 16), 1, "", 1, "2026-01-01T00:00:00Z")
    return Handover(**found | dict(zip(names, values, strict=True)))


NOW = "2026-06-14T07:30:00Z"
WHY = ("PodGone", NOW)
DESIRED = SimpleNamespace(
    is_persistent=False, version="0.3.0", spec_hash="s", profile_hash="p", content_hash="c"
)
DECISIONS = {
    "commit": lambda meter: decisions.build_commit(meter, build_handover(9), waits=False),
    "takeover": lambda meter: decisions.build_allocation(meter, DESIRED, 10, "0a" * 16, 9, *WHY),
}


@pytest.mark.parametrize("decision", DECISIONS)
def test_the_twin_that_was_active_is_told_that_it_is_retired_however_many_tries_failed(decision):
    meter = meter_after_aborts(handover=build_handover(9))
    kept = [row["epoch"] for row in DECISIONS[decision](meter)["previousEpochs"]]
    assert 1 in kept
    assert kept == sorted(kept, reverse=True)
    assert len(kept) == EPOCHS_KEPT


STORES = frozenset({1, 2})
WITH_STORES = {
    "commit": lambda meter: decisions.build_commit(
        meter, build_handover(9), waits=False, stores=STORES
    ),
    "takeover": lambda meter: decisions.build_allocation(
        meter, DESIRED, 10, "0a" * 16, 9, *WHY, stores=STORES
    ),
    "abort": lambda meter: decisions.build_abort(meter, "DeadlineExceeded", "", stores=STORES),
}


@pytest.mark.parametrize("decision", WITH_STORES)
def test_a_twin_that_may_hold_entries_stays_a_donor_however_many_others_never_began(decision):
    """Seven takeovers while no pod starts: only the first two twins have ever had an entry."""
    rows = [
        {"epoch": number, "epochId": f"{number:02x}" * 16, "keyVersion": 1}
        for number in (1, 2, 5, 6, 7)
    ]
    status = {"epoch": 8, "epochId": "08" * 16, "highestEpoch": 9, "ownerCounter": 9}
    handover = encode_handover(build_handover(9))
    meter = parse_meter(body_of(status | {"previousEpochs": rows, "handover": handover}))
    kept = [row["epoch"] for row in WITH_STORES[decision](meter)["previousEpochs"]]
    assert {1, 2} <= set(kept), kept
    assert (8 in kept) == (decision != "abort")
    assert len(kept) == EPOCHS_KEPT
    assert kept == sorted(kept, reverse=True)


def test_the_word_to_an_epoch_that_is_kept_no_more_is_removed():
    status = {"epoch": 14, "epochId": "0e" * 16, "highestEpoch": 14, "ownerCounter": 14}
    rows = [
        {"epoch": number, "epochId": f"{number:02x}" * 16, "keyVersion": 1}
        for number in (9, 10, 11, 12, 13)
    ]
    meter = parse_meter(body_of(status | {"previousEpochs": rows}))
    before = [PreviousEpoch(1, bytes(16), 1), *meter.previous_epochs[:4]]
    topics = [message.topic for message in build_overdue_removal(meter, before)]
    assert "mt/house-1/1/ctl" in topics
    assert not {f"mt/house-1/{row['epoch']}/ctl" for row in rows} & set(topics)


BEGUN = "2026-01-01T00:00:00Z"


def take_over(*, handover=None, rows=(), epoch=1, running="0.2.0"):
    """Return the rows after a takeover to epoch 10 by a twin of version 0.3.0."""
    status = {
        "epoch": epoch, "epochId": "01" * 16, "highestEpoch": 9, "ownerCounter": 9,
        "twin": {"version": running}, "handovers": list(rows),
        "handover": handover and encode_handover(handover),
    }  # fmt: skip
    decision = decisions.build_allocation(
        parse_meter(body_of(status)), DESIRED, 10, "0a" * 16, 10, *WHY
    )
    assert ("handover" in decision) == (handover is not None)
    return decision.get("handovers")


TAKEOVER = {
    "from": 1, "to": 10, "version": "0.3.0", "fromVersion": "0.2.0", "specHash": "s",
    "profileHash": "p", "reason": "PodGone", "begunAt": NOW, "endedAt": NOW,
    "result": "TakenOver", "message": "PodGone: epoch 10 replaces 1",
}  # fmt: skip


def ended_row(to, result, version="0.3.0", before="0.3.0"):
    return {"from": 1, "to": to, "result": result, "version": version, "fromVersion": before}


def test_a_takeover_has_a_row_that_says_why_and_when():
    assert take_over() == [TAKEOVER]
    before = ended_row(2, "Done")
    assert take_over(rows=[before]) == [TAKEOVER, before]


@pytest.mark.parametrize("committed", [NOW, ""], ids=["committed", "never"])
def test_a_row_of_a_handover_says_when_it_was_committed_if_it_was(committed):
    handover = build_handover(9)._replace(committed=committed)
    meter = parse_meter(body_of({"epoch": 9, "handover": encode_handover(handover)}))
    (row,) = decisions.build_finish(meter, "", NOW)["handovers"]
    assert row.get("committedAt", "") == committed


def test_the_first_epoch_is_no_takeover():
    assert take_over(epoch=0) is None


@pytest.mark.parametrize("phase", ["Preparing", "Frozen", "Committed"])
def test_a_handover_that_a_takeover_ends_has_its_own_row_with_its_end(phase):
    handover = build_handover(9)._replace(
        phase=phase, version="0.3.0", from_version="0.2.0", reason="SpecChanged"
    )
    first, second = take_over(handover=handover, epoch=9 if phase == "Committed" else 1)
    assert (first["to"], first["result"], first["reason"]) == (10, "TakenOver", "PodGone")
    assert first["from"] == (9 if phase == "Committed" else 1)
    assert (second["from"], second["to"], second["result"]) == (1, 9, "TakenOver")
    assert (second["version"], second["fromVersion"]) == ("0.3.0", "0.2.0")
    assert (second["reason"], second["begunAt"]) == ("SpecChanged", BEGUN)
    assert (second["endedAt"], second["message"]) == (NOW, first["message"])


OTHERS = [ended_row(to, "Aborted") for to in (6, 5, 4)]
FULL = [
    (
        "the oldest row goes",
        [*OTHERS, ended_row(3, "Done"), ended_row(2, "Done")],
        [10, 6, 5, 4, 3],
    ),
    (
        "the oldest takeover goes before what failed",
        [ended_row(8, "TakenOver"), ended_row(7, "TakenOver"), *OTHERS],
        [10, 8, 6, 5, 4],
    ),
    (
        "a takeover to another version stays",
        [*OTHERS, ended_row(3, "TakenOver", "0.3.0", "0.2.0"), ended_row(2, "Done")],
        [10, 6, 5, 4, 3],
    ),
    (
        "nothing goes while there is room",
        [ended_row(7, "TakenOver"), *OTHERS],
        [10, 7, 6, 5, 4],
    ),
]


@pytest.mark.parametrize(("rows", "kept"), [r[1:] for r in FULL], ids=[r[0] for r in FULL])
def test_of_five_rows_a_takeover_puts_out_the_one_that_is_missed_least(rows, kept):
    assert [row["to"] for row in take_over(rows=rows)] == kept
    assert [row["to"] for row in take_over(rows=rows, running="0.3.0")] == kept


def test_another_end_puts_out_the_oldest_row_whatever_it_is():
    rows = [ended_row(7, "TakenOver"), *OTHERS, ended_row(3, "Done")]
    status = {
        "epoch": 1, "epochId": "01" * 16, "handovers": rows,
        "handover": encode_handover(build_handover(9)),
    }  # fmt: skip
    found = decisions.build_finish(parse_meter(body_of(status)), "", NOW)["handovers"]
    assert [row["to"] for row in found] == [9, 7, 6, 5, 4]
