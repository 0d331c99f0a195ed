"""Which campaigns may be deleted: they ended long enough ago, and nothing about them is under way any more."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Exists, OuterRef, Q, QuerySet

from accounts.models import Account
from campaigns.models import Call, Campaign
from core import clocks
from dialer.models import CallAttempt
from retention import remembered
from webhooks.models import WebhookDelivery

# News of a call, and a call that the carrier took too late, may come hours after the campaign's end.
SHORTEST = timedelta(days=1)
# Campaigns of one look.
PAGE = 100


def end_before(now: datetime) -> datetime | None:
    """Return the moment before which campaigns must have ended to be deleted; None where they are kept forever."""
    days = settings.CAMPAIGNS_KEPT_DAYS
    return now - timedelta(days=days) if days else None


def ended(before: datetime, account: Account | None = None) -> "QuerySet[Campaign]":
    """Return the campaigns that ended before that moment, of one account or of all, whatever is still under way."""
    campaigns = Campaign.objects.filter(ended_at__lt=before, is_purging=False)
    return campaigns.filter(account=account) if account else campaigns


def settled(campaigns: "QuerySet[Campaign]", leaving: Account | None = None) -> "QuerySet[Campaign]":
    """Return those of the campaigns that nothing will happen to any more, and that nobody has to remember.

    Left out are those whose calls are being ended or are up, whose webhooks are not delivered or given up yet, or whose
    attempts still count for a rule (`retention.remembered`). leaving: an account that is deleted from by its name.
    """
    # By the statuses of the index `call_open`: one that has ended may have half a million others.
    open_statuses = [Call.Status.CREATED, Call.Status.IN_PROGRESS, Call.Status.RETRYING]
    calls = Call.objects.filter(campaign=OuterRef("pk"), status__in=open_statuses)
    attempts = CallAttempt.objects.filter(campaign=OuterRef("pk"), status__in=CallAttempt.UNFINISHED)
    webhooks = WebhookDelivery.objects.filter(campaign=OuterRef("pk"), next_try_at__isnull=False)
    # A campaign that calls its people again reads its calls while it is loading.
    children = Campaign.objects.filter(parent=OuterRef("pk"), is_loading=True)
    idle = campaigns.filter(~Exists(calls), ~Exists(attempts), ~Exists(webhooks), ~Exists(children), is_ending=False)
    return idle.exclude(remembered.still_counted(clocks.now(), leaving))


def oldest_first(campaigns: "QuerySet[Campaign]") -> Iterator[Campaign]:
    """Yield the campaigns with what their reports need, a page at a time, so that one that stays is seen once."""
    last: Any = None
    while True:
        rows = campaigns.select_related("account", "caller_id", "custom_field").order_by("ended_at", "pk")
        if last:
            rows = rows.filter(Q(ended_at=last.ended_at, pk__gt=last.pk) | Q(ended_at__gt=last.ended_at))
        page = list(rows[:PAGE])
        yield from page
        if len(page) < PAGE:
            return
        last = page[-1]
