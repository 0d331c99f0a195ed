"""The contacts of an account: add, change and find them. Numbers are E.164 throughout."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import QuerySet, Value
from django.db.models.functions import Concat

from accounts import audit
from accounts.audit import Actor, Subject, Verb
from accounts.models import Account
from contacts import deletion_lock, unique_changes
from contacts.models import Contact
from contacts.signals import contact_deleted, rules_of_contacts_changed
from core.errors import Conflict, Missing
from core.ids import wire_id

# The columns that hold text about a person. A CSV file may name them.
TEXT_COLUMNS = ("first_name", "last_name", "company_name", "email", "tag")
# What rules ask of a contact. A CSV file may have these too.
RULE_COLUMNS = ("time_zone", "consent_date", "consent_source", "consent_scope")
# With another number it is another person's phone that these are known of.
_ASKED_BY_RULES = {"number", *RULE_COLUMNS}


@dataclass(frozen=True)
class ContactAddition:
    """The contact that has a number, and whether it was added just now."""

    contact: Contact
    is_new: bool


def add(account: Account, wanted: Sequence[Mapping[str, Any]], *, actor: Actor) -> list[ContactAddition]:
    """Add a contact for each number that the account does not have. An existing contact stays as it is.

    Args:
        account: owns the contacts.
        wanted: the columns of each contact, `number` among them. Of two with one number the first counts.

    Returns:
        A contact for each of `wanted`, in their order.

    Raises:
        Conflict: a contact with such a number was deleted at the same moment.
    """
    first: dict[str, Contact] = {}
    candidates = [Contact(account=account, **columns) for columns in wanted]
    for candidate in candidates:
        first.setdefault(candidate.number, candidate)
    with transaction.atomic():
        Contact.objects.bulk_create(first.values(), ignore_conflicts=True)
        stored = {contact.number: contact for contact in Contact.objects.filter(account=account, number__in=first)}
        additions = []
        for candidate in candidates:
            contact = stored.get(candidate.number)
            if contact is None:
                raise Conflict(f"the contact {candidate.number} was deleted at the same moment: send the request again")
            is_new = contact.pk == candidate.pk and first[candidate.number] is candidate
            additions.append(ContactAddition(contact, is_new))
        _record(actor, Verb.CREATED, account, [addition.contact for addition in additions if addition.is_new])
    return additions


def change(
    account: Account, changes: Sequence[tuple[Contact, Mapping[str, Any]]], *, actor: Actor
) -> list[Contact | None]:
    """Change columns of contacts.

    Returns:
        The changed contacts, with None for one whose new number is another contact's, and which stays as it was.

    Raises:
        Conflict: another request gave such a number to a contact at the same moment, or deleted one of the contacts.
    """
    changed = unique_changes.apply(Contact.objects.filter(account=account), changes, "number")
    rows = {contact.pk: contact for contact in changed if contact}
    columns_of_a_contact = ["number", *TEXT_COLUMNS, *RULE_COLUMNS, "custom", "updated_at"]
    try:
        with transaction.atomic():
            if Contact.objects.bulk_update(rows.values(), columns_of_a_contact, batch_size=500) < len(rows):
                raise Conflict("one of the contacts was deleted at the same moment, nothing was changed: look again")
            ruled = [contact for contact, given in changes if given.keys() & _ASKED_BY_RULES]
            of_rules = {contact.number for contact in ruled if contact.pk in rows}
            if of_rules:
                rules_of_contacts_changed.send(Contact, account_id=account.pk, numbers=sorted(of_rules))
            what = ", ".join(sorted({name for _, given in changes for name in given}))
            _record(actor, Verb.CHANGED, account, list(rows.values()), what=what)
    except IntegrityError as error:
        raise Conflict("a number was given to another contact at the same moment: send the request again") from error
    return changed


def delete(contact: Contact, *, actor: Actor) -> None:
    """Delete a contact, from every list as well. Campaigns that were made from lists don't call it any more.

    Raises:
        Missing
    """
    with transaction.atomic():
        # Waits for calls that are being made of contacts, so that it takes this one out of those campaigns too.
        deletion_lock.hold(contact.account_id)
        # Waits for uploads that are putting the contact into a list, so that it is taken out of that list too.
        if not Contact.objects.select_for_update().filter(pk=contact.pk):
            raise Missing(f"the contact {wire_id(contact.pk)} was deleted at the same moment")
        _record(actor, Verb.DELETED, contact.account, [contact])
        contact_deleted.send(Contact, contact=contact)
        contact.delete()


def find(account: Account, *, name: str = "", list_ids: Collection[UUID] | None = None) -> "QuerySet[Contact]":
    """Return the account's contacts, narrowed to a part of the full name and to those in any of the lists."""
    found = Contact.objects.filter(account=account)
    if name:
        found = found.alias(full_name=Concat("first_name", Value(" "), "last_name")).filter(full_name__icontains=name)
    if list_ids is not None:
        found = found.filter(entries__contact_list__in=list_ids).distinct()
    return found


def _record(actor: Actor, verb: Verb, account: Account, contacts: Sequence[Contact], what: str = "") -> None:
    """Record one entry however many contacts. It outlives them, so that no number and no name stands in it."""
    if len(contacts) == 1:
        subject = Subject(Contact, f"contact {wire_id(contacts[0].pk)}", account, str(contacts[0].pk))
        audit.record(actor, verb, subject, what=what)
    elif contacts:
        audit.record(actor, verb, Subject(Contact, f"{len(contacts):,} contacts", account), what=what)
