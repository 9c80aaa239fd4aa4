"""The agent against openleadr-rs' VTN over real HTTP: what another's reading of 3.1 takes and gives."""

import asyncio
import time

import pytest
from fake_vtn import AGENCY, describe_event
from meter_twin.demand_response.capacity_bid import BidRule
from meter_twin.demand_response.event_book import Opt, Status
from meter_twin.notification_listener import NotificationListener
from meter_twin.openadr3.enrolment import Resource
from test_agent31 import Status31, sample
from test_capacity31 import offer
from vtn31_process import Database, House, Vtn31, install
from vtn_broker import VtnBroker

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]
HOUSES = iter(range(1, 1000))
AGENCY = AGENCY._replace(resources=(Resource("battery-1", "battery", 5000, 4600),))


@pytest.fixture(scope="module")
def programs():
    return install()


@pytest.fixture
async def vtn(programs, tmp_path_factory):
    """Return a VTN of its own for each test: events are for all houses."""
    program, postgres = programs
    folder = tmp_path_factory.mktemp("v")
    database = Database(postgres, folder)
    found = Vtn31(program, database, folder)
    try:
        database.start()
        await found.start()
        yield found
    finally:
        found.stop()
        database.stop()


@pytest.fixture
async def house(vtn):
    """Return a maker of agents of one house, each going on from what the one before has kept."""
    await vtn.admit("client-1", "secret of house 1")
    made = []

    def build(**kwargs):
        made.append(House(vtn, AGENCY, ("client-1", "secret of house 1"), **kwargs))
        return made[-1]

    yield build
    for one in made:
        await one.__aexit__()


async def program(vtn, **more):
    return await vtn.ask("POST", "/programs", {"programName": "peaks"} | more)


async def event(vtn, said, now_s, **more):
    row = describe_event(now_s, **more) if not more.pop("whole", None) else more
    return await vtn.ask("POST", "/events", row | {"programID": said["id"]})


async def test_it_registers_and_does_so_once(vtn, house):
    now_s = int(time.time())
    first = house()
    await first.settle(now_s)
    (ven,) = await vtn.ask("GET", "/vens")
    resources = await vtn.ask("GET", f"/resources?venID={ven['id']}")
    assert (ven["venName"], first.agent.ven_id) == ("house-1", ven["id"])
    assert {one["resourceName"] for one in resources} == {"meter-1", "battery-1"}
    assert first.agent.reason == "Registered"
    refused = [one for one in first.answers if one[1] >= 400]
    assert refused in ([], [("notifiers", 403)])
    await house().settle(now_s)  # that has lost its memory
    await house(memory=first.kept).settle(now_s)
    assert len(await vtn.ask("GET", "/vens")) == 1


async def test_an_event_comes_is_decided_changed_and_cancelled(vtn, house):
    now_s = int(time.time())
    peaks = await program(vtn)
    row = await event(vtn, peaks, now_s - 10, priority=1)
    one = house()
    await one.settle(now_s)
    (kept,) = one.agent.book.list_acting(now_s)
    assert (kept.event.market_context, kept.event.priority) == ("peaks", 2)
    assert kept.event.signals[0].intervals[0].value_micro == 2_000_000
    changed = describe_event(now_s - 10, ("SIMPLE", [3])) | {"programID": peaks["id"]}
    await vtn.ask("PUT", f"/events/{row['id']}", changed)
    await one.settle(now_s + 30)
    (kept,) = one.agent.book.list_acting(now_s + 30)
    assert kept.event.signals[0].intervals[0].value_micro == 3_000_000
    await vtn.ask("DELETE", f"/events/{row['id']}")
    await one.settle(now_s + 60)
    assert one.agent.book.find(row["id"]).find_status(now_s + 61) is Status.CANCELLED


async def test_events_for_targets_reach_who_was_granted_them(vtn, house):
    now_s = int(time.time())
    peaks = await program(vtn)
    one = house()
    await one.settle(now_s)
    (ven,) = await vtn.ask("GET", "/vens")
    granted = {"objectType": "BL_VEN_REQUEST", "venName": "house-1", "clientID": "client-1", "targets": ["street-7"]}  # fmt: skip
    await vtn.ask("PUT", f"/vens/{ven['id']}", granted)
    for target in ("street-7", "street-8"):
        await event(vtn, peaks, now_s, targets=[target])
    await event(vtn, peaks, now_s)
    await one.settle(now_s + 900)
    await one.settle(now_s + 930)
    found = [kept.event for kept in one.agent.book]
    assert sorted(one.targets.group_ids for one in found) == [(), ("street-7",)]
    assert [one.fault for one in found] == [None, None]


async def test_pages_of_events_are_all_read(vtn, house):
    now_s = int(time.time())
    peaks = await program(vtn)
    for _ in range(45):
        await event(vtn, peaks, now_s)
    one = house()
    await one.settle(now_s)
    assert len(list(one.agent.book)) == 45
    assert [one.purpose for one in one.sent].count("events") == 3


async def test_a_refusal_arrives_once_though_the_process_dies_before_the_answer(vtn, house):
    now_s = int(time.time())
    row = await event(vtn, await program(vtn), now_s)
    one = house(opt=Opt(False, "economic"))
    await one.settle(now_s, loses="report")
    assert len(await vtn.reports(row["id"])) == 1
    again = house(memory=one.kept, opt=Opt(False, "economic"))
    await again.settle(now_s + 30)
    (report,) = await vtn.reports(row["id"])
    assert (report["reportName"], report["clientName"]) == ("opt-1-out", "house-1")
    payloads = report["resources"][0]["intervals"][0]["payloads"]
    assert [one["values"][0] for one in payloads] == ["RUNNING_OPTED_OUT", "economic"]
    again.agent.decide_again(row["id"], Opt(True), now_s + 60)
    await again.settle(now_s + 60)
    assert {one["reportName"] for one in await vtn.reports(row["id"])} == {"opt-1-out", "opt-2-in"}


async def test_usage_arrives_once_though_the_process_dies_before_the_answer(vtn, house):
    end_s = int(time.time()) // 900 * 900
    asked = [{"payloadType": "USAGE", "units": "KWH"}]
    row = await event(vtn, await program(vtn), end_s - 3600, reportDescriptors=asked)
    samples = [sample(at) for at in range(end_s - 3600, end_s, 900)]
    one = house()
    await one.settle(end_s - 60)
    memory = one.kept
    for each in (one, house(memory=memory)):
        due = each.agent.find_due_report(end_s, lambda _: end_s)
        each.agent.send_report(due, samples, Status31, end_s)
        await each.settle(end_s, loses="report")
    assert each.agent.find_due_report(end_s, lambda _: end_s) is None
    (report,) = await vtn.reports(row["id"])
    assert report["payloadDescriptors"][0]["units"] == "KWH"
    assert report["resources"][0]["intervals"][0]["payloads"][0] == {
        "type": "USAGE",
        "values": [1.0],
    }


async def test_prices_and_their_units_come_from_event_and_program(vtn, house):
    now_s = int(time.time())
    described = [{"objectType": "EVENT_PAYLOAD_DESCRIPTOR", "payloadType": "PRICE", "units": "KWH", "currency": "EUR"}]  # fmt: skip
    prices = await program(vtn, payloadDescriptors=described)
    hours = [{"id": at, "payloads": [{"type": "PRICE", "values": [at / 100]}]} for at in range(24)]
    await event(vtn, prices, now_s, intervals=hours, duration="P9999Y")
    one = house()
    await one.settle(now_s)
    (kept,) = one.agent.book
    (signal,) = kept.event.signals
    assert (signal.name, signal.unit, kept.event.duration_s) == ("ELECTRICITY_PRICE", "EUR/kWh", 0)
    assert [one.value_micro for one in signal.intervals][:25] == [
        at * 10_000 for at in range(24)
    ] + [0]


async def test_a_bid_answers_an_offer_of_capacity(vtn, house):
    now_s = int(time.time())
    row = await event(vtn, await program(vtn), 0, whole=True, **offer(start_s=now_s + 3600))
    one = house(bidding=BidRule(4000, 120_000).bid)
    await one.settle(now_s)
    (report,) = await vtn.reports(row["id"])
    payloads = report["resources"][0]["intervals"][0]["payloads"]
    assert {one["type"]: one["values"][0] for one in payloads} == {
        "IMPORT_RESERVATION_CAPACITY": 4.0,
        "IMPORT_RESERVATION_FEE": 0.11,
    }


async def test_its_notifications_are_heard_and_are_a_reason_to_look(vtn, house, tmp_path):
    vtn.stop()
    broker = VtnBroker(tmp_path / "broker")
    one, listener = house(), None
    try:
        await vtn.start(broker.uri)
        now_s = int(time.time())
        await one.settle(now_s)
        listener = NotificationListener(one.agent.notices, lambda: None)
        listener.start()
        await until(lambda: one.agent.notices.hearing.is_up, broker)
        await one.settle(now_s + 10)  # the look that follows the session
        row = await event(vtn, await program(vtn), now_s - 10)
        await until(lambda: one.agent.notices.hearing.heard >= 1, broker)
        await one.settle(int(time.time()) + 14)  # no poll is due so soon
        assert [kept.event.event_id for kept in one.agent.book] == [row["id"]]
        assert one.agent.notices.hearing.junk == 0
    finally:
        if listener is not None:
            await listener.close()
        broker.kill()


async def until(condition, broker):
    ends = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < ends, broker.log
        await asyncio.sleep(0.05)


async def test_a_vtn_that_is_away_is_found_again_and_forgets_nobody(vtn, house):
    now_s = int(time.time())
    one = house()
    await one.settle(now_s)
    vtn.stop()
    await one.settle(now_s + 30)
    assert one.agent.reason in ("Unreachable", "Closed")
    await vtn.start()
    await one.settle(now_s + 400)
    assert one.agent.reason == "Registered"
    assert len(await vtn.ask("GET", "/vens")) == 1


async def test_a_ven_that_was_deleted_is_made_again(vtn, house):
    now_s = int(time.time())
    one = house()
    await one.settle(now_s)
    for resource in await vtn.ask("GET", "/resources"):
        await vtn.ask("DELETE", f"/resources/{resource['id']}")
    await vtn.ask("DELETE", f"/vens/{one.agent.ven_id}")
    await one.settle(now_s + 900)
    await one.settle(now_s + 1000)
    (ven,) = await vtn.ask("GET", "/vens")
    assert one.agent.ven_id == ven["id"]


async def test_a_wrong_secret_is_told(vtn, house):
    del house
    one = House(vtn, AGENCY, ("client-1", "wrong"))
    await one.settle(int(time.time()))
    await one.__aexit__()
    assert one.agent.reason == "Unauthorized"
