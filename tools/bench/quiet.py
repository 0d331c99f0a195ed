"""Is the machine quiet? What other programs take is missing from every figure, so a busy machine publishes nothing."""

import time
from collections.abc import Mapping
from contextlib import suppress

import psutil

# Cores that all other programs together may use: an editor, a shell, the system's own timers.
MOST_CORES = 0.15
LOOK_SECONDS = 2.0
# How often one looks before giving up: what a figure has just stopped, or a timer of the system, is over by then.
LOOKS = 15
_NAMED = 3


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
