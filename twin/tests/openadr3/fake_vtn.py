"""A VTN in memory: object privacy, pages, names that are unique, and no mercy for bad requests.

What it demands of a request is what OpenADR 3.1.0's OpenAPI says, in our words.
"""

import datetime as dt
import json
import re
from urllib.parse import parse_qs, parse_qsl, urlsplit

from meter_twin.demand_response.capacity_bid import GRANTS, OFFERS
from meter_twin.demand_response.event_book import Opt
from meter_twin.openadr3.agent import Agency, Agent
from meter_twin.openadr3.authorization import Credentials

NOW = 1_800_000_000 // 900 * 900
URL = "https://vtn.example/openadr3/3.1.0"
ID = re.compile(r"[a-zA-Z0-9_-]{1,128}")
DURATION = re.compile(r"P(?=\d|T\d)(\d+Y)?(\d+M)?(\d+[DW])?(T(\d+H)?(\d+M)?(\d+(\.\d+)?S)?)?")
SECRET, CLIENT = "s3cr&t of house", "client-1"
SIGNALS = frozenset({"SIMPLE", "LOAD_DISPATCH"}) | OFFERS | GRANTS
AGENCY = Agency(URL, "house-1", "meter-1", SIGNALS)


def moment(seconds):
    return dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat()


def make(memory=None, opt=None, agency=AGENCY, credentials=(CLIENT, SECRET), bidding=None):
    decision = opt or Opt(True)
    given = Credentials(*credentials) if credentials else None
    return Agent(agency, lambda *_: decision, lambda: given, memory, bidding)


def describe_event(start_s=NOW + 3600, payload=("SIMPLE", [2]), span="PT1H", **more):
    return {
        "programID": "program-1",
        "intervalPeriod": {"start": moment(start_s), "duration": span},
        "intervals": [{"id": 0, "payloads": [{"type": payload[0], "values": payload[1]}]}],
    } | more


class RefusedError(Exception):
    """A request that no VTN takes."""

    def __init__(self, status, detail):
        super().__init__(detail)
        self.status = status


def demand(condition, detail, status=400):
    if not condition:
        raise RefusedError(status, detail)


def check_intervals(rows):
    demand(isinstance(rows, list), "intervals are no list")
    for row in rows:
        demand(isinstance(row.get("id"), int), "an interval without its id")
        period = row.get("intervalPeriod", {})
        demand(DURATION.fullmatch(period.get("duration", "PT0S")), "a duration")
        demand(dt.datetime.fromisoformat(period.get("start", moment(0))).tzinfo, "a start")
        check_values(row["payloads"])


def check_values(rows):
    for row in rows:
        demand(isinstance(row["type"], str) and 0 < len(row["type"]) <= 128, "a type")
        good = all(isinstance(one, str | float | int) for one in row["values"])
        demand(isinstance(row["values"], list) and good, "values")


class FakeVtn:
    """`log` is what was asked, `complaints` what was wrong with it."""

    def __init__(self, now_s=NOW):
        self.now_s = now_s
        self.objects = {"programs": [], "events": [], "vens": [], "resources": [], "reports": []}
        self.tokens, self.log, self.complaints, self._number = set(), [], [], 0
        self.granted = ()
        self.troubles = []
        """(purpose, answer): used once each."""
        self.expires_s = 3600
        self.broker = None
        """The MQTT binding that it tells of; None: it has no notifiers."""
        self.add("programs", {"programName": "peaks"})

    # What a business logic does.

    def add(self, kind, content):
        self._number += 1
        if kind == "programs":
            content = {"id": f"program-{self._number}"} | content
        at = moment(self.now_s + self._number / 1e6)
        row = {"id": f"{kind[:-1]}-{self._number}", "createdDateTime": at}
        self.objects[kind].append(row | {"modificationDateTime": at} | content)
        return self.objects[kind][-1]

    def change(self, row, **content):
        self._number += 1
        row |= content | {"modificationDateTime": moment(self.now_s + self._number / 1e6)}

    def remove(self, kind, row):
        self.objects[kind].remove(row)

    def reports(self, prefix=""):
        return [one for one in self.objects["reports"] if one["reportName"].startswith(prefix)]

    # What is asked.

    def answer(self, question):
        self.log.append(question)
        for at, (purpose, given) in enumerate(self.troubles):
            if purpose in (question.purpose, "any"):
                del self.troubles[at]
                return given(self, question) if callable(given) else given
        try:
            return self.handle(question)
        except RefusedError as refusal:
            if refusal.status == 400:
                self.complaints.append((question.path, str(refusal)))
            return refusal.status, json.dumps({"status": refusal.status}).encode()

    def handle(self, question):
        parts = urlsplit(question.path)
        path, query = parts.path, parse_qs(parts.query)
        if path == "/auth/server":
            return 200, json.dumps({"tokenURL": URL + "/auth/token"}).encode()
        if path == "/auth/token":
            return self.issue(question)
        token = question.headers.get("authorization", "").removeprefix("Bearer ")
        demand(token in self.tokens, "token", 401)
        _, kind, *rest = path.split("/")
        if kind == "notifiers" and self.broker is not None:
            return 200, json.dumps(self.describe_notifiers(rest)).encode()
        demand(kind in self.objects, "path", 404)
        if question.method == "POST":
            demand(question.headers.get("content-type") == "application/json", "content type")
            return self.create(kind, json.loads(question.body))
        demand(question.method == "GET" and question.body == b"", "method")
        if rest:
            found = [one for one in self.list_all(kind, {}) if one["id"] == rest[0]]
            demand(found, "not there", 404)
            return 200, json.dumps(found[0]).encode()
        return 200, json.dumps(self.list_all(kind, query)).encode()

    def describe_notifiers(self, rest):
        if not rest:
            return {"WEBHOOK": True, "MQTT": self.broker}
        own = [one["id"] for one in self.objects["vens"]]
        demand(rest[:2] == ["mqtt", "topics"] and rest[4:] == ["events"], "path", 404)
        demand(rest[2] == "vens" and rest[3] in own, "of another ven", 403)
        names = {
            one: f"vens/{rest[3]}/events/{one.lower()}" for one in ("CREATE", "UPDATE", "DELETE")
        }
        return {"topics": names | {"ALL": f"vens/{rest[3]}/events/+"}}

    def issue(self, question):
        demand(question.headers["content-type"] == "application/x-www-form-urlencoded", "form")
        form = dict(parse_qsl(question.body.decode()))
        demand(form.get("grant_type") == "client_credentials", "grant type")
        demand((form["client_id"], form["client_secret"]) == (CLIENT, SECRET), "client", 401)
        self._number += 1
        token = f"token-{self._number}"
        self.tokens.add(token)
        answer = {"access_token": token, "token_type": "Bearer", "expires_in": self.expires_s}
        return 200, json.dumps(answer).encode()

    def list_all(self, kind, query):
        allowed = {
            "events": {"programID", "targets", "active"}, "programs": {"targets"},
            "vens": {"venName", "targets"}, "resources": {"venID", "resourceName", "targets"},
            "reports": {"programID", "eventID", "clientName"},
        }[kind] | {"skip", "limit"}  # fmt: skip
        demand(set(query) <= allowed, f"query {set(query) - allowed}")
        names = {"eventID", "clientName", "venName", "venID", "resourceName"} & set(query)
        rows = [
            one for one in self.objects[kind] if all(one[name] == query[name][0] for name in names)
        ]
        if kind == "events":
            asked = set(query.get("targets", [])) & set(self.granted)
            wanted = bool(query.get("targets"))
            rows = [
                one
                for one in rows
                if (set(one.get("targets") or ()) & asked if wanted else not one.get("targets"))
            ]
            if "active" in query:
                rows = [one for one in rows if not self.is_over(one)]
        skip, limit = int(query.get("skip", ["0"])[0]), int(query.get("limit", ["50"])[0])
        demand(skip >= 0 and 0 <= limit <= 50, "a page")
        return rows[skip : skip + limit]

    def is_over(self, event):
        period = event.get("intervalPeriod") or {}
        if period.get("duration") != "PT1H" or not event.get("intervals"):
            return False
        start = dt.datetime.fromisoformat(period["start"]).timestamp()
        return self.now_s >= start + 3600 * len(event["intervals"])

    def create(self, kind, body):
        if kind == "vens":
            demand(body.get("objectType") == "VEN_VEN_REQUEST" and body.get("venName"), "a ven")
            demand(not self.objects["vens"], "one ven for a client", 409)
            body = {"venName": body["venName"], "clientID": CLIENT, "targets": list(self.granted)}
        elif kind == "resources":
            demand(body.get("objectType") == "VEN_RESOURCE_REQUEST", "a resource")
            demand(ID.fullmatch(body.get("venID", "")), "venID")
            check_values(body.get("attributes", []))
            same = [
                one for one in self.objects[kind] if one["resourceName"] == body["resourceName"]
            ]
            demand(not same, "name", 409)
        else:
            demand(kind == "reports", "only business logic writes these", 403)
            events = [one["id"] for one in self.objects["events"]]
            demand(0 < len(body["clientName"]) <= 128, "clientName")
            for one in body.get("payloadDescriptors", []):
                demand(
                    one["objectType"] == "REPORT_PAYLOAD_DESCRIPTOR" and one["payloadType"],
                    "descriptor",
                )
            for one in body["resources"]:
                demand(one["resourceName"], "resourceName")
                check_intervals(one["intervals"])
            demand(body["eventID"] in events, "event", 404)
        return 201, json.dumps(self.add(kind, body)).encode()


def settle(agent, vtn, now_s=None, most=100):
    """Let an agent ask all that is due at a moment; return whether there was something to keep."""
    now_s = vtn.now_s if now_s is None else now_s
    vtn.now_s, is_changed = now_s, False
    for _ in range(most):
        question = agent.find_next(now_s)
        if question is None:
            return is_changed
        is_changed |= agent.take(*vtn.answer(question), now_s, 0.0)
    raise AssertionError("it never stops asking")


def purposes(vtn):
    return [one.purpose for one in vtn.log]
