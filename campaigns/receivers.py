"""Receivers of the signals that the apps below send."""

from typing import Any

from django.dispatch import receiver

from campaigns.models import Campaign
from contacts.models import ContactList
from contacts.signals import list_deletion_requested
from core.errors import Conflict
from core.ids import wire_id


@receiver(list_deletion_requested)
def keep_lists_of_open_campaigns(contact_list: ContactList, **_: Any) -> None:
    """Raise Conflict while a campaign that uses the list has not ended."""
    campaign = Campaign.objects.filter(
        account=contact_list.account_id, status__in=Campaign.OPEN, list_ids__contains=[contact_list.pk]
    ).first()
    if campaign:
        raise Conflict(
            f"the list {contact_list.name[:100]} is used by the campaign {campaign.name[:100]}"
            f" ({wire_id(campaign.pk)}), which is {campaign.status}: delete it when the campaign has ended"
        )
