"""Write the webhooks of what has happened, in the transaction in which it happens.

Each receiver uses the rows that its signal brings, as their sender loaded them: only whether anybody wants to be told
decides what else is read.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

from django.db.models import Q
from django.dispatch import receiver

from campaigns.models import Call, Campaign
from campaigns.signals import calls_ended, campaigns_moved
from dialer.models import CallAttempt
from dialer.signals import attempts_ended
from webhooks import outbox
from webhooks.models import WebhookDelivery
from webhooks.outbox import Webhook
from webhooks.payloads import ENDS, call_schedule, call_status, campaign_status

Kind = WebhookDelivery.Kind


@receiver(attempts_ended)
def tell_of_attempts(attempts: Sequence[CallAttempt], **_: Any) -> None:
    """These attempts have ended with an outcome; their campaigns are loaded."""
    wanted = [attempt.pk for attempt in attempts if attempt.campaign.call_status_callback]
    if wanted:
        ended = CallAttempt.objects.filter(pk__in=wanted).order_by("pk")
        rows = ended.select_related("call", "campaign__account")
        outbox.add(
            Webhook(each.campaign, Kind.CALL_STATUS, each.campaign.call_status_callback, call_status(each))
            for each in rows
        )


@receiver(calls_ended)
def tell_of_calls(campaigns: Iterable[Campaign], call_ids: Collection[int], **_: Any) -> None:
    """These calls of these campaigns are over."""
    wanted = [campaign.pk for campaign in campaigns if campaign.call_schedule_callback]
    if not wanted:
        return
    # A deleted campaign never was: nobody is told of its numbers.
    ended = Call.objects.filter(pk__in=call_ids, campaign__in=wanted).exclude(campaign__status=Campaign.Status.DELETED)
    calls = list(ended.select_related("campaign__account").order_by("pk"))
    made = _attempts_of(calls)
    outbox.add(
        Webhook(
            each.campaign, Kind.CALL_SCHEDULE, each.campaign.call_schedule_callback, call_schedule(each, made[each.pk])
        )
        for each in calls
    )


@receiver(campaigns_moved)
def tell_of_campaigns(campaigns: Iterable[Campaign], to: str, at: datetime, **_: Any) -> None:
    """These campaigns have moved to the state. Only starts and ends are told: a campaign that is resumed goes on."""
    wanted = [campaign.pk for campaign in campaigns if campaign.status_callback]
    if not wanted or to not in {Campaign.Status.IN_PROGRESS, *ENDS}:
        return
    started_now_or_ended = ~Q(status=Campaign.Status.IN_PROGRESS) | Q(started_at=at)
    moved = Campaign.objects.filter(started_now_or_ended, pk__in=wanted).select_related("account").order_by("pk")
    outbox.add(Webhook(each, Kind.CAMPAIGN_STATUS, each.status_callback, campaign_status(each)) for each in moved)


def _attempts_of(calls: Sequence[Call]) -> dict[int, list[CallAttempt]]:
    made: dict[int, list[CallAttempt]] = defaultdict(list)
    counted = CallAttempt.objects.filter(call__in=[call.pk for call in calls])
    for attempt in counted.exclude(status=CallAttempt.Status.CANCELED).order_by("pk").only("call_id", "status"):
        made[attempt.call_id].append(attempt)
    return made
