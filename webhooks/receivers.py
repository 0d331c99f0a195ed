"""Write the webhooks of what has happened, in the transaction in which it happens.

Each receiver is handed the rows as they now are. A campaign without a callback address costs it no query.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

from django.db.models import Prefetch, prefetch_related_objects
from django.dispatch import receiver

from accounts.models import Account
from campaigns.models import Call, Campaign
from campaigns.signals import calls_ended, campaigns_moved
from dialer.models import CallAttempt
from dialer.signals import attempts_ended
from webhooks import outbox
from webhooks.models import END, START, WebhookDelivery
from webhooks.outbox import Webhook
from webhooks.payloads import ENDS, call_schedule, call_status, campaign_status

Kind = WebhookDelivery.Kind

# Calls whose attempts are loaded together: more than a batch of outcomes has, few enough for the memory of a worker.
CALLS_AT_ONCE = 1000


@receiver(attempts_ended)
def tell_of_attempts(attempts: Iterable[CallAttempt], **_: Any) -> None:
    wanted = [attempt for attempt in attempts if attempt.campaign.call_status_callback]
    _load_accounts(attempt.campaign for attempt in wanted)
    outbox.add(
        Webhook(
            attempt.campaign,
            attempt.call.number,
            Kind.CALL_STATUS,
            attempt.campaign.call_status_callback,
            call_status(attempt),
        )
        for attempt in wanted
    )


@receiver(calls_ended)
def tell_of_calls(campaigns: Iterable[Campaign], calls: Iterable[Call], **_: Any) -> None:
    wanted = [campaign for campaign in campaigns if _tells_of_its_calls(campaign)]
    if wanted:
        _load_accounts(wanted)
        outbox.add(_of_calls(call for call in calls if _tells_of_its_calls(call.campaign)))


@receiver(campaigns_moved)
def tell_of_campaigns(campaigns: Iterable[Campaign], at: datetime, **_: Any) -> None:
    wanted = [campaign for campaign in campaigns if campaign.status_callback and _has_started_or_ended(campaign, at)]
    _load_accounts(wanted)
    outbox.add(
        Webhook(
            campaign,
            END if campaign.status in ENDS else START,
            Kind.CAMPAIGN_STATUS,
            campaign.status_callback,
            campaign_status(campaign),
        )
        for campaign in wanted
    )


def _tells_of_its_calls(campaign: Campaign) -> bool:
    """Return whether the end of a call is sent to the campaign's client. For a deleted campaign nothing is sent."""
    return bool(campaign.call_schedule_callback) and campaign.status != Campaign.Status.DELETED


def _has_started_or_ended(campaign: Campaign, at: datetime) -> bool:
    """Whether the move at this moment was a start or an end; a campaign that is resumed has started before."""
    if campaign.status == Campaign.Status.IN_PROGRESS:
        return campaign.started_at == at
    return campaign.status in ENDS


def _of_calls(calls: Iterable[Call]) -> Iterator[Webhook]:
    for batch in _batches(calls):
        attempts = _attempts_of(batch)
        for call in batch:
            payload = call_schedule(call, attempts[call.pk])
            address = call.campaign.call_schedule_callback
            yield Webhook(call.campaign, call.number, Kind.CALL_SCHEDULE, address, payload)


def _batches(calls: Iterable[Call]) -> Iterator[list[Call]]:
    left = iter(calls)
    while batch := list(islice(left, CALLS_AT_ONCE)):
        yield batch


def _attempts_of(calls: Sequence[Call]) -> dict[int, list[CallAttempt]]:
    """Return the attempts that count, by call and in their order."""
    attempts: dict[int, list[CallAttempt]] = defaultdict(list)
    counted = CallAttempt.objects.filter(call__in=[call.pk for call in calls])
    for attempt in counted.exclude(status=CallAttempt.Status.CANCELED).order_by("pk").only("call_id", "status"):
        attempts[attempt.call_id].append(attempt)
    return attempts


def _load_accounts(campaigns: Iterable[Campaign]) -> None:
    """Give each campaign its account, with the time zone that payloads are written in: one query at the most."""
    different = list({id(campaign): campaign for campaign in campaigns}.values())
    prefetch_related_objects(different, Prefetch("account", Account.objects.only("time_zone")))
