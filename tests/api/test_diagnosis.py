"""GET /campaigns/<id>/diagnosis: why a campaign dials or does not, and what became of a number."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from accounts.models import Trunk
from api.campaigns.diagnosis import MOST_CALLS
from dialer.diagnosis import NEEDED
from tests.conftest import redis_time
from tests.factories import (
    CallAttemptFactory,
    CallerIdHealthFactory,
    CallFactory,
    CampaignFactory,
    TrunkHealthFactory,
)

pytestmark = pytest.mark.usefixtures("shared_account")

# 11:30 in India.
NOW = datetime(2026, 3, 2, 6, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def now(redis):
    with time_machine.travel(NOW, tick=False):
        for who in NEEDED:
            redis.set(f"progress:{who}", redis_time(redis))
        yield


@pytest.fixture
def row(account):
    return CampaignFactory(account=account, running=True, with_retries=True, name="Renewals")


def diagnose(api, row, query=""):
    return api.get(f"/campaigns/{row.pk.hex}/diagnosis{query}")


def test_a_campaign_says_why_it_dials_nothing(api, account, row):
    account.opens_at, account.closes_at = "12:00", "21:00"
    account.save()
    CallFactory.create_batch(2, campaign=row)
    CallFactory(campaign=row, completed=True)
    sentence = "outside the calling hours 12:00-21:00 Asia/Kolkata until 2026-03-02 12:00 IST"
    assert diagnose(api, row).data == {
        "campaign_sid": row.pk.hex,
        "status": "InProgress",
        "summary": sentence,
        "reasons": [{"code": "outside-calling-hours", "message": sentence, "until": "2026-03-02T12:00:00+05:30"}],
        "calls": {"total": 3, "due": 2, "up": 0, "waiting_for_retry": 0, "ended": 1},
        "last_placed_at": None,
        "next_attempt_at": "2026-03-02T12:00:00+05:30",
    }


def test_the_trunks_error_is_the_operators_business(api, row):
    TrunkHealthFactory(trunk=row.caller_id.trunk, down=True, last_error="402 at operator1")
    (reason,) = diagnose(api, row).data["reasons"]
    assert reason["code"] == "trunk-down"
    assert "operator1" not in str(diagnose(api, row).envelope)


@pytest.mark.parametrize(
    ("code", "of_trunk", "of_caller_id"),
    [
        ("trunk-down", {"down": True}, {}),
        ("trunk-on-trial", {"failures": 2, "down_since": NOW, "resting_until": NOW - timedelta(seconds=1)}, {}),
        ("caller-id-down", {}, {"down": True}),
        ("caller-id-on-trial", {}, {"failures": 2, "down_since": NOW, "resting_until": NOW - timedelta(seconds=1)}),
    ],
)
def test_no_trunk_is_named_to_a_tenant(api, row, code, of_trunk, of_caller_id):
    CallFactory(campaign=row)
    trunk = row.caller_id.trunk
    Trunk.objects.filter(pk=trunk.pk).update(name="the-shared-way-out")
    if of_trunk:
        TrunkHealthFactory(trunk=trunk, **of_trunk)
    if of_caller_id:
        CallerIdHealthFactory(caller_id=row.caller_id, **of_caller_id)
    found = diagnose(api, row)
    assert code in [reason["code"] for reason in found.data["reasons"]]
    assert "the-shared-way-out" not in str(found.envelope)


def test_a_number_tells_its_attempts(api, row):
    call = CallFactory(
        campaign=row, retrying=True, number="+919810012345", next_attempt_at=NOW + timedelta(minutes=170)
    )
    attempt = CallAttemptFactory(call=call, busy=True, claimed_at=NOW - timedelta(minutes=5))
    attempt.history.create(from_status="claimed", to_status="busy", at=NOW, reason="the callee is on the phone")
    (told,) = diagnose(api, row, "?number=%2B919810012345").data["calls_to_number"]
    assert told == {
        "number": "+919810012345",
        "status": "retrying",
        "summary": "rung once: busy; retry 1 at 2026-03-02 14:20 IST",
        "next_attempt_at": "2026-03-02T14:20:00+05:30",
        "attempts": [
            {
                "call_sid": attempt.pk.hex,
                "attempt_number": 1,
                "status": "busy",
                "reason": "",
                "history": [
                    {"status": "claimed", "at": "2026-03-02T11:25:00+05:30", "reason": ""},
                    {"status": "busy", "at": "2026-03-02T11:30:00+05:30", "reason": "the callee is on the phone"},
                ],
            }
        ],
    }


@pytest.mark.parametrize(
    ("columns", "rule"),
    [
        ({"retrying": True, "rule": "number-cap"}, "number-cap"),
        ({"rule": "number-cap", "next_attempt_at": NOW + timedelta(hours=1)}, "number-cap"),
        ({"failed": True, "rule": "do-not-call"}, "do-not-call"),
        ({"canceled": True, "rule": "taken-out"}, "taken-out"),
        ({"canceled": True}, None),
        ({"completed": True, "rule": "taken-out"}, None),
        ({"in_progress": True, "rule": "taken-out"}, None),
    ],
)
def test_the_rule_of_a_number_is_the_one_that_holds_or_has_ended_it(api, row, columns, rule):
    """Not of a call that is up or answered: one that was taken out meanwhile keeps the mark."""
    CallFactory(campaign=row, number="+919810012345", **columns)
    (told,) = diagnose(api, row, "?number=%2B919810012345").data["calls_to_number"]
    assert told.get("rule") == rule


def test_a_number_is_found_as_people_write_it_and_each_of_its_calls_is_told(api, row):
    CallFactory.create_batch(2, campaign=row, number="+919810012345")
    for spelling in ("098100 12345", "919810012345", "+919810012345"):
        assert len(diagnose(api, row, f"?number={spelling}").data["calls_to_number"]) == 2, spelling


def test_of_a_number_that_is_called_again_and_again_the_first_calls_are_told(api, row):
    CallFactory.create_batch(MOST_CALLS + 1, campaign=row, number="+919810012345")
    assert len(diagnose(api, row, "?number=919810012345").data["calls_to_number"]) == MOST_CALLS


def test_an_invalid_number_and_one_that_the_campaign_does_not_call(api, row):
    CallFactory(number="+919810012345")
    assert diagnose(api, row, "?number=12").is_refused(400, "number", "%2B")
    assert diagnose(api, row, "?number=%2B919810012345").is_refused(404, "no call to +919810012345")


def test_another_accounts_campaign_is_unknown(other, row):
    assert diagnose(other, row).is_refused(404, "no campaign")


def test_every_state_has_an_response(api, account):
    for state in ("paused", "paused_before_start", "completed", "failed", "canceled", "archived", "deleted"):
        row = CampaignFactory(account=account, **{state: True})
        assert diagnose(api, row).data["summary"].startswith("the campaign is "), state
    assert diagnose(api, CampaignFactory(account=account)).data["summary"] == "the campaign starts 2026-03-02 12:30 IST"


def test_it_only_reads(api, row):
    assert api.post(f"/campaigns/{row.pk.hex}/diagnosis", {}).is_refused(405)
