"""Looks at a resource again and again until a change has come through, or will not.

Neighbours: `progress` (which judges), `cli_rollout` (which asks for it).
"""

import sys
import time
from collections.abc import Callable
from typing import Any

import click

from kubectl_meter.errors import MeterError
from kubectl_meter.progress import Progress, format_eta

UNSEEN_S = 60.0
OFFLINE_S = 60.0
API_S = 60.0
"""An API server that is restarted, or a network that is down for a moment, ends no watch."""


class Watch:
    """One watch: prints a line when something has changed, and knows when it is over."""

    def __init__(
        self,
        look: Callable[[], Progress | None],
        interval_s: float,
        *,
        again: str,
        patience_s: float = 600.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Begin.

        Args:
            look: reads the cluster; None means that the operator has not seen the change yet.
            interval_s: between two looks.
            again: the command that watches the same change once more.
            patience_s: how long what is wrong may last.
            clock: seconds, from anywhere.
            sleep: waits for seconds.
        """
        self._look = look
        self._interval_s = interval_s
        self._again = again
        self._patience_s = patience_s
        self._clock, self._sleep = clock, sleep
        self._begun_s = clock()
        self._first: tuple[Progress, float] | None = None
        self._waits_s: float | None = None
        self._wrong_s: float | None = None
        self._silent_s: float | None = None
        self._shown = ""

    def run(self, timeout_s: float | None) -> None:
        """Return when it is done.

        Raises:
            MeterError: it has stopped, or takes longer than asked for.
        """
        while True:
            now_s = self._clock()
            if self._look_and_judge(now_s):
                return
            if timeout_s is not None and now_s - self._begun_s >= timeout_s:
                raise MeterError(
                    f"not done within {timeout_s:g} s",
                    field="--timeout",
                    remedy=f"the change goes on; to watch again: {self._again}",
                )
            self._sleep(self._interval_s)

    def _look_and_judge(self, now_s: float) -> bool:
        """Return whether it is done; an API that does not answer is waited for.

        Raises:
            MeterError: it has stopped, what is watched is gone, or the API stays away.
        """
        try:
            progress = self._look()
        except MeterError as error:
            self._wait_for_api(error)
            return False
        self._silent_s = None
        return self._step(progress, now_s)

    def _wait_for_api(self, error: MeterError) -> None:
        now_s = self._clock()
        if error.message.startswith("(NotFound)"):
            raise error
        if self._silent_s is None:
            self._silent_s = now_s
            self._print(f"waiting up to {API_S:g} s for the API: {error.message}", "")
        if now_s - self._silent_s >= API_S:
            raise error

    def _step(self, progress: Progress | None, now_s: float) -> bool:
        if progress is None:
            if now_s - self._begun_s >= UNSEEN_S:
                raise _unseen()
            return False
        if self._first is None:
            self._first = (progress, now_s)
        eta = format_eta(self._first[0], progress, now_s - self._first[1])
        self._print(progress.line, eta)
        if progress.fault is not None:
            raise progress.fault
        self._check_offline(progress, now_s)
        self._check_lasting(progress, now_s)
        return progress.done

    def _check_lasting(self, progress: Progress, now_s: float) -> None:
        """End when what is wrong has lasted for too long."""
        fault = progress.lasting
        if fault is None:
            self._wrong_s = None
            return
        if self._wrong_s is None:
            self._wrong_s = now_s
        if now_s - self._wrong_s >= self._patience_s:
            message = f"{fault.message} (for {self._patience_s:g} s)"
            raise MeterError(message, field=fault.field, remedy=fault.remedy)

    def _check_offline(self, progress: Progress, now_s: float) -> None:
        """End when for a while only offline meters have been left."""
        if not progress.waits:
            self._waits_s = None
            return
        if self._waits_s is None:
            self._waits_s = now_s
        if now_s - self._waits_s >= OFFLINE_S:
            raise MeterError(
                f"{progress.expected - progress.updated} meters are offline",
                field="spec.rollout.offlineMeters",
                remedy="they follow by themselves when they are back; `Commit` does not wait",
            )

    def _print(self, line: str, eta: str) -> None:
        """Print what has changed; on a terminal the ETA too, in place."""
        if line != self._shown:
            click.echo(f"{time.strftime('%H:%M:%S')}  {line}  {eta}".rstrip())
            self._shown = line
        elif sys.stdout.isatty() and eta:
            click.echo(f"\r{eta}\x1b[K\r", nl=False)


def _unseen() -> Any:
    return MeterError(
        f"the operator has said nothing about this change for {UNSEEN_S:g} s",
        field="status.observedGeneration",
        remedy="see the operator's log; an older operator, or one with `operator.handover: false`,"
        " does not roll out profiles",
    )
