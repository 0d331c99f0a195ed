"""What the clock does to campaigns: starts, ends, expiry. Each function is safe to run twice at once."""

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from campaigns import campaign_lock, campaign_states, lifecycle, signals
from campaigns.models import Call, Campaign

S = Campaign.Status

# What starting a campaign reads of it.
_STARTED_BY = ("id", "account_id", "status", "status_callback", "created_at")


def start_due(now: datetime) -> None:
    """Starts every campaign whose time has come, and tells the dialer of them."""
    due = Campaign.objects.filter(status=S.CREATED, send_at__lte=now, expires_at__gt=now)
    with transaction.atomic():
        # Locked as it is read: a campaign that is being postponed or paused is left to the next tick.
        campaigns = list(due.select_for_update(skip_locked=True, no_key=True).only(*_STARTED_BY))
        started = campaign_states.move(
            campaigns, S.IN_PROGRESS, at=now, reason="its start time has come", started_at=now
        )
    if started:
        accounts = sorted({campaign.account_id for campaign in campaigns if campaign.pk in started})
        signals.work_due.send(Campaign, account_ids=accounts)


def next_start(after: datetime, within: timedelta) -> datetime | None:
    """The next start that falls into the time span, so that a tick needs not be on time for a start to be."""
    upcoming = Campaign.objects.filter(status=S.CREATED, send_at__gt=after, send_at__lte=after + within)
    return upcoming.order_by("send_at").values_list("send_at", flat=True).first()


def end_due(now: datetime) -> None:
    """Ends what has reached its end (`end_at`, or 30 days): first the calls that wait, then the campaign.

    A campaign with calls up stays open until they have finished: no new attempt starts meanwhile, as the gate is shut
    from `expires_at` on.
    """
    for campaign in Campaign.objects.filter(status__in=Campaign.OPEN, expires_at__lte=now):
        with transaction.atomic():
            campaign_lock.hold(campaign.pk)
            campaign = Campaign.objects.select_for_update(no_key=True).get(pk=campaign.pk)
            if campaign.expires_at > now:
                continue  # its end was put off meanwhile
            if campaign.status == S.PAUSED:
                lifecycle.end_waiting_calls(campaign, now, reason="the campaign was paused until its end")
            elif campaign.is_open:
                reason = "the campaign's end came first"
                lifecycle.end_waiting_calls(campaign, now, reason=reason, untried=Call.Status.CANCELED)
    close_finished(Campaign.objects.all(), now)


def close_finished(campaigns: "QuerySet[Campaign]", now: datetime) -> None:
    """Gives their final state to those of the campaigns that have no call left to make or to wait for."""
    open_call = Call.objects.filter(campaign=OuterRef("pk"), status__in=["created", "in-progress", "retrying"])
    at_work = Q(status__in=[S.IN_PROGRESS, S.PAUSED]) | Q(status=S.CREATED, expires_at__lte=now)
    for campaign in campaigns.filter(at_work).filter(~Exists(open_call)):
        # With what its webhook says: both or neither.
        with transaction.atomic():
            _close(campaign, now)


def _close(campaign: Campaign, now: datetime) -> None:
    """The seed's rule: canceled if paused until the end, failed if no call could be made, else completed."""
    if campaign.status == S.PAUSED and campaign.expires_at <= now:
        campaign_states.move(
            [campaign], S.CANCELED, at=now, reason="paused and never resumed before its end", ended_at=now
        )
    elif campaign.calls.filter(was_placed=True).exists():
        campaign_states.move([campaign], S.COMPLETED, at=now, reason="no call is left", ended_at=now)
    else:
        last_answer = campaign.calls.filter(http_status__isnull=False).order_by("-ended_at", "-id").first()
        campaign_states.move(
            [campaign],
            S.FAILED,
            at=now,
            reason="no call could be made",
            ended_at=now,
            failure_http_status=last_answer.http_status if last_answer else None,
        )
