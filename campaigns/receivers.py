"""What campaigns do when an app below them tells them something."""

from typing import Any

from django.dispatch import receiver

from campaigns.models import Campaign
from contacts.models import ContactList
from contacts.signals import list_deletion_requested
from core.errors import Conflict
from core.ids import wire_id


@receiver(list_deletion_requested)
def keep_lists_of_open_campaigns(contact_list: ContactList, **_: Any) -> None:
    """Raise Conflict while a campaign that has not ended was made from the list."""
    user = Campaign.objects.filter(
        account=contact_list.account_id, status__in=Campaign.OPEN, list_ids__contains=[contact_list.pk]
    ).first()
    if user:
        raise Conflict(
            f"the list {contact_list.name[:100]} is used by the campaign {user.name[:100]} ({wire_id(user.pk)}),"
            f" which is {user.status}: delete it when the campaign has ended"
        )
