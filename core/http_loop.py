"""One asyncio loop per process, in a thread of its own, for HTTP clients.

Tasks run in threads or forked processes. The loop lets batches of requests share one set of connections, which a new
loop per batch would open and close again.
"""

import asyncio
import atexit
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")

# By process id: a fork inherits the loop of its parent, but not the thread that runs it.
_loops: dict[int, asyncio.AbstractEventLoop] = {}
# Two threads that come first at the same time must not make a loop each: a session belongs to one loop.
_making = threading.Lock()


def _loop() -> asyncio.AbstractEventLoop:
    with _making:
        if os.getpid() not in _loops:
            loop = asyncio.new_event_loop()
            threading.Thread(target=loop.run_forever, name="http-loop", daemon=True).start()
            _loops[os.getpid()] = loop
        return _loops[os.getpid()]


def close_at_exit(close: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run `close` in the loop when the process ends, so that connections are closed properly."""
    atexit.register(lambda: run(close()))


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run the coroutine in the loop and return its result."""
    return submit(coroutine).result()


def submit(coroutine: Coroutine[Any, Any, T]) -> "Future[T]":
    """Start the coroutine in the loop. Any thread can wait for the future."""
    return asyncio.run_coroutine_threadsafe(coroutine, _loop())
