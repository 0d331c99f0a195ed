"""One run of the bench: its scale, its folder, and what the figures share."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread

import psutil

MB = 1024 * 1024
# Resident memory is looked at so often: a peak that is shorter holds no more than this time can allocate.
SAMPLE_SECONDS = 0.05

Series = list[tuple[float, float]]


@dataclass(frozen=True)
class Run:
    """scale shrinks the data, for a quick try; folder is thrown away at the end; series are drawn by the charts."""

    scale: float
    folder: Path
    say: Callable[[str], None]
    series: dict[str, Series] = field(default_factory=dict)

    def count(self, full: int, least: int = 1) -> int:
        """So many things at this scale, but no fewer than the figure needs to mean anything."""
        return max(least, round(full * self.scale))


@dataclass
class Memory:
    """Resident memory of some processes and their children, together, in bytes."""

    idle: int
    peak: int

    @property
    def above_idle(self) -> float:
        """Megabytes."""
        return (self.peak - self.idle) / MB


@contextmanager
def watched(processes: Sequence[psutil.Process]) -> Iterator[Memory]:
    """Follows the memory for the length of the `with` block. Pages that they share count once for each of them."""
    idle = _resident(processes)
    memory, over = Memory(idle, idle), Event()

    def follow() -> None:
        while not over.wait(SAMPLE_SECONDS):
            memory.peak = max(memory.peak, _resident(processes))

    thread = Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield memory
    finally:
        over.set()
        thread.join()


def cpu_seconds(processes: Sequence[psutil.Process]) -> float:
    """What these processes and their children have used since they began, those that have ended included."""
    return float(sum(sum(each.cpu_times()[:4]) for each in _family(processes)))


def _resident(processes: Sequence[psutil.Process]) -> int:
    resident = 0
    for process in _family(processes):
        with suppress(psutil.NoSuchProcess):
            resident += process.memory_info().rss
    return resident


def _family(processes: Sequence[psutil.Process]) -> list[psutil.Process]:
    return [each for process in processes for each in (process, *process.children(recursive=True))]
