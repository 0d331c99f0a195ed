"""Work for accounts by turns."""

import threading
from concurrent.futures import wait
from functools import partial

import pytest

from sipgateway.fair_pool import FairPool, Job

ONE, OTHER, THIRD = 1, 2, 3


@pytest.fixture
def hold():
    """Holds up jobs until it is set."""
    made = threading.Event()
    yield made
    made.set()


@pytest.fixture
def pool():
    made = FairPool("test", 3, at_once=2)
    yield made
    made.close()


def test_an_account_with_slow_jobs_holds_up_no_other(pool, hold):
    slow = [Job(lambda: hold.wait(60)) for _ in range(10)]
    for job in slow:
        pool.submit(ONE, job)
    quick = Job(lambda: "done")
    pool.submit(OTHER, quick)
    assert quick.future.result(60) == "done"
    assert [job.future.running() for job in slow].count(True) == 2
    hold.set()
    assert not wait([job.future for job in slow], 60).not_done


def test_accounts_have_turns_however_many_jobs_wait(hold):
    order: list[int] = []
    pool = FairPool("test", 1, at_once=1)
    pool.submit(ONE, Job(lambda: hold.wait(60)))
    jobs = [(owner, Job(partial(order.append, owner))) for owner in (ONE, ONE, ONE, OTHER, THIRD)]
    for owner, job in jobs:
        pool.submit(owner, job)
    hold.set()
    wait([job.future for _, job in jobs], 60)
    assert order == [ONE, OTHER, THIRD, ONE, ONE]


def test_a_job_of_two_accounts_runs_once_at_the_first_turn_of_either(hold):
    pool = FairPool("test", 1, at_once=1)
    blocked = Job(lambda: hold.wait(60))
    pool.submit(ONE, blocked)
    others = [Job(lambda: None) for _ in range(3)]
    for job in others:
        pool.submit(ONE, job)
    ran = []
    shared = Job(lambda: ran.append([job.future.done() for job in others]))
    pool.submit(ONE, shared)
    pool.submit(OTHER, shared)
    pool.submit(OTHER, shared)
    last = Job(lambda: None)
    pool.submit(OTHER, last)
    hold.set()
    wait([shared.future, last.future, *(job.future for job in others)], 60)
    assert ran == [[True, False, False]]


def test_a_job_that_fails_fails_alone(pool):
    bad, good = Job(lambda: 1 / 0), Job(lambda: "done")
    for job in (bad, good):
        pool.submit(ONE, job)
    assert isinstance(bad.future.exception(60), ZeroDivisionError)
    assert good.future.result(60) == "done"


def test_what_waits_at_the_close_is_not_run(hold):
    pool = FairPool("test", 1, at_once=1)
    pool.submit(ONE, Job(lambda: hold.wait(60)))
    waiting, late = Job(lambda: None), Job(lambda: None)
    pool.submit(OTHER, waiting)
    pool.close()
    pool.submit(OTHER, late)
    assert waiting.future.cancelled()
    assert late.future.cancelled()
