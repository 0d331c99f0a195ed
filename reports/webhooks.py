"""The three webhooks of a campaign: what each of them says, and when.

Written as events happen, in their transaction. The shapes are those of Exotel's Campaigns API v2; where its pages are
silent, docs/webhooks.md says what was chosen.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

from django.db.models import Q

from campaigns.models import Call, Campaign, Outcome
from core.ids import wire_id
from dialer.models import CallAttempt
from reports import links, webhook_outbox
from reports.models import WebhookDelivery
from reports.webhook_outbox import Webhook

S = Campaign.Status
Kind = WebhookDelivery.Kind

ENDS = (S.COMPLETED, S.FAILED, S.CANCELED)


def tell_of_attempts(attempts: Sequence[CallAttempt]) -> None:
    """These attempts have ended with an outcome; their campaigns are loaded."""
    wanted = [attempt.pk for attempt in attempts if attempt.campaign.call_status_callback]
    if wanted:
        ended = CallAttempt.objects.filter(pk__in=wanted).order_by("pk")
        rows = ended.select_related("call", "campaign__account")
        webhook_outbox.add(
            Webhook(each.campaign, Kind.CALL_STATUS, each.campaign.call_status_callback, call_status(each))
            for each in rows
        )


def tell_of_calls(campaigns: Iterable[Campaign], call_ids: Collection[int]) -> None:
    """These calls of these campaigns are over."""
    wanted = [campaign.pk for campaign in campaigns if campaign.call_schedule_callback]
    if not wanted:
        return
    # A deleted campaign never was: nobody is told of its numbers.
    ended = Call.objects.filter(pk__in=call_ids, campaign__in=wanted).exclude(campaign__status=S.DELETED)
    calls = list(ended.select_related("campaign__account").order_by("pk"))
    made = _attempts_of(calls)
    webhook_outbox.add(
        Webhook(
            each.campaign, Kind.CALL_SCHEDULE, each.campaign.call_schedule_callback, call_schedule(each, made[each.pk])
        )
        for each in calls
    )


def tell_of_campaigns(campaigns: Iterable[Campaign], to: str, at: datetime) -> None:
    """These campaigns have moved to the state. Only starts and ends are told: a campaign that is resumed goes on."""
    wanted = [campaign.pk for campaign in campaigns if campaign.status_callback]
    if not wanted or to not in {S.IN_PROGRESS, *ENDS}:
        return
    started_now_or_ended = ~Q(status=S.IN_PROGRESS) | Q(started_at=at)
    moved = Campaign.objects.filter(started_now_or_ended, pk__in=wanted).select_related("account").order_by("pk")
    webhook_outbox.add(
        Webhook(each, Kind.CAMPAIGN_STATUS, each.status_callback, campaign_status(each)) for each in moved
    )


def call_status(attempt: CallAttempt) -> dict[str, Any]:
    """One dial is over, whether or not another follows. attempt: with its call, campaign and account loaded."""
    account = attempt.campaign.account
    return {
        "campaign_sid": wire_id(attempt.campaign_id),
        "call_sid": wire_id(attempt.pk),
        "date_created": _local(attempt.claimed_at, account),
        "date_updated": _local(attempt.ended_at, account),
        "number": attempt.call.number,
        "status": attempt.status,
    }


def call_schedule(call: Call, attempts: Sequence[CallAttempt]) -> dict[str, Any]:
    """One number is over. attempts: those that count, in their order; none where it was never dialled."""
    campaign = call.campaign
    return {
        "campaign_sid": wire_id(campaign.pk),
        "to": call.number,
        "from": campaign.caller_id_given,
        "date_created": _local(campaign.created_at, campaign.account),
        "date_updated": _local(call.ended_at, campaign.account),
        "call_sids": [{"call_sid": wire_id(attempt.pk), "status": attempt.status} for attempt in attempts],
        "status": call.last_outcome or Outcome.FAILED.value,
    }


def campaign_status(campaign: Campaign) -> dict[str, Any]:
    """The campaign has started, or ended; then `reports` is the link to its report, and so is `report_url`."""
    ended = campaign.status in ENDS
    report = links.report_url(campaign.pk) if ended else None
    return {
        "campaign_sid": wire_id(campaign.pk),
        "date_created": _local(campaign.created_at, campaign.account),
        "date_updated": _local(campaign.updated_at, campaign.account),
        "date_started": _local(campaign.started_at, campaign.account),
        "status": campaign.status,
        "reports": report,
        **({"report_url": report} if ended else {}),
    }


def _attempts_of(calls: Sequence[Call]) -> dict[int, list[CallAttempt]]:
    made: dict[int, list[CallAttempt]] = defaultdict(list)
    counted = CallAttempt.objects.filter(call__in=[call.pk for call in calls])
    for attempt in counted.exclude(status=CallAttempt.Status.CANCELED).order_by("pk").only("call_id", "status"):
        made[attempt.call_id].append(attempt)
    return made


def _local(moment: datetime | None, account: Any) -> str | None:
    """RFC 3339 in the account's zone, to the second."""
    return moment.astimezone(account.zone).isoformat(timespec="seconds") if moment else None
