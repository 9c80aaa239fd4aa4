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


DESIRED = SimpleNamespace(is_persistent=False)
DECISIONS = {
    "commit": lambda meter: decisions.build_commit(meter, build_handover(9), waits=False),
    "takeover": lambda meter: decisions.build_allocation(meter, DESIRED, 10, "0a" * 16, 9),
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
        meter, DESIRED, 10, "0a" * 16, 9, stores=STORES
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
