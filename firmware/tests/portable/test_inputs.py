"""Contacts count when they are steady, a failing power once and not too often. Both Pythons."""

from inputs import (
    CALM_MS,
    GASP,
    GASPS_AN_HOUR,
    HELD,
    HOUR_MS,
    MOST_AN_HOUR,
    STEADY_MS,
    STUCK_MS,
    Contact,
    LastGasp,
)


def test_a_contact_counts_when_it_is_steady():
    contact = Contact(False)
    assert not contact.poll(True, 1000)
    assert not contact.poll(True, 1000 + STEADY_MS - 1)
    assert contact.poll(True, 1000 + STEADY_MS)
    assert contact.told
    assert not contact.poll(True, 5000)
    assert not contact.poll(False, 6000)
    assert contact.poll(False, 6000 + STEADY_MS)


def test_a_contact_that_bounces_is_not_steady():
    contact = Contact(False)
    for number in range(100):
        assert not contact.poll(number % 2 == 0, number * (STEADY_MS - 10))


def test_a_level_that_was_told_before_the_boot_is_not_told_again():
    contact = Contact(True)
    assert not contact.poll(True, 0)
    assert not contact.poll(True, 10 * STEADY_MS)


def play(contact, changes, now_ms=0):
    told = 0
    for number in range(changes):
        for _ in range(2):
            told += contact.poll(number % 2 == 0, now_ms)
            now_ms += STEADY_MS
    return told, now_ms


def test_a_contact_tells_so_many_changes_an_hour_and_then_how_it_stands():
    contact = Contact(False)
    told, now_ms = play(contact, 200)
    assert told == MOST_AN_HOUR
    assert not contact.told
    contact.poll(True, now_ms)
    assert not contact.poll(True, HOUR_MS + STEADY_MS - 1)
    assert contact.poll(True, HOUR_MS + STEADY_MS), "an hour after the first"


def tally(gasp, failing, times_ms):
    """Return (gasps, holds, time of the last hold) of a sign that is `failing(now_ms)`."""
    found = [0, 0, None]
    for now_ms in times_ms:
        step = gasp.poll(failing(now_ms), now_ms)
        if step:
            found[step - 1] += 1
            if step == HELD:
                found[2] = now_ms
    return tuple(found)


def always(_now_ms):
    return True


def test_a_failing_power_is_a_gasp_at_once_and_once():
    gasp = LastGasp()
    assert gasp.poll(False, 0) == 0
    assert gasp.poll(True, 10) == GASP
    assert tally(gasp, always, range(30, 5000, 20)) == (0, 0, None)


def test_a_notice_counts_as_a_failing_power_at_the_next_look():
    gasp = LastGasp()
    gasp.notice()
    assert gasp.poll(False, 0) == GASP
    assert gasp.poll(False, 20) == 0


def test_a_power_that_did_not_go_is_told_when_the_sign_was_away_for_a_while():
    gasp = LastGasp()
    gasp.poll(True, 0)
    assert gasp.poll(False, 100) == 0
    assert gasp.poll(True, 1500) == 0, "the same failure"
    assert gasp.poll(False, 1600) == 0
    assert gasp.poll(False, 1600 + CALM_MS - 1) == 0
    assert gasp.poll(False, 1600 + CALM_MS) == HELD
    assert gasp.poll(False, 9000) == 0
    assert gasp.poll(True, 10000) == GASP, "the next one"


def test_a_sign_that_is_stuck_is_believed_once():
    gasp = LastGasp()
    assert tally(gasp, always, range(0, 3 * HOUR_MS, 1000)) == (1, 1, STUCK_MS)


def test_a_power_that_fails_again_and_again_is_believed_so_often_an_hour():
    gasp = LastGasp()
    found = tally(gasp, lambda now_ms: now_ms // 5000 % 2 == 0, range(0, HOUR_MS, 500))
    assert found[:2] == (GASPS_AN_HOUR, GASPS_AN_HOUR)
    assert gasp.poll(False, HOUR_MS) == 0
    assert gasp.poll(True, HOUR_MS + 20) == GASP
