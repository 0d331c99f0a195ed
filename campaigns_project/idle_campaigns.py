"""How long due calls have waited with nothing in the way: a sign that dispatch does not work."""

from collections.abc import Iterator
from datetime import datetime

from django.db.models import Exists, OuterRef, Subquery
from django.db.models.functions import Least

from campaigns.models import Call, Campaign, CampaignHistory
from dialer import channels, daily_limits, gate, holds
from dialer.channels import NO_CAP
from dialer.models import CallAttempt


def longest_idle_seconds(now: datetime) -> float:
    """Return the longest time that any campaign with due calls has been idle, in seconds; 0 when none is."""
    return max(_idle_seconds(now), default=0.0)


def _idle_seconds(now: datetime) -> Iterator[float]:
    """For each campaign with due calls, an open gate, a free channel and a start to spare: since when that has been so.

    Counted from the latest event that may have changed it: a call became due, a call was claimed, the campaign moved,
    the calling hours opened.
    """
    due = _with_due_calls(now)
    daily_limits.load((campaign.account for campaign in due), now)
    holds.load_into(campaign.account for campaign in due)
    ready = [campaign for campaign in due if gate.check(campaign, now) == gate.Open()]
    scopes = {
        scope
        for campaign in ready
        for scope in channels.scopes_of(campaign.account, campaign.caller_id)
        if scope.cap < NO_CAP
    }
    held = channels.held(scopes)
    waits = channels.next_starts({bucket for campaign in ready for bucket in channels.buckets_of(campaign)})
    for campaign in ready:
        is_full = any(
            scope in held and held[scope] >= scope.cap
            for scope in channels.scopes_of(campaign.account, campaign.caller_id)
        )
        is_paced = any(waits[bucket] for bucket in channels.buckets_of(campaign))
        if not is_full and not is_paced:
            yield max(0.0, (now - _ready_since(campaign, now)).total_seconds())


def _with_due_calls(now: datetime) -> list[Campaign]:
    """Return the running campaigns with calls to dial now, and the moments that `_ready_since` compares. One query."""
    under_way = CallAttempt.objects.filter(
        account=OuterRef("campaign__account"), callee=OuterRef("number"), status__in=CallAttempt.UNFINISHED
    )
    own = Call.objects.filter(~Exists(under_way), campaign=OuterRef("pk"))
    retries = own.filter(status=Call.Status.RETRYING).order_by("next_attempt_at").values("next_attempt_at")
    held = own.filter(status=Call.Status.CREATED).order_by("next_attempt_at").values("next_attempt_at")
    claims = CallAttempt.objects.filter(campaign=OuterRef("pk")).order_by("-claimed_at").values("claimed_at")
    moves = CampaignHistory.objects.filter(subject=OuterRef("pk")).order_by("-at").values("at")
    running = Campaign.objects.filter(status=Campaign.Status.IN_PROGRESS).annotate(
        has_first_tries=Exists(own.filter(status=Call.Status.CREATED, next_attempt_at=None)),
        retry_at=Least(Subquery(retries[:1]), Subquery(held[:1])),
        claimed_at=Subquery(claims[:1]),
        moved_at=Subquery(moves[:1]),
    )
    campaigns = running.select_related("account", "caller_id__trunk__health", "caller_id__health")
    return [row for row in campaigns if row.has_first_tries or (row.retry_at and row.retry_at <= now)]


def _ready_since(campaign: Campaign, now: datetime) -> datetime:
    """campaign: one of `_with_due_calls`."""
    opened = campaign.account.calling_hours.open_since(now)
    due_at = None if campaign.has_first_tries else campaign.retry_at  # type: ignore[attr-defined]
    moments = (opened, due_at, campaign.started_at, campaign.claimed_at, campaign.moved_at)  # type: ignore[attr-defined]
    return max(moment for moment in moments if moment)
