"""What the operator decides about a handover: one row a rule."""

import pytest
from meter_operator.handover import (
    ABORT,
    ANNOUNCE,
    COMMIT,
    COMMITTED,
    FINISH,
    FREEZE,
    FROZEN,
    PREPARING,
    TAKE_OVER,
    WAIT,
    Handover,
    Patience,
    Side,
    decide,
    encode_handover,
    parse_handover,
)
from meter_operator.tries import may_try
from meter_wire.word import Cover, Word, encode_word, parse_word

ID = b"i" * 16
ATTEMPT = ID.hex()
PATIENCE = Patience(progress_s=600, frozen_s=60, soak_s=30, final_s=600)


def handover(phase):
    return Handover(phase, 5, ID, 1, "", 4, "hash", "SpecChanged", "next", "2026-01-01T00:00:00Z")


def old(**word):
    return Side(exists=True, online=True, word=Word(store="a", **word))


def new(**word):
    return Side(exists=True, online=True, word=Word(store="b", **word))


def ready(side, served_s, steady_s=0):
    return side._replace(served_s=served_s, steady_s=steady_s or served_s)


GONE = Side(exists=False)
ENDED = Side(exists=False, trouble="Evicted: the node was low on memory", ended=True)
TAKEN = {4: Cover("r1")}
PROOF = {4: Cover("r2", ATTEMPT)}
FINAL = {4: Cover("r3", "", final=True)}

ROWS = [
    ("a candidate that starts is waited for", PREPARING, old(), Side(exists=True), 1, WAIT),
    ("one that never comes up is given up", PREPARING, old(), Side(exists=True), 600, ABORT),
    ("one whose pod is gone is given up at once", PREPARING, old(), GONE, 1, ABORT),
    ("one whose pod has failed too", PREPARING, old(), ENDED, 1, ABORT),
    ("one that cannot read the state says so", PREPARING, old(), new(refuses="state 3"), 1, ABORT),
    ("it takes what there is first", PREPARING, old(), new(), 1, WAIT),
    ("then the meter is told of it", PREPARING, old(), new(covers=TAKEN), 1, ANNOUNCE),
    ("a meter that never comes is a reason to give up", PREPARING, old(), new(covers=TAKEN), 600,
     ABORT),
    ("all there: the old one is frozen", PREPARING, old(), new(covers=TAKEN, joined=True), 1,
     FREEZE),
    ("not while the old one cannot be told", PREPARING, Side(exists=True),
     new(covers=TAKEN, joined=True), 1, WAIT),
    ("the old one has to say that it is frozen", FROZEN, old(root="r2"), new(covers=PROOF), 1,
     WAIT),
    ("for this very handover", FROZEN, old(frozen="00", root="r2"), new(covers=PROOF), 1, WAIT),
    ("a proof of what was held before the freeze is none", FROZEN,
     old(frozen=ATTEMPT, root="r2"), new(covers={4: Cover("r2")}), 1, WAIT),
    ("a proof of less than it holds is none", FROZEN, old(frozen=ATTEMPT, root="r9"),
     new(covers=PROOF), 1, WAIT),
    ("a mark alone is no proof", FROZEN, old(frozen=ATTEMPT), new(), 1, WAIT),
    ("a proof decides", FROZEN, old(frozen=ATTEMPT, root="r2"), new(covers=PROOF), 1, COMMIT),
    ("no proof in time: withdrawn", FROZEN, old(frozen=ATTEMPT, root="r9"), new(covers=PROOF), 60,
     ABORT),
    ("a proof in the last moment counts", FROZEN, old(frozen=ATTEMPT, root="r2"),
     new(covers=PROOF), 60, COMMIT),
    ("the old one is lost: the candidate goes on", PREPARING, GONE, new(), 1, COMMIT),
    ("the same when frozen", FROZEN, GONE, new(), 1, COMMIT),
    ("one that never began cannot go on", PREPARING, GONE, Side(exists=True), 1, TAKE_OVER),
    ("both lost", FROZEN, GONE, GONE, 1, TAKE_OVER),
    ("after the commit it soaks", COMMITTED, old(retired=True, root="r3"), ready(new(covers=FINAL), 29),
     29, WAIT),
    ("then the old one may go", COMMITTED, old(retired=True, root="r3"),
     ready(new(covers=FINAL), 30), 30, FINISH),
    ("not before the new one has served so long", COMMITTED, old(retired=True, root="r3"),
     ready(new(covers=FINAL), 29, 629), 629, WAIT),
    ("nor while it is not ready, however long", COMMITTED, old(retired=True, root="r3"),
     new(covers=FINAL), 100_000, WAIT),
    ("nor in a break of one that comes and goes", COMMITTED, old(retired=True, root="r3"),
     ready(new(covers=FINAL), 0, 700), 700, WAIT),
    ("one that comes and goes does not soak for ever", COMMITTED, old(retired=True, root="r3"),
     ready(new(covers=FINAL), 1, 630), 630, FINISH),
    ("not before it stores nothing more", COMMITTED, old(root="r3"),
     ready(new(covers=FINAL), 31), 31, WAIT),
    ("not before its last word is covered", COMMITTED, old(retired=True, root="r4"),
     ready(new(covers=FINAL), 31), 31, WAIT),
    ("nor on a word that was not the last", COMMITTED, old(retired=True, root="r3"),
     ready(new(covers={4: Cover("r3")}), 31), 31, WAIT),
    ("one that does not answer is waited for", COMMITTED, Side(exists=True), ready(new(), 629),
     629, WAIT),
    ("and blocks nothing", COMMITTED, Side(exists=True), ready(new(), 630), 630, FINISH),
    ("its time runs while there is somebody who takes", COMMITTED, Side(exists=True),
     ready(new(), 31), 10_000, WAIT),
    ("one that is gone blocks nothing", COMMITTED, GONE, new(), 30, FINISH),
]  # fmt: skip


@pytest.mark.parametrize(
    ("phase", "active", "candidate", "age_s", "verb"),
    [r[1:] for r in ROWS],
    ids=[r[0] for r in ROWS],
)
def test_a_decision(phase, active, candidate, age_s, verb):
    found = decide(
        handover(phase), active, candidate, wanted="hash", age_s=age_s, patience=PATIENCE
    )
    assert found.verb == verb, found


@pytest.mark.parametrize(
    ("candidate", "reason"),
    [
        (GONE, "CandidateLost: its pod is gone, or was never made"),
        (ENDED, "CandidateEnded: its pod has failed (Evicted: the node was low on memory)"),
    ],
)
def test_a_candidate_that_failed_is_told_from_one_that_was_lost(candidate, reason):
    found = decide(handover(FROZEN), old(), candidate, wanted="hash", age_s=1, patience=PATIENCE)
    assert found.reason == reason


@pytest.mark.parametrize("phase", [PREPARING, FROZEN])
def test_a_handover_that_is_not_wanted_any_more_is_withdrawn(phase):
    sides = (old(frozen=ATTEMPT, root="r2"), new(covers=PROOF, joined=True))
    found = decide(handover(phase), *sides, wanted="other", age_s=1, patience=PATIENCE)
    assert found.verb == ABORT
    assert found.reason.startswith("Superseded")


def test_a_silent_meter_is_not_waited_for_if_the_profile_says_so():
    sides = (old(), new(covers=TAKEN))
    found = decide(
        handover(PREPARING), *sides, wanted="hash", age_s=1, patience=PATIENCE, offline_commits=True
    )
    assert found.verb == FREEZE


@pytest.mark.parametrize("phase", [PREPARING, FROZEN, COMMITTED])
def test_a_handover_survives_status(phase):
    assert parse_handover({"handover": encode_handover(handover(phase))}) == handover(phase)


def failed(to, why="CandidateEnded: its pod has failed", *, result="Aborted", spec="v2"):
    return {"to": to, "result": result, "message": why, "specHash": spec, "profileHash": "p"}


LOST = "CandidateLost: its pod is gone"
TRIES = [
    ("the first try waits for nothing", [], 0, True),
    ("after one that failed there is a pause", [failed(2)], 59, False),
    ("of a minute", [failed(2)], 60, True),
    ("of two after the second", [failed(3), failed(2)], 119, False),
    ("and then it is over", [failed(3), failed(2)], 120, True),
    ("another twin that is asked for begins at once", [failed(2, spec="v3")], 0, True),
    ("its failures do not count for this one", [failed(3), failed(2, spec="v3")], 60, True),
    ("one that was withdrawn is no failure", [failed(2, "Superseded: another")], 0, True),
    ("nor one of a meter that is left alone", [failed(2, "LeftAlone: Paused")], 0, True),
    ("nor one whose pod was lost", [failed(2, "CandidateLost: its pod is gone")], 0, True),
    ("but one that is lost again waits", [failed(3, LOST), failed(2, LOST)], 59, False),
    ("for a minute", [failed(3, LOST), failed(2, LOST)], 60, True),
    ("and then for two", [failed(4, LOST), failed(3, LOST), failed(2, LOST)], 119, False),
    ("as one does whose meter is silent again",
     [failed(3, "MeterOffline: it has not spoken"), failed(2, LOST)], 59, False),
    ("not one that was left alone again",
     [failed(3, "LeftAlone: Paused"), failed(2, "LeftAlone: Paused")], 0, True),
    ("and a failure before them hides nothing",
     [failed(5, LOST), failed(4, LOST), failed(3, LOST), failed(2)], 119, False),
    ("which does not hide a failure before it",
     [failed(3, "CandidateLost: its pod is gone"), failed(2)], 59, False),
    ("one that came about ends the count", [failed(3, "", result="Done"), failed(2)], 0, True),
]  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "ago_s", "may"), [r[1:] for r in TRIES], ids=[r[0] for r in TRIES]
)
def test_a_try_waits_for_the_pause_after_the_last_failure(rows, ago_s, may):
    assert may_try(rows, "v2", "p", {row["to"]: ago_s for row in rows}) is may


def test_a_word_survives_the_wire():
    word = Word("a" * 16, "r", ATTEMPT, True, True, {3: Cover("x"), 4: Cover("y", "z", True)}, "no")
    assert parse_word(encode_word(word)) == word


@pytest.mark.parametrize(
    "document", [None, [], {"store": 5}, {"covers": [[1]]}, {"covers": 7}, {"root": "0" * 33}]
)
def test_a_word_that_is_none_is_refused(document):
    with pytest.raises(ValueError, match=r"state\.handover"):
        parse_word(document)
