"""The timers of one call, by name. They run in sippy's loop."""

from collections.abc import Callable
from typing import Any

from sipgateway.sip_stack import Timeout


class Timers:
    """Each name stands for one timer at a time. One that has run out is remembered until it is stopped."""

    def __init__(self) -> None:
        self._started: dict[str, Any] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._started

    def start(self, name: str, seconds: float, act: Callable[..., None], *args: Any) -> None:
        """Call a function after so many seconds, and stop the timer that had the name."""
        self.stop(name)
        self._started[name] = Timeout(act, seconds, 1, *args)

    def stop(self, name: str) -> None:
        """Let a timer call nothing any more."""
        if timer := self._started.pop(name, None):
            timer.cancel()

    def stop_all(self) -> None:
        """Let none of them call anything any more."""
        for name in list(self._started):
            self.stop(name)
