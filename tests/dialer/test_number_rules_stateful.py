"""Whatever the rules, the times and the dispatchers: no phone rings that must not, and none is held that may ring.

Judged by the ring log of the simulated carrier, with the calls to other numbers that a flow makes meanwhile (legs), and
a second implementation below, slow and obvious. Several dispatchers with connections of their own work at once, without
the lock that an account's dispatch takes.
"""

import threading
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from django.db import connections
from django.utils import timezone
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from accounts import public_holidays
from campaigns import schedule
from campaigns.models import Call, Campaign
from contacts.models import DoNotCall
from dialer import dialing, dispatch, inbox, number_gate, transfers
from dialer.carriers.base import CallRequest
from dialer.models import CallAttempt, Transfer
from tests.conftest import START, Rig
from tests.factories import (
    AccountFactory,
    CallAttemptFactory,
    CallerIdFactory,
    CampaignFactory,
    ContactFactory,
    FlowFactory,
)

DAYS = [(2026, 3, 8, 5), (2026, 11, 1, 4), (2026, 1, 26, 3), (2026, 1, 25, 20), (2028, 2, 29, 12), (2026, 12, 25, 12)]
NEW_YORK, LOS_ANGELES, ALABAMA = "+12125550123", "+13105550123", "+12055550123"
HOME = "+919810000000"
ZONES = {
    NEW_YORK: "America/New_York",
    LOS_ANGELES: "America/Los_Angeles",
    ALABAMA: "America/Chicago",
    HOME: "Asia/Kolkata",
}
OPENS, CLOSES = time(8), time(21)  # of the rule sets us-live and us
# Hours of the account by weekday, in words and as the spans of Monday to Friday and of Saturday.
WEEK = "Mon-Fri 18:30-03:30; Sat 10:00-12:00"
WORKDAYS, SATURDAY = (time(18, 30), time(3, 30)), (time(10), time(12))
# A Monday; Sundays on which clocks change in New York; a holiday in India; a leap day, and a holiday in Alabama.
STARTS = [START, *(datetime(*day, tzinfo=UTC) for day in DAYS)]
MOST_STEPS = 7


class Cap(NamedTuple):
    most: int
    within: timedelta
    counts: str

    def __str__(self) -> str:
        return f"{self.most} {self.counts} in {int(self.within.total_seconds()) // 60} minutes"


class Ruled(NamedTuple):
    """What an account demands.

    Attributes:
        american: the rule set that holds for numbers of the USA: us-live, us or none.
        debt, states: whether us-debt and us-states hold for them, too.
        by_weekday: the hours are those of WEEK. no_holidays: nobody is called on holidays of India.
        lives_in_denver: the contact in New York says so. agreed: the one in Los Angeles has agreed to recorded voices.
    """

    opens: time
    closes: time
    american: str
    caps: tuple[Cap, ...]
    gap: timedelta
    by_weekday: bool = False
    no_holidays: bool = False
    lives_in_denver: bool = False
    agreed: bool = False
    debt: bool = False
    states: bool = False


class Rung(NamedTuple):
    """ended: when it was over; None: it is not."""

    number: str
    at: datetime
    was_answered: bool
    ended: datetime | None

    @classmethod
    def at_once_over(cls, number: str, at: datetime, was_answered: bool) -> "Rung":
        return cls(number, at, was_answered, at)


class LegRing(NamedTuple):
    """A leg as the ring log has it."""

    number: str
    attempt_id: UUID


class RingLog(list[CallRequest]):
    """The carrier's ring log, with the moment of each ring."""

    def __init__(self) -> None:
        super().__init__()
        self.moments: list[datetime] = []
        self._one_at_a_time = threading.Lock()

    def append(self, request: Any) -> None:
        with self._one_at_a_time:
            self.moments.append(timezone.now())
            super().append(request)


def is_inside(at: datetime, zone: str, opens: time, closes: time) -> bool:
    wall = at.astimezone(ZoneInfo(zone)).time()
    if opens == closes:
        return True
    return opens <= wall < closes if opens < closes else wall >= opens or wall < closes


def is_inside_the_accounts(at: datetime, ruled: Ruled) -> bool:
    """Tell whether the account calls: hours after midnight are those of the day before."""
    wall = at.astimezone(ZoneInfo("Asia/Kolkata"))
    if ruled.no_holidays and public_holidays.is_holiday(wall.date(), "IN"):
        return False
    for day in (wall.date(), wall.date() - timedelta(days=1)):
        if ruled.no_holidays and public_holidays.is_holiday(day, "IN"):
            continue
        spans = [(ruled.opens, ruled.closes)]
        if ruled.by_weekday:
            spans = [WORKDAYS] if day.weekday() < 5 else [SATURDAY] if day.weekday() == 5 else []
        for opens, closes in spans:
            crosses = closes <= opens
            if day == wall.date() and wall.time() >= opens and (crosses or wall.time() < closes):
                return True
            if day < wall.date() and crosses and wall.time() < closes:
                return True
    return False


def may_ring(number: str, at: datetime, ruled: Ruled, before: list[Rung], listed: dict[str, int]) -> bool:
    """Tell whether the number may be rung, given all rings before, read rule by rule.

    Args:
        listed: after how many rings a number came on the do-not-call list.
    """
    own = [ring for ring in before if ring.number == number]
    if number in listed and listed[number] <= len(before):
        return False
    if any(ring.ended is None or ring.ended > at for ring in own):
        return False
    if not is_inside_the_accounts(at, ruled):
        return False
    is_american = number.startswith("+1")
    if ruled.american and is_american:
        zones = [ZONES[number], *["America/Denver"] * (ruled.lives_in_denver and number == NEW_YORK)]
        if not all(is_inside(at, zone, OPENS, CLOSES) for zone in zones):
            return False
    if ruled.american == "us" and is_american and not (ruled.agreed and number == LOS_ANGELES):
        return False
    if ruled.states and number == ALABAMA:
        wall = at.astimezone(ZoneInfo(ZONES[ALABAMA]))
        is_free = wall.weekday() == 6 or public_holidays.is_holiday(wall.date(), "US-AL")
        if is_free or not OPENS <= wall.time() < time(20):
            return False
    if ruled.debt and is_american:
        week = [ring for ring in own if at - ring.at < timedelta(days=7)]
        talked = [ring.ended for ring in own if ring.was_answered and ring.ended]
        if len(week) >= 7 or any(at - ended < timedelta(days=7) for ended in talked):
            return False
    for cap in ruled.caps:
        moments = [ring.at if cap.counts == "attempts" else ring.ended for ring in own]
        counted = [ring.was_answered or cap.counts == "attempts" for ring in own]
        lately = [moment for moment, counts in zip(moments, counted, strict=True) if counts and moment]
        if len([moment for moment in lately if at - moment < cap.within]) >= cap.most:
            return False
    return all(at - ring.ended >= ruled.gap for ring in own if ring.ended)


CAPS = st.builds(
    Cap,
    st.integers(1, 3),
    st.sampled_from([timedelta(minutes=20), timedelta(hours=3), timedelta(days=1)]),
    st.sampled_from(["attempts", "conversations"]),
)
RULED = st.builds(
    Ruled,
    st.sampled_from([time(0), time(10, 30), time(18, 30)]),
    st.sampled_from([time(0), time(3, 30)]),
    st.sampled_from(["", "us-live", "us-live", "us"]),
    st.lists(CAPS, max_size=2).map(tuple),
    st.sampled_from([timedelta(), timedelta(minutes=5)]),
    *6 * [st.booleans()],
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("campaign"), st.lists(st.sampled_from(list(ZONES)), min_size=1, max_size=3, unique=True)),
        st.tuples(st.just("pass"), st.sampled_from([timedelta(minutes=5), timedelta(hours=1), timedelta(hours=7)])),
        st.tuples(st.just("crowd"), st.just(None)),
        st.tuples(st.just("list"), st.sampled_from(list(ZONES))),
        st.tuples(st.just("connect"), st.sampled_from(list(ZONES))),
        st.tuples(st.just("rush"), st.sampled_from(list(ZONES))),
    ),
    min_size=3,
    max_size=MOST_STEPS,
)


class World:
    """An account with these rules, and what was rung for it."""

    def __init__(self, rig: Rig, ruled: Ruled, scripts: list[list[str]]) -> None:
        self.rig, self.ruled = rig, ruled
        rig.account = AccountFactory(
            starts_per_minute=10_000_000,
            opens_at=ruled.opens,
            closes_at=ruled.closes,
            weekly_hours=WEEK if ruled.by_weekday else "",
            holidays_of=["IN"] if ruled.no_holidays else [],
            allowed_countries=["US", "IN"],
            rules=[*filter(None, [ruled.american]), *["us-debt"] * ruled.debt, *["us-states"] * ruled.states],
            number_caps=[str(cap) for cap in ruled.caps],
            number_gap_seconds=int(ruled.gap.total_seconds()),
        )
        rig.caller_id = CallerIdFactory(account=rig.account, trunk=rig.trunk)
        rig.flow = FlowFactory(account=rig.account)
        if ruled.lives_in_denver:
            ContactFactory(account=rig.account, number=NEW_YORK, time_zone="America/Denver")
        if ruled.agreed:
            agreed = {"consent_date": date(2026, 1, 1), "consent_scope": "recorded-voice"}
            ContactFactory(account=rig.account, number=LOS_ANGELES, **agreed)
        rig.carrier.script = dict(zip(ZONES, scripts, strict=True))
        rig.carrier._asked.clear()
        self.log = RingLog()
        rig.carrier.rings = self.log
        self.listed: dict[str, int] = {}
        # A call that is up, whose flow connects its callee to others.
        talking = CampaignFactory(account=rig.account, caller_id=rig.caller_id, running=True, flow=rig.flow)
        Campaign.objects.filter(pk=talking.pk).update(expires_at=timezone.now() + timedelta(days=30))
        self.parent = CallAttemptFactory(in_progress=True, call__campaign=talking, trunk=rig.trunk)
        self.places = 0

    def campaign(self, numbers: list[str]) -> None:
        self.rig.campaign(numbers, retries=1)
        schedule.start_due(timezone.now())

    def crowd(self, connected: str | None) -> None:
        """Three dispatchers and dialers at once; one of them connects somebody first, where a number is given."""
        together, faults = threading.Barrier(3), []

        def work(number: str | None) -> None:
            try:
                together.wait(60)
                if number:
                    self.ask(number)
                self.work()
            except Exception as error:  # noqa: BLE001 -- whatever it is, the test fails with it
                faults.append(error)
            finally:
                connections.close_all()

        threads = [threading.Thread(target=work, args=[number]) for number in (connected, None, None)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert not faults

    def connect(self, number: str) -> None:
        """Let the flow connect its callee to the number. It is rung if and only if it may be."""
        may = may_ring(number, timezone.now(), self.ruled, self.rings(), self.listed)
        assert self.ask(number) is may, (number, self.rings(), Transfer.objects.order_by("pk").last())

    def rush(self, number: str) -> None:
        """Call a number and connect somebody to it at once."""
        self.rig.campaign([number])
        schedule.start_due(timezone.now())
        self.crowd(number)

    def ask(self, number: str) -> bool:
        self.places += 1
        attempt = CallAttempt.objects.select_related("account", "trunk").get(pk=self.parent.pk)
        begun = transfers.ask(attempt, f"{self.places}.1", number, timezone.now())
        if begun.may_ring and begun.leg_id:
            self.log.append(LegRing(number, begun.leg_id))
        return begun.may_ring

    def hang_up(self) -> None:
        """End the legs that are up: each second one was taken."""
        for leg in Transfer.objects.filter(attempt=self.parent, ended_at=None):
            outcome = "completed" if int(leg.place.partition(".")[0]) % 2 else "busy"
            transfers.end(self.parent, leg.place, outcome, 1, timezone.now())

    def work(self) -> None:
        dispatch.dispatch(self.rig.account.pk, timezone.now())
        claimed = CallAttempt.objects.filter(account=self.rig.account, status="claimed").values_list("pk", flat=True)
        dialing.dial(list(claimed))
        inbox.settle_batch(timezone.now())

    def put_on_the_list(self, number: str) -> None:
        self.listed.setdefault(number, len(self.log))
        DoNotCall.objects.get_or_create(
            account=self.rig.account, number=number, defaults={"source": "csv", "added_at": timezone.now()}
        )

    def settle(self) -> None:
        """Work until nothing more rings."""
        rung = -1
        while len(self.log) > rung:
            rung = len(self.log)
            self.work()

    def rings(self) -> list[Rung]:
        answered = set(CallAttempt.objects.filter(status="completed").values_list("pk", flat=True))
        answered |= set(Transfer.objects.filter(outcome="completed").values_list("pk", flat=True))
        ends = dict(Transfer.objects.values_list("pk", "ended_at"))
        return [
            Rung(request.number, at, request.attempt_id in answered, ends.get(request.attempt_id, at))
            for request, at in zip(self.log, self.log.moments, strict=True)
        ]

    def judge(self) -> None:
        rings, now = self.rings(), timezone.now()
        for place, ring in enumerate(rings):
            assert may_ring(ring.number, ring.at, self.ruled, rings[:place], self.listed), (ring, rings)
        legs = Transfer.objects.filter(attempt=self.parent, placing_at__isnull=False)
        assert set(legs.values_list("pk", flat=True)) <= {request.attempt_id for request in self.log}
        waiting = Call.objects.filter(campaign__account=self.rig.account, campaign__status="in-progress")
        due = waiting.filter(status="created") | waiting.filter(status="retrying", rule__gt="")
        for number, rule, until in due.values_list("number", "rule", "next_attempt_at"):
            assert not may_ring(number, now, self.ruled, rings, self.listed), (number, rule, until, rings)


@pytest.fixture
def lockless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every dispatch work, whoever is at the account."""
    take = dispatch._take
    monkeypatch.setattr(dispatch, "_take", lambda account_id: (take(account_id)[0], True))


TALKS: Any = [["completed"]] * len(ZONES)


@example(
    # Monday, 10:00 in New York, 9:00 in Alabama and 7:00 in Los Angeles, whose person alone has agreed to such calls.
    start=datetime(2026, 3, 2, 15, tzinfo=UTC),
    ruled=Ruled(time(0), time(0), "us", (), timedelta(minutes=5), agreed=True),
    steps=[("campaign", [LOS_ANGELES, HOME]), ("pass", timedelta(hours=1)), ("campaign", [LOS_ANGELES, HOME])],
    scripts=TALKS,
)
@example(
    # 9:30 in New York, whose person lives in Denver, and 8:30 in Alabama, where nobody is called after a conversation.
    start=datetime(2026, 3, 2, 14, 30, tzinfo=UTC),
    ruled=Ruled(time(0), time(0), "us-live", (), timedelta(), lives_in_denver=True, debt=True, states=True),
    steps=[("crowd", None), ("pass", timedelta(hours=1)), ("campaign", [ALABAMA, NEW_YORK])],
    scripts=TALKS,
)
@example(
    # A Sunday, ten in Alabama; in India half past eight in the evening, and soon the account is closed.
    start=datetime(2026, 3, 8, 15, tzinfo=UTC),
    ruled=Ruled(time(10, 30), time(21), "us-live", (), timedelta(), states=True),
    steps=[("crowd", None), ("pass", timedelta(hours=1)), ("campaign", [NEW_YORK, HOME])],
    scripts=TALKS,
)
@example(
    # A person in India is connected, called and connected by a flow, twice in three hours at the most.
    start=datetime(2026, 3, 2, 15, tzinfo=UTC),
    ruled=Ruled(time(0), time(0), "", (Cap(2, timedelta(hours=3), "attempts"),), timedelta(minutes=5)),
    steps=[
        ("connect", HOME),
        ("pass", timedelta(minutes=5)),
        ("rush", HOME),
        ("pass", timedelta(minutes=5)),
        ("connect", HOME),
        ("pass", timedelta(hours=7)),
        ("rush", HOME),
    ],
    scripts=TALKS,
)
@settings(
    max_examples=10,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    start=st.sampled_from(STARTS),
    ruled=RULED,
    steps=STEPS,
    scripts=st.lists(st.lists(st.sampled_from(["completed", "busy"]), min_size=1, max_size=3), min_size=4, max_size=4),
)
def test_nobody_is_rung_outside_of_all_rules_and_nobody_is_held_inside(rig, lockless, start, ruled, steps, scripts):
    rig.clock.move_to(start)
    world = World(rig, ruled, scripts)
    ways: dict[str, Callable[..., None]] = {
        "campaign": world.campaign,
        "pass": rig.clock.shift,
        "crowd": world.crowd,
        "list": world.put_on_the_list,
        "connect": world.connect,
        "rush": world.rush,
    }
    world.campaign(list(ZONES))
    for name, argument in steps:
        ways[name](argument)
        world.crowd(None)
        world.hang_up()
    rig.clock.shift(number_gate.BUSY_ASKED_AGAIN)
    world.settle()
    world.judge()


def test_the_judge_sees_each_rule_broken():
    """The second implementation, by hand."""
    number, at = "+12125550123", datetime(2026, 3, 2, 15, tzinfo=UTC)
    free = Ruled(time(0), time(0), "us-live", (Cap(2, timedelta(hours=3), "attempts"),), timedelta(minutes=5))
    once = [Rung.at_once_over(number, at - timedelta(hours=1), False)]
    assert may_ring(number, at, free, once, {})
    assert not may_ring(number, at, free, once * 2, {})
    assert not may_ring(number, at, free, [], {number: 0})
    longer = Rung(number, at - timedelta(minutes=30), True, None)
    assert not may_ring(number, at, free, [longer], {}), "somebody is connected to it"
    assert may_ring(number, at, free, [longer._replace(ended=at - timedelta(minutes=5))], {})
    assert not may_ring(number, at, free, [longer._replace(ended=at - timedelta(minutes=4))], {})
    assert not may_ring(number, at, free, [Rung.at_once_over(number, at - timedelta(minutes=4), False)], {})
    assert not may_ring(number, datetime.combine(date(2026, 3, 2), time(12, 59), UTC), free, [], {})
    assert not may_ring(number, at, free._replace(opens=time(10), closes=time(20)), [], {})
    early = at.replace(hour=14, minute=30)
    assert may_ring(number, early, free, [], {})
    assert not may_ring(number, early, free._replace(lives_in_denver=True), [], {})
    assert not may_ring(number, at, free._replace(american="us", agreed=True), [], {})
    assert may_ring(LOS_ANGELES, at + timedelta(hours=1), free._replace(american="us", agreed=True), [], {})
    assert not may_ring(LOS_ANGELES, at + timedelta(hours=1), free._replace(american="us"), [], {})
    debt = free._replace(debt=True, caps=())
    for days, answered, many, may in ((3, True, 1, 0), (7, True, 1, 1), (3, False, 6, 1), (3, False, 7, 0)):
        assert may_ring(
            number, at, debt, [Rung.at_once_over(number, at - timedelta(days=days), answered)] * many, {}
        ) == bool(may)
    states = free._replace(states=True, american="")
    for day, hour, opens in ((24, 19, True), (24, 20, False), (25, 12, False), (26, 12, True), (27, 12, False)):
        then = datetime(2026, 12, day, hour, tzinfo=ZoneInfo("America/Chicago"))
        assert may_ring(ALABAMA, then, states, [], {}) is opens, then
        assert may_ring(NEW_YORK, then, states, [], {})
    night = free._replace(by_weekday=True, american="")
    for day, wall, opens in ((2, 3, False), (3, 3, True), (7, 3, True), (7, 4, False), (7, 11, True), (8, 3, False)):
        at = datetime(2026, 3, day, wall, 29, tzinfo=ZoneInfo("Asia/Kolkata"))
        assert may_ring(number, at, night, [], {}) is opens, at
    republic_day = datetime(2026, 1, 26, 19, tzinfo=ZoneInfo("Asia/Kolkata"))
    assert may_ring(number, republic_day, night, [], {})
    assert not may_ring(number, republic_day, night._replace(no_holidays=True), [], {})
    next_night = republic_day + timedelta(hours=7)
    assert not may_ring(number, next_night, night._replace(no_holidays=True), [], {})
