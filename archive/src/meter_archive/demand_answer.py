"""Answers `/v1/demand`: the largest mean power of a quarter hour, in buckets of local time.

Neighbours: `history` finds the readings, `demand` decides.
"""

from typing import Any

from meter_wire.obis import find_register, format_code

from meter_archive.database import Pool
from meter_archive.demand import find_demand_maximum
from meter_archive.history import Part, find_history
from meter_archive.local_time import QUARTER_S, format_local, get_zone
from meter_archive.queries import Asked, Json
from meter_archive.query_error import QueryError
from meter_archive.question import parse_question
from meter_archive.snapshots import register_kind

_POWER = {"Wh": "W", "varh": "var", "VAh": "VA"}


async def answer_demand(pool: Pool, asked: Asked) -> Json:
    """Answer `/v1/demand`; see `history.find_history` for what is raised.

    Raises:
        QueryError: the register is no energy, too.
    """
    question = parse_question(asked.parameters)
    if register_kind(question.register) != "cumulative":
        remedy = "ask for an energy such as 1.8.0; a demand register is in /v1/history"
        raise QueryError("register", "has no power of its quarter hours", remedy)
    history = await find_history(pool, question, asked.now_s, asked.scope)
    known = find_register(question.register)
    return {
        "register": format_code(question.register),
        "unit": _POWER.get(known.unit, "") if known else "",
        "scaler": known.scaler if known else 0,
        "every": question.every,
        "zone": history.zone,
        "devices": [
            {
                "device": part.device,
                "meter": part.meter,
                "meteringPoint": part.point,
                "buckets": _list_maxima(part, history.zone),
            }
            for part in history.parts
        ],
    }


def _list_maxima(part: Part, zone_name: str) -> list[dict[str, Any]]:
    zone = get_zone(zone_name, "zone")
    rows = []
    for bucket in part.buckets:
        found = find_demand_maximum(part.series, bucket.start_s, bucket.end_s, QUARTER_S)
        largest = found.largest
        rows.append(
            {
                "start": format_local(bucket.start_s, zone),
                "end": format_local(bucket.end_s, zone),
                "power": largest.power if largest else None,
                "at": format_local(largest.start_s, zone) if largest else None,
                "known": found.known,
                "periods": found.expected,
            }
        )
    return rows
