"""The tally of attempts by hour equals a count of the attempts, whatever ends them."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import call_command
from django.db.models import Sum
from django.utils import timezone

from campaigns.models import Campaign
from dialer import hour_tally, tasks
from dialer.models import CallAttempt, HourTally
from tests.conftest import NUMBERS
from tests.factories import CallAttemptFactory

KIND = ("account_id", "campaign_id", "caller_id_id", "hour", "outcome", "number", "digits", "talk_from")


def counted() -> dict[tuple, tuple[int, int]]:
    """Count the attempts themselves, in Python."""
    kinds: Counter[tuple] = Counter()
    seconds: Counter[tuple] = Counter()
    ended = CallAttempt.objects.exclude(status__in=[*CallAttempt.UNFINISHED, "canceled"])
    for attempt in ended.select_related("account", "campaign"):
        assert attempt.placing_at
        local = attempt.placing_at.astimezone(attempt.account.zone)
        talk_from = None
        if attempt.status == "completed" and attempt.duration_seconds is not None:
            talk_from = max(bound for bound in hour_tally.TALK_BOUNDS if bound <= attempt.duration_seconds)
        kind = (
            *(attempt.account_id, attempt.campaign_id, attempt.campaign.caller_id_id),
            local.replace(minute=0, second=0, microsecond=0).astimezone(UTC),
            *(attempt.status, attempt.number, attempt.digits if len(attempt.digits) <= 3 else "more", talk_from),
        )
        kinds[kind] += 1
        seconds[kind] += attempt.duration_seconds or 0
    return {kind: (count, seconds[kind]) for kind, count in kinds.items()}


def tallied() -> dict[tuple, tuple[int, int]]:
    rows = HourTally.objects.values_list(*KIND).annotate(Sum("attempts"), Sum("seconds"))
    return {tuple(kind): (count, seconds) for *kind, count, seconds in rows if count or seconds}


def test_at_every_step_of_a_campaign(rig):
    rig.carrier.script = {NUMBERS[1]: ["busy"], NUMBERS[2]: ["no-answer", "completed"], NUMBERS[3]: ["refused"]}
    rig.campaign(5, retries=1)
    rig.tick()
    assert tallied() == counted()
    rig.later(minutes=10)
    assert tallied() == counted()
    assert {(kind[4], kind[5]): count for kind, (count, _) in tallied().items()} == {
        ("completed", 1): 2,
        ("completed", 2): 1,
        ("busy", 1): 1,
        ("busy", 2): 1,
        ("no-answer", 1): 1,
        ("failed", 1): 1,
    }


@pytest.fixture
def attempt(db):
    return CallAttemptFactory(in_progress=True, claimed_at=datetime(2026, 3, 2, 6, 10, tzinfo=UTC))


def end(attempt: CallAttempt, **columns) -> None:
    columns = {"status": "completed", "ended_at": attempt.claimed_at + timedelta(minutes=1)} | columns
    CallAttempt.objects.filter(pk=attempt.pk).update(**columns)


def test_the_hour_is_that_of_the_dial_by_the_clock_of_the_account(attempt):
    end(attempt, duration_seconds=3)
    assert HourTally.objects.get().hour == datetime(2026, 3, 2, 5, 30, tzinfo=UTC), "11:40 in India"
    assert tallied() == counted()


@pytest.mark.parametrize(
    ("seconds", "talk_from"), [(0, 0), (5, 0), (6, 6), (299, 120), (300, 300), (90_000, 300), (None, None)]
)
def test_talks_are_in_classes(attempt, seconds, talk_from):
    end(attempt, duration_seconds=seconds)
    assert (HourTally.objects.get().talk_from, HourTally.objects.get().seconds) == (talk_from, seconds or 0)
    assert tallied() == counted()


def test_a_talk_of_no_answer_is_in_no_class(attempt):
    end(attempt, status="failed", duration_seconds=0)
    assert HourTally.objects.get().talk_from is None


@pytest.mark.parametrize(("digits", "told"), [("", ""), ("12#", "12#"), ("1234", "more"), ("9" * 255, "more")])
def test_long_inputs_are_not_told(attempt, digits, told):
    end(attempt, digits=digits)
    assert HourTally.objects.get().digits == told
    assert tallied() == counted()


def test_news_after_the_end_moves_the_attempt_to_its_kind(attempt):
    end(attempt, duration_seconds=3)
    CallAttempt.objects.update(duration_seconds=40, digits="2")
    [(kind, sums)] = tallied().items()
    assert (kind[-2:], sums) == (("2", 30), (1, 40))
    CallAttempt.objects.update(recording_url="https://carrier.example/1")
    assert HourTally.objects.count() == 3, "what is not tallied adds no row"


def test_an_attempt_that_is_given_back_counts_for_nothing(attempt):
    end(attempt, status="canceled")
    CallAttempt.objects.update(digits="1")
    assert not HourTally.objects.exists()


def test_adding_up_changes_no_sum_and_leaves_a_row_for_each_kind(attempt, clock):
    same = {"call__campaign": attempt.campaign, "claimed_at": attempt.claimed_at, "in_progress": True}
    for one in (attempt, CallAttemptFactory(**same), CallAttemptFactory(**same)):
        end(one, duration_seconds=9)
    end(CallAttemptFactory(**same), status="busy")
    before = tallied()
    assert (HourTally.objects.count(), len(before)) == (4, 2)
    tasks.compact_usage()
    assert tallied() == before
    assert HourTally.objects.filter(is_sum=True).count() == HourTally.objects.count() == 2
    assert hour_tally.compact(timezone.now()) == 0, "there are no new rows"


def test_hours_are_kept_for_more_than_a_year_also_of_campaigns_that_are_gone(attempt):
    end(attempt)
    Campaign.objects.all().delete()
    hour_tally.compact(attempt.claimed_at + timedelta(days=399))
    assert HourTally.objects.get().is_sum
    assert hour_tally.compact(attempt.claimed_at + timedelta(days=401)) == 1
    assert not HourTally.objects.exists()


def test_a_statement_writes_as_many_rows_for_sixty_attempts_as_for_two(rig):
    rows = []
    for calls in (2, 60):
        rig.campaign(calls)
        rig.tick()
        rows.append(HourTally.objects.count())
        HourTally.objects.all().delete()
        CallAttempt.objects.all().delete()
    assert rows[0] == rows[1]


def test_what_is_counted_wrongly_is_found_and_corrected(attempt, capsys):
    end(attempt, digits="1")
    other = CallAttemptFactory(completed=True)  # written by no UPDATE
    HourTally.objects.update(digits="2")

    call_command("recount_hours", "--check", "--json")
    assert json.loads(capsys.readouterr().out) == {"campaigns": 2, "wrong": 3, "corrected": False}
    call_command("recount_hours")

    assert tallied() == counted()
    assert hour_tally.discrepancies([attempt.campaign_id, other.campaign_id]) == 0
    assert hour_tally.correct([attempt.campaign_id]) == 0


def test_a_campaign_that_is_being_deleted_keeps_its_tally(attempt):
    end(attempt)
    Campaign.objects.update(status="completed", ended_at=attempt.claimed_at, is_purging=True)
    CallAttempt.objects.all().delete()
    assert hour_tally.correct([attempt.campaign_id]) == 0
    assert HourTally.objects.count() == 1
