"""What Ctrl-C and a request to stop do, for every program here that starts processes."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


class StopRequested(Exception):
    """A signal asked for the end. Raised only between steps, where nothing is half done."""


@dataclass
class StopSignal:
    """Counts the signals that ask for a stop, for a program that looks for them itself."""

    count: int = 0

    def check(self) -> None:
        if self.count:
            raise StopRequested

    @contextmanager
    def installed(self) -> Iterator[None]:
        def remember(_signal: int, _frame: object) -> None:
            self.count += 1

        before = {number: signal.signal(number, remember) for number in _stop_signals()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def interrupt_on_stop_signals() -> None:
    """Raise KeyboardInterrupt once, for SIGTERM too, so that `finally` blocks stop what the program has started.

    Later signals are ignored: they would break off the stopping, which has time limits of its own. SIGINT is set as
    well, because a shell starts background jobs with SIGINT ignored.
    """

    def ignore(_signal: int, _frame: object) -> None:
        """Unlike SIG_IGN, not inherited by processes that are started meanwhile."""

    def interrupt(_signal: int, _frame: object) -> None:
        for number in _stop_signals():
            signal.signal(number, ignore)
        raise KeyboardInterrupt

    for number in _stop_signals():
        signal.signal(number, interrupt)


def _stop_signals() -> list[signal.Signals]:
    """SIGHUP comes when the terminal is closed; a program under nohup has it ignored and goes on."""
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        return [signal.SIGINT, signal.SIGTERM]
    return [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
