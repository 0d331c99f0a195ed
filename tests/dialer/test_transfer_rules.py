"""A call that a flow connects its callee to passes the one gate: for the campaign, then for the number.

One row for each rule, asked twice: before the leg has a channel, and once its row is committed, before it rings.
"""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.installation import Installation
from accounts.models import Account, CallerId
from campaigns import lifecycle, schedule
from campaigns.models import Call, Campaign
from dialer import daily_limits, dispatch, holds, number_gate, transfers
from dialer.models import CallAttempt, Transfer, UsageChange
from tests.conftest import NUMBERS, Rig, leases
from tests.factories import (
    ACTOR,
    CallAttemptFactory,
    ContactFactory,
    DoNotCallFactory,
    TransferFactory,
    TrunkHealthFactory,
)

CALLEE, DESK, OTHER = NUMBERS[:3]
NEW_YORK, PREMIUM, TOLL_FREE = "+12125550123", "+911861123456789", "+911800112233"
PLACE = "1.1"


class Scene:
    """A call that is up, and the number that its flow connects its callee to."""

    def __init__(self, rig: Rig) -> None:
        self.rig, self.number = rig, DESK
        self.account = rig.account
        rig.carrier.script[CALLEE] = ["silent"]
        self.campaign = rig.campaign([CALLEE])
        rig.tick()
        assert self.call.status == "in-progress"

    @property
    def call(self) -> CallAttempt:
        """As the views load it for each question."""
        return CallAttempt.objects.select_related("account", "trunk").get(campaign=self.campaign)

    def ask(self, place: str = PLACE) -> transfers.Begun:
        return transfers.ask(self.call, place, self.number, timezone.now())

    def set(self, **columns: Any) -> None:
        for name, value in columns.items():
            setattr(self.account, name, value)
        self.account.save()

    def was_called(self, ago: timedelta = timedelta(minutes=1), **columns: Any) -> None:
        """An attempt to the number has ended."""
        attempt = CallAttemptFactory(call__number=self.number, trunk=self.rig.trunk, **columns)
        at = timezone.now() - ago
        CallAttempt.objects.filter(pk=attempt.pk).update(
            account=self.account, callee=self.number, placing_at=at, ended_at=at
        )

    def was_connected(self, outcome: str, ago: timedelta = timedelta(minutes=1), **columns: Any) -> Transfer:
        """A leg to the number has ended."""
        at = timezone.now() - ago
        times = {"started_at": at, "ended_at": at + timedelta(seconds=9)}
        return TransferFactory(attempt=self.call, place="9.1", number=self.number, outcome=outcome, **times, **columns)


@pytest.fixture
def scene(rig):
    return Scene(rig)


def end_campaign(scene: Scene) -> None:
    lifecycle.pause(scene.campaign, actor=ACTOR)
    lifecycle.complete(Campaign.objects.get(pk=scene.campaign.pk), actor=ACTOR)


def let_it_expire(scene: Scene) -> None:
    at = timezone.now() - timedelta(seconds=1)
    Campaign.objects.update(send_at=at - timedelta(days=1), expires_at=at)


def close(scene: Scene) -> None:
    scene.set(opens_at="12:00")


def close_in_three_seconds(scene: Scene) -> None:
    closes_at = (timezone.now() + timedelta(seconds=3)).astimezone(scene.account.zone).time()
    scene.set(closes_at=closes_at)


def rest_the_trunk(scene: Scene) -> None:
    TrunkHealthFactory(trunk=scene.rig.trunk, down=True)


def hold_the_server(scene: Scene) -> None:
    holds.hold(Installation.Because.OPERATOR, "repairs", actor=ACTOR, now=timezone.now())


def in_new_york(hour: int, minute: int = 0) -> Callable[[Scene], None]:
    """The flow connects to somebody there, at this time of the day (UTC), and the account is always open."""

    def move(scene: Scene) -> None:
        scene.number = NEW_YORK
        scene.set(allowed_countries=["US", "IN"], opens_at="00:00", closes_at="00:00")
        scene.rig.clock.move_to(datetime(2026, 3, 3, hour, minute, tzinfo=UTC))

    return move


def in_france(scene: Scene) -> None:
    scene.number = "+33612345678"
    scene.set(allowed_countries=["FR"])
    ContactFactory(account=scene.account, number=scene.number, consent_date="2026-01-01", consent_scope="all")
    scene.rig.clock.move_to(datetime(2026, 3, 3, 10, tzinfo=UTC))


def says_us_live(scene: Scene) -> None:
    scene.set(rules=["us-live"])


def lives_in_denver(scene: Scene) -> None:
    ContactFactory(account=scene.account, number=NEW_YORK, time_zone="America/Denver")
    says_us_live(scene)


def too_many_attempts(scene: Scene) -> None:
    scene.set(number_caps=["2 attempts in 1 hour"])
    scene.was_called(busy=True)
    scene.was_connected("no-answer")


def too_many_conversations(scene: Scene) -> None:
    scene.set(number_caps=["1 conversation in 1 hour"])
    scene.was_connected("completed")


def too_soon(scene: Scene) -> None:
    scene.set(number_gap_seconds=120)
    scene.was_connected("canceled")


def quiet_after_a_conversation(scene: Scene) -> None:
    scene.set(rules=["us-debt"])
    scene.was_connected("completed", timedelta(days=6))


def quiet_after_a_refusal(scene: Scene) -> None:
    scene.set(rules=["fr"])
    scene.was_called(completed=True, wish="refusal")


def called_meanwhile(scene: Scene) -> None:
    attempt = CallAttemptFactory(in_progress=True, call__number=scene.number, trunk=scene.rig.trunk)
    CallAttempt.objects.filter(pk=attempt.pk).update(account=scene.account, callee=scene.number)


def connected_meanwhile(scene: Scene) -> None:
    scene.set(number_gap_seconds=1)
    TransferFactory(attempt=scene.call, place="9.1", number=scene.number)


def listed(scene: Scene) -> None:
    DoNotCallFactory(account=scene.account, number=scene.number)


def listed_for_all(scene: Scene) -> None:
    DoNotCallFactory(account=None, number=scene.number)


def abroad(scene: Scene) -> None:
    scene.set(allowed_countries=["AE"])


def of_no_kind(scene: Scene) -> None:
    scene.set(allowed_kinds=["voip"])


# Each: how the rule comes to hold, its code, and whether it is asked for the account's own people, too; and
# what was before.
RULES: list[tuple[Any, ...]] = [
    (lambda scene: lifecycle.pause(scene.campaign, actor=ACTOR), "paused", False),
    (end_campaign, "ended", False),
    (let_it_expire, "past-its-end", False),
    (close, "outside-calling-hours", False),
    (close_in_three_seconds, "outside-calling-hours", False),
    (lambda scene: scene.set(weekly_hours="Tue-Sun 00:00-24:00"), "outside-calling-hours", False),
    (lambda scene: scene.set(closed_on=["2026-03-02"]), "outside-calling-hours", False),
    (lambda _: Campaign.objects.update(rules=["taken-away"]), "unknown-rules", False),
    (lambda scene: scene.set(holidays_of=["IN-XX"]), "unknown-calendar", False),
    (lambda scene: scene.set(is_active=False), "account-inactive", True),
    (hold_the_server, "held", True),
    (lambda _: CallerId.objects.update(is_active=False), "caller-id-inactive", True),
    (rest_the_trunk, "trunk-down", True),
    (says_us_live, "outside-recipients-hours", False, in_new_york(12, 59)),
    (lives_in_denver, "outside-recipients-hours", False, in_new_york(13, 30)),
    (lambda scene: scene.set(rules=["us"]), "no-consent", False, in_new_york(15)),
    (too_many_attempts, "number-cap", False),
    (too_many_conversations, "number-cap", False),
    (too_soon, "number-gap", False),
    (quiet_after_a_conversation, "quiet-time", False, in_new_york(15)),
    (quiet_after_a_refusal, "quiet-time", False, in_france),
    (called_meanwhile, "number-busy", False),
    (connected_meanwhile, "number-busy", False),
    (listed, "do-not-call", True),
    (listed_for_all, "do-not-call", True),
    (abroad, "not-called", True),
    (of_no_kind, "not-called", True),
]
each_rule = pytest.mark.parametrize(
    ("comes_to_hold", "code", "for_agents", "before"),
    [(*row, lambda _: None)[:4] for row in RULES],
    ids=[f"{code}-{place}" for place, (_, code, *_) in enumerate(RULES)],
)


@each_rule
def test_a_person_is_not_rung_against_a_rule_and_the_accounts_own_people_against_few(
    scene, monkeypatch, comes_to_hold, code, for_agents, before
):
    before(scene)
    comes_to_hold(scene)
    reached: list[str] = []
    with monkeypatch.context() as watched:
        watched.setattr("core.failpoints.reached", reached.append)
        begun = scene.ask()
    assert (begun.may_ring, begun.may_try_others, begun.was_taken) == (False, True, False)
    assert "leg-claimed" not in reached, "it takes no channel"
    leg = Transfer.objects.get(place=PLACE)
    assert (leg.outcome, leg.rule, leg.placing_at, leg.ring_seconds) == ("failed", code, None, 0)
    assert leg.reason
    assert leases(scene.account) == 1
    assert not scene.ask().may_ring, "never again, whatever the carrier asks"
    scene.set(agent_numbers=[scene.number])
    assert scene.ask("2.1").may_ring is not for_agents
    leg = Transfer.objects.get(place="2.1")
    assert (leg.rule, leg.to_person) == (code if for_agents else "", False)


@each_rule
def test_a_rule_that_comes_to_hold_after_the_claim_ends_the_leg(
    scene, monkeypatch, comes_to_hold, code, for_agents, before
):
    def claimed(point: str) -> None:
        assert (point, leases(scene.account)) == ("leg-claimed", 2)
        monkeypatch.setattr("core.failpoints.reached", lambda _: None)
        comes_to_hold(scene)

    before(scene)
    monkeypatch.setattr("core.failpoints.reached", claimed)
    begun = scene.ask()
    assert (begun.may_ring, begun.may_try_others) == (False, True)
    leg = Transfer.objects.get(place=PLACE)
    assert (leg.outcome, leg.rule, leg.placing_at) == ("failed", code, None)
    assert leases(scene.account) == 1


def test_toll_free_and_company_wide_numbers_are_rung_for_the_callee(scene):
    scene.number = TOLL_FREE
    assert scene.ask().may_ring
    scene.number = PREMIUM
    assert not scene.ask("2.1").may_ring


@pytest.mark.parametrize("limit", [{"daily_calls": 1}, {"daily_minutes": 1}])
def test_the_daily_limit_counts_no_leg_and_keeps_nobody_from_being_connected(scene, limit):
    """The last call of the day goes on, with all that its flow does."""
    UsageChange.objects.create(account_id=scene.account.pk, at=timezone.now(), calls=0, seconds=60)
    scene.set(**limit)
    assert daily_limits.reached(Account.objects.get(pk=scene.account.pk), timezone.now())
    used = list(UsageChange.objects.order_by("pk").values())
    assert scene.ask().may_ring
    transfers.end(scene.call, PLACE, "completed", 9, timezone.now())
    assert list(UsageChange.objects.order_by("pk").values()) == used


def test_where_nobody_has_rules_many_callees_are_connected_to_one_number_at_once(scene):
    """It is a hotline, as far as anybody has said."""
    TransferFactory(attempt=scene.call, place="9.1", number=DESK)
    assert scene.ask().may_ring


def waive_those_of_the_account(scene: Scene) -> None:
    scene.set(rules=["in-promotional"])
    Campaign.objects.filter(pk=scene.campaign.pk).update(waived_rules=["in-promotional"], waived_because="a hotline")


# What the account, the campaign that connects to the number, and the one that asks have.
SOME_RULES: dict[str, Callable[[Scene, Campaign], object]] = {
    "rules of the account, waived for the one that asks": lambda scene, _: waive_those_of_the_account(scene),
    "a cap": lambda scene, _: scene.set(number_caps=["9 attempts in 1 hour"]),
    "a gap": lambda scene, _: scene.set(number_gap_seconds=1),
    "rules of the one that asks": lambda scene, _: Campaign.objects.filter(pk=scene.campaign.pk).update(rules=["us"]),
    "rules of the one that connects": lambda _, other: Campaign.objects.filter(pk=other.pk).update(rules=["us"]),
}


@pytest.mark.parametrize("has", SOME_RULES.values(), ids=SOME_RULES)
def test_two_callees_are_not_connected_to_a_person_at_once_where_anybody_has_rules_waived_or_not(scene, has):
    """From the first rule on it is a person's number, whichever of two campaigns has it."""
    other = CallAttemptFactory(in_progress=True, call__campaign__account=scene.account, trunk=scene.rig.trunk)
    leg = TransferFactory(attempt=other, number=DESK)
    has(scene, other.campaign)
    assert not scene.ask().may_ring
    assert Transfer.objects.get(place=PLACE).rule == "number-busy"
    transfers.end(other, leg.place, "busy", None, timezone.now())
    scene.rig.clock.shift(timedelta(seconds=1))
    assert scene.ask("2.1").may_ring


def test_rules_of_a_third_campaign_keep_nobody_from_a_hotline(scene):
    other = CallAttemptFactory(in_progress=True, call__campaign__account=scene.account, trunk=scene.rig.trunk)
    TransferFactory(attempt=other, number=DESK)
    third = CallAttemptFactory(in_progress=True, call__campaign__account=scene.account, trunk=scene.rig.trunk)
    Campaign.objects.filter(pk=third.campaign_id).update(rules=["us"])
    TransferFactory(attempt=third, number=OTHER)
    assert scene.ask().may_ring


def test_what_a_number_is_for_a_leg_is_settled_when_it_is_claimed(scene, monkeypatch):
    scene.set(agent_numbers=[DESK])
    monkeypatch.setattr("core.failpoints.reached", lambda _: scene.set(agent_numbers=[], opens_at="12:00"))
    assert scene.ask().may_ring


def test_a_leg_that_its_process_died_with_passes_the_gate_when_it_is_asked_for_again(scene, monkeypatch):
    def die(_: str) -> None:
        raise SystemExit

    with monkeypatch.context() as dying, suppress(SystemExit):
        dying.setattr("core.failpoints.reached", die)
        scene.ask()
    assert Transfer.objects.get().placing_at is None
    DoNotCallFactory(account=scene.account, number=DESK)
    assert not scene.ask().may_ring
    assert (Transfer.objects.get().rule, leases(scene.account)) == ("do-not-call", 1)


def test_a_leg_leaves_over_the_trunk_of_its_call_whatever_its_caller_id_has_now(scene):
    rest_the_trunk(scene)
    CallerId.objects.update(trunk=CallAttemptFactory(busy=True).trunk)
    assert not scene.ask().may_ring
    assert Transfer.objects.get().rule == "trunk-down"


# Calls to a number that a flow was connected to ----------------------------------------------------------------------


def rules_on(scene: Scene, **columns: Any) -> Call:
    """Let a campaign want the number, with these rules. Returns its call."""
    scene.set(**columns)
    campaign = scene.rig.campaign([DESK])
    scene.rig.tick()
    return campaign.calls.get()


@pytest.mark.parametrize(
    ("columns", "outcome", "rule"),
    [
        ({"number_caps": ["1 attempt in 1 hour"]}, "busy", "number-cap"),
        ({"number_caps": ["1 attempt in 1 hour"]}, "canceled", "number-cap"),
        ({"number_caps": ["1 conversation in 1 hour"]}, "completed", "number-cap"),
        ({"number_caps": ["1 conversation in 1 hour"]}, "busy", ""),
        ({"number_caps": ["2 attempts in 1 hour"]}, "completed", ""),
        ({"number_gap_seconds": 120}, "no-answer", "number-gap"),
        ({"number_gap_seconds": 50}, "no-answer", ""),
    ],
)
@pytest.mark.parametrize("to_person", [True, False])
def test_a_leg_counts_for_later_attempts_to_its_number_unless_it_is_an_agents(scene, columns, outcome, rule, to_person):
    # A leg to somebody else: without one to a person the account's legs are not looked for at all.
    TransferFactory(attempt=scene.call, place="8.1", number=OTHER)
    scene.was_connected(outcome, to_person=to_person)
    assert rules_on(scene, **columns).rule == (rule if to_person else "")


def test_a_leg_that_was_not_rung_counts_for_nothing(scene):
    scene.set(number_caps=["1 attempt in 1 hour"])
    with_reason = {"rule": "paused", "reason": "the campaign is paused", "placing_at": None}
    scene.was_connected("failed", **with_reason)
    assert rules_on(scene).rule == ""


def test_the_latest_of_attempts_and_legs_together_decide_how_long_a_cap_holds(scene):
    scene.was_called(timedelta(minutes=50), busy=True)
    scene.was_connected("busy", timedelta(minutes=40))
    scene.was_called(timedelta(minutes=30), busy=True)
    call = rules_on(scene, number_caps=["2 attempts in 1 hour"])
    assert (call.rule, call.next_attempt_at) == ("number-cap", timezone.now() + timedelta(minutes=20))


def test_a_conversation_with_a_person_keeps_the_person_from_being_called(scene):
    """Regulation F, as for attempts."""
    in_new_york(15)(scene)
    scene.set(rules=["us-debt"])
    scene.was_connected("completed", timedelta(days=1))
    campaign = scene.rig.campaign([NEW_YORK])
    scene.rig.tick()
    assert campaign.calls.get().rule == "quiet-time"


def test_a_number_that_is_connected_is_not_called_until_it_is_free(scene):
    rig, leg = scene.rig, TransferFactory(attempt=scene.call, place="9.1", number=DESK)
    campaign = rig.campaign([DESK, OTHER])
    rig.tick()
    assert rig.rings() == [CALLEE, OTHER]
    call = campaign.calls.get(number=DESK)
    assert (call.status, call.rule, call.attempts_made, call.attempts.count()) == ("created", "number-busy", 0, 0)
    rig.later(seconds=15)
    assert rig.rings(DESK) == []
    transfers.end(scene.call, leg.place, "completed", 9, timezone.now())
    rig.later(seconds=15)
    assert rig.rings(DESK) == [DESK]


def test_a_number_that_is_connected_after_the_claim_is_given_back_and_held(scene):
    campaign = scene.rig.campaign([DESK])
    schedule.start_due(timezone.now())
    assert scene.rig.dispatch() == 1
    TransferFactory(attempt=scene.call, place="9.1", number=DESK)
    scene.rig.dial()
    assert scene.rig.rings(DESK) == []
    [attempt] = CallAttempt.objects.filter(callee=DESK)
    call = campaign.calls.get()
    assert (attempt.status, call.status, call.rule) == ("canceled", "created", "number-busy")
    assert call.next_attempt_at == timezone.now() + timedelta(seconds=15)


@pytest.mark.parametrize(
    ("columns", "rule"),
    [
        ({"number_caps": ["1 conversation in 7 days"]}, "number-cap"),
        ({"number_caps": ["1 attempt in 7 days"]}, "number-cap"),
        ({"number_gap_seconds": 600}, "number-gap"),
        ({"rules": ["us-debt"]}, "quiet-time"),
    ],
)
def test_a_leg_that_ends_while_the_gate_is_asked_counts(scene, monkeypatch, columns, rule):
    """It was under way when the number was looked up, and is not any more when legs are looked for."""
    in_new_york(15)(scene)
    scene.set(**columns)
    campaign = scene.rig.campaign([NEW_YORK])
    schedule.start_due(timezone.now())
    assert scene.rig.dispatch() == 1
    leg = TransferFactory(attempt=scene.call, place="9.1", number=NEW_YORK)
    reached: list[str] = []

    def end_it(point: str) -> None:
        if point == "gate-asked":
            reached.append(point)
            transfers.end(scene.call, leg.place, "completed", 9, timezone.now())

    monkeypatch.setattr("core.failpoints.reached", end_it)
    scene.rig.dial()
    assert (reached, scene.rig.rings(NEW_YORK), campaign.calls.get().rule) == (["gate-asked"], [], rule)


def test_an_agent_who_is_connected_may_be_called(scene):
    TransferFactory(attempt=scene.call, place="8.1", number=OTHER)
    TransferFactory(attempt=scene.call, place="9.1", number=DESK, to_person=False)
    scene.rig.campaign([DESK])
    scene.rig.tick()
    assert scene.rig.rings(DESK) == [DESK]


def test_another_accounts_legs_keep_nobody_from_ringing(scene):
    TransferFactory(number=DESK)
    scene.set(number_gap_seconds=60)
    assert scene.ask().may_ring
    scene.rig.campaign([OTHER])
    TransferFactory(number=OTHER)
    scene.rig.tick()
    assert scene.rig.rings(OTHER) == [OTHER]


def test_claim_and_dial_take_as_many_statements_for_many_numbers_as_for_one_where_legs_are(scene):
    rig = scene.rig
    scene.set(number_caps=["3 attempts in 1 day"], number_gap_seconds=60)
    scene.was_connected("completed", timedelta(hours=1))

    def statements(*numbers: str) -> tuple[int, int]:
        rig.campaign(list(numbers))
        schedule.start_due(timezone.now())
        with CaptureQueriesContext(connection) as claim:
            assert rig.dispatch() == len(numbers)
        with CaptureQueriesContext(connection) as dial:
            rig.dial()
        rig.settle()
        return len(claim), len(dial)

    statements(NUMBERS[3])  # the first finds what no later one has to look for
    assert statements(*NUMBERS[4:30]) == statements(NUMBERS[30])


# Both at once --------------------------------------------------------------------------------------------------------


class Walk:
    """Work in a thread of its own that goes on by steps: up to where it looks, claims, or commits what it found."""

    def __init__(self, walks: "Walks", work: Callable[[], object]) -> None:
        self._walks, self._work = walks, work
        self._go, self._waits = threading.Semaphore(0), threading.Semaphore(0)
        self._pool = ThreadPoolExecutor(1)
        self._result = self._pool.submit(self._run)

    def step(self) -> None:
        self._go.release()
        assert self._waits.acquire(timeout=60)

    def end(self) -> Any:
        """Let it go on to its end. Returns what the work returns."""
        self._go.release(9)
        self._pool.shutdown()
        return self._result.result(60)

    def pause(self) -> None:
        self._waits.release()
        assert self._go.acquire(timeout=60)

    def _run(self) -> object:
        self._walks.of_thread[threading.get_ident()] = self
        try:
            assert self._go.acquire(timeout=60)
            return self._work()
        finally:
            connections.close_all()
            self._waits.release(9)


class Walks:
    """Legs and attempts that are at work at once.

    A leg looks and pauses; commits its row and pauses; looks again and pauses; commits that it rings. An attempt is
    claimed and pauses; looks again and pauses; commits its intent and rings.
    """

    def __init__(self, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
        self.scene = scene
        self.of_thread: dict[int, Walk] = {}
        self._check = number_gate.check
        monkeypatch.setattr(number_gate, "check", self._check_and_pause)
        monkeypatch.setattr("core.failpoints.reached", self._reached)

    def leg(self, place: str) -> Walk:
        return Walk(self, lambda: self.scene.ask(place))

    def attempt(self) -> Walk:
        self.scene.rig.carrier.script[DESK] = ["silent"]
        self.scene.rig.campaign([DESK])
        schedule.start_due(timezone.now())
        return Walk(self, self._dial)

    def _dial(self) -> None:
        dispatch.dispatch(self.scene.account.pk, timezone.now())
        self._here().pause()
        self.scene.rig.dial()

    def _here(self) -> Walk:
        return self.of_thread[threading.get_ident()]

    def _check_and_pause(self, rings: Any, now: datetime, until: datetime | None = None) -> Any:
        found = self._check(rings, now, until)
        if rings and not isinstance(rings[0].key, int):  # a claim looks and commits as one step
            self._here().pause()
        return found

    def _reached(self, point: str) -> None:
        if point == "leg-claimed":
            self._here().pause()


def times_rung(order: str, walks: dict[str, Walk], scene: Scene) -> int:
    """Go by turns. Returns how often the number was rung."""
    for letter in order:
        walks[letter].step()
    begun = [walk.end() for walk in walks.values()]
    return len([leg for leg in begun if leg and leg.may_ring]) + len(scene.rig.rings(DESK))


# Four steps of a leg (or of two, L and M), and three of an attempt. The last two of each are one in `APART`.
APART = ["AAALLLL", "ALAALLL", "ALLAALL", "ALLLLAA", "LAAALLL", "LALAALL", "LALLLAA", "LLAAALL", "LLALLAA", "LLLLAAA"]
LOOKING_AT_ONCE = ["LALLALA", "LALALLA", "LALLAAL", "LALALAL"]


@pytest.mark.parametrize("order", [*APART, *LOOKING_AT_ONCE])
def test_a_leg_and_an_attempt_never_ring_a_number_both_in_whatever_order_they_come(scene, monkeypatch, order):
    walks = Walks(scene, monkeypatch)
    rung = times_rung(order, {"L": walks.leg(PLACE), "A": walks.attempt()}, scene)
    assert rung == (1 if order in APART else 0), "where both look at once, both step back"
    assert leases(scene.account) == 1 + rung


@pytest.mark.parametrize(
    ("order", "rung"),
    [("LLLLMMMM", 1), ("LMLLLMMM", 1), ("LMLMLLMM", 1), ("LMMLLLMM", 1), ("LMLMLMLM", 0), ("LMLMMLLM", 0)],
)
def test_two_legs_never_ring_a_person_both_where_rules_hold(scene, monkeypatch, order, rung):
    scene.set(number_caps=["9 attempts in 1 hour"])
    walks = Walks(scene, monkeypatch)
    assert times_rung(order, {"L": walks.leg("1.1"), "M": walks.leg("2.1")}, scene) == rung
    assert leases(scene.account) == 1 + rung
