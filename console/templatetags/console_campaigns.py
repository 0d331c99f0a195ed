"""What templates say of campaigns."""

from collections.abc import Mapping

from django import template
from django.utils.safestring import SafeString

from campaigns.called_again import Selection
from campaigns.models import Campaign
from console.now import Running
from core.admin_kit import badge

register = template.Library()

Status = Campaign.Status


@register.filter
def of(counts: Mapping[str, int], name: str) -> int:
    return counts.get(name, 0)


@register.simple_tag
def state(row: Running) -> SafeString:
    """Write the state as a word in color. A campaign that reached nobody does not look like success."""
    campaign = row.campaign
    if campaign.status == Status.COMPLETED and not row.reached:
        return badge(Status.PAUSED, "ended, nobody reached")
    return badge(campaign.status, campaign.get_status_display())


@register.filter
def reached_of_ended(row: Running) -> str:
    ended = row.reached + row.not_reached
    return f"{row.reached / ended:.0%}" if ended else ""


@register.filter
def whom(campaign: Campaign) -> str:
    return str(Selection.of(campaign))
