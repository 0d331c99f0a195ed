"""What time does to campaigns: they start, end and expire. Each function is safe to run twice at once."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import BigIntegerField, DateTimeField, Exists, F, OuterRef, Q, QuerySet

from accounts import installation
from campaigns import campaign_states, ending, signals
from campaigns.models import Call, Campaign
from core.batches import one_by_one, together
from core.composed_once import ComposedOnce, Given, IsOneOf

Status = Campaign.Status

# The columns of a campaign that its start reads.
_START_COLUMNS = ("id", "account_id", "status", "status_callback", "created_at")


def start_due(now: datetime) -> None:
    """Start every campaign whose time has come, and send `work_due` to the dialer."""
    accounts = together("start campaigns", lambda: _start(now), otherwise=lambda: _start_one_by_one(now))
    if accounts:
        signals.work_due.send(Campaign, account_ids=sorted(accounts))


def _due(now: Any) -> "QuerySet[Campaign]":
    return Campaign.objects.filter(status=Status.CREATED, is_loading=False, send_at__lte=now, expires_at__gt=now)


# Asked each second. Locked as it is read: a campaign that is being postponed or paused is left to the next tick.
_DUE = ComposedOnce(
    lambda: _due(Given("now", DateTimeField())).select_for_update(skip_locked=True, no_key=True).only(*_START_COLUMNS)
)


def _start(now: datetime, only: UUID | None = None) -> set[int]:
    """Start the campaigns whose time has come, or this one, and return the ids of their accounts."""
    with transaction.atomic():
        campaigns = _DUE.all(now=now) if only is None else _DUE.of([only], now=now)
        started = campaign_states.move(
            campaigns, Status.IN_PROGRESS, at=now, reason="its start time has come", started_at=now, idle_until=None
        )
    return {campaign.account_id for campaign in campaigns if campaign.pk in started}


def _start_one_by_one(now: datetime) -> set[int]:
    """Start those of the campaigns that can be started. Another one is left as it is, and tried at the next tick."""
    accounts = one_by_one(
        "start campaigns",
        _due(now).values_list("pk", flat=True),
        lambda campaign_id: _start(now, campaign_id),
        give_up=_leave,
    )
    return set().union(*accounts.values())


def _leave(_campaign: object, _error: Exception) -> None:
    """Leave the campaign as it is: that it fails is logged."""


def next_start(after: datetime, within: timedelta) -> datetime | None:
    """Return the next start in the time span, so that a start between two ticks need not wait for the second."""
    upcoming = Campaign.objects.filter(status=Status.CREATED, send_at__gt=after, send_at__lte=after + within)
    return upcoming.order_by("send_at").values_list("send_at", flat=True).first()


def end_due(now: datetime) -> bool:
    """End what has reached its end (`end_at`, or 30 days): first the calls that wait, then the campaign.

    A campaign with calls up stays open until they have finished. No new attempt starts meanwhile, as the gate is shut
    from `expires_at` on.

    While calls may be missing, after a restore, nothing ends: what was dialed is recorded first.

    Returns:
        Whether there are more calls to end at once.
    """
    if installation.may_lack_calls():
        return False
    ending.mark_expired(now)
    has_more = ending.take_turn(now, ending.TURN_SECONDS)
    close_finished(now, given_up=ending.given_up())
    return has_more


def close_if_finished(campaign_ids: Collection[UUID], now: datetime) -> None:
    """Move campaigns of which calls have just ended to their final state, if no open call is left.

    Asked for each batch of outcomes, and most campaigns go on: one query in SQL finds that out.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT id FROM unnest(%s::uuid[]) AS campaign(id) WHERE NOT EXISTS (
                SELECT FROM campaigns_call
                WHERE campaign_id = campaign.id AND status IN ('created', 'in-progress', 'retrying')
            )
            """,
            [list(campaign_ids)],
        )
        ids = [row[0] for row in cursor.fetchall()]
    _close_all(_FINISHED.of(ids, now=now, given_up=[]), now)


def close_finished(now: datetime, *, given_up: Sequence[int] = ()) -> None:
    """Move campaigns that have no open call left to their final state.

    Args:
        given_up: calls that can't be ended, so no campaign waits for them.
    """
    _close_all(_FINISHED.all(now=now, given_up=list(given_up)), now)


def _finished() -> "QuerySet[Campaign]":
    open_call = Call.objects.filter(campaign=OuterRef("pk"), status__in=["created", "in-progress", "retrying"])
    open_call = open_call.exclude(IsOneOf(F("pk"), Given("given_up", BigIntegerField())))
    has_expired = Q(expires_at__lte=Given("now", DateTimeField()))
    at_work = Q(status__in=[Status.IN_PROGRESS, Status.PAUSED]) | Q(has_expired, status=Status.CREATED)
    return Campaign.objects.filter(at_work, is_loading=False).filter(~Exists(open_call))


# Asked each second.
_FINISHED = ComposedOnce(_finished)


def _close_all(campaigns: Sequence[Campaign], now: datetime) -> None:
    # One transaction for the end and for the webhook about it: both are stored, or neither. A campaign that can't be
    # closed holds up no other, and is tried again at the next tick.
    finished = {campaign.pk: campaign for campaign in campaigns}
    one_by_one("close campaigns", finished, lambda pk: _close(finished[pk], now), give_up=_leave)


def _close(campaign: Campaign, now: datetime) -> None:
    """End the campaign in the state that Exotel's Campaigns API documentation has for it.

    Canceled when it was paused until its end, failed when no call could be made, else completed.
    """
    if campaign.status == Status.PAUSED and campaign.expires_at <= now:
        campaign_states.move(
            [campaign],
            Status.CANCELED,
            at=now,
            reason="paused and never resumed before its end",
            ended_at=now,
            is_ending=False,
        )
    elif campaign.calls.filter(was_placed=True).exists():
        campaign_states.move(
            [campaign], Status.COMPLETED, at=now, reason="no call is left", ended_at=now, is_ending=False
        )
    else:
        last_refused = campaign.calls.filter(http_status__isnull=False).order_by("-ended_at", "-id").first()
        campaign_states.move(
            [campaign],
            Status.FAILED,
            at=now,
            reason="no call could be made",
            ended_at=now,
            is_ending=False,
            failure_http_status=last_refused.http_status if last_refused else None,
        )
