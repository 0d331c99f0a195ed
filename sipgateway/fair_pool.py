"""Threads that work for accounts by turns: one with many jobs, or with slow ones, holds up no other."""

import threading
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Job(Generic[T]):
    """Work to do once, at the first turn of any of its owners."""

    def __init__(self, work: Callable[[], T]) -> None:
        self.future: Future[T] = Future()
        self.owners: set[int] = set()
        self._work = work

    def run(self) -> None:
        """Do it."""
        try:
            self.future.set_result(self._work())
        except BaseException as error:  # noqa: BLE001 -- whoever asks for the result gets it
            self.future.set_exception(error)


class FairPool:
    """Runs jobs in so many threads, for one owner in `at_once` of them at the most.

    A thread for each job, which the end of the process does not wait for: jobs take long, or are about to.
    """

    def __init__(self, name: str, threads: int, at_once: int) -> None:
        self._name = name
        self._free = threads
        self._at_once = at_once
        # Owners with jobs that wait, in the order of their turns.
        self._waiting: OrderedDict[int, deque[Job[Any]]] = OrderedDict()
        self._running: Counter[int] = Counter()
        self._lock = threading.Lock()
        self._is_closed = False

    def submit(self, owner: int, job: Job[Any]) -> None:
        """Let the job run at a turn of this owner. Others may have asked for it before."""
        with self._lock:
            if owner in job.owners:
                return
            job.owners.add(owner)
            if self._is_closed:
                job.future.cancel()
                return
            self._waiting.setdefault(owner, deque()).append(job)
            self._begin()

    def close(self) -> None:
        """Begin nothing more."""
        with self._lock:
            self._is_closed = True
            for jobs in self._waiting.values():
                for job in jobs:
                    job.future.cancel()
            self._waiting.clear()

    def _begin(self) -> None:
        """Begin what may run. With the lock held."""
        while self._free and (owner := self._next_owner()) is not None:
            jobs = self._waiting.pop(owner)
            job = jobs.popleft()
            if jobs:
                self._waiting[owner] = jobs  # behind the others
            if not job.future.running() and not job.future.done() and job.future.set_running_or_notify_cancel():
                self._free -= 1
                self._running[owner] += 1
                threading.Thread(target=self._run, args=(owner, job), name=self._name, daemon=True).start()

    def _next_owner(self) -> int | None:
        return next((owner for owner in self._waiting if self._running[owner] < self._at_once), None)

    def _run(self, owner: int, job: Job[Any]) -> None:
        job.run()
        with self._lock:
            self._free += 1
            self._running[owner] -= 1
            if not self._running[owner]:
                del self._running[owner]
            self._begin()
