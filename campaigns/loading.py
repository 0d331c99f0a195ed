"""Make the calls of large campaigns from their lists: in slices, each a transaction of its own, by turns by account.

A request makes a few thousand calls at most. A campaign with more is stored with `is_loading`, and a loader makes its
calls: the campaign is created, may be paused or deleted, and starts when they are all there. A process that dies loses
the slice that it was at: the place in the lists is stored with the calls.
"""

import time
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from django.db import connection, transaction

from campaigns import called_again, campaign_lock, ending, filled_texts
from campaigns.models import Campaign
from contacts import deletion_lock, lists
from core import clocks
from core.batches import TRANSIENT_ERRORS
from core.errors import InvalidRequest
from core.task_queue import enqueue, enqueue_once

log = structlog.get_logger(__name__)

LOAD = "campaigns.load_audiences"  # the task that takes a turn, and the key under which its message is enqueued once
START_DUE = "campaigns.start_due"  # the task that starts what is due

# Entries of lists that one transaction takes: a fifth of a second.
SLICE = 5_000
# How long a turn is, in seconds. An account that comes next waits for so long, and for the slice at work.
TURN_SECONDS = 0.5


def enqueue_turn() -> None:
    enqueue_once(LOAD, LOAD)


def next_in_turn() -> UUID | None:
    """Return the campaign whose turn it is; None where none is loading.

    It is the oldest of the account whose last turn is the longest ago.
    """
    with connection.cursor() as cursor:
        cursor.execute(_NEXT_IN_TURN)
        found = cursor.fetchone()
    return found[0] if found else None


_NEXT_IN_TURN = """
    SELECT campaign.id
    FROM (SELECT DISTINCT account_id FROM campaigns_campaign WHERE is_loading) AS account
    CROSS JOIN LATERAL (
        SELECT max(loaded_at) AS at FROM campaigns_campaign
        WHERE account_id = account.account_id AND loaded_at IS NOT NULL
    ) AS last_turn
    CROSS JOIN LATERAL (
        SELECT id, created_at FROM campaigns_campaign
        WHERE account_id = account.account_id AND is_loading ORDER BY created_at, id LIMIT 1
    ) AS campaign
    ORDER BY last_turn.at NULLS FIRST, campaign.created_at LIMIT 1
"""


def take_turn(seconds: float) -> bool:
    """Make calls of the campaign whose turn it is for so long. Returns whether there was one."""
    campaign_id = next_in_turn()
    if campaign_id is None:
        return False
    until = time.monotonic() + seconds
    try:
        while make_slice(campaign_id, clocks.now()) and time.monotonic() < until:
            pass
    except TRANSIENT_ERRORS:
        raise
    except Exception:
        # It must not hold up the campaigns of others. Its own next turn tries again.
        log.exception("campaign_not_loaded", campaign=campaign_id.hex)
        Campaign.objects.filter(pk=campaign_id).update(loaded_at=clocks.now())
    return True


def make_slice(campaign_id: UUID, now: datetime) -> bool:
    """Make the next calls of a campaign. Returns whether more are to be made at once.

    Leaves a campaign alone that somebody changes at this moment, and one that has come to its end.
    """
    with transaction.atomic():
        loading = Campaign.objects.filter(pk=campaign_id, is_loading=True, is_ending=False)
        account_id = loading.values_list("account_id", flat=True).first()
        if account_id is None:
            return False
        deletion_lock.hold_shared(account_id)
        if not campaign_lock.try_hold([campaign_id]):
            return False
        campaign = loading.select_for_update(no_key=True).first()
        if campaign is None:
            return False
        campaign.loaded_at = now
        if campaign.again is not None and not campaign.lists_taken:
            _take_called(campaign)
        elif campaign.again is None and campaign.lists_taken < len(campaign.list_ids):
            _take_entries(campaign)
        else:
            _finish(campaign, now)
    return campaign.is_loading


def _take_called(campaign: Campaign) -> None:
    """Make calls of the next calls of its parent, which stands for its only list."""
    made = called_again.make(campaign, after=campaign.entry_taken, most=SLICE)
    campaign.entry_taken = made.last or 0
    if made.looked_at < SLICE:
        campaign.lists_taken, campaign.entry_taken = 1, 0
    campaign.save(update_fields=["lists_taken", "entry_taken", "loaded_at"])


def _take_entries(campaign: Campaign) -> None:
    """Make calls of the next entries of the list that is being taken; go on to the next list at its end."""
    list_id = campaign.list_ids[campaign.lists_taken]
    # A row that an upload replaces must be seen once, either the old one or the new one.
    lists.lock_against_loading(list_id)
    values: dict[str, Any] = {
        "campaign": campaign.pk,
        "list": list_id,
        "earlier_lists": campaign.list_ids[: campaign.lists_taken],
        "after": campaign.entry_taken,
        "known_until": campaign.entries_until,
        "dynamic": campaign.type == Campaign.Type.DYNAMIC,
        "duplicates": campaign.call_duplicate_numbers,
        "most": SLICE,
    }
    with connection.cursor() as cursor:
        cursor.execute(_MAKE_CALLS, values)
        [(taken, last)] = cursor.fetchall()
    campaign.entry_taken = last or 0
    if taken < SLICE:
        campaign.lists_taken, campaign.entry_taken = campaign.lists_taken + 1, 0
    campaign.save(update_fields=["lists_taken", "entry_taken", "loaded_at"])


# A number is called once: for the first list that it is in, and for the latest of its rows in a dynamic list (decision
# 0012). Lists may change meanwhile, so an entry that came later, or from a later list, is compared with the calls that
# are there.
_MAKE_CALLS = """
    WITH slice AS MATERIALIZED (
        SELECT id, contact_id, values, upload_number, line FROM contacts_listentry
        WHERE contact_list_id = %(list)s AND id > %(after)s ORDER BY id LIMIT %(most)s
    ), made AS (
        INSERT INTO campaigns_call (campaign_id, number, name, variables)
        SELECT %(campaign)s, contact.number, left(btrim(contact.first_name || ' ' || contact.last_name), 255),
            CASE WHEN %(dynamic)s THEN slice.values END
        FROM slice JOIN contacts_contact AS contact ON contact.id = slice.contact_id
        WHERE %(duplicates)s OR NOT (
            EXISTS (
                SELECT FROM contacts_listentry AS earlier
                WHERE earlier.contact_list_id = ANY(%(earlier_lists)s::uuid[])
                    AND earlier.contact_id = slice.contact_id
            ) OR (%(dynamic)s AND EXISTS (
                SELECT FROM contacts_listentry AS newer
                WHERE newer.contact_list_id = %(list)s AND newer.contact_id = slice.contact_id
                    AND (newer.upload_number, newer.line, newer.id) > (slice.upload_number, slice.line, slice.id)
            )) OR ((slice.id > %(known_until)s OR cardinality(%(earlier_lists)s::uuid[]) > 0) AND EXISTS (
                SELECT FROM campaigns_call AS call
                WHERE call.number = contact.number AND call.campaign_id = %(campaign)s
            ))
        )
        ORDER BY slice.id
    )
    SELECT count(*), max(id) FROM slice
"""


def _finish(campaign: Campaign, now: datetime) -> None:
    """Let a campaign start whose calls are all there; one whose text can't be read to all of them fails."""
    campaign.is_loading = False
    campaign.save(update_fields=["is_loading", "loaded_at"])
    try:
        filled_texts.require_readable(campaign)
    except InvalidRequest as unreadable:
        ending.begin([campaign], Campaign.Status.FAILED, at=now, reason=str(unreadable))
    else:
        transaction.on_commit(lambda: enqueue(START_DUE))
