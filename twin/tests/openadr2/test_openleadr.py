"""A VEN against openleadr's VTN, over real HTTP."""

import time

import pytest
from meter_twin.demand_response.event_book import EventBook, Offer, Opt, Status
from meter_twin.openadr2.dialogue import (
    Delivered,
    EventsCame,
    Registered,
    Registration,
    ReportsAsked,
    Trouble,
    Unregistered,
)
from meter_twin.openadr2.report_codec import Point, Report, ReportedValue, ReportOffer
from vtn_process import VenDriver, VtnProcess

pytestmark = pytest.mark.timeout(300)
VEN_ID = "ven-of-house-1"
POINT = Point("energy", "usage", "Direct Read", "Wh", "house-1", 900, 900)
OFFERS = (ReportOffer("usage", "TELEMETRY_USAGE", 86_400, (POINT,)),)
PEAK = {"do": "event", "ven_id": VEN_ID, "event_id": "peak-1", "duration_s": 3600, "value": 2}


class House:
    """Answers events and accepts reports, as a twin does."""

    def __init__(self):
        self.book = EventBook()
        self.requests = []

    def __call__(self, ven, happening):
        now_s = int(time.time())
        if isinstance(happening, EventsCame):
            offer = Offer(ven.ven_id, {"SIMPLE"})
            answers = self.book.take(happening.events, offer, lambda *_: Opt(True), now_s)
            ven.outbox.answer_events(happening.request_id, answers)
        if isinstance(happening, ReportsAsked):
            self.requests += happening.requests
            pending = [one.request_id for one in happening.requests]
            ven.outbox.accept_reports(happening.request_id, pending)


async def test_a_ven_registers_and_offers_its_reports(valid):
    async with (
        VtnProcess() as vtn,
        VenDriver(vtn.url(), None, OFFERS, on=House(), valid=valid) as ven,
    ):
        assert await ven.until(Registered) == [Registered(VEN_ID, "utility")]
        assert await vtn.until("registered") == ["house-1"]
        (offered,) = await vtn.until("offered")
        assert offered == {"ven": VEN_ID, "resource": "house-1", "measurement": "RealEnergy", "unit": "Wh"}  # fmt: skip


async def test_an_event_comes_is_answered_and_cancelled(valid):
    house = House()
    async with VtnProcess() as vtn, VenDriver(vtn.url(), on=house, valid=valid) as ven:
        await ven.until(Registered)
        vtn.say(**PEAK, start_s=int(time.time()) - 10)
        assert await vtn.until("opt") == [{"ven": VEN_ID, "event": "peak-1", "opt": "optIn"}]
        now_s = int(time.time())
        (kept,) = house.book.list_acting(now_s)
        assert kept.event.signals[0].intervals[0].value_micro == 2_000_000
        vtn.say(do="cancel", ven_id=VEN_ID, event_id="peak-1")
        await ven.until(EventsCame, 2)
        assert house.book.find("peak-1").find_status(now_s + 5) is Status.CANCELLED


async def test_an_event_that_wants_no_answer_gets_none(valid):
    house = House()
    async with VtnProcess() as vtn, VenDriver(vtn.url(), on=house, valid=valid) as ven:
        await ven.until(Registered)
        vtn.say(**PEAK, start_s=int(time.time()), response_required="never")
        await ven.until(EventsCame)
        vtn.say(**PEAK | {"event_id": "peak-2"}, start_s=int(time.time()))
        assert [one["event"] for one in await vtn.until("opt")] == ["peak-2"]
        assert house.book.find("peak-1")


async def test_a_report_arrives_once(valid):
    house = House()
    async with (
        VtnProcess() as vtn,
        VenDriver(vtn.url(), None, OFFERS, on=house, valid=valid) as ven,
    ):
        await ven.until(ReportsAsked)
        (asked,) = house.requests
        assert (asked.specifier_id, asked.r_ids) == ("usage", ("energy",))
        now_s = int(time.time())
        values = tuple(ReportedValue("energy", now_s - 900 * at, 900, 100 + at) for at in (2, 1))
        ven.ven.outbox.send_report(
            Report(
                "r-1",
                asked.request_id,
                "usage",
                "TELEMETRY_USAGE",
                now_s,
                now_s - 1800,
                1800,
                values,
            )
        )
        (delivered,) = await ven.until(Delivered)
        assert delivered.response.code == 200
        assert await vtn.until("report") == [[[now_s - 1800, 102], [now_s - 900, 101]]]


async def test_a_vtn_that_is_absent_at_the_start_is_found_when_it_comes():
    vtn = VtnProcess()
    async with VenDriver(vtn.url()) as ven:
        await ven.until(Trouble, 2)
        async with vtn:
            await ven.until(Registered)


async def test_a_vtn_that_has_forgotten_the_ven_is_registered_with_again():
    async with VtnProcess() as vtn, VenDriver(vtn.url()) as ven:
        await ven.until(Registered)
        await vtn.kill()
        async with VtnProcess(port=vtn.settings["port"]) as again:
            await ven.until(Registered, 2)
            assert again.find("registered") == ["house-1"]
            again.say(**PEAK, start_s=int(time.time()))
            await ven.until(EventsCame)


async def test_a_registration_that_was_kept_needs_no_other():
    kept = Registration("reg-of-house-1", VEN_ID, "utility", 1)
    async with VtnProcess(knows=False) as vtn, VenDriver(vtn.url(), kept) as ven:
        vtn.say(**PEAK, start_s=int(time.time()))
        await ven.until(EventsCame)
        assert vtn.find("registered") == []
        assert not [one for one in ven.happened if isinstance(one, Unregistered)]


def secure(authority, **settings):
    certificate, key = authority.issue("vtn")
    return VtnProcess(cert=certificate, key=key, ca_file=authority.ca, **settings)


async def test_it_speaks_mutual_tls(authority):
    tls = authority.context("house-1")
    async with secure(authority) as vtn, VenDriver(vtn.url("https"), on=House(), tls=tls) as ven:
        await ven.until(Registered)
        vtn.say(**PEAK, start_s=int(time.time()))
        assert await vtn.until("opt") == [{"ven": VEN_ID, "event": "peak-1", "opt": "optIn"}]


async def test_a_ven_without_a_certificate_is_told_so(authority):
    async with (
        secure(authority) as vtn,
        VenDriver(vtn.url("https"), tls=authority.context()) as ven,
    ):
        found = await ven.until(Trouble)
        assert found[0].reason == "Closed"
        assert "perhaps it refuses our certificate" in found[0].message


async def test_a_vtn_of_another_ca_is_refused(authority, tmp_path):
    tls = type(authority)(tmp_path).context("house-1")
    async with secure(authority) as vtn, VenDriver(vtn.url("https"), tls=tls) as ven:
        found = await ven.until(Trouble)
        assert found[0].reason == "Certificate"
        assert "its certificate is refused" in found[0].message
        assert vtn.find("registered") == []


async def test_another_fingerprint_than_the_utility_knows_is_told(authority):
    tls = authority.context("house-1")
    vtn = secure(authority, fingerprint="00:11:22:33:44:55:66:77:88:99")
    async with vtn, VenDriver(vtn.url("https"), tls=tls) as ven:
        found = await ven.until(Unregistered)
        assert found[0].reason == "NotRegistered"
        assert "does not match the expected fingerprint" in found[0].message


async def test_a_path_that_the_vtn_does_not_have_is_told():
    async with VtnProcess() as vtn, VenDriver(vtn.url().replace("2.0b", "2.0a")) as ven:
        found = await ven.until(Trouble)
        assert (found[0].reason, "404" in found[0].message) == ("NotFound", True)
