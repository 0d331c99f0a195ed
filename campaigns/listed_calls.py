"""End calls that wait, where their numbers come on the do-not-call list: in the transaction that lists them.

The gate is what keeps a listed number from being dialed. This is for the figures: a campaign of which the last number
was listed has ended, and its report says why.
"""

from collections.abc import Collection
from datetime import datetime

from django.db import connection

from campaigns import removal
from campaigns.call_states import DO_NOT_CALL
from campaigns.models import Call, Campaign
from campaigns.removal import OpenCall

# Calls of one statement.
SLICE = 2_000


def end(account_id: int | None, numbers: Collection[str], *, reason: str, at: datetime) -> int:
    """End the waiting calls to these numbers, but for those that another process is moving at this moment.

    A dispatch that has locked one asks the gate after it, or before the intent.

    Args:
        account_id: whose campaigns; None for all.

    Returns:
        How many ended.
    """
    open_campaigns = Campaign.objects.filter(status__in=Campaign.OPEN, is_ending=False)
    if account_id is not None:
        open_campaigns = open_campaigns.filter(account=account_id)
    if not open_campaigns.exists():
        return 0
    with connection.cursor() as cursor:
        cursor.execute(_WAITING, {"numbers": list(numbers), "account": account_id})
        rows = [OpenCall(*row) for row in cursor.fetchall()]
    for start in range(0, len(rows), SLICE):
        removal.end_waiting(rows[start : start + SLICE], Call.Status.FAILED, DO_NOT_CALL, reason, at)
    return len(rows)


# OFFSET 0 keeps it at one look-up in the index of numbers for each of them.
_WAITING = """
    SELECT call.id, call.status, call.campaign_id
    FROM unnest(%(numbers)s::text[]) AS listed (number)
    CROSS JOIN LATERAL (
        SELECT id FROM campaigns_call WHERE number = listed.number AND status IN ('created', 'retrying') OFFSET 0
    ) AS waiting
    JOIN campaigns_call AS call ON call.id = waiting.id
    JOIN campaigns_campaign AS campaign ON campaign.id = call.campaign_id
    WHERE call.status IN ('created', 'retrying') AND campaign.status IN ('created', 'in-progress', 'paused')
        AND NOT campaign.is_ending AND coalesce(campaign.account_id = %(account)s::bigint, true)
    ORDER BY call.id FOR UPDATE OF call SKIP LOCKED
"""
