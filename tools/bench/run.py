"""One run of the bench: its scale, its folder, and measurements that figures share."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tools.bench.followed import followed
from tools.bench.weights import Weights

MB = 1024 * 1024
# How often resident memory is read. A shorter peak holds no more than can be allocated in this time.
SAMPLE_SECONDS = 0.05

Series = list[tuple[float, float]]


@dataclass(frozen=True)
class Run:
    """One run.

    Attributes:
        scale: shrinks the data for a quick trial.
        folder: removed at the end.
        say: shows a line.
        is_alone: whether figures were chosen by name, and may take as long as they need.
        weights: how whole systems are run.
        systems: how those were run that a figure has started.
        series: drawn by the charts.
    """

    scale: float
    folder: Path
    say: Callable[[str], None]
    is_alone: bool = False
    weights: Weights = Weights.ALIKE
    systems: list[Weights] = field(default_factory=list)
    series: dict[str, Series] = field(default_factory=dict)

    def own_folder(self, name: str) -> Path:
        """Return an empty folder. A figure that is measured in pairs needs one for each measurement."""
        return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.folder))

    def count(self, full: int, least: int = 1) -> int:
        """Return the count at this scale, but no less than the figure needs to mean anything."""
        return max(least, round(full * self.scale))


@dataclass
class Memory:
    """Resident memory of some processes and their children together, in bytes."""

    idle: int
    peak: int

    @property
    def above_idle(self) -> float:
        """Return the peak above idle, in megabytes."""
        return (self.peak - self.idle) / MB


@contextmanager
def watched(processes: Sequence[psutil.Process]) -> Iterator[Memory]:
    """Follow the memory for the length of the `with` block. A shared page counts once for each process that has it."""
    idle = sum(resident(processes))
    memory = Memory(idle, idle)

    def look() -> None:
        memory.peak = max(memory.peak, sum(resident(processes)))

    with followed(look, SAMPLE_SECONDS):
        yield memory


def cpu_seconds(processes: Sequence[psutil.Process]) -> float:
    """Return what these processes and their children have used since they began, ended children included."""
    return float(sum(sum(process.cpu_times()[:4]) for process in _with_children(processes)))


def resident(processes: Sequence[psutil.Process]) -> list[int]:
    """Return the resident memory of each of these processes and their children, in bytes."""
    found = []
    for process in _with_children(processes):
        with suppress(psutil.NoSuchProcess):
            found.append(process.memory_info().rss)
    return found


def _with_children(processes: Sequence[psutil.Process]) -> list[psutil.Process]:
    return [member for process in processes for member in (process, *process.children(recursive=True))]
