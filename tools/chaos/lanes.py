"""Lanes side by side: processes that take jobs from one queue, each on a system of its own."""

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from tools.chaos.result import Result
from tools.local import process_groups

# A lane stops its system: its processes within twenty seconds, then the servers.
STOP_SECONDS = 120

Job = tuple[str, int, float]
"""Number of the fault or `random`, seed, seconds of random faults."""


class Lanes:
    """Up to `count` lanes; their own output goes to the folder `logs`. After so many minutes they begin nothing."""

    def __init__(self, count: int, carrier: str, logs: Path | None, console: Console, minutes: float = 0) -> None:
        self._count = count
        self._carrier = carrier
        self._logs = logs or Path(tempfile.mkdtemp(prefix="trunkline-chaos-"))
        self._logs.mkdir(parents=True, exist_ok=True)
        self._console = console
        self._begins_until = time.monotonic() + 60 * minutes if minutes else float("inf")
        self._processes: list[process_groups.Process] = []
        self._closing = threading.Event()

    def work(self, jobs: Sequence[Job], take: Callable[[Result], None]) -> None:
        """Do all jobs; `take` gets each result as it comes, in the thread of its lane."""
        waiting: queue.SimpleQueue[Job] = queue.SimpleQueue()
        for job in jobs:
            waiting.put(job)
        threads = [
            threading.Thread(target=self._run_lane, args=(number, waiting, take), daemon=True)
            for number in range(min(self._count, len(jobs)))
        ]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            time.sleep(0.2)

    def close(self) -> None:
        """Stop every lane, which stops its system."""
        self._closing.set()
        process_groups.stop(self._processes, STOP_SECONDS)

    @property
    def _is_late(self) -> bool:
        return time.monotonic() > self._begins_until

    def _run_lane(self, number: int, waiting: "queue.SimpleQueue[Job]", take: Callable[[Result], None]) -> None:
        """Work until no job waits. A system that cannot be healed is thrown away; the next job gets a new one."""
        log = self._logs / f"lane-{number}.log"
        while not waiting.empty() and not self._closing.is_set() and not self._is_late:
            process = self._start(log)
            assert process.stdout is not None
            if process.stdout.readline().strip() != "ready":
                if not self._closing.is_set():
                    self._console.print(f"[red]a lane did not start: {log}", highlight=False)
                return
            self._feed(process, waiting, take, log)

    def _feed(
        self,
        process: process_groups.Process,
        waiting: "queue.SimpleQueue[Job]",
        take: Callable[[Result], None],
        log: Path,
    ) -> None:
        """Give jobs to a lane until none waits or the lane has ended, and close its input."""
        assert process.stdin is not None
        assert process.stdout is not None
        while not process_groups.has_ended(process) and not self._is_late:
            try:
                row, seed, seconds = waiting.get_nowait()
            except queue.Empty:
                break
            process.stdin.write(f"{row} {seed} {seconds}\n")
            process.stdin.flush()
            line = process.stdout.readline()
            if self._closing.is_set():
                return
            take(Result.read(json.loads(line)) if line else Result.of_broken_system(row, seed, str(log)))
            if not line:
                break
        process.stdin.close()
        process.wait()

    def _start(self, log: Path) -> process_groups.Process:
        data_dir = tempfile.mkdtemp(prefix="tl")
        with log.open("a") as output:
            command = [sys.executable, "-m", "tools.chaos.lane", data_dir, self._carrier]
            pipe = subprocess.PIPE
            process = process_groups.spawn(command, os.environ, stdin=pipe, stdout=pipe, stderr=output, text=True)
        self._processes.append(process)
        return process
