"""Twins are told anew whom they may ask whenever that has changed, also when nobody is left."""

from types import SimpleNamespace

import pytest
from meter_operator.handover import Patience
from meter_operator.succession import Succession


def pod(epoch, address="10.0.0.1", *, gone=False):
    return SimpleNamespace(epoch=epoch, address=address, gone=gone)


def observed(*pods, uid="u-1", active=1):
    return SimpleNamespace(meter=SimpleNamespace(uid=uid, epoch=active), pods=pods)


ALONE, PAIR = (pod(1),), (pod(1), pod(2, "10.0.0.2"))
UNBORN = (pod(1), pod(2, ""))
ROWS = [
    ("a twin that is alone has nobody to ask", 1, [ALONE, ALONE], [False, False]),
    ("one that comes is told of once", 1, [ALONE, PAIR, PAIR], [False, True, False]),
    ("one that moves too", 1, [PAIR, (pod(1), pod(2, "10.0.0.3"))], [True, True]),
    ("one that has no address yet is not there", 1, [UNBORN], [False]),
    ("one that goes is asked no more", 2, [PAIR, PAIR[1:], PAIR[1:]], [True, True, False]),
    ("one whose containers have ended too", 1, [PAIR, (pod(1, gone=True), PAIR[1])], [True, True]),
    ("the last two may go at once", 1, [PAIR, (), ()], [True, True, False]),
    ("an older one that the new one cannot ask yet", 2, [UNBORN, UNBORN], [True, False]),
    ("and that goes before it can", 2, [PAIR, UNBORN, PAIR[1:]], [True, True, True]),
    ("or goes when the new one has come", 2, [UNBORN, (pod(2, ""),)], [True, True]),
]


@pytest.mark.parametrize(
    ("active", "seen", "moved"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS]
)
def test_a_change_of_who_can_be_asked_is_said_once(active, seen, moved):
    succession = Succession(None, None, None, None, Patience())
    assert [succession.has_moved(observed(*pods, active=active)) for pods in seen] == moved


def test_meters_do_not_share_what_was_seen():
    succession = Succession(None, None, None, None, Patience())
    assert succession.has_moved(observed(*PAIR))
    assert not succession.has_moved(observed(*ALONE, uid="u-2"))
    assert succession.has_moved(observed(*ALONE))
