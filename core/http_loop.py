"""One asyncio loop per process, in a thread of its own, for drivers that speak HTTP.

Tasks run in threads or forked processes; the loop lets a batch of calls share one set of connections, which a new loop
per batch would open and close again.
"""

import asyncio
import atexit
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")

# By process: a fork inherits the loop of its parent, but not the thread that runs it.
_loops: dict[int, asyncio.AbstractEventLoop] = {}
# Two threads that are first at the same time must not make a loop each: a session lives in one loop.
_making = threading.Lock()


def _loop() -> asyncio.AbstractEventLoop:
    with _making:
        if os.getpid() not in _loops:
            loop = asyncio.new_event_loop()
            threading.Thread(target=loop.run_forever, name="carrier-http", daemon=True).start()
            _loops[os.getpid()] = loop
        return _loops[os.getpid()]


def close_at_exit(close: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Runs `close` in the loop when the process ends, so that connections end with a goodbye."""
    atexit.register(lambda: run(close()))


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Runs it in the loop and waits for its result."""
    return submit(coroutine).result()


def submit(coroutine: Coroutine[Any, Any, T]) -> "Future[T]":
    """Starts it in the loop; the future can be waited for in any thread."""
    return asyncio.run_coroutine_threadsafe(coroutine, _loop())
