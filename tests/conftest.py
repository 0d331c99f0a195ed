"""What many tests share: a clock that stands still, and the whole dialer in this process over the simulated carrier."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock

import pytest
import time_machine
from django.db import transaction
from django.test import Client, override_settings
from django.utils import timezone

from accounts.models import Account, Trunk
from campaigns import lifecycle, schedule
from campaigns.models import Call, Campaign
from campaigns_project import urls  # noqa: F401 -- with the pages of the admin, by whose registry tests go
from core import clocks
from core.redis_client import redis_client
from dialer import (
    channels,
    dialing,
    dispatch,
    due_accounts,
    event_signatures,
    inbox,
    recovery,
    redis_owner,
    unknown_calls,
)
from dialer.carriers import carrier_of, connect
from dialer.carriers.simulated import SimulatedCarrier
from dialer.models import CallAttempt
from tests import signing_in
from tests.factories import ACTOR, AccountFactory, CallerIdFactory, FlowFactory, TrunkFactory

# A Monday, 11:30 in India: the calling hours are open.
START = datetime(2026, 3, 2, 6, 0, tzinfo=UTC)
NUMBERS = [f"+9198{number:08d}" for number in range(10_000_000, 10_001_000)]


@pytest.fixture(scope="session", autouse=True)
def fast_passwords() -> Iterator[None]:
    """Hash passwords in microseconds: Django's default takes 0.2 s of processor time for each user and sign-in."""
    with override_settings(PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"]):
        yield


@pytest.fixture(scope="session", autouse=True)
def quick_sessions() -> Iterator[None]:
    """Begin the sessions of `force_login` by one statement, where Django's takes as long as a page does."""
    with mock.patch.object(Client, "_login", signing_in.login):
        yield


@pytest.fixture(scope="session", autouse=True)
def own_clock() -> None:
    """Let every test stop the clock of this process: PostgreSQL's goes on."""
    clocks.follows_database = False


@pytest.fixture(scope="session", autouse=True)
def many_look_ups() -> Iterator[None]:
    """Let recovery ask for everything at once, except where a test is about the pace of look-ups."""
    with override_settings(CARRIER_LOOK_UPS_PER_MINUTE=100_000):
        yield


@pytest.fixture(scope="session", autouse=True)
def silent_carriers() -> None:
    """Wait for none of them: a test moves the clock, which is a standstill, and carriers of most tests are nowhere."""
    unknown_calls.PAUSES = (0.0,)


@pytest.fixture(scope="session", autouse=True)
def lone_system() -> None:
    """Let each test take the Redis of the one before, whose installation is gone with its rows."""
    redis_owner.GONE_AFTER = 0


def _commits(item: pytest.Item) -> bool:
    mark = item.get_closest_marker("django_db")
    return "transactional_db" in getattr(item, "fixturenames", ()) or bool(mark and mark.kwargs.get("transaction"))


@pytest.fixture(scope="session")
def committing(request: pytest.FixtureRequest) -> dict[Any, list[str]]:
    """The tests of each module that commit. To look through all tests for every module takes a second of a run."""
    found: dict[Any, list[str]] = {}
    for item in request.session.items:
        if _commits(item):
            found.setdefault(getattr(item, "module", None), []).append(item.nodeid)
    return found


@pytest.fixture(scope="module")
def shared_rows(
    request: pytest.FixtureRequest, committing: Any, django_db_setup: None, django_db_blocker: Any
) -> Iterator[None]:
    """Let fixtures of a module make rows once that each of its tests finds: what a test changes is rolled back.

    For modules whose tests all use `db`: a test that commits would find itself within a transaction.
    """
    assert request.module not in committing, committing[request.module]
    with django_db_blocker.unblock(), transaction.atomic():
        yield
        transaction.set_rollback(True)


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    """Stands still until a test moves it."""
    with time_machine.travel(START, tick=False) as traveller:
        yield traveller


@pytest.fixture
def redis() -> Iterator[Any]:
    client = redis_client()
    client.flushdb()
    yield client
    client.flushdb()


def redis_time(redis: Any) -> float:
    """The time by Redis's clock, which no test can stop."""
    seconds, microseconds = redis.time()
    return float(seconds + microseconds / 1e6)


class Rig:
    """Beat, workers and carrier in one process: `tick` does what a second of them would do."""

    def __init__(self, clock: time_machine.Traveller) -> None:
        self.clock = clock
        with transaction.atomic():
            # The pace of starts is measured by Redis's own clock, which does not stand still: most tests want none.
            self.account: Account = AccountFactory.create(starts_per_minute=10_000_000)
            self.trunk: Trunk = TrunkFactory.create()
            self.caller_id = CallerIdFactory(account=self.account, trunk=self.trunk)
            self.flow = FlowFactory(account=self.account)
        carrier = carrier_of(self.trunk)
        assert isinstance(carrier, SimulatedCarrier)
        self.carrier = carrier

    def campaign(self, numbers: list[str] | int = 1, **columns: Any) -> Campaign:
        """A campaign as the API creates it. `retries=2` is short for two retries every 10 minutes on any failure."""
        retries = columns.pop("retries", 0)
        if retries:
            columns |= {
                "number_of_retries": retries,
                "retry_interval_mins": 10,
                "retry_on_status": ["busy", "no-answer", "failed"],
            }
        chosen = NUMBERS[:numbers] if isinstance(numbers, int) else numbers
        own: dict[str, Any] = {
            "caller_id": self.caller_id,
            "caller_id_given": self.caller_id.number,
            "flow": self.flow,
            "flow_url": "http://my.exotel.com/acme/exoml/start_voice/1",
        }
        return lifecycle.create(self.account, numbers=chosen, now=timezone.now(), actor=ACTOR, **own | columns)

    def tick(self) -> None:
        schedule.start_due(timezone.now())
        self.end_due()
        self.dispatch()
        self.dial()
        self.settle()

    def end_due(self) -> None:
        """End all that is due. One turn is half a second of real time: on a busy machine perhaps a single slice."""
        while schedule.end_due(timezone.now()):
            pass

    def dispatch(self) -> int:
        return sum(dispatch.dispatch(account_id, timezone.now()) for account_id in due_accounts.due(timezone.now()))

    def dial(self) -> None:
        claimed = CallAttempt.objects.filter(status="claimed").values_list("id", flat=True)
        dialing.dial(list(claimed))

    def settle(self) -> None:
        inbox.settle_batch(timezone.now())

    def recover(self) -> recovery.Repairs:
        return recovery.recover(timezone.now())

    def later(self, **units: float) -> None:
        """Lets time pass, then ticks."""
        self.clock.shift(timedelta(**units))
        self.tick()

    def rings(self, number: str | None = None) -> list[str]:
        """The numbers that were rung, in order."""
        return [ring.number for ring in self.carrier.rings if number in {None, ring.number}]


@pytest.fixture
def rig(transactional_db: None, clock: time_machine.Traveller, redis: Any) -> Rig:
    """Real PostgreSQL with real commits, real Valkey, the simulated carrier."""
    connect.cache_clear()
    event_signatures.keys.forget()
    # What `reconciliation.rebuild` leaves where no call is up.
    redis.set(channels.COMPLETE, 1)
    redis.script_load(channels.SCRIPT)
    return Rig(clock)


def states(campaign: Campaign) -> dict[str, str]:
    """The status of each call by number."""
    return dict(Call.objects.filter(campaign=campaign).order_by("id").values_list("number", "status"))


def leases(account: Account) -> int:
    return int(redis_client().zcard(channels.Scope("account", account.pk, 0).key))
