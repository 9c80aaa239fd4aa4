"""One VEN behind a `FaultProxy`, with a clock of its own, and the oracle of what must have come of it.

The agent, its HTTP client and openleadr's VTN are the real ones; time is made: when nothing is due
the clock leaps to what is due next, so hours of back-off take none. The twin is killed now and
then, and goes on from what it has kept.
"""

import itertools
import random
import re
import time
from collections import Counter
from typing import NamedTuple

from fault_proxy import FAULTS, INTACT, FaultProxy
from meter_twin.demand_response.event_book import Opt, Status
from meter_twin.demand_response.quarter_hour import MeterStatus
from meter_twin.http_client import HttpClient, HttpClientError
from meter_twin.http_url import parse_url
from meter_twin.openadr2.agent import Agency, Agent
from meter_twin.openadr2.reporting import QUARTER_S, REGISTERS, Sample
from meter_twin.openadr2.ven import EVENTS_AGAIN_S

POLL_S = 60
FAULTY, MOST_TO_RECOVER, QUIET = 130, 150, 4
"""Questions under faults, until it has recovered, and without anything new then."""
SHARE, SPELLS = 0.3, 0.2
"""How often a fault begins, and how often it is one that stays for a while."""
MOST_A_MINUTE = 40
_VEN = re.compile(rb"<ei:venID>([^<]*)</ei:venID>")
_REPORT = re.compile(rb"<ei:eiReportID>([^<]*)</ei:eiReportID>")
_ANSWERED = re.compile(rb"<ei:eventID>([^<]*)</ei:eventID>")


class Asked(NamedTuple):
    """A question that was posted."""

    at_s: int
    life: int
    purpose: str
    body: bytes
    is_answered: bool


class FaultWorld:
    """See the module; `run` raises AssertionError with what is wrong."""

    def __init__(self, vtn, seed):
        self.seed = seed
        self.name = f"house-{seed}"
        self.ven_id = f"ven-of-{self.name}"
        self._vtn = vtn
        self._random = random.Random(seed)
        self._is_faulty = True
        self._spell = []
        self._memory = None
        self._life = 0
        self._numbers = itertools.count(1)
        self.now_s = int(time.time())
        self.asked = []
        self.events = {}
        self.offsets = {}
        self._sent_until = {}

    async def run(self):
        """Live through the faults, recover, and look at it."""
        async with FaultProxy(self._vtn.settings["port"], self._choose, self.seed) as self._proxy:
            self._client = HttpClient(parse_url(self._proxy.url), lambda: None)
            self._begin()
            while len(self.asked) < FAULTY:
                await self._disturb()
                await self._step()
            self._is_faulty = False
            await self._recover()
            await self._client.close()
        self._judge()

    async def _recover(self):
        """Go on without faults until all is quiet, and all events have been asked for once more."""
        begun, calm, until_s = len(self.asked), 0, self.now_s + EVENTS_AGAIN_S + 3 * POLL_S
        while calm < QUIET or self.now_s < until_s:
            assert len(self.asked) < begun + MOST_TO_RECOVER, f"not quiet: {self._agent.reason}"
            await self._step()
            is_calm = self._agent.reason == "Registered" and self.asked[-1].purpose == "poll"
            calm = calm + 1 if is_calm else 0

    def _choose(self):
        if not self._is_faulty:
            return ""
        if self._spell:
            self._spell.pop()
        elif self._random.random() < SHARE:
            fault = self._random.choice(FAULTS)
            is_long = fault not in ("hang", "delay") and self._random.random() < SPELLS
            self._spell = [fault] * (self._random.randrange(3, 9) if is_long else 1)
        return self._spell[-1] if self._spell else ""

    def _begin(self):
        """Start the process, from what the one before has kept."""
        self._life += 1
        agency = Agency(self.name, self.name, frozenset({"SIMPLE"}))
        prefix = f"{self.name}.{self._life}"
        ids = itertools.count(1)
        self._agent = Agent(agency, lambda *_: Opt(True), lambda: f"{prefix}.{next(ids)}", self._memory)  # fmt: skip

    async def _disturb(self):
        """Give the VEN something to do, or kill it."""
        dice = self._random.random()
        if dice < 0.02:
            self._begin()
        elif dice < 0.09 and self._agent.ven_id:
            event_id = f"{self.name}-e{len(self.events)}"
            wants = self._random.random() < 0.8
            self.events[event_id] = {"answered": wants, "cancelled": False}
            await self._say(
                do="event", event_id=event_id, value=1, tolerance_s=600, duration_s=40 * 86_400,
                start_s=self.now_s + self._random.randrange(-3600, 3600),
                response_required="always" if wants else "never",
            )  # fmt: skip
        elif dice < 0.11 and (alive := [one for one, row in self.events.items() if self._can_end(one, row)]):  # fmt: skip
            event_id = self._random.choice(alive)
            self.events[event_id]["cancelled"] = True
            await self._say(do="cancel", event_id=event_id)

    def _can_end(self, event_id, row):
        """An event that is cancelled before its answer came would leave openleadr without one."""
        return not row["cancelled"] and (not row["answered"] or event_id in self._opted())

    def _opted(self):
        return {one["event"] for one in self._vtn.find("opt") if one["ven"] == self.ven_id}

    async def _say(self, **command):
        count = len(self._vtn.find("obeyed"))
        self._vtn.say(ven_id=self.ven_id, **command)
        await self._vtn.until("obeyed", count + 1)

    async def _step(self):
        """Ask one question, if need be after a leap in time."""
        self._report()
        question = self._agent.find_next(self.now_s)
        while question is None:
            due_s = self._agent.find_time_of_next()
            assert due_s is not None, "it has left for ever"
            self.now_s = max(self.now_s + 1, min(due_s, self.now_s // QUARTER_S * QUARTER_S + QUARTER_S))  # fmt: skip
            self._report()
            question = self._agent.find_next(self.now_s)
        body, number = question.body.encode(), next(self._numbers)
        headers = {"content-type": "application/xml", "x-exchange": str(number)}
        is_answered = False
        try:
            answer = await self._client.ask("POST", f"/{question.service}", body, headers)
        except HttpClientError as error:
            is_changed = self._agent.fail(
                error.reason, str(error), self.now_s, self._random.random()
            )
        else:
            exchange = self._proxy.exchanges[number]
            is_answered = exchange.fault in INTACT
            is_changed = self._agent.take(answer.status, answer.body, self.now_s, self._random.random())  # fmt: skip
        self.asked.append(Asked(self.now_s, self._life, question.purpose, body, is_answered))
        if is_changed:
            self._memory = self._agent.export()
        self._look()

    def _report(self):
        """Make the reports that are due, of a house that uses a watt-hour each quarter hour."""
        known_s = self.now_s // QUARTER_S * QUARTER_S
        while (
            due := self._agent.find_due_report(self.now_s, lambda _, known_s=known_s: known_s)
        ) is not None:
            starts = range(due.sent_until_s, due.sent_until_s + due.span_s, QUARTER_S)
            samples = [Sample(at_s, dict.fromkeys(REGISTERS.values(), 1)) for at_s in starts]
            self._agent.send_report(due, samples, MeterStatus(True, False), self.now_s)

    def _look(self):
        for kept in self._agent.book:
            key = kept.event.event_id, kept.event.modification
            if not kept.event.is_cancelled:
                before = self.offsets.setdefault(key, kept.offset_s)
                assert before == kept.offset_s, f"the offset of {key} has changed"
        reports = {row["request"]["request_id"]: row["sentUntil"] for row in self._agent.reporting.export()}  # fmt: skip
        for request_id in reports.keys() & self._sent_until.keys():
            moved_s = reports[request_id] - self._sent_until[request_id]
            assert moved_s in (0, QUARTER_S), f"{request_id} has a hole of {moved_s} s"
        self._sent_until = reports

    def _judge(self):
        self._judge_registration()
        self._judge_events()
        self._judge_reports()
        self._judge_rate()

    def _judge_registration(self):
        assert self._agent.ven_id == self.ven_id
        named = {found for one in self.asked for found in _VEN.findall(one.body)}
        assert named == {self.ven_id.encode()}, "it has spoken as another VEN"
        # each registration after the first needs a reason: five bad polls, a restart, an old answer
        registrations = sum(one.purpose == "register" and one.is_answered for one in self.asked)
        bad_polls = sum(one.purpose == "poll" and not one.is_answered for one in self.asked)
        older = sum(one.fault == "older" for one in self._proxy.exchanges.values())
        assert registrations <= 1 + bad_polls // 5 + self._life + older

    def _judge_events(self):
        answered = {one.decode() for row in self.asked for one in _ANSWERED.findall(row.body)}
        for event_id, row in self.events.items():
            if row["answered"]:
                assert event_id in self._opted(), f"{event_id} was never answered"
            else:
                assert event_id not in answered, f"{event_id} wants no answer"
            kept = self._agent.book.find(event_id)
            status = kept and kept.find_status(self.now_s + 700)
            if row["cancelled"]:
                assert status in (None, Status.CANCELLED), f"{event_id} was cancelled"
            else:
                assert status not in (None, Status.CANCELLED), f"{event_id} is {status}"

    def _judge_reports(self):
        arrived = set()
        for one in self.asked:
            for report_id in _REPORT.findall(one.body) if one.purpose == "update" else ():
                assert report_id not in arrived, f"{report_id} has arrived before"
                if one.is_answered:
                    arrived.add(report_id)
        assert arrived, "no report has arrived"
        for row in self._agent.reporting.export():
            request_id, until_s = row["request"]["request_id"], row["sentUntil"]
            assert until_s > self.now_s - 2 * QUARTER_S, f"{request_id} does not go on"

    def _judge_rate(self):
        minutes = Counter(one.at_s // 60 for one in self.asked)
        assert max(minutes.values()) <= MOST_A_MINUTE, f"{max(minutes.values())} in a minute"
        last = None
        for one in self.asked:
            if one.purpose == "register":
                last = None
            elif one.purpose == "poll":
                if last is not None and last.life == one.life:
                    assert one.at_s - last.at_s >= POLL_S, "polled too early"
                last = one
