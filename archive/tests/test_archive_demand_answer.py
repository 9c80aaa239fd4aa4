"""The demand maximum of a meter, through the port."""

import pytest
from quality_world import DAY_S, TODAY_S, QualityWorld, energies, house

TODAY = {"from_": "2025-03-04", "to": "2025-03-05", "zone": "UTC"}


@pytest.fixture
async def world(url):
    async with QualityWorld(url) as made:
        await made.install(("abc", "P1", "house-1"), since=TODAY_S - 60 * DAY_S)
        yield made


async def test_the_largest_quarter_hour_of_a_day_with_its_time(world):
    await world.give(house(energies({50: 700, 60: 700, 70: 699}, history=1)))
    document = await world.ask("demand", meter="house-1", **TODAY)
    (device,) = document["devices"]
    assert (document["unit"], device["meteringPoint"]) == ("W", "P1")
    assert device["buckets"] == [
        {
            "start": "2025-03-04T00:00:00+00:00", "end": "2025-03-05T00:00:00+00:00",
            "power": 2800, "at": "2025-03-04T12:30:00+00:00", "known": 96, "periods": 96,
        }
    ]  # fmt: skip


async def test_a_power_that_was_not_measured_is_none(world):
    await world.give(house(energies({50: 700}, history=1), without=[49]))
    (device,) = (await world.ask("demand", point="P1", **TODAY))["devices"]
    (bucket,) = device["buckets"]
    assert (bucket["known"], bucket["periods"]) == (94, 96)
    assert bucket["power"] < 2800
    hours = (await world.ask("demand", point="P1", **TODAY, every="15m"))["devices"][0]["buckets"]
    assert (hours[49]["power"], hours[49]["at"], hours[50]["power"]) == (None, None, None)


@pytest.mark.parametrize("register", ["1.7.0", "1.6.0", "x"])
async def test_what_has_no_energy_has_no_demand(world, register):
    document = await world.ask("demand", 400, meter="house-1", register=register)
    assert document["error"]["field"] == "register"


@pytest.mark.parametrize("path", ["demand", "history"])
async def test_more_readings_than_fit_into_memory_are_refused(world, monkeypatch, path):
    monkeypatch.setattr("meter_archive.history.MOST_READINGS", 95)
    document = await world.ask(path, 400, meter="house-1", **TODAY)
    assert document["error"]["field"] == "from"
    monkeypatch.setattr("meter_archive.history.MOST_READINGS", 96)
    await world.ask(path, meter="house-1", **TODAY)
