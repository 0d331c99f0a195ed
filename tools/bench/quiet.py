"""Is the machine quiet? What other programs take is missing from every figure, so a busy machine publishes nothing.

One looks before and after each figure, and follows the other programs beside it: one that begins and ends in between is
seen, too.
"""

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import psutil

from tools.bench.followed import followed

# Cores that all other programs together may use: an editor, a shell, the system's own timers.
MOST_CORES = 0.15
LOOK_SECONDS = 2.0
# How often one looks before giving up: what a figure has just stopped, or a timer of the system, is over by then.
LOOKS = 15
_NAMED = 3
# How often other programs are looked at beside a figure: a look takes some 10 ms of CPU.
FOLLOW_SECONDS = 10.0


def why_busy(seconds: float = LOOK_SECONDS) -> str:
    """Look at the machine while nothing of the bench runs. Returns who keeps it busy; "" where it is quiet."""
    before, used = _by_process(), _used()
    time.sleep(seconds)
    cores = (_used() - used) / seconds
    if cores <= MOST_CORES:
        return ""
    return f"other programs use {cores:.1f} cores ({MOST_CORES:g} are allowed): {_greatest(before, seconds)}"


def why_busy_for_long() -> str:
    """Look until the machine is quiet; returns who keeps it busy all the time, "" where nobody does."""
    busy = ""
    for _ in range(LOOKS):
        if not (busy := why_busy()):
            break
    return busy


@dataclass
class Others:
    """What programs that are not the bench's have used for the length of a figure, in seconds of CPU by their names."""

    folder: Path
    began: float = field(default_factory=time.monotonic)
    seconds: float = 0.0
    used: dict[str, float] = field(default_factory=dict)
    _before: dict[int, float] = field(default_factory=dict)

    def look(self) -> None:
        """Add what they have used since the last look."""
        found = _running()
        ours = {os.getpid(), *(pid for pid, one in found.items() if str(self.folder) in one.mentions)}
        now = {pid: found[pid] for pid in strangers(((pid, one.parent) for pid, one in found.items()), ours)}
        for pid, one in now.items():
            # What began since the last look began at nothing, but at the first look nobody knows when.
            spent = one.seconds - self._before.get(pid, 0.0 if self._before else one.seconds)
            if spent > 0:
                self.used[one.name] = self.used.get(one.name, 0.0) + spent
        self._before = {pid: one.seconds for pid, one in now.items()}
        self.seconds = time.monotonic() - self.began

    def why_busy(self) -> str:
        """Return who kept the machine busy beside the figure; "" where nobody did."""
        cores = sum(self.used.values()) / max(self.seconds, 0.001)
        if cores <= MOST_CORES:
            return ""
        names = sorted(self.used, key=lambda name: -self.used[name])[:_NAMED]
        told = ", ".join(f"{name} ({self.used[name] / self.seconds:.1f})" for name in names)
        return f"other programs used {cores:.1f} cores beside it ({MOST_CORES:g} are allowed): {told}"


@contextmanager
def beside(folder: Path) -> Iterator[Others]:
    """Follow the other programs for the length of a `with` block.

    Args:
        folder: of the bench, by which its own processes are known.
    """
    others = Others(folder)
    others.look()
    try:
        with followed(others.look, FOLLOW_SECONDS):
            yield others
    finally:
        others.look()


def strangers(parents: Iterable[tuple[int, int]], ours: set[int]) -> set[int]:
    """Return the processes that are neither ours nor below one of ours.

    Args:
        parents: (process, its parent).
    """
    parent_of = dict(parents)
    known = dict.fromkeys(ours, True)

    def is_known(pid: int) -> bool:
        if pid not in known:
            known[pid] = False  # a loop ends here
            parent = parent_of.get(pid, 0)
            known[pid] = parent in parent_of and is_known(parent)
        return known[pid]

    return {pid for pid in parent_of if not is_known(pid)}


class _Process(NamedTuple):
    """What is known of a process: `mentions` are its command and its environment, as one text."""

    parent: int
    name: str
    mentions: str
    seconds: float


def _running() -> dict[int, _Process]:
    """Return the running programs: what has no command is a part of the kernel, or has ended."""
    found = {}
    for process in psutil.process_iter():
        # Asked one by one: what process_iter stores is shared with those who iterate in other threads.
        with suppress(psutil.Error):
            if command := " ".join(process.cmdline()):
                seconds = float(sum(process.cpu_times()[:4]))
                mentions = f"{command} {_environment(process)}"
                found[process.pid] = _Process(process.ppid(), command[:60], mentions, seconds)
    return found


def _environment(process: psutil.Process) -> str:
    with suppress(psutil.Error):  # that of another user's process
        return " ".join(process.environ().values())
    return ""


def _used() -> float:
    """Return what the whole machine has used since it started, in seconds of CPU."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0))


def _by_process() -> dict[int, float]:
    used = {}
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            times = process.cpu_times()
            used[process.pid] = times.user + times.system
    return used


def _greatest(before: Mapping[int, float], seconds: float) -> str:
    used = {pid: now - before.get(pid, now) for pid, now in _by_process().items()}
    named = []
    for pid in sorted((pid for pid in used if used[pid]), key=lambda pid: -used[pid])[:_NAMED]:
        with suppress(psutil.Error):
            named.append(f"{' '.join(psutil.Process(pid).cmdline())[:60] or pid} ({used[pid] / seconds:.1f})")
    return ", ".join(named)
