"""One run: a new account with three campaigns on a running system, one fault, and the wait until all has ended.

- `main` is dialled while the fault strikes.
- `held` is paused a moment after its start, before the fault, and resumed when `main` has ended: no phone may ring
  in between.
- `ending` has an `end_at` that comes while the fault is at work: no phone may ring after it.

A fault may add campaigns, caller IDs, and caps and paces that are met.
"""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID, uuid4

import requests
from django.db import DatabaseError, connection, transaction

from accounts import audit, credentials
from accounts.models import Account, CallerId, Trunk
from campaigns.models import Campaign
from dialer import dialing
from dialer.models import CallAttempt, CallerIdHealth, TrunkHealth
from tools.chaos.limits import Cap, Pace
from tools.chaos.receiver import Receiver
from tools.chaos.system import System
from tools.stack import Client

T = TypeVar("T")

CHANNELS = 10
# Of the caller ID. Less than the account's, so that two caps are at work in every run.
CALLER_ID_CHANNELS = 8
RETRIES = 1
NUMBERS = {"main": 50, "held": 12, "ending": 16}
# At this pace calls last about a second, so that some are up at every moment of a run of some seconds.
SCRIPT: dict[str, Any] = {
    "time_scale": 0.1,
    "default": [
        {"outcome": "completed", "talk": 7, "weight": 6},
        {"outcome": "completed", "talk": 2, "digits": "1", "weight": 2},
        {"outcome": "no-answer", "ring": 9, "weight": 2},
        {"outcome": "busy", "weight": 1},
        {"outcome": "failed", "weight": 1},
    ],
}
ENDS_AFTER = timedelta(seconds=6)
# The longest that a run may take; the longest outage and the longest repair together are far shorter.
PATIENCE_SECONDS = 150.0
# Seconds. A request that was on its way when a campaign was paused may still ring (docs/operator/guarantees.md). After
# a campaign's end only the way to the carrier is allowed.
STILL_AFTER_PAUSE = dialing.ASKED_WITHIN.total_seconds() + 0.5
STILL_AFTER_END = 0.5
POLL_SECONDS = 0.2

# A fault is a generator: it may break something before the campaigns are posted, and goes on from its `yield` after.
Fault = Callable[["Run"], Iterator[None]]


@dataclass
class Posted:
    """A campaign of a run. `silences` are the times in which it may ring no phone: (from, until) in Unix time."""

    id: UUID
    name: str
    numbers: list[str]
    silences: list[tuple[float, float]] = field(default_factory=list)
    ends_at: float = float("inf")


class Run:
    """What a fault works with: the system, a random generator of the seed, the campaigns once they are posted."""

    def __init__(self, system: System, seed: int, receiver: Receiver, patience: float = PATIENCE_SECONDS) -> None:
        self.system = system
        self.patience = patience
        self.seed = seed
        self.chance = random.Random(seed)
        self.receiver = receiver
        self.script: dict[str, Any] = SCRIPT | {"seed": seed}
        self.campaigns: dict[str, Posted] = {}
        # What a fault changes before its `yield`: how many numbers a campaign has, parameters of its own, further ones.
        self.numbers = dict(NUMBERS)
        self.also: list[str] = []
        # Numbers of a campaign that are not left to chance.
        self.given: dict[str, list[str]] = {}
        self.parameters: dict[str, dict[str, Any]] = {}
        self.account, self.caller_id, self.client = self.sign_up(CALLER_ID_CHANNELS)
        self.struck_at: float | None = None
        self.affected: set[UUID] = set()
        self.recovered_at: float | None = None
        self.notes: list[str] = []
        self.caps = [
            Cap("the account", CHANNELS, [self.caller_id]),
            Cap("the caller ID", CALLER_ID_CHANNELS, [self.caller_id]),
        ]
        self.paces: list[Pace] = []
        # When numbers were on the do-not-call list, in Unix time.
        self.listed: dict[str, float] = {}
        # Whether attempts were recorded again under other ids: then rings are known by the carrier's.
        self.rename_rings = False
        # Rings of lost attempts that are recorded for no call, as their campaign ended while the server was held.
        self.elsewhere = 0
        # Attempts whose gate had shut before their intent.
        self.must_not_ring: set[UUID] = set()
        # Whether flows connect callees to people, which is judged then.
        self.judges_legs = False
        # What to undo or check once everything has ended.
        self.at_end: list[Callable[[], None]] = []

    # For faults -----------------------------------------------------------------------------------------------------

    def order(self, *faults: dict[str, Any], **script: Any) -> None:
        """Tell the carrier to misbehave, or without faults to behave. The outcomes of single numbers stay."""
        self.script |= {"faults": list(faults)} | script
        self.system.script(self.script)

    def wait_a_moment(self, least: float = 0.3, most: float = 2.5) -> None:
        """Wait until the moment at which the fault strikes."""
        time.sleep(self.chance.uniform(least, most))

    def strike(self, break_it: Callable[[], Any]) -> None:
        """Break something, and remember the attempts that were under way: their end is the recovery."""
        self.affected = set(self.under_way())
        self.struck_at = time.time()
        break_it()

    def strikes_at(self, point: str, most: int = 3) -> Iterator[None]:
        """Kill the first process that reaches the failpoint for the nth time; nothing else is broken."""
        nth = self.chance.randint(1, most)
        self.system.arm(point, nth)
        yield
        if not self.wait_for(lambda: not self.system.is_armed(), 30):
            self.notes.append(f"no process reached {point} for the {nth}. time")
        self.struck_at = time.time()
        self.affected = set(self.under_way())

    @contextmanager
    def held_at(self, point: str) -> Iterator[None]:
        """Hold the first process that reaches the failpoint, for the length of the `with` block."""
        self.system.arm_hold(point)
        if not self.wait_for(self.system.is_held, 10):
            self.notes.append(f"no process reached {point}")
        try:
            yield
        finally:
            self.system.let_go()

    def note_listed(self) -> None:
        """Remember that the numbers that are on the account's do-not-call list by now must not be rung from now on."""
        numbers = self.account.do_not_call.values_list("number", flat=True)
        self.listed = dict.fromkeys(numbers, time.time())

    def dial_over(self, carrier: str) -> None:
        """Dial over this API of the sandbox, whatever the others are dialed over."""
        self.caller_id.trunk = self._trunk(carrier)
        self.caller_id.save(update_fields=["trunk"])

    def add_line(self, trunk: Trunk, channels: int | None = None) -> CallerId:
        """Give the account one more caller ID, over this trunk."""
        number = f"+9181{self.chance.randrange(10**7, 10**8)}"
        caller_id = CallerId.objects.create(account=self.account, number=number, trunk=trunk, channels=channels)
        self.caps[0].caller_ids.append(caller_id)
        return caller_id

    def wait_for(self, condition: Callable[[], bool], seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if condition():
                return True
            time.sleep(0.02)
        return False

    def under_way(self) -> list[UUID]:
        attempts = CallAttempt.objects.filter(campaign__account=self.account, status__in=CallAttempt.UNFINISHED)
        return self.query(lambda: list(attempts.values_list("pk", flat=True)), [])

    @staticmethod
    def query(ask: Callable[[], T], otherwise: T) -> T:
        """Return the result of a query, or `otherwise` while the database is away."""
        try:
            return ask()
        except DatabaseError:
            connection.close()
            return otherwise

    # The run --------------------------------------------------------------------------------------------------------

    def make(self, fault: Fault) -> None:
        """Post the campaigns, let the fault strike, and wait until everything has ended. Raises TimeoutError."""
        strikes = fault(self)
        next(strikes)
        self._post("held")
        self._post_ending()
        for name in ("main", *self.also):
            self._post(name)
        time.sleep(self.chance.uniform(0, 0.3))
        self._pause_held()
        for _ in strikes:
            raise RuntimeError("a fault yields once")
        self._wait_until_ended("main", "ending", *self.also)
        self._resume_held()
        self._wait_until_ended("held")
        for last in self.at_end:
            last()

    def _post_ending(self) -> None:
        """Post it until it is accepted: its end may pass while the server is away."""
        while True:
            ends_at = datetime.now(UTC) + ENDS_AFTER
            try:
                self._post("ending", schedule={"end_at": wire(ends_at + timedelta(seconds=self.system.ahead))})
                break
            except requests.HTTPError:
                if datetime.now(UTC) < ends_at:
                    raise
        ending = self.campaigns["ending"]
        ending.ends_at = ends_at.timestamp()
        ending.silences.append((ending.ends_at + STILL_AFTER_END, float("inf")))

    def _post(self, name: str, **parameters: Any) -> None:
        numbers = self.given.get(name) or [
            f"+9198{self.chance.randrange(10**7, 10**8)}" for _ in range(self.numbers[name])
        ]
        wanted = {
            "name": name,
            "caller_id": self.caller_id.number,
            "from": numbers,
            "read_via_text": "There is no class tomorrow.",
            "flow_type": "greeting",
            "retries": {"number_of_retries": RETRIES, "interval_mins": 1, "mechanism": "Linear"},
            "status_callback": self.receiver.url(f"/{name}/campaign"),
            "call_status_callback": self.receiver.url(f"/{name}/attempt"),
            "call_schedule_callback": self.receiver.url(f"/{name}/number"),
            **self.parameters.get(name, {}),
            **parameters,
        }
        # One key for all tries, as a careful client does: a server that dies in between must not make two campaigns.
        self.client.session.headers["Idempotency-Key"] = uuid4().hex
        try:
            made = self.persist(lambda: self.client.post_campaign(wanted))
        finally:
            del self.client.session.headers["Idempotency-Key"]
        self.campaigns[name] = Posted(UUID(made["id"]), name, list(dict.fromkeys(numbers)))

    def persist(self, request: Callable[[], Any]) -> Any:
        """Send the request until the server responds; returns what `request` returns."""
        deadline = time.monotonic() + self.patience
        while True:
            try:
                return request()
            except (requests.RequestException, ValueError) as error:
                response = getattr(error, "response", None)
                is_final = response is not None and response.status_code < 500 and response.status_code != 409
                if is_final or time.monotonic() > deadline:
                    raise
            time.sleep(0.1)

    def act(self, name: str, action: str) -> None:
        address = f"{self.client.base}/campaigns/{self.campaigns[name].id.hex}"
        body = {"campaigns": [{"action": action}]}

        def put() -> None:
            response = self.client.session.put(address, json=body, timeout=30)
            # A repeated request may find it done.
            if response.status_code not in {200, 400}:
                response.raise_for_status()

        self.persist(put)

    def _pause_held(self) -> None:
        self.act("held", "pause")
        # The first of its silences: a fault may add others.
        self.campaigns["held"].silences.insert(0, (time.time() + STILL_AFTER_PAUSE, float("inf")))

    def _resume_held(self) -> None:
        held = self.campaigns["held"]
        held.silences[0] = (held.silences[0][0], time.time())
        self.act("held", "resume")

    def _wait_until_ended(self, *names: str) -> None:
        deadline = time.monotonic() + self.patience
        ids = [self.campaigns[name].id for name in names]
        still_open = Campaign.objects.filter(pk__in=ids, status__in=Campaign.OPEN)
        while True:
            self._record_recovery()
            if not self.query(still_open.exists, True):
                return
            if time.monotonic() > deadline:
                raise TimeoutError(f"not ended after {self.patience:g} s: {', '.join(names)}")
            time.sleep(POLL_SECONDS)

    def _record_recovery(self) -> None:
        if self.recovered_at is None and self.struck_at is not None:
            unfinished = CallAttempt.objects.filter(pk__in=self.affected, status__in=CallAttempt.UNFINISHED)
            if not self.query(unfinished.exists, True):
                self.recovered_at = time.time()

    def clean_up(self) -> None:
        """Keep what is left of this run, even if it never ended, from disturbing the next one."""
        Account.objects.filter(pk=self.account.pk).update(is_active=False)
        TrunkHealth.objects.all().delete()
        CallerIdHealth.objects.all().delete()
        with connection.cursor() as cursor:
            cursor.execute("DROP FUNCTION IF EXISTS poison CASCADE")

    def sign_up(self, channels: int | None = None) -> tuple[Account, CallerId, Client]:
        """Create an account with a caller ID of so many channels; returns them with a client of its API."""
        deadline = time.monotonic() + self.patience
        while True:
            try:
                return self._make_account(channels)
            except DatabaseError:
                connection.close()
                if time.monotonic() > deadline:
                    raise
            time.sleep(POLL_SECONDS)

    @transaction.atomic
    def _make_account(self, channels: int | None) -> tuple[Account, CallerId, Client]:
        number = self.chance.randrange(10**8, 10**9)
        sid = f"run{number}{self.seed}"
        account = Account.objects.create(
            sid=sid,
            channels=CHANNELS,
            starts_per_minute=100_000,
            requests_per_minute=100_000,
            opens_at=datetime.min.time(),
            closes_at=datetime.min.time(),
        )
        trunk = self._trunk(self.system.carrier)
        caller_id = CallerId.objects.create(
            account=account, number=f"+9180{number % 10**8:08d}", trunk=trunk, channels=channels
        )
        made = credentials.create_key(account, actor=audit.SYSTEM, name="chaos")
        return account, caller_id, Client(self.system.url, sid, made.key, made.token)

    def _trunk(self, carrier: str) -> Trunk:
        """Return the trunk at the sandbox, over this carrier's API."""
        access = {}
        if carrier != "sandbox":
            sid = "AC0sandbox"
            access = {"base_url": self.system.sandbox_url, "account_sid": sid, "api_key": sid, "api_token": "token"}
        return Trunk.objects.get_or_create(name=carrier, defaults={"carrier": carrier, **access})[0]


def wire(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")
