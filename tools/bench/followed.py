"""Look at something again and again, beside what is measured."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread


@contextmanager
def followed(look: Callable[[], object], seconds: float) -> Iterator[None]:
    """Call `look` every so many seconds for the length of the `with` block, in a thread of its own."""
    over = Event()

    def follow() -> None:
        while not over.wait(seconds):
            look()

    thread = Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
