"""Speaks with the home's energy management (EMS) over the twin's session with the broker.

The broker lets nobody but this EMS write where the twin listens, and nobody but this twin write
where it speaks. It speaks only while it may act for the meter, and whatever happens here, the link
goes on: nothing is awaited where messages arrive. Neighbours: `ems_topics` (what is said when),
`ems_desk` (what words mean), `utility_loop` (knows the plan).
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from meter_wire.names import FROM_EMS, build_ems_topic
from meter_wire.portable.mqtt_event import Message

from . import log
from .configuration import Configuration
from .ems_desk import EmsDesk
from .ems_topics import Allowance, PlanCourse, encode, find_refusal
from .http_server import ApiError
from .mqtt_shell import MqttShell, NotConnectedError
from .status import now_ms

LOOK_S = 3.0
AFTER_ERROR_S = 30.0
MOST_ANSWERS = 8


class EmsLine:
    """Of one twin whose home has an EMS."""

    def __init__(
        self,
        configuration: Configuration,
        broker: MqttShell,
        desk: EmsDesk,
        find_plan: Callable[[], dict[str, Any] | None],
    ) -> None:
        """Say nothing yet; `find_plan`: None while this twin must not speak."""
        self._broker = broker
        self._desk = desk
        self._find_plan = find_plan
        whose = configuration.device, configuration.epoch, configuration.ems_name
        self._plan_topic = build_ems_topic(*whose, "plan")
        self._answer_topic = build_ems_topic(*whose, "answer")
        self._inbox = {build_ems_topic(*whose, one): one for one in FROM_EMS}
        self._course = PlanCourse()
        self._allowance = Allowance()
        self._answers: list[dict[str, Any]] = []
        self._listens = False
        self._is_refused = False
        self._awake = asyncio.Event()

    def connected(self) -> None:
        """Begin anew with a session: what was told may not have arrived."""
        self._course.forget()
        self._listens = self._is_refused = False
        self._awake.set()

    def receive(self, message: Message) -> None:
        """Take a message of the EMS; returns at once."""
        channel = self._inbox.get(message.topic)
        if channel is None:
            return
        if not self._allowance.take(now_ms()):
            self._desk.refused["rate"] += 1
            self._awake.set()
            return
        try:
            answer = self._take(channel, message)
        except Exception as error:  # noqa: BLE001 - whatever it is, the link goes on
            self._desk.refused["error"] += 1
            log.log_exception("energy management", error)
            return
        if answer is not None and len(self._answers) < MOST_ANSWERS:
            self._answers.append({"to": channel, **answer})
            self._awake.set()

    def _take(self, channel: str, message: Message) -> dict[str, Any] | None:
        refusal = find_refusal(len(message.payload), is_retained=bool(message.retain))
        if refusal is not None:
            self._desk.refused[refusal.reason] += 1
            return ApiError(400, *refusal[1:]).document
        try:
            if channel == "override":
                return self._desk.take_override(message.payload)
            self._desk.hear(message.payload)
        except ApiError as error:
            self._desk.refused["content"] += 1
            return error.document
        return None

    async def run(self) -> None:
        """Speak and listen until cancelled; an error here is told, and metering goes on."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._awake.wait(), LOOK_S)
            self._awake.clear()
            try:
                await self._step()
            except NotConnectedError:
                self._course.forget()
            except Exception as error:  # noqa: BLE001 - whatever it is, the meter is served
                log.log_exception("energy management", error)
                await asyncio.sleep(AFTER_ERROR_S)

    async def _step(self) -> None:
        if not self._broker.connected.is_set():
            return
        await self._listen()
        plan = self._find_plan()
        if plan is None:
            self._course.forget()
            self._answers.clear()
            return
        while self._answers:
            await self._broker.publish(self._answer_topic, encode(self._answers.pop(0)))
        for part in self._course.find_due(plan, now_ms()):
            await self._broker.publish(self._plan_topic, part)

    async def _listen(self) -> None:
        """Subscribe, once a session; one that says too much is not heard for a while."""
        wanted = not self._allowance.is_spent(now_ms())
        if wanted == self._listens or self._is_refused:
            return
        try:
            for topic in self._inbox:
                if wanted:
                    await self._broker.subscribe(topic, is_lasting=False)
                else:
                    await self._broker.unsubscribe(topic)
        except PermissionError:
            self._is_refused = True
            for topic in self._inbox:
                await self._broker.unsubscribe(topic)
            log.log("warning", "the broker refuses the energy management's topics")
            return
        self._listens = wanted
        if not wanted:
            log.log("warning", "energy management says too much, it is not heard for a while")
