"""GET /campaigns/<id>/call-details: a record for every attempt, and for every number that a rule kept from any."""

from datetime import UTC, datetime, timedelta
from itertools import chain

import pytest
from django.db import connection

from dialer.models import CallAttempt
from reports import call_details
from tests.factories import CallAttemptFactory, CallFactory, CampaignFactory, TransferFactory
from tests.plans import forget_statistics

pytestmark = pytest.mark.usefixtures("shared_account")

AT = datetime(2026, 3, 2, 6, 0, tzinfo=UTC)


@pytest.fixture
def row(account):
    return CampaignFactory(account=account, running=True, with_retries=True, caller_id_given="08047113311")


@pytest.fixture
def tried_twice(row):
    """A call that was busy and then answered."""
    call = CallFactory(campaign=row, completed=True, number="+919810012345", name="Asha", attempts_made=2)
    busy = CallAttemptFactory(call=call, busy=True, claimed_at=AT)
    answered = CallAttemptFactory(
        call=call,
        completed=True,
        number=2,
        claimed_at=AT + timedelta(minutes=5),
        duration_seconds=20,
        digits="1#",
        recording_url="https://carrier.example/r.mp3",
    )
    return busy, answered


def details(api, row, query=""):
    return api.get(f"/campaigns/{row.pk.hex}/call-details{query}")


def test_each_attempt_is_a_record_of_its_own(api, row, tried_twice):
    response = details(api, row)
    assert [(record["call_sid"], record["status"]) for record in response.records] == [
        (tried_twice[0].pk.hex, "busy"),
        (tried_twice[1].pk.hex, "completed"),
    ]
    assert response.metadata == {"count": 2, "offset": 0, "total": 2, "limit": 20}


def test_a_record_says_why_nobody_was_reached_and_what_the_person_asks_for(api, row, tried_twice):
    failed = CallAttemptFactory(
        call=CallFactory(campaign=row, failed=True), failed=True, wish="opt-out", reason="in NDNC"
    )
    declined = CallAttemptFactory(
        call=CallFactory(campaign=row, failed=True), busy=True, wish="refusal", reason="declined"
    )
    CallAttemptFactory(call=CallFactory(campaign=row, completed=True), completed=True, reason="the callee hung up")
    told = {record["call_sid"]: (record.get("reason"), record.get("wish")) for record in details(api, row).records}
    assert told[failed.pk.hex] == ("in NDNC", "opt-out")
    assert told[declined.pk.hex] == ("declined", "refusal")
    assert set(told.values()) == {("in NDNC", "opt-out"), ("declined", "refusal"), (None, None)}


def test_a_record_has_the_fields_of_exotels_documentation_and_local_times(api, row, tried_twice):
    record = details(api, row, "?status=completed").records[0]
    expected = {
        "call_sid": tried_twice[1].pk.hex,
        "number": "+919810012345",
        "name": "Asha",
        "status": "completed",
        "duration": 20,
        "digits": "1#",
        "digit": "1#",
        "recording_url": "https://carrier.example/r.mp3",
        "date_created": "2026-03-02T11:35:00+05:30",
        "start_time": "2026-03-02T11:35:01+05:30",
        "end_time": "2026-03-02T11:36:00+05:30",
        "caller_id": "08047113311",
        "direction": "Outgoing",
    }
    assert {name: record[name] for name in expected} == expected


def test_times_follow_the_accounts_zone(api, account, row, tried_twice):
    account.time_zone = "America/New_York"
    account.save()
    assert details(api, row).records[0]["date_created"] == "2026-03-02T01:00:00-05:00"


def test_duration_is_a_whole_number_for_a_call_without_an_answer_too(api, row, tried_twice):
    assert [record["duration"] for record in details(api, row).records] == [0, 20]
    assert {type(record["duration"]) for record in details(api, row).records} == {int}


def test_the_singular_path_is_the_same(api, row, tried_twice):
    singular = api.get(f"/campaign/{row.pk.hex}/call-details")
    assert len(singular.records) == 2
    assert singular.records == details(api, row).records


def test_a_campaign_without_attempts_has_an_empty_array(api, row):
    CallFactory(campaign=row)
    response = details(api, row)
    assert response.records == []
    assert response.metadata == {"count": 0, "offset": 0, "total": 0, "limit": 20}


def test_attempts_of_another_campaign_are_not_shown(api, account, row, tried_twice):
    assert details(api, CampaignFactory(account=account, running=True)).records == []


@pytest.mark.parametrize("state", ["placing", "in_progress", "unknown"])
def test_an_attempt_that_is_under_way_is_in_progress(api, row, state):
    CallAttemptFactory(call=CallFactory(campaign=row, in_progress=True), **{state: True})
    record = details(api, row).records[0]
    assert (record["status"], record["end_time"], record["duration"]) == ("in-progress", None, 0)


@pytest.mark.parametrize("state", [{}, {"canceled": True}])
def test_an_attempt_that_no_carrier_was_asked_for_is_not_shown(api, row, state):
    """The attempt is claimed and waits for its turn, or was given back: no phone can have rung."""
    call = CallFactory(campaign=row, in_progress=True) if not state else CallFactory(campaign=row)
    CallAttemptFactory(call=call, **state)
    assert details(api, row).records == []


@pytest.mark.parametrize(
    ("status", "found"),
    [
        ("completed", ["completed"]),
        ("no-answer", ["no-answer"]),
        ("NoAnswer", ["no-answer"]),
        ("no_answer", ["no-answer"]),
        ("failed, BUSY", ["busy", "failed"]),
        ("busy,busy", ["busy"]),
        ("in-progress", ["in-progress", "in-progress"]),
        ("InProgress,completed", ["completed", "in-progress", "in-progress"]),
        ("canceled", []),
        (",", ["busy", "completed", "failed", "in-progress", "in-progress", "no-answer"]),
    ],
)
def test_records_are_filtered_by_states_in_any_spelling(api, row, status, found):
    for outcome in ("completed", "busy", "no_answer", "failed"):
        call = (
            CallFactory(campaign=row, completed=True)
            if outcome == "completed"
            else CallFactory(campaign=row, failed=True)
        )
        CallAttemptFactory(call=call, **{outcome: True})
    for under_way in ("placing", "in_progress"):
        CallAttemptFactory(call=CallFactory(campaign=row, in_progress=True), **{under_way: True})
    response = details(api, row, f"?status={status}")
    assert sorted(record["status"] for record in response.records) == found
    assert response.metadata["total"] == len(found)


def test_records_come_in_pages_in_either_order(api, row):
    attempts = [
        CallAttemptFactory(
            call=CallFactory(campaign=row, completed=True), completed=True, claimed_at=AT + timedelta(minutes=minutes)
        ).pk.hex
        for minutes in range(5)
    ]

    def sids(query):
        return [record["call_sid"] for record in details(api, row, query).records]

    assert sids("?offset=1&limit=2") == attempts[1:3]
    assert sids("?offset=4&limit=2") == attempts[4:]
    assert sids("?sort_by=date_created:desc&limit=2") == [attempts[4], attempts[3]]
    assert details(api, row, "?limit=100000").metadata == {"count": 5, "offset": 0, "total": 5, "limit": 500}


def test_the_number_of_queries_does_not_grow_with_the_page(api, row, django_assert_max_num_queries):
    for _ in range(20):
        CallAttemptFactory(call=CallFactory(campaign=row, completed=True), completed=True)
    with django_assert_max_num_queries(8):
        assert len(details(api, row).records) == 20


def test_calls_to_other_numbers_are_shown_where_there_are_any(api, row, tried_twice):
    _, answered = tried_twice
    times = {"started_at": AT, "ended_at": AT + timedelta(seconds=30)}
    TransferFactory(attempt=answered, place="0.1", number="+912222222221", outcome="no-answer", **times)
    TransferFactory(
        attempt=answered, place="0.2", number="+912222222222", outcome="completed", talk_seconds=12, **times
    )
    TransferFactory(attempt=answered, place="0.3", number="+912222222223", started_at=AT)
    refused = {"rule": "number-cap", "reason": "the number has had 1 attempt in 1 hour", "placing_at": None}
    ended = {"started_at": AT, "ended_at": AT, "outcome": "failed"}
    TransferFactory(attempt=answered, place="0.4", number="+912222222224", **refused, **ended)
    first, second = details(api, row).records
    assert "transfers" not in first
    shown = [
        (leg["number"], leg["status"], leg.get("ring_duration"), leg["duration"], leg["end_time"])
        for leg in second["transfers"]
    ]
    assert shown == [
        ("+912222222221", "no-answer", 30, 0, "2026-03-02T11:30:30+05:30"),
        ("+912222222222", "completed", 18, 12, "2026-03-02T11:30:30+05:30"),
        ("+912222222223", "in-progress", None, 0, None),
        ("+912222222224", "failed", 0, 0, "2026-03-02T11:30:00+05:30"),
    ]
    said = [(leg.get("rule"), leg.get("reason")) for leg in second["transfers"]]
    assert said == [(None, None)] * 3 + [("number-cap", "the number has had 1 attempt in 1 hour")]


# Numbers that were never dialed ---------------------------------------------------------------------------------------


def never(row, number, minute, **columns):
    """A call that a rule ended before any attempt."""
    untried = {"attempts_made": 0, "was_placed": False, "last_outcome": "", "ended_at": AT + timedelta(minutes=minute)}
    ended = {"failed": True, "rule": "do-not-call", "end_reason": "on the do-not-call list"} | columns
    return CallFactory(campaign=row, number=number, **untried | ended)


def test_a_number_that_a_rule_kept_from_being_dialed_is_a_record_with_the_reason(api, row):
    never(row, "+919810012345", 3, name="Asha")
    [record] = details(api, row).records
    assert record == {
        "call_sid": None,
        "number": "+919810012345",
        "name": "Asha",
        "status": "failed",
        "attempt_number": 0,
        "duration": 0,
        "digits": "",
        "digit": "",
        "recording_url": "",
        "date_created": "2026-03-02T11:33:00+05:30",
        "start_time": None,
        "answer_time": None,
        "end_time": "2026-03-02T11:33:00+05:30",
        "caller_id": "08047113311",
        "direction": "Outgoing",
        "reason": "on the do-not-call list",
        "rule": "do-not-call",
        "end_reason": "on the do-not-call list",
    }


def test_it_stands_among_the_attempts_in_the_order_of_time_and_in_pages(api, row):
    dialed = [
        CallAttemptFactory(
            call=CallFactory(campaign=row, failed=True), busy=True, claimed_at=AT + timedelta(minutes=minute)
        )
        for minute in (0, 2, 4)
    ]
    # At one moment, as they end in batches: by their keys.
    kept = [never(row, f"+9198100{place:05}", minute) for place, minute in enumerate((1, 3, 3, 3, 5))]
    numbers = [dialed[0], kept[0], dialed[1], *kept[1:4], dialed[2], kept[4]]
    expected = [record.callee if isinstance(record, CallAttempt) else record.number for record in numbers]

    def page(query):
        response = details(api, row, query)
        assert response.metadata["total"] == 8
        return [record["number"] for record in response.records]

    assert page("") == expected
    assert page("?sort_by=date_created:desc") == expected[::-1]
    for limit in (1, 2, 3):
        for order in ("asc", "desc"):
            query = f"?sort_by=date_created:{order}&limit={limit}"
            pages = [page(f"{query}&offset={offset}") for offset in range(0, 8, limit)]
            assert list(chain.from_iterable(pages)) == (expected if order == "asc" else expected[::-1])


@pytest.mark.parametrize(
    ("status", "found"),
    [("failed", ["listed", "tried"]), ("canceled", ["taken out"]), ("canceled,busy", ["busy", "taken out"])],
)
def test_it_is_filtered_by_its_state(api, row, status, found):
    never(row, "+919810000001", 0, name="listed")
    out = {"failed": False, "canceled": True, "rule": "taken-out", "end_reason": "the number was taken out"}
    never(row, "+919810000002", 0, name="taken out", **out)
    for name, outcome in (("tried", "failed"), ("busy", "busy")):
        CallAttemptFactory(call=CallFactory(campaign=row, failed=True, name=name), **{outcome: True})
    assert sorted(record["name"] for record in details(api, row, f"?status={status}").records) == found


def test_other_numbers_without_an_attempt_are_no_records(api, account, row):
    """Those that wait, held ones too, those that came too late, and those of another campaign."""
    CallFactory(campaign=row)
    CallFactory(campaign=row, next_attempt_at=AT + timedelta(days=1), rule="number-cap")
    CallFactory(campaign=row, canceled=True)
    never(CampaignFactory(account=account, running=True), "+919810012345", 0)
    assert details(api, row).records == []


def test_the_last_attempt_of_a_number_that_a_rule_ended_says_so(api, row):
    call = CallFactory(
        campaign=row, failed=True, rule="do-not-call", end_reason="on the do-not-call list", last_outcome="busy"
    )
    CallAttemptFactory(call=call, busy=True)
    going_on = CallFactory(campaign=row, in_progress=True, rule="taken-out")
    CallAttemptFactory(call=going_on, in_progress=True)
    told = {record["number"]: (record.get("rule"), record.get("end_reason")) for record in details(api, row).records}
    assert told == {call.number: ("do-not-call", "on the do-not-call list"), going_on.number: (None, None)}


def test_many_of_them_take_as_many_queries_as_one(api, row, django_assert_max_num_queries):
    CallAttemptFactory(call=CallFactory(campaign=row, completed=True), completed=True)
    for minute in range(20):
        never(row, f"+9198100{minute:05}", minute)
    with django_assert_max_num_queries(10):
        assert len(details(api, row, "?limit=100").records) == 21


def test_they_are_found_by_an_index(row):
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SET LOCAL enable_bitmapscan = off")
        forget_statistics(cursor)
    plan = call_details.never_dialed(row, ["failed"]).order_by("ended_at", "id").explain()
    assert "call_never_dialed" in plan
    assert "Sort" not in plan
