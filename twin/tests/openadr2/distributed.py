"""oadrDistributeEvent messages as openleadr's VTN writes them."""

import datetime as dt

from openleadr.messaging import create_message

START = dt.datetime(2026, 6, 14, 17, 0, tzinfo=dt.UTC)
START_S = int(START.timestamp())
HOUR = dt.timedelta(hours=1)


def describe(event_id="peak-1", modification=0, **changes):
    return {
        "event_id": event_id,
        "modification_number": modification,
        "modification_date": START,
        "priority": 0,
        "market_context": "http://utility.example/peak",
        "created_date_time": START - HOUR,
        "event_status": "far",
        "test_event": False,
        "vtn_comment": "",
    } | changes


def signal(name="SIMPLE", kind="level", values=(1,), seconds=3600, **changes):
    span = dt.timedelta(seconds=seconds // len(values))
    return {
        "signal_name": name,
        "signal_type": kind,
        "signal_id": "s1",
        "current_value": 0,
        "intervals": [
            {"dtstart": START + span * at, "duration": span, "signal_payload": value}
            for at, value in enumerate(values)
        ],
    } | changes


def event(descriptor=None, signals=None, response_required="always", targets=None, **period):
    return {
        "event_descriptor": descriptor or describe(),
        "active_period": {"dtstart": START, "duration": HOUR} | period,
        "event_signals": [signal()] if signals is None else signals,
        "targets": [{"ven_id": "ven-1"}] if targets is None else targets,
        "response_required": response_required,
    }


def distribute(*events, request_id="r1"):
    return create_message(
        "oadrDistributeEvent",
        request_id=request_id,
        vtn_id="utility",
        response={"response_code": 200, "response_description": "OK", "request_id": "q"},
        events=list(events),
    ).encode()
