"""Sees every handover of the street as it happens: statuses, pods and the logs of twins.

One `Timeline` a device has the marks of its last handover. Threads write it, cells wait on it.
Neighbours: `api`, `flows` (what marks mean).
"""

import datetime as dt
import json
import threading
import time

from api import CORE, METERS, ApiError
from demo import find_process

_KEPT_LINES = 400


class Timeline:
    """What was seen of one device's twins."""

    def __init__(self, device):
        self.device = device
        self.changed = threading.Condition()
        self.meter = {}
        self.processes = {}
        """By epoch, the first process of the twin's container, None if it is not here."""
        self.pods = {}
        """By epoch, the uid of the twin's pod."""
        self._lines = []
        self._phases = {}
        self._begun_s = time.time()
        self._source = self._epoch = 0

    def begin(self):
        """Forget the handover before; what is seen from now on counts."""
        with self.changed:
            self._phases, self._begun_s = {}, time.time()
            self._source, self._epoch = self.meter["status"]["epoch"], 0

    @property
    def epochs(self):
        """The epoch that the handover began from, and the candidate's, 0 before it is known."""
        return self._source, self._epoch

    def see_meter(self, body):
        with self.changed:
            self.meter = body
            handover = body.get("status", {}).get("handover")
            if handover and handover["epoch"] > self._source:
                self._epoch = self._epoch or handover["epoch"]
                if self._epoch == handover["epoch"]:
                    self._phases.setdefault(handover["phase"], time.time())
            elif self._epoch and not handover:
                self._phases.setdefault("Ended", time.time())
            self.changed.notify_all()

    def see_pod(self, epoch, uid):
        with self.changed:
            self.pods[epoch] = uid
            self.changed.notify_all()

    def see_process(self, epoch, process):
        with self.changed:
            self.processes[epoch] = process
            self.changed.notify_all()

    def lose_pod(self, epoch):
        with self.changed:
            self.processes.pop(epoch, None)
            self.pods.pop(epoch, None)
            self._lines.append((time.time(), epoch, "gone"))
            self.changed.notify_all()

    def see_line(self, epoch, row):
        key = _key(row)
        if not key:
            return
        moment = dt.datetime.fromisoformat(row["time"]).timestamp()
        with self.changed:
            self._lines = [*self._lines[-_KEPT_LINES:], (moment, epoch, key)]
            self.changed.notify_all()

    def marks(self):
        """Return mark → when it was first seen in this handover."""
        found = dict(self._phases)
        roles = {self._source: "old", self._epoch: "new"}
        for moment, epoch, key in self._lines:
            role = roles.get(epoch)
            if role and moment >= self._begun_s:
                found.setdefault(f"{role}:{key}", moment)
        return found

    def gone_s(self, epoch):
        """Return when an epoch's pod was seen to be gone, 0 if it was not yet."""
        with self.changed:
            moments = [moment for moment, of, key in self._lines if (of, key) == (epoch, "gone")]
        return moments[-1] if moments else 0

    def wait(self, marks, timeout_s):
        """Return whether all these marks were seen in time."""
        with self.changed:
            return self.changed.wait_for(lambda: set(marks) <= set(self.marks()), timeout_s)


def _key(row):
    """Return the mark that a line of a twin's log makes, empty if none."""
    return {
        "twin serves": "serves",
        "broker session up": "session",
        "control record": f"control:{row.get('state')}",
        "meter said hello": "hello",
        "older twin covered": f"covered:{row.get('state')}",
        "application state taken over": f"inherits:{row.get('application')}",
    }.get(row.get("what"), "")


class Watcher:
    """Threads that fill the timelines of some devices until the process ends."""

    def __init__(self, api, devices):
        self.timelines = {device: Timeline(device) for device in devices}
        self._api = api
        self._followed = set()
        for work in (self._watch_meters, self._watch_pods):
            threading.Thread(target=work, daemon=True).start()

    def _watch_meters(self):
        for kind, body in self._api.watch(METERS):
            timeline = self.timelines.get(body["metadata"]["name"])
            if timeline is not None and kind != "DELETED":
                timeline.see_meter(body)

    def _watch_pods(self):
        for kind, body in self._api.watch(f"{CORE}/pods", "metertwin.io/role=twin"):
            labels = body["metadata"]["labels"]
            timeline = self.timelines.get(labels["metertwin.io/device"])
            if timeline is None:
                continue
            epoch = int(labels["metertwin.io/epoch"])
            if kind == "DELETED":
                timeline.lose_pod(epoch)
                continue
            timeline.see_pod(epoch, body["metadata"]["uid"])
            rows = body["status"].get("containerStatuses") or [{}]
            container = rows[0].get("containerID", "")
            if "running" in rows[0].get("state", {}) and container not in self._followed:
                self._followed.add(container)
                arguments = (timeline, epoch, body["metadata"]["name"])
                threading.Thread(target=self._follow, args=arguments, daemon=True).start()
                timeline.see_process(epoch, find_process(body))

    def _follow(self, timeline, epoch, pod):
        """Read a container's log until the container ends; nothing is missed by a broken stream."""
        path = f"{CORE}/pods/{pod}/log?follow=true"
        for _ in range(20):
            try:
                for line in self._api.lines(path):
                    if line.startswith(b"{"):
                        timeline.see_line(epoch, json.loads(line))
            except (ApiError, ValueError):
                time.sleep(0.5)
            else:
                return
