"""Bids for capacity (OpenADR 3.1.0, User Guide 8.10.2)."""

import json

import pytest
from fake_vtn import AGENCY, NOW, FakeVtn, describe_event, make, settle
from meter_twin.demand_response.capacity_bid import BidRule

HOUR = 3600
RULE = BidRule(wanted_w=4000, most_price_micro=120_000)


def offer(capacities=(11, 2), prices=(0.11, 0.12), asked="IMPORT_RESERVATION_CAPACITY", price="PRICE", **more):  # fmt: skip
    intervals = [
        {
            "id": at,
            "payloads": [
                {"type": "IMPORT_CAPACITY_AVAILABLE", "values": [capacity]},
                {"type": f"IMPORT_CAPACITY_AVAILABLE_{price}", "values": [cost]},
            ],
        }
        for at, (capacity, cost) in enumerate(zip(capacities, prices, strict=True))
    ]
    asks = [{"payloadType": asked, "reportIntervals": "OPEN_INTERVALS"}] if asked else None
    return describe_event(intervals=intervals, reportDescriptors=asks, **more)


def bids(vtn):
    return [
        [one["values"] for row in report["resources"][0]["intervals"] for one in row["payloads"]]
        for report in vtn.reports("bid-")
    ]


def run(vtn, rule=RULE):
    agent = make(bidding=rule.bid if rule else None)
    settle(agent, vtn)
    settle(agent, vtn, NOW + 30)
    assert vtn.complaints == []
    return agent


@pytest.mark.parametrize("price", ["PRICE", "FEE"])
def test_an_offer_is_answered_with_one_report(price):
    vtn = FakeVtn()
    row = vtn.add("events", offer(price=price))
    run(vtn)
    assert bids(vtn) == [[[4.0], [0.11], [2.0], [0.12]]]
    (report,) = vtn.reports("bid-")
    first = report["resources"][0]["intervals"][0]
    assert report["eventID"] == row["id"]
    assert [one["type"] for one in first["payloads"]] == ["IMPORT_RESERVATION_CAPACITY", "IMPORT_RESERVATION_FEE"]  # fmt: skip
    assert first["intervalPeriod"]["duration"] == "PT1H"


@pytest.mark.parametrize(
    ("asked", "fee"),
    [
        ("IMPORT_CAPACITY_RESERVATION", "IMPORT_CAPACITY_RESERVATION_FEE"),
        ("CAPACITY_RESERVATION", "CAPACITY_RESERVATION_FEE"),
    ],
)
def test_it_is_answered_in_the_words_that_are_asked_for(asked, fee):
    vtn = FakeVtn()
    vtn.add("events", offer(asked=asked))
    run(vtn)
    (report,) = vtn.reports("bid-")
    assert [one["type"] for one in report["resources"][0]["intervals"][0]["payloads"]] == [
        asked,
        fee,
    ]


def test_what_is_too_dear_is_not_bid_for():
    vtn = FakeVtn()
    vtn.add("events", offer(prices=(0.5, 0.1)))
    run(vtn)
    assert bids(vtn) == [[[2.0], [0.1]]]


def test_another_event_of_the_program_may_ask_for_reservations():
    vtn = FakeVtn()
    vtn.add("events", offer(asked=""))
    asking = vtn.add("events", describe_event(intervals=None, reportDescriptors=[{"payloadType": "IMPORT_RESERVATION_CAPACITY"}]))  # fmt: skip
    run(vtn)
    assert [one["eventID"] for one in vtn.reports("bid-")] == [asking["id"]]


def test_who_is_not_asked_or_has_no_rule_does_not_bid():
    vtn = FakeVtn()
    vtn.add("events", offer(asked=""))
    run(vtn)
    vtn.add("events", offer())
    run(vtn, None)
    assert bids(vtn) == []


def test_an_offer_that_changes_is_answered_anew_also_by_a_successor():
    vtn = FakeVtn()
    row = vtn.add("events", offer())
    agent = run(vtn)
    vtn.change(row, **offer(capacities=(1, 1)))
    again = make(agent.export(), bidding=RULE.bid)
    settle(again, vtn, NOW + 60)
    settle(again, vtn, NOW + 90)
    assert [one[0] for one in bids(vtn)] == [[4.0], [1.0]]


def test_a_bid_arrives_once_though_the_process_dies_over_it():
    vtn = FakeVtn()
    vtn.add("events", offer())
    agent = make(bidding=RULE.bid)
    while (question := agent.find_next(NOW)).purpose != "report":
        agent.take(*vtn.answer(question), NOW, 0.0)
        memory = agent.export()
    vtn.answer(question)
    settle(make(memory, bidding=RULE.bid), vtn, NOW + 30)
    assert len(bids(vtn)) == 1


def test_while_the_customer_has_taken_the_house_out_there_are_no_bids():
    vtn = FakeVtn()
    vtn.add("events", offer())
    agent = make(bidding=RULE.bid)
    agent.override(NOW + 60, NOW)
    settle(agent, vtn)
    assert bids(vtn) == []
    settle(agent, vtn, NOW + 60)
    assert len(bids(vtn)) == 1


def test_an_offer_of_a_programme_that_is_not_this_utilitys_is_not_answered():
    vtn = FakeVtn()
    vtn.add("events", offer())
    agent = make(bidding=RULE.bid, agency=AGENCY._replace(market_contexts=frozenset({"another"})))
    settle(agent, vtn)
    assert bids(vtn) == []


def test_offers_bids_and_what_is_granted_are_shown_also_by_a_successor():
    vtn = FakeVtn()
    row = vtn.add("events", offer())
    granted = vtn.add(
        "events", describe_event(payload=("IMPORT_CAPACITY_RESERVATION", [4]), span="PT2H")
    )
    agent = run(vtn)
    shown = agent.describe(NOW + 30)["capacity"]
    assert [(one["event"], one["watts"], one["price"]) for one in shown["offers"]] == [
        (row["id"], 11_000, 0.11), (row["id"], 2000, 0.12)]  # fmt: skip
    assert [(one["watts"], one["fee"], one["arrived"]) for one in shown["bids"]] == [
        (4000, 0.11, True), (2000, 0.12, True)]  # fmt: skip
    assert [(one["event"], one["kind"], one["watts"]) for one in shown["granted"]] == [
        (granted["id"], "reservation", 4000)]  # fmt: skip
    successor = make(json.loads(json.dumps(agent.export())), bidding=RULE.bid)
    assert successor.describe(NOW + 30)["capacity"] == shown
    past = successor.describe(NOW + 4 * HOUR)["capacity"]
    assert past == {"offers": [], "bids": [], "granted": []}


def test_a_memory_of_the_version_before_has_no_bids_to_show_and_makes_none_anew():
    vtn = FakeVtn()
    vtn.add("events", offer())
    memory = run(vtn).export()
    del memory["answered"]
    settle(make(memory, bidding=RULE.bid), vtn, NOW + 60)
    assert len(bids(vtn)) == 1


@pytest.mark.parametrize("damaged", [7, {"e": 7}, {"e": [1, [["IMPORT", 1]]]}, {"e": [1, None]}])
def test_a_damaged_memory_of_bids_is_refused(damaged):
    with pytest.raises(ValueError, match="damaged memory"):
        make(make().export() | {"answered": damaged})


def count_bids(vtn, agent, *moments):
    for now_s in moments:
        settle(agent, vtn, now_s)
    return len(vtn.reports("bid-"))


def test_an_offer_that_pages_have_missed_is_not_answered_again():
    vtn = FakeVtn()
    row = vtn.add("events", offer())
    for _ in range(60):
        vtn.add("events", describe_event(payload=("X", [1])))
    agent = run(vtn)
    rows = vtn.objects["events"]
    vtn.objects["events"] = [one for one in rows if one is not row]
    settle(agent, vtn, NOW + 60)
    shown = agent.describe(NOW + 60)["capacity"]["bids"]
    vtn.objects["events"] = rows
    assert [one["arrived"] for one in shown] == [True, True]
    asked = len([one for one in vtn.log if one.purpose == "reports"])
    assert count_bids(vtn, agent, NOW + 90, NOW + 120) == 1
    assert len([one for one in vtn.log if one.purpose == "reports"]) == asked


def test_an_offer_that_was_away_for_a_look_is_looked_up_before_it_is_answered_again():
    vtn = FakeVtn()
    vtn.add("events", offer())
    agent = run(vtn)
    rows = vtn.objects["events"]
    vtn.objects["events"] = []
    settle(agent, vtn, NOW + 60)
    vtn.objects["events"] = rows
    assert count_bids(vtn, agent, NOW + 90, NOW + 120) == 1
    assert all(one["arrived"] for one in agent.describe(NOW + 120)["capacity"]["bids"])


def test_a_bid_that_is_refused_is_shown_so_and_not_sent_again_also_by_a_successor():
    vtn = FakeVtn()
    row = vtn.add("events", offer())
    vtn.troubles = [("report", (400, b""))] * 3
    agent = make(bidding=RULE.bid)
    for at in range(8):
        settle(agent, vtn, NOW + 450 * at)
    assert vtn.troubles == []
    successor = make(json.loads(json.dumps(agent.export())), bidding=RULE.bid)
    assert count_bids(vtn, successor, NOW + 3630, NOW + 4000) == 0
    for one in (agent, successor):
        shown = one.describe(NOW + 60)["capacity"]["bids"]
        assert [(bid["arrived"], bid["refused"]) for bid in shown] == [(False, True)] * 2
    vtn.change(row, **offer(capacities=(3, 3)))
    assert count_bids(vtn, successor, NOW + 4030, NOW + 4060) == 1
    shown = successor.describe(NOW + 60)["capacity"]["bids"]
    assert [(bid["arrived"], bid["refused"]) for bid in shown] == [(True, False)]
