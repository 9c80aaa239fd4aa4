"""The real meter link against the real twin link over a wire that Hypothesis breaks.

Oracle: what was appended to the ring. Whatever happens, every entry that the ring did not lose
ends in the active twin exactly once, in order, and no ack is ever beyond what is stored. Of an
encrypted session each side computes each block of the keystream once at most.
"""

import random

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from meter_wire.effects import ChainBroken
from meter_wire.libcrypto_aes import aes
from meter_wire.memory import MemoryMeter
from meter_wire.owner_record import parse_owner_hello
from meter_wire.portable.entry import encode_event, encode_reading, encode_register
from meter_wire.portable.keys import derive_key

CAPACITY = 60
CODE = b"\x01\x00\x01\x08\x00\xff"


class CountedAes:
    """AES of one side; `blocks` is what it encrypted."""

    def __init__(self):
        self.blocks = set()

    def __call__(self, key, mode):
        return CountedBlocks(key, aes(key, mode), self.blocks)


class CountedBlocks:
    def __init__(self, key, inner, blocks):
        self.key, self.inner, self.blocks = key, inner, blocks

    def encrypt(self, data, into):
        block = self.key, bytes(data)
        assert block not in self.blocks, "a keystream was used twice"
        self.blocks.add(block)
        self.inner.encrypt(data, into)


class BrokenWire(RuleBasedStateMachine):
    @initialize(seed=st.integers(0, 2**32), encrypted=st.booleans())
    def begin(self, seed, encrypted):
        self.random = random.Random(seed)
        self.meter = MemoryMeter("house-1", bytes(range(32)), self.random.randbytes)
        if encrypted:
            self.meter.aes = CountedAes()
            for epoch in range(1, 6):
                self.meter.twin(epoch).aes = CountedAes()
            self.meter.reboot()
        self.meter.ring.capacity = CAPACITY
        self.log = {}
        self.counter = self.active = self.highest = 1
        self.candidate = 0
        self.meter.send()
        hello_key = derive_key(self.meter.key, "hello", "house-1")
        hello = parse_owner_hello(self.meter.hellos[-1], hello_key)
        assert self.meter.accept(self.meter.record(1, 1, nonce=hello.nonce))
        self.meter.settle()

    @rule(count=st.integers(1, 30), event=st.booleans())
    def append(self, count, event):
        for _ in range(count):
            seq = self.meter.ring.head + 1
            entry = (
                encode_event(0, 1_700_000_000 + seq, seq, 1, 10, [1, -seq, b"x" * (seq % 30)])
                if event
                else encode_reading(
                    0,
                    1_700_000_000 + seq,
                    seq,
                    1,
                    [encode_register(CODE, seq + n) for n in range(24)],
                )
            )
            assert self.meter.ring.append(entry) == seq
            self.log[seq] = entry

    @rule(count=st.integers(1, 5))
    def numbers_are_reserved(self, count):
        self.meter.ring.reserve(count)

    @rule(ms=st.sampled_from((1, 500, 4000, 20000, 90000)))
    def time_passes(self, ms):
        self.meter.now_ms += ms
        self.meter.send()
        for twin in self.meter.twins.values():
            twin.act(twin.link.poll(self.meter.now_ms))

    @rule(times=st.integers(1, 20))
    def wire_works(self, times):
        self.meter.send()
        for _ in range(times):
            if self.meter.up:
                self.meter.deliver_up()
            for epoch, twin in self.meter.twins.items():
                if twin.down:
                    self.meter.deliver_down(epoch)

    def queues(self):
        return [self.meter.up, *(twin.down for twin in self.meter.twins.values())]

    def queue(self, which):
        """Return a queue with something in it, None if all are empty."""
        self.meter.send()
        full = [queue for queue in self.queues() if queue]
        return full[which % len(full)] if full else None

    @rule(which=st.integers(0, 3), fault=st.sampled_from(("lose", "repeat", "reorder")))
    def wire_is_broken(self, which, fault):
        queue = self.queue(which)
        if queue is None:
            return
        if fault == "lose":
            queue.popleft()
        elif fault == "repeat":
            queue.append(queue[0])
        else:
            queue.rotate(-1)

    @rule(which=st.integers(0, 3), cut=st.booleans(), times=st.integers(1, 4))
    def frames_are_damaged(self, which, cut, times):
        queue = self.queue(which)
        for index in range(min(times, len(queue or ()))):
            payload = queue[index][1] if isinstance(queue[index], tuple) else queue[index]
            at = self.random.randrange(len(payload) or 1)
            flipped = bytes([(payload + b"x")[at] ^ 1 << self.random.randrange(8)])
            bad = payload[:at] + (b"" if cut else flipped + payload[at + 1 :])
            queue[index] = (queue[index][0], bad) if isinstance(queue[index], tuple) else bad

    @rule()
    def broker_is_killed(self):
        for queue in self.queues():
            queue.clear()
        self.meter.link.disconnected()
        for twin in self.meter.twins.values():
            twin.link.disconnected()
            twin.act(twin.link.connected(self.meter.now_ms))
        self.meter.link.connected(self.meter.now_ms)

    @rule(epoch=st.integers(1, 5))
    def twin_is_killed(self, epoch):
        if epoch in self.meter.twins:
            self.meter.twins[epoch].restart()
            self.meter.twins[epoch].act(self.meter.twins[epoch].link.connected(self.meter.now_ms))

    @rule(commits=st.booleans())
    def disk_is_slow_or_not(self, commits):
        twin = self.meter.twin(self.active)
        twin.commits = commits
        twin.act([])

    @rule()
    def disk_is_full(self):
        twin = self.meter.twin(self.active)
        twin.waiting.clear()
        twin.link.failed()

    @rule()
    def meter_reboots(self):
        self.meter.reboot()
        for twin in self.meter.twins.values():
            twin.act(twin.link.connected(0))

    @precondition(lambda self: self.highest < 5)
    @rule()
    def candidate_appears(self):
        self.highest += 1
        self.candidate = self.highest
        self.decide()

    @precondition(lambda self: self.candidate)
    @rule(commit=st.booleans())
    def candidate_is_decided(self, commit):
        if commit:
            self.active = self.candidate
        self.candidate = 0
        self.decide()

    def decide(self):
        self.counter += 1
        record = self.meter.record(self.counter, self.active, self.candidate)
        if self.random.random() < 0.7:
            assert self.meter.accept(record)
        for epoch in {self.active, self.candidate} - {0}:
            twin = self.meter.twin(epoch)
            twin.act(twin.link.connected(self.meter.now_ms))

    @invariant()
    def nothing_is_acknowledged_before_it_is_stored(self):
        if not hasattr(self, "meter"):
            return
        ring = self.meter.ring
        best = 0
        for epoch, twin in self.meter.twins.items():
            for marks in twin.journal.by_incarnation.values():
                if epoch <= self.active:
                    best = max(best, marks.stored)
        assert ring.stored <= best

    @invariant()
    def everything_up_to_the_mark_is_held_or_a_hole(self):
        if not hasattr(self, "meter"):
            return
        for twin in self.meter.twins.values():
            journal = twin.journal
            assert not journal.quarantine
            assert not any(isinstance(effect, ChainBroken) for effect in twin.effects)
            holes = {n for hole in journal.holes for n in range(hole.first, hole.last + 1)}
            for incarnation, marks in journal.by_incarnation.items():
                for seq in range(1, marks.stored + 1):
                    entry = journal.entries.get((incarnation, seq))
                    assert (entry is None) == (seq in holes)
                    assert entry is None or entry == self.log[seq]
            assert journal.order == sorted(journal.order, key=lambda key: key[1])

    def teardown(self):
        if not hasattr(self, "meter"):
            return
        meter = self.meter
        for twin in meter.twins.values():
            twin.commits = True
            twin.act([])
        meter.accept(meter.record(self.counter, self.active, self.candidate))
        self.broker_is_killed()
        meter.run(200)
        self.everything_up_to_the_mark_is_held_or_a_hole()
        for epoch in {self.active, self.candidate} - {0}:
            twin = meter.twin(epoch)
            held = {seq for _, seq in twin.journal.entries}
            assert set(meter.ring.held) <= held
            if meter.ring.head:
                assert twin.journal.by_incarnation[meter.ring.incarnation].stored == meter.ring.head
        held = {seq for epoch in range(1, self.active + 1) if epoch in meter.twins
                for _, seq in meter.twins[epoch].journal.entries}  # fmt: skip
        assert set(self.log) <= held | meter.ring.lost
        assert meter.ring.stored == meter.ring.head


TestBrokenWire = BrokenWire.TestCase
TestBrokenWire.settings = settings(
    max_examples=150,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
