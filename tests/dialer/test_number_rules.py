"""Caps, gaps, quiet times, hours and consent of the people who are called: one test for each rule."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import phonenumbers
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import calling_rules
from accounts.calling_rules import OPT_OUT, Rule, Rules
from accounts.models import Account
from campaigns import held_calls, schedule
from campaigns.models import Call, Campaign
from contacts import address_book, zones
from contacts.models import ContactList, DoNotCall
from dialer import channels, claiming, diagnosis, dialing, number_gate
from dialer.models import CallAttempt
from tests.conftest import NUMBERS, redis_time, states
from tests.factories import ACTOR, CallAttemptFactory, ContactFactory, ListEntryFactory
from tests.plans import forget_statistics

A, B, C = NUMBERS[:3]
NEW_YORK, LOS_ANGELES = "+12125550123", "+13105550123"


@pytest.fixture
def ruled(rig):
    """Set columns of the account: ruled(number_caps=[…])."""

    def set_columns(**columns):
        for name, value in columns.items():
            setattr(rig.account, name, value)
        rig.account.save()
        rig.account.refresh_from_db()

    return set_columns


def held(number):
    """Return the rule that holds the only call to a number that has not ended, and until when."""
    call = Call.objects.get(number=number, status__in=["created", "retrying"])
    return call.rule, call.next_attempt_at


def until(hours):
    """The fixture's clock begins at 06:00 UTC on the 2nd."""
    return datetime(2026, 3, 2, 6, tzinfo=UTC) + timedelta(hours=hours)


# Caps ----------------------------------------------------------------------------------------------------------------


def test_a_cap_of_attempts_counts_all_campaigns_and_holds_the_rest(rig, ruled):
    ruled(number_caps=["2 attempts in 3 hours"])
    for _ in range(3):
        rig.campaign([A])
        rig.tick()
        rig.later(minutes=30)
    assert rig.rings() == [A, A]
    assert held(A) == ("number-cap", until(3))
    rig.later(minutes=89)
    assert rig.rings() == [A, A]
    rig.later(minutes=1)
    assert rig.rings() == [A, A, A], "the first attempt is three hours ago"


def test_a_held_first_try_costs_nothing_and_is_not_asked_again(rig, ruled, redis):
    ruled(number_caps=["1 attempt in 3 hours"], starts_per_minute=60)
    CallAttemptFactory(call__campaign__account=rig.account, call__number=A, completed=True, trunk=rig.trunk)
    CallAttempt.objects.update(account=rig.account, callee=A, placing_at=timezone.now())
    campaign = rig.campaign([A])
    rig.tick()
    assert held(A) == ("number-cap", until(3))
    assert states(campaign) == {A: "created"}
    call = campaign.calls.get()
    assert (call.attempts_made, call.history.count(), call.attempts.count()) == (0, 0, 0)
    assert redis.zcard(f"channels:held:account:{rig.account.pk}") == 0
    assert channels.room([], [channels.account_bucket(rig.account)]).paces[channels.account_bucket(rig.account)].starts


def test_a_retry_is_held_too_and_keeps_its_attempts(rig, ruled):
    ruled(number_caps=["1 attempt in 3 hours"])
    rig.carrier.script[A] = ["busy", "completed"]
    campaign = rig.campaign([A], retries=1)
    rig.tick()
    rig.later(minutes=11)
    assert rig.rings() == [A]
    assert states(campaign) == {A: "retrying"}
    assert held(A) == ("number-cap", until(3))
    rig.later(hours=3)
    assert rig.rings() == [A, A]
    assert states(campaign) == {A: "completed"}
    assert campaign.calls.get().rule == ""


def test_a_cap_of_conversations_counts_answered_calls_alone(rig, ruled):
    ruled(number_caps=["1 conversation in 3 hours"])
    rig.carrier.script[A] = ["busy", "no-answer", "completed", "completed"]
    for _ in range(4):
        rig.campaign([A])
        rig.tick()
    assert rig.rings() == [A, A, A]
    assert held(A)[0] == "number-cap"


def test_other_numbers_and_other_accounts_are_not_held(rig, ruled):
    ruled(number_caps=["1 attempt in 3 hours"])
    CallAttemptFactory(call__number=A, completed=True)
    CallAttempt.objects.update(callee=A)
    rig.campaign([A, B])
    rig.tick()
    assert sorted(rig.rings()) == [A, B]


def test_attempts_that_were_given_back_count_for_nothing(rig, ruled):
    ruled(number_caps=["1 attempt in 3 hours"])
    rig.campaign([A])
    schedule.start_due(timezone.now())
    rig.dispatch()
    rig.clock.shift(60)
    rig.dial()
    assert CallAttempt.objects.get().status == "canceled"
    rig.tick()
    assert rig.rings() == [A]


# Gap and quiet time --------------------------------------------------------------------------------------------------


def test_two_calls_to_a_number_are_a_gap_apart(rig, ruled):
    ruled(number_gap_seconds=600)
    rig.campaign([A])
    rig.campaign([A])
    rig.tick()
    [ended_at] = CallAttempt.objects.values_list("ended_at", flat=True)
    assert ended_at
    rig.tick()
    assert rig.rings() == [A]
    assert held(A) == ("number-gap", ended_at + timedelta(seconds=600))
    rig.later(seconds=600)
    assert rig.rings() == [A, A]


def test_after_a_conversation_the_number_is_left_alone(rig, ruled):
    """Regulation F: none for seven days after a conversation."""
    ruled(rules=["us-debt"], allowed_countries=["US", "IN"])
    rig.carrier.script[NEW_YORK] = ["busy", "completed", "completed"]
    rig.clock.move_to(datetime(2026, 3, 2, 15, tzinfo=UTC))
    for _ in range(3):
        rig.campaign([NEW_YORK])
        rig.tick()
    assert rig.rings() == [NEW_YORK, NEW_YORK]
    rule, moment = held(NEW_YORK)
    assert rule == "quiet-time"
    assert moment >= datetime(2026, 3, 9, 15, tzinfo=UTC)


@pytest.mark.parametrize(("wish", "rings"), [("", 2), ("refusal", 1), ("opt-out", 1)])
def test_after_a_refusal_the_number_is_left_alone(rig, ruled, wish, rings):
    ruled(rules=["ae"], allowed_countries=["AE"], opens_at="00:00", closes_at="00:00", time_zone="Asia/Dubai")
    number = "+971501234567"
    rig.campaign([number])
    rig.tick()
    CallAttempt.objects.update(wish=wish)
    rig.clock.shift(timedelta(days=8))
    rig.campaign([number])
    rig.tick()
    assert len(rig.rings()) == rings
    assert set(Call.objects.exclude(rule="").values_list("status", "rule")) == (
        {("failed", "quiet-time")} if wish else set()
    )


def test_a_quiet_time_after_an_opt_out_is_not_one_after_a_refusal(rig, monkeypatch):
    """Of a number that was taken off the list again. No preset has such a rule alone."""
    asks = Rules((Rule("test", quiet_after=((OPT_OUT, timedelta(days=1)),)),))
    monkeypatch.setattr(calling_rules, "rules_of", lambda *_: asks)
    rig.campaign([A, B, C])
    rig.tick()
    for number, wish in ((A, "opt-out"), (B, "refusal")):
        CallAttempt.objects.filter(callee=number).update(wish=wish)
    rig.clock.shift(timedelta(hours=24, seconds=-1))
    rig.campaign([A, B, C])
    rig.tick()
    assert sorted(rig.rings()) == [A, B, B, C, C]
    rule, moment = held(A)
    assert rule == "quiet-time"
    rig.clock.move_to(moment)
    rig.tick()
    assert rig.rings(A) == [A, A]


# Hours of the recipient ----------------------------------------------------------------------------------------------


@pytest.fixture
def american(rig, ruled):
    ruled(rules=["us"], allowed_countries=["US"], opens_at="00:00", closes_at="00:00")
    for number in (NEW_YORK, LOS_ANGELES):
        ContactFactory(account=rig.account, number=number, consent_date="2026-01-01", consent_scope="recorded-voice")


def test_each_number_is_called_in_the_hours_of_its_own_zone(rig, american):
    """8-21 h: 13:00 UTC is 8 in New York and 5 in Los Angeles."""
    rig.clock.move_to(datetime(2026, 3, 2, 12, 59, tzinfo=UTC))
    rig.campaign([NEW_YORK, LOS_ANGELES])
    rig.tick()
    assert rig.rings() == []
    assert held(NEW_YORK) == ("outside-recipients-hours", datetime(2026, 3, 2, 13, tzinfo=UTC))
    assert held(LOS_ANGELES) == ("outside-recipients-hours", datetime(2026, 3, 2, 16, tzinfo=UTC))
    rig.later(minutes=1)
    assert rig.rings() == [NEW_YORK]
    rig.later(hours=3)
    assert rig.rings() == [NEW_YORK, LOS_ANGELES]


def test_the_accounts_own_hours_count_too(rig, ruled, american):
    """New York opens at 13:00 UTC, the account at 20:00 in India: 14:30 UTC."""
    ruled(opens_at="20:00", closes_at="23:00")
    rig.clock.move_to(datetime(2026, 3, 2, 14, 31, tzinfo=UTC))
    rig.campaign([NEW_YORK, LOS_ANGELES])
    rig.tick()
    assert rig.rings() == [NEW_YORK]
    assert held(LOS_ANGELES)[1] == datetime(2026, 3, 2, 16, tzinfo=UTC)


def test_hours_that_never_meet_end_the_call_and_say_so(rig, ruled, american):
    ruled(opens_at="10:00", closes_at="12:00")
    rig.campaign([NEW_YORK])
    rig.tick()
    call = Call.objects.get()
    assert (call.status, call.rule) == ("failed", "no-common-hours")
    assert call.end_reason.startswith("the recipient's hours")


def test_a_zone_of_the_contact_or_of_the_row_counts_beside_the_numbers(rig, american):
    rig.clock.move_to(datetime(2026, 3, 2, 13, 30, tzinfo=UTC))
    contact = rig.account.contacts.get(number=NEW_YORK)
    contact.time_zone = "America/Denver"
    contact.save()
    made = ContactList.objects.create(account=rig.account, name="west", type="dynamic", columns=["time_zone"])
    other = ContactFactory(
        account=rig.account, number="+12125550124", consent_date="2026-01-01", consent_scope="recorded-voice"
    )
    ListEntryFactory(
        contact_list=made, contact=other, values={"time_zone": "America/Los_Angeles"}, values_digest="0" * 32
    )
    rig.campaign([NEW_YORK])
    rig.campaign([], list_ids=[made.pk], type="dynamic")
    rig.tick()
    assert rig.rings() == []
    assert held(NEW_YORK)[1] == datetime(2026, 3, 2, 15, tzinfo=UTC)
    assert held("+12125550124")[1] == datetime(2026, 3, 2, 16, tzinfo=UTC)


def test_a_number_whose_hour_ends_after_the_claim_is_given_back_and_held(rig, american):
    rig.clock.move_to(datetime(2026, 3, 3, 1, 59, 58, tzinfo=UTC))
    campaign = rig.campaign([NEW_YORK])
    schedule.start_due(timezone.now())
    assert rig.dispatch() == 1
    rig.clock.shift(3)
    rig.dial()
    assert rig.rings() == []
    assert states(campaign) == {NEW_YORK: "created"}
    assert held(NEW_YORK) == ("outside-recipients-hours", datetime(2026, 3, 3, 13, tzinfo=UTC))
    attempt = CallAttempt.objects.get()
    assert (attempt.status, attempt.placing_at) == ("canceled", None)
    said = "outside the recipient's hours 08:00-21:00 America/New_York, by the zone of the number: not before"
    assert attempt.reason.startswith(said)


def test_nobody_is_asked_for_so_late_that_the_phone_may_ring_after_the_hour(rig, american):
    rig.clock.move_to(datetime(2026, 3, 3, 1, 59, 54, tzinfo=UTC))
    rig.campaign([NEW_YORK])
    rig.tick()
    assert rig.rings() == [NEW_YORK]
    rig.later(seconds=2)
    rig.campaign([NEW_YORK])
    rig.tick()
    assert rig.rings() == [NEW_YORK]
    assert held(NEW_YORK) == ("outside-recipients-hours", datetime(2026, 3, 3, 13, tzinfo=UTC))


def test_rules_that_an_update_has_taken_away_hold_their_campaigns_alone(rig):
    held_back, other = rig.campaign([A], rules=["in-service"]), rig.campaign([B])
    Campaign.objects.filter(pk=held_back.pk).update(rules=["taken-away"])
    rig.tick()
    assert rig.rings() == [B]
    assert (states(held_back), states(other)) == ({A: "created"}, {B: "completed"})
    assert "taken-away" in diagnosis.of_campaign(held_back, timezone.now()).summary


def test_an_account_whose_calendar_an_update_has_taken_away_waits_and_says_so(rig):
    campaign = rig.campaign([A])
    Account.objects.update(holidays_of=["IN-XX"])
    rig.tick()
    assert (rig.rings(), states(campaign)) == ([], {A: "created"})
    assert "IN-XX" in diagnosis.of_campaign(campaign, timezone.now()).summary


# Consent -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("consent", "rings"),
    [
        ({}, 0),
        ({"consent_date": "2026-03-01", "consent_scope": "promotional"}, 0),
        ({"consent_date": "2026-03-01", "consent_scope": "recorded-voice"}, 1),
        ({"consent_date": "2026-03-01", "consent_scope": "all"}, 1),
        ({"consent_date": "2026-03-03", "consent_scope": "all"}, 0),
    ],
)
def test_nobody_is_called_without_the_consent_that_a_rule_demands(rig, ruled, consent, rings):
    ruled(rules=["us"], allowed_countries=["US"], opens_at="00:00", closes_at="00:00")
    ContactFactory(account=rig.account, number=NEW_YORK, **consent)
    rig.clock.move_to(datetime(2026, 3, 2, 15, tzinfo=UTC))
    rig.campaign([NEW_YORK])
    rig.tick()
    assert len(rig.rings()) == rings
    if not rings:
        assert Call.objects.get().rule == "no-consent"


# How far back --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rules", "cap", "number", "attempts", "days"),
    [
        (["fr", "us-debt"], "1 attempt in 3 days", "+33612345678", 4, 29),
        (["fr", "us-debt"], "1 attempt in 3 days", NEW_YORK, 7, 6),
        (["ae"], "1 attempt in 3 days", "+971501234567", 2, 6),
        (["fr"], "1 attempt in 3 days", A, 1, 2),
        (["us-debt"], "1 attempt in 10 days", NEW_YORK, 1, 9),
    ],
)
def test_the_past_of_a_number_is_asked_as_far_back_as_the_rules_of_its_country_look(
    rig, ruled, rules, cap, number, attempts, days
):
    ruled(rules=rules, number_caps=[cap], allowed_countries=["FR", "US", "AE", "IN"])
    for _ in range(attempts):
        CallAttemptFactory(call__campaign__account=rig.account, call__number=number, busy=True, trunk=rig.trunk)
    CallAttempt.objects.update(account=rig.account, callee=number, placing_at=timezone.now() - timedelta(days=days))
    rig.campaign([number])
    rig.tick()
    assert held(number)[0] == "number-cap"


def test_no_attempt_that_a_limit_counts_is_left_out_of_what_is_looked_up():
    now = datetime(2026, 12, 1, tzinfo=UTC)
    for name in calling_rules.presets():
        rules = calling_rules.rules_of(Account(rules=[name], number_caps=["1 attempt in 2 hours"]))
        windows = number_gate._windows(rules)
        for region in phonenumbers.SUPPORTED_REGIONS:
            example = phonenumbers.example_number(region)
            assert example is not None
            number = phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164)
            limits = number_gate._limits(rules.to(zones.place(number, "Asia/Kolkata"), now))
            looked_at = max(window for start, window in windows if number.startswith(start))
            assert looked_at >= max(limit.within for limit in limits), (name, region)


# Cost ----------------------------------------------------------------------------------------------------------------


def test_a_batch_costs_as_many_statements_as_one_number_and_none_without_rules(
    rig, ruled, american, django_assert_num_queries
):
    campaign = rig.campaign([NEW_YORK])
    known: dict[str, Any] = {"may_be_listed": False, "may_be_connected": False}
    rings = [number_gate.Ring(n, campaign, f"+1212555{n:04d}", **known) for n in range(2, 500)]
    for batch in (rings[:1], rings):
        with django_assert_num_queries(1):  # contacts
            number_gate.check(batch, timezone.now())
    ruled(number_caps=["9 attempts in 1 day"], number_gap_seconds=5, rules=[])
    campaign.account = rig.account
    with django_assert_num_queries(1):  # past calls
        number_gate.check(rings, timezone.now())
    ruled(number_caps=[], number_gap_seconds=0)
    with django_assert_num_queries(0):
        number_gate.check(rings, timezone.now())
    with django_assert_num_queries(1):  # the list
        number_gate.check([ring._replace(may_be_listed=True) for ring in rings], timezone.now())
    with django_assert_num_queries(1):  # calls of flows to them
        number_gate.check([ring._replace(may_be_connected=True) for ring in rings], timezone.now())


def test_claim_and_dial_take_as_many_statements_with_all_rules_as_without_where_nothing_is_found(rig, ruled):
    def statements(*numbers):
        rig.campaign(list(numbers))
        schedule.start_due(timezone.now())
        with CaptureQueriesContext(connection) as claim:
            assert rig.dispatch() == len(numbers)
        with CaptureQueriesContext(connection) as dial:
            rig.dial()
        rig.settle()
        return len(claim), len(dial)

    statements(A)  # the first finds what no later one has to look for
    without = statements(B)
    ruled(rules=["in-promotional", "us-debt"], number_caps=["3 attempts in 1 day"], number_gap_seconds=60)
    DoNotCall.objects.create(account=rig.account, number=A, source="csv", added_at=timezone.now())
    ContactFactory(account=rig.account, number=C, time_zone="Asia/Kolkata")
    assert statements(C, *NUMBERS[3:30]) == without


EVERYTHING = number_gate.Asked(
    lists=True, past=(("", timedelta(days=1)), ("+1", timedelta(days=8))), contacts=True, legs=True
)
CLAIMS = [
    claiming._lock_sql(EVERYTHING, claiming._kinds((0, 1, 2), is_one=is_one, again=False)) for is_one in (True, False)
]
CLAIM_PARAMS = {"campaigns": [uuid4()], "places": [5], "account": 1, "now": datetime.now(UTC)}
DIAL = dialing._claimed_sql(EVERYTHING)


@pytest.mark.parametrize(
    ("statement", "params"),
    [*((claim, CLAIM_PARAMS) for claim in CLAIMS), (DIAL, {"attempts": [uuid4()], "now": datetime.now(UTC)})],
    ids=["claim one", "claim", "dial"],
)
def test_what_is_looked_up_with_the_calls_is_looked_up_by_indexes(db, statement, params):
    with connection.cursor() as cursor:
        # A table of one page is read as a whole, where that is known of it.
        cursor.execute("SET LOCAL enable_seqscan = off")
        forget_statistics(cursor)
        cursor.execute("EXPLAIN " + statement, params)
        plan = "\n".join(line for (line,) in cursor.fetchall())
    for index in (
        "do_not_call_number_is_unique_in_its_account",
        "do_not_call_number_is_unique_for_all",
        "attempt_to_number",
        "transfer_to_person",
    ):
        assert index in plan
    assert "hashed" not in plan
    assert "Seq Scan on contacts" not in plan


# Rules that change ---------------------------------------------------------------------------------------------------


def test_calls_are_asked_about_again_when_their_account_changes(rig, ruled, monkeypatch):
    sent = []
    monkeypatch.setattr(held_calls, "enqueue", lambda task, *args: sent.append((task, *args)))
    ruled(number_caps=["1 attempt in 1 day"])
    rig.carrier.script = {A: ["busy", "completed"], B: ["completed"]}
    retrying = rig.campaign([A], retries=1)
    rig.tick()
    fresh = rig.campaign([A, B])
    for _ in range(2):
        rig.later(minutes=11)
    assert sorted(rig.rings()) == [A, B]
    assert {rule for campaign in (retrying, fresh) for rule in campaign.calls.values_list("rule", flat=True)} == {
        "number-cap",
        "",
    }
    sent.clear()
    ruled(number_caps=["3 attempts in 1 day"])
    assert sent == [("campaigns.release_held", rig.account.pk)]
    assert held_calls.release(rig.account.pk, timezone.now()) == 2
    rig.tick()
    rig.tick()
    assert rig.rings(A) == [A, A, A]
    assert not Call.objects.exclude(rule="").exists()


def test_held_calls_to_a_contact_are_asked_about_again_when_its_zone_changes(rig, american, monkeypatch):
    sent = []
    monkeypatch.setattr(held_calls, "enqueue", lambda task, *args: sent.append((task, *args)))
    contact = rig.account.contacts.get(number=LOS_ANGELES)
    contact.time_zone = "Pacific/Honolulu"
    contact.save()
    rig.clock.move_to(datetime(2026, 3, 2, 16, 30, tzinfo=UTC))
    campaign = rig.campaign([LOS_ANGELES])
    rig.tick()
    assert held(LOS_ANGELES)[1] == datetime(2026, 3, 2, 18, tzinfo=UTC)
    address_book.change(rig.account, [(contact, {"first_name": "Ann"})], actor=ACTOR)
    assert sent == []
    address_book.change(rig.account, [(contact, {"time_zone": "America/Los_Angeles"})], actor=ACTOR)
    assert sent == [("campaigns.release_held", rig.account.pk, [LOS_ANGELES])]
    assert held_calls.release(rig.account.pk, timezone.now(), [NEW_YORK]) == 0
    assert held_calls.release(rig.account.pk, timezone.now(), [LOS_ANGELES]) == 1
    rig.tick()
    assert states(campaign) == {LOS_ANGELES: "completed"}


# What people see -----------------------------------------------------------------------------------------------------


def test_the_diagnosis_says_how_many_calls_each_rule_holds_and_until_when(rig, ruled, american, redis):
    for process in diagnosis.NEEDED:
        redis.set(f"progress:{process}", redis_time(redis))
    ruled(number_caps=["1 attempt in 3 hours"])
    rig.clock.move_to(datetime(2026, 3, 2, 15, tzinfo=UTC))
    rig.campaign([NEW_YORK])
    rig.tick()
    campaign = rig.campaign([NEW_YORK, LOS_ANGELES])
    rig.tick()
    found = diagnosis.of_campaign(campaign, timezone.now())
    assert (found.calls.due, found.calls.up, found.calls.total) == (0, 0, 2)
    told = {reason.code: (reason.message, reason.until) for reason in found.reasons}
    assert told["outside-recipients-hours"] == (
        "1 call held: outside the hours of the people called, the first until 2026-03-02 21:30 IST",
        datetime(2026, 3, 2, 16, tzinfo=UTC),
    )
    assert told["number-cap"][1] == datetime(2026, 3, 2, 18, tzinfo=UTC)
    assert told["nothing-due"][0] == "nothing is due: 2 calls held"
    assert found.next_attempt_at == datetime(2026, 3, 2, 16, tzinfo=UTC)
    first, second = diagnosis.of_calls(list(campaign.calls.order_by("id")), found, timezone.now())
    assert first.summary == (
        "not dialled yet: the number has had 1 attempt in 3 hours: not before 2026-03-02 23:30 IST"
    )
    assert second.summary.startswith("not dialled yet: outside the recipient's hours 08:00-21:00 America/Los_Angeles")
    assert second.next_attempt_at == datetime(2026, 3, 2, 16, tzinfo=UTC)


def test_a_campaign_with_held_calls_that_ends_cancels_them(rig, american):
    rig.carrier.script[NEW_YORK] = ["busy"]
    campaign = rig.campaign([NEW_YORK, LOS_ANGELES], end_at=datetime(2026, 3, 2, 15, tzinfo=UTC), retries=1)
    rig.tick()
    assert states(campaign) == {NEW_YORK: "created", LOS_ANGELES: "created"}
    rig.later(hours=7, minutes=30)
    rig.later(hours=2)
    assert states(campaign) == {NEW_YORK: "failed", LOS_ANGELES: "canceled"}
    campaign.refresh_from_db()
    assert campaign.status == "completed"
