"""Write the webhooks of what has happened, in the transaction in which it happens.

Each receiver is handed the rows as they now are. A campaign without a callback address costs it no query.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from django.db.models import Prefetch, prefetch_related_objects
from django.dispatch import receiver

from accounts.models import Account
from campaigns.models import Campaign
from campaigns.signals import calls_ended, campaigns_moved, endings_finished
from dialer.models import CallAttempt
from dialer.signals import attempts_ended
from webhooks import call_schedules, outbox
from webhooks.call_schedules import END_OF_A_CALL
from webhooks.models import END, START, WebhookDelivery
from webhooks.outbox import Webhook
from webhooks.payloads import ENDS, call_status, campaign_status

Kind = WebhookDelivery.Kind


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
def tell_of_calls(
    campaigns: Iterable[Campaign], call_ids: Sequence[int], at: datetime, calls_left: int = 0, **_: Any
) -> None:
    wanted = [campaign for campaign in campaigns if _tells_of_its_calls(campaign)]
    if wanted:
        _load_accounts(wanted)
        call_schedules.add(wanted, call_ids, at, due_in=calls_left * END_OF_A_CALL)


@receiver(campaigns_moved)
def tell_of_campaigns(campaigns: Iterable[Campaign], at: datetime, **_: Any) -> None:
    """Tell of starts and ends. The end of a campaign that is ending is told when its last waiting call has ended."""
    _tell_of_campaigns(campaign for campaign in campaigns if _has_started_or_ended(campaign, at))


@receiver(endings_finished)
def tell_of_ends(campaigns: Iterable[Campaign], **_: Any) -> None:
    _tell_of_campaigns(campaign for campaign in campaigns if campaign.status in ENDS)


def _tell_of_campaigns(campaigns: Iterable[Campaign]) -> None:
    wanted = [campaign for campaign in campaigns if campaign.status_callback]
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
    return campaign.status in ENDS and not campaign.is_ending


def _load_accounts(campaigns: Iterable[Campaign]) -> None:
    """Give each campaign its account, with the time zone that payloads are written in: one query at the most."""
    different = list({id(campaign): campaign for campaign in campaigns}.values())
    prefetch_related_objects(different, Prefetch("account", Account.objects.only("time_zone")))
