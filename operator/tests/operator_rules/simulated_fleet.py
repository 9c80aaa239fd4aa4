"""A fleet in memory: meters whose handovers take time, fail and are superseded; no clock, no I/O.

Each `tick` of ten seconds asks the real rollout who may begin, lets them begin a little later as a
reconciler does, ends handovers as the seed says, and checks what must hold at any time. Twins that
are lost (`lose`) are not ready until they are replaced.
"""

import math
import random
from dataclasses import replace

from meter_operator.desired import Key, Meter
from meter_operator.members import Target, parse_member
from meter_operator.moments import format_moment
from meter_operator.observed import Pod, TwinState
from meter_operator.plan import PROFILE_CHANGED
from meter_operator.rollout import REPLACE, Policy, decide_rollout

TICK_S = 10
BEGIN_S = 1_800_000_000
SPEC = {"profile": "household"}


def show_ready(since_s, *, ready=True):
    """Return the conditions of a meter."""
    reason, since = "Serving" if ready else "NotReady", format_moment(since_s)
    return [
        {"type": "TwinReady", "status": str(ready), "reason": reason, "lastTransitionTime": since}
    ]


class Fleet:
    """`fails(meter, target, try)` says whether a try fails; `offline` are meters that are silent.

    A twin that replaced a lost one never gets ready if its first try would fail.
    """

    def __init__(self, size, seed, policy, *, fails=lambda *_: False, takes=(1, 6)):
        self.random = random.Random(seed)
        self.policy, self.fails, self.takes = policy, fails, takes
        self.now_s = BEGIN_S
        self.target, self.started_s, self.known = "v1", BEGIN_S, ("v1",)
        self.meters, self.pods, self.ends, self.members = {}, {}, {}, {}
        self.in_flight, self.offline, self.soaked = {}, set(), ""
        self.replacing, self.permitted, self.replaced = {}, {}, 0
        self.begun, self.failures, self.most = 0, 0, 0
        self.states = {True: TwinState(1, True, "connected"), False: TwinState(1, True, "silent")}
        for number in range(size):
            name = f"m{number}"
            status = {"epoch": 1, "conditions": show_ready(BEGIN_S - 1_000)}
            key = Key("street", name)
            self.meters[name] = Meter(key, name, name, 1, "", SPEC, status, "1", False, False)
            self.pods[name] = Pod(
                f"{name}-e1", name, 1, "Running", True, False, "node", "s", "t", "v1", "", "",
                meter_uid=name, profile_hash="v1",
            )  # fmt: skip
        self.touched = set(self.meters)

    # ---- what people do

    def change(self, target):
        """The profile says something else."""
        self.target, self.started_s = target, self.now_s
        self.touched = set(self.meters)
        for name in list(self.ends):
            if self._handover(name)["profileHash"] != target:
                self._end(name, "Aborted", "Superseded: another one by now")

    def restart(self):
        """The operator ends; of what it was writing some has arrived."""
        for name, target in self.in_flight.items():
            if self.random.random() < 0.5:
                self._begin(name, target)
        self.in_flight = {}

    def set_offline(self, names):
        self.touched |= self.offline ^ set(names)
        self.offline = set(names)

    def lose(self, names):
        """The twins of these are not ready any more; one in a handover is left alone."""
        for name in set(names) - set(self.ends) - set(self.in_flight):
            self._show(name, ready=False)
            if self.pods[name].profile_hash == self.target:  # replaced without being asked for
                self.replacing[name] = self.now_s + self.takes[1] * TICK_S

    # ---- time

    def tick(self):
        """Ten seconds; returns the outlook that was decided at their begin."""
        self.now_s += TICK_S
        outlook = self._look()
        for name, target in list(self.in_flight.items()):
            if self.random.random() < 0.7 and target == self.target:
                self._begin(name, target)
            del self.in_flight[name]
        for key, kind in outlook.permits.items():
            assert self.pods[key.name].ready == (kind != REPLACE)
            if kind == REPLACE:
                self._replace(key.name)
            else:
                self.in_flight[key.name] = self.target
        self._check_canary()
        starting = sum(end_s > self.now_s for end_s in self.permitted.values())
        at_once = len(self.ends) + len(self.in_flight) + starting
        self.most = max(self.most, at_once)
        for name, end_s in list(self.ends.items()):
            if end_s <= self.now_s:
                self._finish(name)
        for name, end_s in list(self.replacing.items()):
            if end_s <= self.now_s:
                del self.replacing[name]
                self.permitted.pop(name, None)
                self._show(name, ready=True)
        assert self.most <= self.policy.max_concurrent
        return outlook

    def run(self, ticks, *, until=lambda outlook: outlook.wave == "Done"):
        """Tick until `until`; returns how many ticks it took."""
        for number in range(1, ticks + 1):
            if until(self.tick()):
                return number
        raise AssertionError(f"not within {ticks} ticks: {self._look()}")

    def versions(self):
        found = {}
        for pod in self.pods.values():
            found[pod.profile_hash] = found.get(pod.profile_hash, 0) + 1
        return found

    # ---- inside

    def _look(self):
        target = Target({}, self.target, "v0")
        for name in self.touched:
            state = self.states[name not in self.offline]
            self.members[name] = parse_member(
                self.meters[name], self.pods[name], state, self.target, target
            )
        self.touched = set()
        return decide_rollout(
            self.policy,
            self.members.values(),
            now_s=self.now_s,
            started_s=self.started_s,
            proven=self.target in self.known,
            reserved=[self.meters[name].key for name in self.in_flight],
        )

    def _handover(self, name):
        return self.meters[name].status["handover"]

    def _set(self, name, **status):
        meter = self.meters[name]
        self.meters[name] = replace(meter, status=meter.status | status)
        self.touched.add(name)

    def _show(self, name, *, ready):
        self._set(name, conditions=show_ready(self.now_s, ready=ready))
        self.pods[name] = replace(self.pods[name], ready=ready)

    def _replace(self, name):
        self.pods[name] = replace(self.pods[name], profile_hash=self.target)
        epoch = self.meters[name].status["epoch"]
        row = {
            "from": epoch, "to": epoch + 1, "reason": "TwinLost", "result": "TakenOver",
            "profileHash": self.target, "endedAt": format_moment(self.now_s),
        }  # fmt: skip
        rows = [row, *self.meters[name].status.get("handovers", ())][:5]
        self._set(name, epoch=epoch + 1, handovers=rows)
        self.permitted[name] = self.now_s + self.policy.progress_s  # it has failed then
        self.replaced += 1
        never = self.fails(name, self.target, 0)
        later_s = math.inf if never else self.random.randint(*self.takes) * TICK_S
        self.replacing[name] = self.now_s + later_s

    def _begin(self, name, target):
        assert name not in self.ends
        assert not self.policy.paused or name in self.in_flight
        epoch = self.meters[name].status["epoch"]
        row = {
            "phase": "Preparing", "epoch": epoch + 1, "epochId": "00" * 16, "keyVersion": 1,
            "source": epoch, "specHash": "s", "profileHash": target, "reason": PROFILE_CHANGED,
            "begunAt": format_moment(self.now_s),
        }  # fmt: skip
        self._set(name, handover=row)
        self.ends[name] = self.now_s + self.random.randint(*self.takes) * TICK_S
        self.begun += 1

    def _finish(self, name):
        handover = self._handover(name)
        tries = [
            row for row in self.meters[name].status.get("handovers", ())
            if row["profileHash"] == handover["profileHash"]
        ]  # fmt: skip
        if self.fails(name, handover["profileHash"], len(tries)):
            self.failures += 1
            self._end(name, "Aborted", "DeadlineExceeded: it never came up")
            return
        self.pods[name] = replace(self.pods[name], profile_hash=handover["profileHash"])
        self._end(name, "Done", "")
        self._set(name, epoch=handover["epoch"])

    def _end(self, name, result, message):
        meter = self.meters[name]
        handover = self._handover(name)
        row = {
            **handover, "from": handover["source"], "to": handover["epoch"], "endedAt": format_moment(self.now_s), "result": result,
            "message": message,
        }  # fmt: skip
        rows = [row, *meter.status.get("handovers", ())][:5]
        self._set(name, handover=None, handovers=rows)
        del self.ends[name]

    def _check_canary(self):
        """Beyond the canaries nobody is under way before these have served for the soak."""
        if self.target in self.known or not self.policy.canary or self.soaked == self.target:
            return
        done = [
            row["endedAt"] for meter in self.meters.values() if meter.status.get("handovers")
            for row in meter.status["handovers"]
            if row["result"] == "Done" and row["profileHash"] == self.target
        ]  # fmt: skip
        soaked = format_moment(self.now_s - self.policy.soak_s)
        if sum(end <= soaked for end in done) >= self.policy.canary:
            self.soaked = self.target
        else:
            assert len(done) + len(self.ends) + len(self.in_flight) <= self.policy.canary


def patient(**changes):
    """A policy that no number of failures stops."""
    return Policy(**{"max_failures": math.inf, "soak_s": 30.0, **changes})
