"""The bodies of the three webhooks of a campaign.

The shapes are those of Exotel's Campaigns API v2. Where its documentation says nothing, docs/user/webhooks.md has what
was chosen.
"""

from datetime import datetime
from typing import Any

from campaigns.models import Campaign
from core.ids import wire_id
from core.times import rfc3339
from dialer.models import CallAttempt
from reports import links

# The ends that are told: not the deletion of a campaign before its start, nor archiving, which follows an end.
ENDS = (Campaign.Status.COMPLETED, Campaign.Status.FAILED, Campaign.Status.CANCELED)


def call_status(attempt: CallAttempt) -> dict[str, Any]:
    """Tell that an attempt has ended, whether or not a retry follows."""
    account = attempt.campaign.account
    return {
        "campaign_sid": wire_id(attempt.campaign_id),
        "call_sid": wire_id(attempt.pk),
        "date_created": rfc3339(attempt.claimed_at, account.zone),
        "date_updated": rfc3339(attempt.ended_at, account.zone),
        "number": attempt.call.number,
        "status": attempt.status,
        # Exotel's has no such key, so it is there only where it says something.
        **({"digits": attempt.digits} if attempt.digits else {}),
    }


def call_schedule(campaign: Campaign, ended_at: datetime) -> dict[str, Any]:
    """Tell that numbers have ended: what all numbers of a campaign have in common that ended at this moment.

    `webhooks.call_schedules` adds what is each number's own: `to`, `call_sids` and `status`.
    """
    return {
        "campaign_sid": wire_id(campaign.pk),
        "from": campaign.caller_id_given,
        "date_created": rfc3339(campaign.created_at, campaign.account.zone),
        "date_updated": rfc3339(ended_at, campaign.account.zone),
    }


def campaign_status(campaign: Campaign) -> dict[str, Any]:
    """Tell that a campaign has started or ended. At its end `reports` and `report_url` are the link to its report."""
    has_ended = campaign.status in ENDS
    report = links.report_url(campaign.pk) if has_ended else None
    return {
        "campaign_sid": wire_id(campaign.pk),
        "date_created": rfc3339(campaign.created_at, campaign.account.zone),
        "date_updated": rfc3339(campaign.updated_at, campaign.account.zone),
        "date_started": rfc3339(campaign.started_at, campaign.account.zone),
        "status": campaign.status,
        "reports": report,
        **({"report_url": report} if has_ended else {}),
    }
