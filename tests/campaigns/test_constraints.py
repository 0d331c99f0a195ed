"""The database refuses impossible rows, whatever code writes them."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.models import Account, Trunk
from campaigns.models import Call, Campaign
from dialer.models import CallAttempt
from tests.factories import (
    AccountFactory,
    CallAttemptFactory,
    CallerIdFactory,
    CallFactory,
    CampaignFactory,
    ContactFactory,
    ContactListFactory,
    CsvUploadFactory,
    FlowFactory,
    ListEntryFactory,
)

pytestmark = pytest.mark.django_db


def refused(constraint: str, row: Any, **columns: Any) -> None:
    """Assert that the row is accepted as it is, and refused with these columns by this constraint."""
    model = type(row)
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        model.objects.filter(pk=row.pk).update(**columns)


@pytest.mark.parametrize(
    ("constraint", "traits", "columns"),
    [
        ("campaign_has_an_end_exactly_when_ended", {"running": True}, {"status": "completed"}),
        ("campaign_has_an_end_exactly_when_ended", {"running": True}, {"ended_at": timezone.now()}),
        ("campaign_in_progress_has_started", {}, {"status": "in-progress"}),
        ("campaign_not_started_stays_so", {}, {"started_at": timezone.now()}),
        ("campaign_is_purged_after_its_end", {"running": True}, {"is_purging": True}),
        ("campaign_is_purged_after_its_end", {"completed": True}, {"is_purging": True, "is_ending": True}),
        ("campaign_is_ending_by_time_or_on_request", {"canceled": True}, {"is_ending": True}),
        ("campaign_keeps_its_own_end", {}, {"end_at": timezone.now()}),
        ("campaign_has_at_most_three_retries", {}, {"number_of_retries": 4, "retry_interval_mins": 1}),
        ("campaign_with_retries_has_an_interval", {}, {"number_of_retries": 1, "retry_interval_mins": None}),
        ("campaign_retries_on_failures_only", {}, {"retry_on_status": ["completed"]}),
        ("campaign_with_its_own_throttle_has_one", {}, {"mode": "custom", "throttle": None}),
        ("campaign_has_either_a_flow_or_a_text", {}, {"text": "Hello", "flow_type": "ivr"}),
        ("campaign_has_either_a_flow_or_a_text", {}, {"flow": None, "flow_url": ""}),
        ("campaign_has_either_a_flow_or_a_text", {"greeting": True}, {"text": ""}),
        ("campaign_has_either_a_flow_or_a_text", {"greeting": True}, {"flow_type": ""}),
        ("campaign_repeats_a_menu_only", {}, {"repeat_menu_attempts": 1}),
        ("campaign_repeats_a_menu_only", {"greeting": True}, {"repeat_menu_attempts": 1}),
        ("campaign_has_five_lists_or_one_dynamic_list", {}, {"list_ids": [uuid4() for _ in range(6)]}),
        ("campaign_has_five_lists_or_one_dynamic_list", {}, {"type": "dynamic"}),
        ("campaign_has_five_lists_or_one_dynamic_list", {}, {"type": "dynamic", "list_ids": [uuid4(), uuid4()]}),
    ],
)
def test_impossible_campaigns(constraint, traits, columns):
    refused(constraint, CampaignFactory(**traits), **columns)


def test_a_campaign_that_ends_before_it_starts():
    campaign = CampaignFactory()
    refused("campaign_ends_after_it_starts", campaign, expires_at=campaign.send_at - timedelta(seconds=1))


@pytest.mark.parametrize(
    ("constraint", "traits", "columns"),
    [
        ("call_has_an_end_exactly_when_ended", {}, {"status": "failed"}),
        ("call_has_an_end_exactly_when_ended", {"completed": True}, {"ended_at": None}),
        ("call_waiting_for_a_retry_knows_when", {"retrying": True}, {"next_attempt_at": None}),
        ("call_waiting_for_a_retry_knows_when", {"completed": True}, {"next_attempt_at": timezone.now()}),
        ("call_not_attempted_waits_for_a_rule_only", {}, {"next_attempt_at": timezone.now()}),
        ("call_not_attempted_waits_for_a_rule_only", {}, {"rule": "do-not-call"}),
        ("call_created_was_never_attempted", {}, {"attempts_made": 1}),
        ("call_canceled_after_attempts_was_taken_out", {"canceled": True}, {"attempts_made": 1}),
        ("call_canceled_after_attempts_was_taken_out", {"failed": True}, {"status": "canceled", "rule": "do-not-call"}),
        ("call_completed_was_answered", {"completed": True}, {"last_outcome": "busy"}),
    ],
)
def test_impossible_calls(constraint, traits, columns):
    refused(constraint, CallFactory(**traits), **columns)


@pytest.mark.parametrize(
    ("constraint", "traits", "columns"),
    [
        ("attempt_has_an_end_exactly_when_ended", {"in_progress": True}, {"status": "busy"}),
        ("attempt_has_an_end_exactly_when_ended", {"busy": True}, {"ended_at": None}),
        ("attempt_that_rings_was_placed", {}, {"status": "placing"}),
        ("attempt_that_was_placed_has_a_carrier_account", {"placing": True}, {"carrier_account": None}),
        ("attempt_numbers_start_at_one", {}, {"number": 0}),
    ],
)
def test_impossible_attempts(constraint, traits, columns):
    refused(constraint, CallAttemptFactory(**traits), **columns)


def test_a_call_has_at_most_one_unfinished_attempt():
    attempt = CallAttemptFactory(in_progress=True)
    with pytest.raises(IntegrityError, match="call_has_at_most_one_unfinished_attempt"), transaction.atomic():
        CallAttemptFactory(call=attempt.call, number=2)


def test_an_attempt_number_is_used_once_unless_the_attempt_was_given_back():
    call = CallFactory(retrying=True)
    CallAttemptFactory(call=call, canceled=True)
    CallAttemptFactory(call=call, busy=True)
    with pytest.raises(IntegrityError, match="attempt_number_is_unique_in_its_call"), transaction.atomic():
        CallAttemptFactory(call=call, busy=True)


def test_one_call_at_the_carrier_belongs_to_one_attempt():
    first = CallAttemptFactory(in_progress=True)
    second = CallAttemptFactory(in_progress=True, trunk=first.trunk)
    refused("carrier_ref_belongs_to_one_attempt", second, carrier_ref=first.carrier_ref)


@pytest.mark.parametrize(
    ("constraint", "columns"),
    [
        ("account_has_a_channel", {"channels": 0}),
        ("account_may_start_calls", {"starts_per_minute": 0}),
        ("account_may_ask", {"requests_per_minute": 0}),
        ("account_closes_after_it_opens", {"opens_at": "10:30", "closes_at": "10:30"}),
    ],
)
def test_impossible_accounts(constraint, columns):
    refused(constraint, AccountFactory(), **columns)


@pytest.mark.parametrize(
    ("constraint", "factory", "columns"),
    [
        ("list_with_columns_is_dynamic", ContactListFactory, {"columns": ["Fee"]}),
        ("list_entry_with_values_has_their_digest", ListEntryFactory, {"values": {"Fee": "1"}}),
        ("list_entry_with_values_has_their_digest", ListEntryFactory, {"values_digest": "1"}),
        ("csv_upload_has_an_end_exactly_when_ended", CsvUploadFactory, {"ended_at": timezone.now()}),
        ("csv_upload_has_an_end_exactly_when_ended", CsvUploadFactory, {"status": "completed"}),
        ("csv_upload_says_why_exactly_when_failed", CsvUploadFactory, {"status": "failed", "ended_at": timezone.now()}),
        ("csv_upload_says_why_exactly_when_failed", CsvUploadFactory, {"error": "line 1"}),
        ("csv_upload_counts_add_up", CsvUploadFactory, {"rows_total": 1}),
    ],
)
def test_impossible_lists_and_uploads(constraint, factory, columns):
    refused(constraint, factory(), **columns)


def test_a_number_a_name_and_a_place_in_a_list_are_taken_once():
    entry = ListEntryFactory()
    made, contact = entry.contact_list, entry.contact
    with pytest.raises(IntegrityError, match="contact_number_is_unique_in_its_account"), transaction.atomic():
        ContactFactory(account=contact.account, number=contact.number)
    with pytest.raises(IntegrityError, match="list_name_is_unique_in_its_account"), transaction.atomic():
        ContactListFactory(account=made.account, name=made.name)
    with pytest.raises(IntegrityError, match="list_entry_is_unique_in_its_list"), transaction.atomic():
        ListEntryFactory(contact_list=made, contact=contact)


def test_names_are_unique_where_the_wire_needs_it():
    caller_id, flow = CallerIdFactory(), FlowFactory()
    with pytest.raises(IntegrityError, match="caller_id_is_unique_in_its_account"), transaction.atomic():
        CallerIdFactory(account=caller_id.account, number=caller_id.number)
    with pytest.raises(IntegrityError, match="flow_id_is_unique_in_its_account"), transaction.atomic():
        FlowFactory(account=flow.account, flow_id=flow.flow_id)


def test_an_exotel_trunk_without_an_address_or_a_key():
    with pytest.raises(ValidationError, match="needs a base_url, an account_sid and an api_key"):
        Trunk.objects.create(name="half", carrier="exotel")


def test_every_check_is_in_the_database_and_not_only_in_python():
    names = {
        constraint.name for model in (Account, Campaign, Call, CallAttempt) for constraint in model._meta.constraints
    }
    assert len(names) == 5 + 16 + 6 + 8
