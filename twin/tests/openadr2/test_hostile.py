"""A VTN that says anything: nothing raises, nothing is flooded, what is kept can be read again."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st
from test_agent import NOW, make
from test_ven import ANSWERS

MUTATIONS = st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), max_size=4)
SAID = st.lists(
    st.tuples(st.sampled_from(sorted(ANSWERS)), MUTATIONS, st.sampled_from([200, 200, 200, 404, 500])),
    max_size=30,
)  # fmt: skip


def mutate(octets, changes):
    found = bytearray(octets)
    for at, octet in changes:
        if found:
            found[at % len(found)] = octet
    return bytes(found)


@settings(max_examples=60, deadline=None)
@given(SAID)
def test_whatever_a_vtn_says_the_agent_goes_on(said):
    agent, now_s, answers = make(), NOW, iter(said)
    while (answer := next(answers, None)) is not None:
        name, changes, status = answer
        asked = 0
        while agent.find_next(now_s) is None and asked < 600:
            now_s, asked = now_s + 1, asked + 1
        if asked == 600:
            assert agent.find_time_of_next() is None  # cancelled by the utility
            break
        agent.take(status, mutate(ANSWERS[name], changes), now_s, 0.5)
        memory = json.loads(json.dumps(agent.export()))
        assert make(memory).export() == agent.export()
        json.dumps(agent.describe(now_s))
