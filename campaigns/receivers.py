"""Receivers of the signals that the apps below send."""

from collections.abc import Collection, Sequence
from typing import Any

from django.db.models import QuerySet
from django.db.models.signals import post_save
from django.dispatch import receiver

from accounts.carriers import CarrierKind
from accounts.models import Account, CallerId
from accounts.signals import carrier_changing
from campaigns import carrier_fit, held_calls, listed_calls, removal
from campaigns.models import Call, Campaign
from contacts.models import Contact, ContactList
from contacts.signals import contact_deleted, list_deletion_requested, numbers_listed, rules_of_contacts_changed
from core import clocks
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


@receiver(contact_deleted)
def leave_deleted_contacts_alone(contact: Contact, **_: Any) -> None:
    """Take a contact out of the open campaigns that were made from lists. Those of given numbers know no contact."""
    calls = Call.objects.filter(
        number=contact.number, campaign__account=contact.account_id, campaign__status__in=Campaign.OPEN
    )
    removal.take_out(calls.exclude(campaign__list_ids=[]), rule=removal.CONTACT_DELETED, at=clocks.now())


@receiver(numbers_listed)
def end_calls_to_listed_numbers(account_id: int | None, numbers: Collection[str], reason: str, **_: Any) -> None:
    listed_calls.end(account_id, numbers, reason=reason, at=clocks.now())


@receiver(post_save, sender=Account)
def ask_again_of_held_calls(instance: Account, created: bool, **_: Any) -> None:
    """Ask the rules again of all calls that they hold: the account's may have changed."""
    if not created:
        held_calls.release_soon(instance.pk)


@receiver(rules_of_contacts_changed)
def ask_again_of_calls_to_contacts(account_id: int, numbers: Sequence[str], **_: Any) -> None:
    """Ask the rules again of the held calls to these numbers: they were held by what was known before."""
    held_calls.release_soon(account_id, numbers)


@receiver(carrier_changing)
def name_campaigns_that_need_the_old_carrier(caller_ids: "QuerySet[CallerId]", kind: CarrierKind, **_: Any) -> str:
    """Return which open campaign the new carrier can't call for, and why; "" where there is none."""
    return carrier_fit.obstacle(Campaign.objects.filter(caller_id__in=caller_ids), kind)
