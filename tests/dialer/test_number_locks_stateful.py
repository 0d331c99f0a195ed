"""The lock of a number, its gap and its caps against a simple model, with dispatchers and dialers in threads.

Campaigns share their numbers. Phones stay up until a step ends them. The model is asked at the very moment at which the
carrier rings a phone: is this one allowed? After a step of threads it is asked the other way round: is nobody kept
waiting who may be rung?
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from django.db import connections
from django.utils import timezone
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from campaigns import schedule
from campaigns.models import Call
from dialer import claiming, dialing, dispatch, inbox, reconciliation
from dialer.attempt_states import Claim
from dialer.carriers import connect
from dialer.carriers.base import CallRequest, Reply
from dialer.models import CallAttempt
from tests import machines
from tests.conftest import NUMBERS, START, Rig
from tests.database import delete_rows

pytestmark = [pytest.mark.django_db(transaction=True), machines.TIME_LIMIT]

PHONES, THREADS = NUMBERS[:2], 3
HOUR = timedelta(hours=1)
# Seconds: between two calls to a number, and those that a phone is up at least.
GAP, SHORTEST = 300, 7
WHICH = st.integers(0, len(PHONES) - 1)
# Less than a gap, a second less, a gap; a second less than an hour since a ring of the shortest call, and an hour.
WHILES = st.sampled_from([60, 180, 299, 300, 1800, 3592, 3593])
STEPS = machines.steps(
    ("campaign", st.lists(st.sampled_from(PHONES), min_size=1, max_size=5)),
    ("crowd", st.none() | WHICH),
    *4 * [("phone_is_hung_up", WHICH, st.sampled_from(["completed", "busy", "no-answer"]), WHILES)],
    ("dispatcher_dies_before_its_messages",),
    *2 * [("dispatcher_is_slow", WHICH, st.booleans())],
    ("dialers_come_too_late",),
    ("time_passes", WHILES),
)


class BeforeClaims(threading.local):
    """What a dispatcher of this thread does between its look and its claims, if anything."""

    here: Callable[[], None] | None = None


BEFORE_CLAIMS = BeforeClaims()


@dataclass
class Phone:
    """What is known of a number. up: the attempt that it rings for."""

    up: UUID | None = None
    rung: list[datetime] = field(default_factory=list)
    hung_up: datetime | None = None


@dataclass
class Model:
    """The rules, read one by one: a phone rings once at a time, `gap` after its last call, `cap` times in an hour."""

    gap: timedelta
    cap: int
    phones: dict[str, Phone] = field(default_factory=lambda: {number: Phone() for number in PHONES})

    def may_ring(self, number: str, now: datetime) -> bool:
        phone = self.phones[number]
        has_had_time = phone.hung_up is None or now - phone.hung_up >= self.gap
        return phone.up is None and has_had_time and sum(now - at < HOUR for at in phone.rung) < self.cap


class Numbers(RuleBasedStateMachine):
    def __init__(self, clock: Any, redis: Any, pool: ThreadPoolExecutor) -> None:
        super().__init__()
        delete_rows()
        redis.flushdb()
        clock.move_to(START)
        connect.cache_clear()
        reconciliation.rebuild()
        self.rig, self.pool, self.one_at_a_time = Rig(clock), pool, threading.Lock()
        self.faults: list[str] = []
        self.place = self.rig.carrier.place
        self.rig.carrier.place = self.place_watched  # type: ignore[method-assign]
        self.rig.carrier.script = {number: ["silent"] for number in PHONES}

    @initialize(cap=st.sampled_from([4, 3, 2, 1]))
    def set_up(self, cap: int) -> None:
        """Begin with what threads come to by luck alone, for one phone, and let them meet at the other one.

        The first example has the largest cap: one of 1 would keep a second ring away that the lock has let through.
        """
        account = self.rig.account
        account.number_gap_seconds, account.number_caps = GAP, [f"{cap} attempts in 1 hour"]
        account.save()
        self.model = Model(timedelta(seconds=GAP), cap)
        self.campaign(PHONES[:1] * 2)
        self.dispatcher_is_slow(0, is_hung_up=False)
        for _ in range(2):
            self.campaign(PHONES * 4)
        self.crowd(None)

    @rule(step=STEPS)
    def step(self, step: tuple[Any, ...]) -> None:
        machines.take(self, step)

    @invariant()
    def no_phone_rang_that_must_not(self) -> None:
        assert not self.faults

    def place_watched(self, requests: Sequence[CallRequest]) -> Mapping[UUID, Reply]:
        with self.one_at_a_time:
            for request in requests:
                now, phone = timezone.now(), self.model.phones[request.number]
                if not self.model.may_ring(request.number, now):
                    self.faults.append(f"{request.number} was rung at {now:%H:%M:%S}: {phone}")
                phone.up = request.attempt_id
                phone.rung.append(now)
            return self.place(requests)

    # Steps -------------------------------------------------------------------------------------------------------

    def campaign(self, numbers: list[str]) -> None:
        self.rig.campaign(numbers, call_duplicate_numbers=True)
        schedule.start_due(timezone.now())

    def crowd(self, which: int | None) -> None:
        """Let all threads dispatch and dial at once, while one phone is hung up; then the last waits for nobody."""
        if which is not None:
            self.news_of_an_end(which, "completed")
        together = threading.Barrier(THREADS)

        def work() -> None:
            together.wait(60)
            self.work()

        for done in [self.pool.submit(work) for _ in range(THREADS)]:
            done.result(60)
        self.nobody_is_kept_waiting()

    def phone_is_hung_up(self, which: int, outcome: str, seconds: int) -> None:
        """After which the threads come again."""
        self.time_passes(SHORTEST)
        self.news_of_an_end(which, outcome)
        self.rig.settle()
        self.time_passes(seconds)
        self.crowd(None)

    def dispatcher_dies_before_its_messages(self) -> None:
        dispatch.dispatch(self.rig.account.pk, timezone.now())

    def dispatcher_is_slow(self, which: int, is_hung_up: bool) -> None:
        """It has looked who may be rung, and claims them when another has rung them, and perhaps one has hung up."""
        looked, goes_on = threading.Event(), threading.Event()

        def wait() -> None:
            looked.set()
            assert goes_on.wait(60)

        def dispatch_slowly() -> None:
            BEFORE_CLAIMS.here = wait
            try:
                dispatch.dispatch(self.rig.account.pk, timezone.now())
            finally:
                BEFORE_CLAIMS.here = None
                looked.set()

        slow = self.pool.submit(dispatch_slowly)
        try:
            assert looked.wait(60)
            self.work()
            if is_hung_up:
                self.time_passes(SHORTEST)
                self.news_of_an_end(which, "completed")
                self.rig.settle()
        finally:
            goes_on.set()
        slow.result(60)
        self.work()

    def dialers_come_too_late(self) -> None:
        """What was claimed so long ago is given back, and counts for nothing."""
        self.time_passes(11)
        self.rig.dial()

    def time_passes(self, seconds: int) -> None:
        self.rig.clock.shift(timedelta(seconds=seconds))

    # Parts of them -----------------------------------------------------------------------------------------------

    def work(self) -> None:
        inbox.settle_batch(timezone.now())
        dispatch.dispatch(self.rig.account.pk, timezone.now())
        claimed = CallAttempt.objects.filter(status="claimed").values_list("pk", flat=True)
        dialing.dial(list(claimed))

    def news_of_an_end(self, which: int, outcome: str) -> None:
        phone = self.model.phones[PHONES[which]]
        with self.one_at_a_time:
            attempt_id, phone.up = phone.up, None
            if attempt_id:
                phone.hung_up = timezone.now()
        if attempt_id:
            inbox.append("simulated", [(attempt_id, {"status": outcome})])

    def nobody_is_kept_waiting(self) -> None:
        rung = -1
        while rung < len(self.rig.carrier.rings):
            rung = len(self.rig.carrier.rings)
            self.work()
        waiting = Call.objects.filter(status="created", campaign__status="in-progress")
        for number, until in waiting.values_list("number", "next_attempt_at"):
            assert not self.model.may_ring(number, timezone.now()), (number, until, self.model.phones[number])


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """Threads that keep their connections from step to step."""
    with ThreadPoolExecutor(THREADS) as made:
        yield made
        together = threading.Barrier(THREADS)

        def close() -> None:
            together.wait(60)
            connections.close_all()

        for closed in [made.submit(close) for _ in range(THREADS)]:
            closed.result(60)


def test_no_number_is_rung_twice_at_once_too_soon_or_too_often(
    transactional_db: None, clock: Any, redis: Any, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    take: Callable[[int], Any] = dispatch._take
    # Every dispatch works, whoever is at the account.
    monkeypatch.setattr(dispatch, "_take", lambda account_id: (take(account_id)[0], True))
    store = claiming._store

    def wait_and_store(claims: Sequence[Claim], now: datetime) -> Set[UUID]:
        if BEFORE_CLAIMS.here:
            BEFORE_CLAIMS.here()
        return store(claims, now)

    monkeypatch.setattr(claiming, "_store", wait_and_store)
    profile = settings.get_profile(machines.PROFILE)
    few = settings(profile, max_examples=-(-profile.max_examples // 5), stateful_step_count=20)
    machine: Any = partial(Numbers, clock, redis, pool)  # Hypothesis accepts any callable
    run_state_machine_as_test(machine, settings=few)
