"""The utility as a process, against the twin's own agent over mutual TLS on loopback."""

import asyncio
import json
import subprocess
import sys
import time

import pytest
from city_grid.control import ControlError
from meter_twin.demand_response.event_book import Opt, Status
from meter_twin.demand_response.quarter_hour import MeterStatus
from meter_twin.openadr2.reporting import QUARTER_S, Sample

pytestmark = pytest.mark.timeout(300)
QUIET = {"programme": {"peaks": []}}


async def registered(one):
    await one.until(lambda: one.agent.reason == "Registered" and one.agent.ven_id, "registration")


async def test_prices_and_peaks_come_and_are_answered_once(utility, customer):
    await utility.start()
    async with customer() as house:
        await house.until(lambda: len(list(house.agent.book)) >= 4, "events of two days")
        (price, *_) = [one for one in house.agent.book if one.event.event_id.startswith("price-")]
        (signal,) = price.event.signals
        assert (signal.name, signal.type, signal.unit) == ("ELECTRICITY_PRICE", "price", "EUR/kWh")
        assert price.event.fault is None
        event_id = await utility.peak(seconds=3)
        await house.until(lambda: house.find(event_id), "the peak")
        kept = house.find(event_id).event
        assert (kept.duration_s, kept.signals[0].intervals[0].value_micro) == (3, 2_000_000)
        await house.until(lambda: utility.find_opt(event_id), "an answer")
        later = await utility.peak(starts_in_s=60)  # all events are sent again
        await house.until(lambda: utility.find_opt(later), "an answer")
        for one in (event_id, later, price.event.event_id):
            assert await utility.find_opt(one) == {
                "opt": "optIn", "answers": 1, "changes": 0, "modification": 0, "code": 200,
            }  # fmt: skip
        await house.until(lambda: house.find(event_id).find_status(int(time.time())) is Status.COMPLETED, "its end")  # fmt: skip
        state = await utility.state()
    assert state["vens"]["house-1"]["polls"] > 0
    assert state["vens"]["house-1"]["registrations"] == 1
    assert state["vens"]["house-1"]["last_poll"].endswith("Z")
    assert state["vens"]["house-2"] == {"ven_id": "ven-house-2", "registrations": 0, "polls": 0, "last_poll": None}  # fmt: skip


async def test_who_is_not_on_the_list_is_refused(utility, customer):
    del utility.vens["house-1"]
    await utility.start()
    async with customer() as house:
        await house.until(lambda: house.agent.reason == "NotRegistered", "a refusal")
        assert "no customer" in house.agent.describe(0)["message"]
    assert "house-1" not in (await utility.state())["vens"]
    assert "not in the list" in utility.read_log()


async def test_who_has_the_certificate_of_another_is_refused(utility, customer):
    await utility.start()
    async with customer(certificate_of="house-2") as thief:
        await thief.until(lambda: thief.agent.reason == "NotRegistered", "a refusal")
        assert "certificate" in thief.agent.describe(0)["message"]
    async with customer() as house:
        await registered(house)
        memory = house.agent.export()
    async with customer(memory=memory, certificate_of="house-2") as thief:
        await thief.until(lambda: thief.agent.reason == "NotRegistered", "a refusal")
        assert "fingerprint" in thief.agent.describe(0)["message"]
    assert (await utility.state())["vens"]["house-1"]["registrations"] == 1


async def test_an_event_reaches_only_those_it_is_for_and_who_registers_later(utility, customer):
    await utility.start(**QUIET)
    before = await utility.peak(vens=["house-2"])
    async with customer() as first, customer("house-2") as second:
        await registered(first)
        await second.until(lambda: second.find(before), "the peak of before it came")
        after = await utility.peak(vens=["house-2"])
        await second.until(lambda: second.find(after), "the peak")
        marker = await utility.peak(seconds=60)
        await first.until(lambda: first.find(marker), "a peak for all")
        assert ids(first) & {before, after} == set()


async def test_a_cancelled_event_is_confirmed_and_over(utility, customer):
    await utility.start(**QUIET)
    async with customer() as house:
        event_id = await utility.peak()
        await house.until(lambda: utility.find_opt(event_id), "an answer")
        assert await utility.ask("DELETE", f"/events/{event_id}") == {"id": event_id}
        await house.until(
            lambda: house.find(event_id).find_status(int(time.time())) is Status.CANCELLED,
            "its end",
        )
        opt = await house.until(lambda: confirmed(utility, event_id), "a confirmation")
        assert (opt["answers"], opt["opt"]) == (1, "optIn")
        with pytest.raises(ControlError, match="cancelled already"):
            await utility.ask("DELETE", f"/events/{event_id}")
        assert house.agent.reason == "Registered"


async def confirmed(utility, event_id):
    opt = await utility.find_opt(event_id)
    return opt if opt["modification"] == 1 else None


async def test_who_opts_out_is_seen(utility, customer):
    await utility.start(**QUIET)
    house = customer()
    house.decided = Opt(False, "notParticipating")
    async with house:
        event_id = await utility.peak()
        opt = await house.until(lambda: utility.find_opt(event_id), "an answer")
        assert opt["opt"] == "optOut"


async def test_after_a_restart_vens_and_planned_events_go_on(utility, customer):
    await utility.start()
    async with customer() as house:
        await house.until(lambda: len(list(house.agent.book)) >= 4, "events")
        await registered(house)
    await utility.stop()
    await utility.start()
    async with customer(memory=house.agent.export()) as again:
        await again.until(lambda: polled(utility), "a poll")
        event_id = await utility.peak()
        await again.until(lambda: again.find(event_id), "a peak after it")
        assert again.agent.ven_id == house.agent.ven_id
        assert ids(house) <= ids(again)
        assert (await utility.state())["vens"]["house-1"]["registrations"] == 0
        now_s = int(time.time())
        assert not [one for one in again.agent.book if one.find_status(now_s) is Status.CANCELLED]


async def polled(utility):
    return (await utility.state())["vens"]["house-1"]["polls"]


def ids(house):
    return {one.event.event_id for one in house.agent.book}


async def test_reports_are_asked_for_and_counted_over_a_restart(utility, customer):
    await utility.start(**QUIET)
    async with customer() as house:
        await house.until(lambda: house.agent.reporting.pending, "a request")
        (row,) = house.agent.reporting.export()
        assert row["request"]["granularity_s"] == row["request"]["back_s"] == QUARTER_S
        assert (await reports(utility))["requested"] == 2
        assert await send(house, utility) == {"count": 1, "values": 2, "repeated": 0}
        first = await reports(utility)
        assert first["points"] == {"import": 120.0, "export": 7.0}
    await utility.stop()
    await utility.start(**QUIET)
    async with customer(memory=house.agent.export()) as again:
        await again.until(lambda: polled(utility), "a poll")
        assert await send(again, utility) == {"count": 1, "values": 2, "repeated": 0}
        assert again.agent.reporting.pending == house.agent.reporting.pending
        assert (await reports(utility))["newest"] > first["newest"]


async def reports(utility):
    return (await utility.state())["reports"]["house-1"]


async def send(house, utility):
    """Send the next quarter hour as if it were over."""
    later_s = int(time.time()) + 86_400
    due = house.agent.find_due_report(later_s, lambda _: later_s)
    samples = [Sample(due.sent_until_s, {"1-0:1.8.0*255": 120, "1-0:2.8.0*255": 7})]
    assert house.agent.send_report(due, samples, MeterStatus(True, False), later_s)

    async def came():
        found = await reports(utility)
        return found if found["count"] else None

    found = await house.until(came, "the report")
    return {name: found[name] for name in ("count", "values", "repeated")}


async def command(utility, *arguments):
    whole = [sys.executable, "-m", "city_grid", arguments[0], "--control-port"]
    return await asyncio.to_thread(
        subprocess.run,
        [*whole, str(utility.control_port), *arguments[1:]],
        capture_output=True,
        text=True,
        check=False,
    )


async def test_its_people_use_commands(utility):
    await utility.start(**QUIET)
    asked = ("peak", "--level", "3", "--in", "30", "--for", "60", "--ven", "house-1", "house-2")
    done = await command(utility, *asked)
    assert (done.returncode, done.stderr) == (0, "")
    event_id = done.stdout.strip()
    state = json.loads((await command(utility, "state")).stdout)
    (found,) = [one for one in state["events"] if one["id"] == event_id]
    assert (found["level"], found["status"], found["opts"]) == (3, "far", {})
    done = await command(utility, "cancel", event_id)
    assert (done.returncode, done.stdout) == (0, f"{event_id} is cancelled\n")
    done = await command(utility, "cancel", "nobody/knows?it")
    assert (done.returncode, done.stderr) == (1, "error: there is no event 'nobody/knows?it'\n")
    done = await command(utility, "peak", "--ven", "house-9")
    assert done.stderr == "error: vens: 'house-9' is none of house-1, house-2\n"
    await utility.stop()
    done = await command(utility, "state")
    assert done.returncode == 1
    assert done.stderr.startswith("error: nobody answers on 127.0.0.1:")


async def test_a_certificate_that_is_not_there_is_named(utility):
    gone = str(utility.folder / "gone.crt")
    with pytest.raises(
        AssertionError, match=f"error: .*settings.json: ca: there is no file {gone}"
    ):
        await utility.start(ca=gone)
