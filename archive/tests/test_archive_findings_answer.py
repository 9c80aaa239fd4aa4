"""Each finding by rows that have its fault, through the port; nothing on a usual day."""

import pytest
from fleet_of_batches import B
from meter_archive.scope import Grant, Scope
from meter_archive.validation import CHECKS
from quality_world import (
    ALL,
    DAY_S,
    IMPORT,
    QUARTER_S,
    TODAY,
    TODAY_S,
    QualityWorld,
    energies,
    house,
    moment,
    place_s,
    reading,
)

ADJUSTED, POWER_DOWN = 2, 1
NO_GENERATION = (("metertwin.io/connection-watts", "9200"), ("metertwin.io/generation", "false"))


@pytest.fixture
async def world(url):
    async with QualityWorld(url) as made:
        yield made


async def find(world, rows, *, labels=NO_GENERATION, **query):
    await world.install(
        ("abc", "P1", "house-1"), since=TODAY_S - 60 * DAY_S, zone="UTC", labels=labels
    )
    await world.give(rows)
    before = await world.digest()
    (device,) = (await world.ask("findings", meter="house-1", **(TODAY | query)))["devices"]
    assert await world.digest() == before
    return device


def shown(device):
    return [(one["rule"], one["start"], one["end"]) for one in device["findings"]]


async def test_a_usual_day_has_no_finding(world):
    device = await find(world, house(energies()))
    assert device["findings"] == []
    assert device["readings"] == {"1-0:1.8.0*255": 97, "1-0:2.8.0*255": 97}
    assert (device["generation"], device["connectionWatts"]) == (False, 9200)


FAULTS = {
    "stuck_register": (
        house(energies(dict.fromkeys(range(40, 48), 0)), rates=energies()), 40, 48,
    ),
    "spike": (house(energies({8: 400})), 8, 9),
    "above_connection": (house(energies({72: 2301})), 72, 73),
    "night_zero": (house(energies(dict.fromkeys(range(8, 12), 0))), 8, 12),
    "reverse_flow": (house(energies(), exported={TODAY_S + 41 * QUARTER_S: 3}), 40, 41),
    "missing_intervals": (house(energies(), without=(20, 21)), 20, 23),
    "clock_adjusted": (house(energies(), status={5: ADJUSTED}), 5, 6),
    "negative_advance": (house(energies({30: -5000})), 30, 31),
}  # fmt: skip


@pytest.mark.parametrize("rule", FAULTS)
async def test_rows_with_a_fault_are_found_by_its_rule(world, rule):
    rows, first, last = FAULTS[rule]
    device = await find(world, rows)
    assert (rule, place_s(first), place_s(last)) in shown(device)
    # what is above the fuses, or the first export ever, is far above other days too
    others = {"spike"} if rule in {"above_connection", "reverse_flow"} else set()
    assert {name for name, _, _ in shown(device)} <= {rule} | others
    assert {one["version"] for one in device["findings"]} == {1}


async def test_values_that_are_not_those_of_the_bytes_do_not_sum(world):
    await find(world, house(energies()))
    async with world.pool.acquire() as connection:
        done = await connection.execute(
            "UPDATE entry SET values[1] = values[1] + 7 WHERE time = $1", moment(TODAY_S + DAY_S)
        )
    assert done == "UPDATE 1"
    (device,) = (await world.ask("findings", meter="house-1", **TODAY))["devices"]
    assert shown(device) == [("sum_mismatch", place_s(0), place_s(96))]


async def test_every_rule_is_shown_by_rows(world):
    checks = (await world.ask("findings", device="abc", **TODAY))["checks"]
    assert sorted(checks) == sorted([*FAULTS, "sum_mismatch"])
    assert checks == [check.__name__ for check in CHECKS]


@pytest.mark.parametrize(
    ("labels", "rules"),
    [((), []), ((("metertwin.io/generation", "true"),), []), (NO_GENERATION, ["reverse_flow"])],
)
async def test_export_is_a_finding_only_where_a_label_says_that_nothing_feeds_in(
    world, labels, rules
):
    rows = house(energies(), exported={TODAY_S + 41 * QUARTER_S: 3})
    device = await find(world, rows, labels=labels)
    assert [one["rule"] for one in device["findings"] if one["rule"] != "spike"] == rules


async def test_one_register_may_be_asked_for(world):
    rows = house(energies({8: 400}), exported={TODAY_S + 41 * QUARTER_S: 3})
    device = await find(world, rows, register="2.8.0")
    assert {one["register"] for one in device["findings"]} == {"1-0:2.8.0*255"}
    for register in ("1.7.0", "1.6.0", "x"):
        found = await world.ask("findings", 400, meter="house-1", register=register)
        assert found["error"]["field"] == "register"


async def test_a_tenant_s_findings_know_nothing_of_the_days_before_it(world):
    await find(world, house(energies({8: 400})))
    grant = Grant("P1", moment(TODAY_S - 5 * DAY_S), None)
    world.scope = Scope("tenant", grants=(grant,))
    (device,) = (await world.ask("findings", meter="house-1", **TODAY))["devices"]
    # a spike needs ten days of its own, and a stranger's days do not serve
    assert device["findings"] == []
    late = Grant("P1", moment(TODAY_S + 12 * QUARTER_S), None)
    world.scope = Scope("late", grants=(late,))
    (device,) = (await world.ask("findings", meter="house-1", **TODAY))["devices"]
    assert device["readings"]["1-0:1.8.0*255"] == 97 - 12
    world.scope = Scope("nobody")
    await world.ask("findings", 404, meter="house-1", **TODAY)
    world.scope = ALL


async def test_two_incarnations_that_begin_anew_are_found(world):
    rows = house(energies())
    later = TODAY_S + 50 * QUARTER_S
    await find(world, [one for one in rows if int.from_bytes(one[1][3:7], "big") <= later])
    again = [
        (place, reading(later + place * QUARTER_S, {IMPORT: 5 * place})) for place in range(1, 47)
    ]
    await world.give(again, identity=B)
    (device,) = (await world.ask("findings", meter="house-1", register="1.8.0", **TODAY))["devices"]
    found = [one for one in device["findings"] if one["rule"] == "negative_advance"]
    assert [one["text"] for one in found] == ["the register began anew with the meter"]
