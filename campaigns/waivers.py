"""Rule sets of an account that an operator takes away from one of its campaigns, for a reason that is kept."""

from collections.abc import Sequence

from django.db import transaction

from accounts import audit, calling_rules
from accounts.audit import Actor
from campaigns import campaign_lock, held_calls
from campaigns.models import Campaign
from core.errors import InvalidRequest


def waive(campaign: Campaign, names: Sequence[str], *, because: str, actor: Actor) -> Campaign:
    """Let these rule sets of the account not hold for the campaign; none: all hold again.

    Raises:
        InvalidRequest: the account has no such set, the reason is missing, or the campaign has ended.
    """
    with transaction.atomic():
        campaign_lock.hold([campaign.pk])
        campaign = Campaign.objects.select_related("account").get(pk=campaign.pk)
        if not campaign.is_open:
            raise InvalidRequest(f"the campaign is {campaign.status}: no rule holds it any more")
        _require_of_account(campaign, names)
        if names and not because.strip():
            raise InvalidRequest("say why: who decided it, and on what ground")
        campaign.waived_rules = list(dict.fromkeys(names))
        campaign.waived_because = because.strip()[:255] if names else ""
        campaign.save(update_fields=["waived_rules", "waived_because", "updated_at"])
        what = f"waived rules: {', '.join(names)}; because {campaign.waived_because}" if names else "waived rules: none"
        audit.record(actor, audit.Verb.CHANGED, campaign, what=what)
        held_calls.release_soon(campaign.account_id)
    return campaign


def _require_of_account(campaign: Campaign, names: Sequence[str]) -> None:
    for name in names:
        if name not in campaign.account.rules:
            held = ", ".join(campaign.account.rules) or "none"
            known = "" if name in calling_rules.presets() else f"there is no rule set {name}; "
            raise InvalidRequest(f"{known}the account has the rule sets {held}, and {name} is not one of them")
