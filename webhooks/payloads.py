"""What the three webhooks of a campaign say.

The shapes are those of Exotel's Campaigns API v2; where its pages are silent, docs/webhooks.md says what was chosen.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from campaigns.models import Call, Campaign, Outcome
from core.ids import wire_id
from dialer.models import CallAttempt
from reports import links
from webhooks.models import WebhookDelivery

S = Campaign.Status
Kind = WebhookDelivery.Kind

ENDS = (S.COMPLETED, S.FAILED, S.CANCELED)


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


def _local(moment: datetime | None, account: Any) -> str | None:
    """RFC 3339 in the account's zone, to the second."""
    return moment.astimezone(account.zone).isoformat(timespec="seconds") if moment else None
