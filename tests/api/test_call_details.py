"""GET /campaigns/<id>/call-details: a record for every attempt."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.factories import CallAttemptFactory, CallFactory, CampaignFactory, TransferFactory

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
    with django_assert_max_num_queries(7):
        assert len(details(api, row).records) == 20


def test_calls_to_other_numbers_are_shown_where_there_are_any(api, row, tried_twice):
    _, answered = tried_twice
    times = {"started_at": AT, "ended_at": AT + timedelta(seconds=30)}
    TransferFactory(attempt=answered, place="0.1", number="+912222222221", outcome="no-answer", **times)
    TransferFactory(
        attempt=answered, place="0.2", number="+912222222222", outcome="completed", talk_seconds=12, **times
    )
    TransferFactory(attempt=answered, place="0.3", number="+912222222223", started_at=AT)
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
    ]
