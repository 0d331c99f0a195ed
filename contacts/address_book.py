"""The address book of an account: adding, changing, deleting and finding contacts. Numbers are E.164 throughout."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import QuerySet, Value
from django.db.models.functions import Concat
from django.utils import timezone

from accounts.models import Account
from contacts.models import Contact
from core.errors import Conflict

TEXTS = ("first_name", "last_name", "company_name", "email", "tag")


@dataclass(frozen=True)
class Added:
    """The contact of a number, and whether it is new or was there already."""

    contact: Contact
    is_new: bool


def add(account: Account, wanted: Sequence[Mapping[str, Any]]) -> list[Added]:
    """Adds a contact for each of `wanted`, whose keys are columns, `number` among them. In their order.

    A number that the account has already stays as it is; one that stands twice in `wanted` is the first of them.
    """
    first: dict[str, Contact] = {}
    made = [Contact(account=account, **columns) for columns in wanted]
    for contact in made:
        first.setdefault(contact.number, contact)
    Contact.objects.bulk_create(first.values(), ignore_conflicts=True)
    stored = {row.number: row for row in Contact.objects.filter(account=account, number__in=first)}
    return [
        Added(stored[each.number], is_new=stored[each.number].pk == each.pk and first[each.number] is each)
        for each in made
    ]


def change(account: Account, changes: Sequence[tuple[Contact, Mapping[str, Any]]]) -> list[Contact | None]:
    """Changes columns of contacts; None for one whose new number is another contact's, which stays as it was.

    Raises Conflict where somebody else takes such a number at the same moment.
    """
    numbers = {columns["number"] for _, columns in changes if "number" in columns}
    owners = dict(Contact.objects.filter(account=account, number__in=numbers).values_list("number", "pk"))
    changed: list[Contact | None] = []
    for contact, columns in changes:
        number = columns.get("number", contact.number)
        if owners.get(number, contact.pk) != contact.pk:
            changed.append(None)
            continue
        if number != contact.number:
            owners[number] = contact.pk
        for name, value in columns.items():
            setattr(contact, name, value)
        contact.updated_at = timezone.now()
        changed.append(contact)
    rows = {contact.pk: contact for contact in changed if contact}
    try:
        with transaction.atomic():
            Contact.objects.bulk_update(rows.values(), ["number", *TEXTS, "custom", "updated_at"], batch_size=500)
    except IntegrityError as error:
        raise Conflict("a number was given to another contact at the same moment: send the request again") from error
    return changed


def find(account: Account, *, name: str = "", list_ids: Collection[UUID] | None = None) -> "QuerySet[Contact]":
    """The account's contacts: with this part of a name, first and last together; in any of these lists."""
    found = Contact.objects.filter(account=account)
    if name:
        found = found.alias(full_name=Concat("first_name", Value(" "), "last_name")).filter(full_name__icontains=name)
    if list_ids is not None:
        found = found.filter(entries__contact_list__in=list_ids).distinct()
    return found
