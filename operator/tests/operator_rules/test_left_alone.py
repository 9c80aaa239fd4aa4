"""A handover of a meter that is left alone: it is brought to its end, and nothing begins."""

import base64

import pytest
from meter_operator.desired import Key
from meter_operator.handover import parse_handover
from meter_wire.word import Cover, Word

from .street import NAMESPACE, PROFILE
from .test_handover_of_volumes import EMPTY, ROOT, VOLUME, Street

HOUSEHOLD, HOUSE = Key(NAMESPACE, "household"), ("smartmeters", NAMESPACE, "house-1")
SECRET = ("secrets", NAMESPACE, "grid")
KEY = base64.b64encode(b"ab" * 32).decode()
POLICY = {"recipients": [{"name": "grid", "publicKeySecret": "grid"}]}


def pause(street):
    body = street.meter()
    body["metadata"]["annotations"] = {"metertwin.io/paused": "true"}
    street.cluster._version += 1
    street.cluster._store(HOUSE, body)
    street.sync()


def remove_profile(street):
    del street.cluster.objects["twinprofiles", NAMESPACE, "household"]
    del street.cache.profiles.specs[HOUSEHOLD]


def offer_less(street):
    offers = PROFILE["applications"] | {"default": ["metering-data", "forecast"]}
    street.put("twinprofiles", "household", {"spec": PROFILE | {"applications": offers}})


def remove_secret(street):
    del street.cluster.objects[SECRET]


FAULTS = {
    "Paused": pause,
    "ProfileMissing": remove_profile,
    "NotOffered": offer_less,
    "SecretMissing": remove_secret,
}
every_fault = pytest.mark.parametrize("fault", FAULTS)


class Home(Street):
    """One meter in a handover, and a clock that tests move."""

    async def reach(self, phase):
        self.cluster._store(SECRET, {"metadata": {"name": "grid"}, "data": {"publicKey": KEY}})
        self.change_meter(dataPolicy=POLICY)
        await self.serve()
        self.now_s = 1000.0
        self.reconciler._time_s = lambda: self.now_s
        self.change_meter(twin={**self.meter()["spec"]["twin"], "version": "2"})
        await self.settle()
        self.set_pod("house-1-e2")
        if phase != "Preparing":
            self.say(1, Word(store="aa"))
            self.say(2, Word(store="bb", covers={1: Cover("")}))
            await self.settle()
        if phase == "Committed":
            self.prove()
            await self.settle()
        assert self.phase == phase
        return self

    def prove(self):
        attempt = parse_handover(self.status()).attempt
        self.say(1, Word(store="aa", root=ROOT, frozen=attempt))
        self.say(2, Word(store="bb", covers={1: Cover(ROOT, attempt)}))

    @property
    def phase(self):
        return (self.status().get("handover") or {}).get("phase", "")

    def ends(self):
        rows = self.status().get("handovers") or []
        return [(row["result"], row["message"].partition(":")[0]) for row in rows]


@pytest.fixture(params=[EMPTY, VOLUME], ids=["emptyDir", "volume"])
def home(request):
    return Home(request.param)


@every_fault
async def test_a_frozen_twin_is_replaced_when_the_proof_comes(home, fault):
    await home.reach("Frozen")
    FAULTS[fault](home)
    await home.settle()
    assert home.condition()["reason"] == fault
    home.prove()
    await home.settle()
    assert (home.status()["epoch"], home.phase) == (2, "Committed")
    assert home.status()["handover"]["committedAt"]


@every_fault
async def test_a_frozen_twin_goes_on_when_the_proof_does_not_come_in_time(home, fault):
    await home.reach("Frozen")
    FAULTS[fault](home)
    home.now_s += 59
    await home.settle()
    assert home.phase == "Frozen"
    home.now_s += 1
    await home.settle()
    assert (home.status()["epoch"], home.ends()) == (1, [("Aborted", "DeadlineExceeded")])


@every_fault
async def test_what_is_only_prepared_is_withdrawn_and_nothing_begins(home, fault):
    await home.reach("Preparing")
    FAULTS[fault](home)
    await home.settle()
    home.now_s += 10_000
    await home.settle()
    assert (home.status()["highestEpoch"], home.ends()) == (2, [("Aborted", "LeftAlone")])
    assert fault in home.status()["handovers"][0]["message"]


@every_fault
async def test_what_is_committed_ends_as_ever(home, fault):
    await home.reach("Committed")
    FAULTS[fault](home)
    await home.settle()
    home.now_s += 31
    home.say(1, Word(store="aa", root=ROOT, retired=True))
    home.say(2, Word(store="bb", covers={1: Cover(ROOT, final=True)}))
    await home.settle()
    assert home.ends() == [("Done", "")]
    assert home.pods() == ["house-1-e1", "house-1-e2"], "hands off, until it is left alone no more"


async def test_a_candidate_that_has_begun_is_the_twin_when_the_old_one_is_lost():
    home = await Home(EMPTY).reach("Preparing")
    home.say(2, Word(store="bb"))
    pause(home)
    home.delete_pod("house-1-e1")
    await home.settle()
    assert (home.status()["epoch"], home.phase) == (2, "Committed")


async def test_no_takeover_follows_a_frozen_twin_that_is_lost():
    home = await Home(EMPTY).reach("Frozen")
    home.say(2, Word())
    pause(home)
    home.delete_pod("house-1-e1")
    await home.settle()
    assert (home.status()["highestEpoch"], home.ends()) == (2, [("Aborted", "LeftAlone")])
    assert home.pods() == ["house-1-e2"]


async def test_a_changed_meter_is_withdrawn_from_whatever_is_wrong_with_it():
    home = await Home(EMPTY).reach("Frozen")
    home.prove()
    home.change_meter(protocol="link-v9")
    await home.settle()
    assert home.ends() == [("Aborted", "Superseded")]


async def test_nothing_is_decided_from_a_status_that_was_put_back():
    home = await Home(EMPTY).reach("Frozen")
    pause(home)
    home.cache.raise_witness("house-1", 9, 1000)
    home.now_s += 10_000
    await home.settle()
    assert (home.phase, home.status()["highestEpoch"]) == ("Frozen", 2)


async def test_nothing_is_decided_about_a_device_that_another_meter_has():
    home = await Home(EMPTY).reach("Preparing")
    other = home.add_meter("older", device="house-1")
    other["metadata"]["creationTimestamp"] = "2020-01-01T00:00:00Z"
    home.cluster._store(("smartmeters", NAMESPACE, "older"), other)
    home.sync()
    before = home.status()["ownerCounter"]
    await home.settle()
    assert home.condition()["reason"] == "DuplicateDevice"
    assert (home.phase, home.status()["ownerCounter"]) == ("Preparing", before)
