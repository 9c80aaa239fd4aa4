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


class Watch:
    """One watch: prints a line when something has changed, and knows when it is over."""

    def __init__(
        self, look: Callable[[], Progress | None], interval_s: float, *, again: str
    ) -> None:
        """Begin.

        Args:
            look: reads the cluster; None means that the operator has not seen the change yet.
            interval_s: between two looks.
            again: the command that watches the same change once more.
        """
        self._look = look
        self._interval_s = interval_s
        self._again = again
        self._begun_s = time.monotonic()
        self._first: tuple[Progress, float] | None = None
        self._waits_s: float | None = None
        self._shown = ""

    def run(self, timeout_s: float | None) -> None:
        """Return when it is done.

        Raises:
            MeterError: it has stopped, or takes longer than asked for.
        """
        while True:
            now_s = time.monotonic()
            if self._step(self._look(), now_s):
                return
            if timeout_s is not None and now_s - self._begun_s >= timeout_s:
                raise MeterError(
                    f"not done within {timeout_s:g} s",
                    field="--timeout",
                    remedy=f"the change goes on; to watch again: {self._again}",
                )
            time.sleep(self._interval_s)

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
        return progress.done

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
