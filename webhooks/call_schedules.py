"""Add the webhooks of numbers that have ended: one statement that PostgreSQL makes the rows in, however many there are.

At the end of a large campaign thousands of them are added at a time, and nothing of a number passes through Python.
"""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import connection, transaction

from campaigns.models import Campaign
from core import clocks
from webhooks import outbox
from webhooks.models import receiver_of, stream_of
from webhooks.payloads import call_schedule

# About what the end of a call takes among very many. Their webhooks are due when all have ended: to send one takes far
# longer, and would slow down the end and others' calls.
END_OF_A_CALL = timedelta(microseconds=60)


def add(
    campaigns: Sequence[Campaign], call_ids: Sequence[int], ended_at: datetime, *, due_in: timedelta = timedelta()
) -> None:
    """Store a webhook for each of these calls whose campaign is one of these, in the caller's transaction.

    Args:
        campaigns: with their accounts and an address for these webhooks.
        call_ids: of calls that ended at `ended_at`, with their attempts as they now are.
        due_in: after that they are sent.
    """
    now = clocks.now()
    addresses = [(campaign, campaign.call_schedule_callback) for campaign in campaigns]
    with connection.cursor() as cursor:
        cursor.execute(
            _ADD,
            {
                "campaigns": [campaign.pk for campaign in campaigns],
                "accounts": [campaign.account_id for campaign in campaigns],
                "urls": [url for _, url in addresses],
                "receivers": [receiver_of(campaign.account_id, url) for campaign, url in addresses],
                "streams": [stream_of(campaign.pk, url) for campaign, url in addresses],
                "payloads": [json.dumps(call_schedule(campaign, ended_at)) for campaign in campaigns],
                "calls": list(call_ids),
                "now": now,
                "due": now + due_in,
                "beginning": _beginning_of_ids(now),
            },
        )
        has_rows = bool(cursor.rowcount)
    if has_rows:
        transaction.on_commit(outbox.enqueue_delivery)


def _beginning_of_ids(now: datetime) -> str:
    """Return what UUIDs of version 7 of this millisecond begin with, as text: the time and the version."""
    time = f"{int(now.timestamp() * 1000):012x}"
    return f"{time[:8]}-{time[8:]}-7"


# The webhook ID is a UUIDv7, as everywhere: a random one (version 4) with another beginning. The queue is that of
# `webhooks.models.queue_of`.
_ADD = """
    WITH told AS MATERIALIZED (
        SELECT campaign_id, account_id, url, receiver, stream, payload::jsonb AS payload
        FROM unnest(
            %(campaigns)s::uuid[], %(accounts)s::bigint[], %(urls)s::text[], %(receivers)s::uuid[],
            %(streams)s::uuid[], %(payloads)s::text[]
        ) AS told(campaign_id, account_id, url, receiver, stream, payload)
    )
    INSERT INTO "webhooks_webhookdelivery" (
        webhook_id, account_id, campaign_id, kind, url, payload, receiver, stream, queue,
        created_at, queued_at, next_try_at, has_failed, tries, last_error
    )
    SELECT
        overlay(gen_random_uuid()::text PLACING %(beginning)s FROM 1)::uuid,
        told.account_id, told.campaign_id, 'call-schedule', told.url,
        told.payload || jsonb_build_object(
            'to', call.number,
            'call_sids', CASE WHEN call.attempts_made > 0 THEN (
                SELECT coalesce(jsonb_agg(
                    jsonb_build_object('call_sid', replace(attempt.id::text, '-', ''), 'status', attempt.status)
                    ORDER BY attempt.id
                ), '[]')
                FROM dialer_callattempt AS attempt WHERE attempt.call_id = call.id AND attempt.status <> 'canceled'
            ) ELSE '[]' END,
            'status', coalesce(nullif(call.last_outcome, ''), 'failed')
        ) || CASE WHEN call.rule = '' OR call.status = 'completed' THEN '{}'
            ELSE jsonb_build_object('reason', call.end_reason) END,
        told.receiver, told.stream,
        encode(substring(sha256(uuid_send(told.stream) || convert_to(call.number, 'UTF8')) FOR 16), 'hex')::uuid,
        %(now)s, %(now)s, %(due)s, FALSE, 0, ''
    FROM campaigns_call AS call JOIN told ON told.campaign_id = call.campaign_id
    WHERE call.id = ANY(%(calls)s)
    ORDER BY call.id
"""
