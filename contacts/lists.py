"""Lists of contacts: create, rename, fill and delete them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db import IntegrityError, connection, transaction
from django.db.models import Count
from django.utils import timezone

from accounts.models import Account
from contacts import signals
from contacts.models import Contact, ContactList, CsvUpload, ListEntry
from core.errors import Conflict, InvalidRequest
from core.ids import wire_id

# Exotel takes so many rows in a dynamic list, and 100,000 contacts in a static one; one limit for both is enough here.
MOST_ENTRIES = 500_000


@dataclass(frozen=True)
class Made:
    """The list of a name, and whether it is new or was there already."""

    contact_list: ContactList
    is_new: bool


def create(account: Account, name: str, tag: str = "", kind: str = ContactList.Type.STATIC) -> Made:
    """A new list, or the one that has the name already, as it is. In one statement, so that two requests agree."""
    made = ContactList(account=account, name=name, tag=tag, type=kind)
    ContactList.objects.bulk_create([made], ignore_conflicts=True)
    stored = ContactList.objects.get(account=account, name=name)
    return Made(stored, stored.pk == made.pk)


def change(contact_list: ContactList, **columns: str) -> ContactList:
    """Renames a list, or changes its tag. Raises Conflict where another list has the name."""
    for column, value in columns.items():
        setattr(contact_list, column, value)
    try:
        with transaction.atomic():
            contact_list.save(update_fields=[*columns, "updated_at"])
    except IntegrityError as error:
        raise Conflict(f"there is another list named {contact_list.name[:100]}: choose another name") from error
    return contact_list


def delete(contact_list: ContactList) -> None:
    """Deletes a list; its contacts stay. Raises Conflict while a campaign or an upload needs it."""
    with transaction.atomic():
        # Whoever makes a campaign of the list holds a share of this lock until the campaign is there to be seen.
        ContactList.objects.select_for_update().get(pk=contact_list.pk)
        refuse_while_loading([contact_list])
        signals.list_deletion_requested.send(ContactList, contact_list=contact_list)
        contact_list.delete()


def add_contacts(contact_list: ContactList, contact_ids: Sequence[UUID]) -> dict[UUID, bool]:
    """Puts contacts of the account into a static list. Of each that exists, whether it is new to the list.

    Raises InvalidRequest for a dynamic list, and where the list would become too long.
    """
    if contact_list.type == ContactList.Type.DYNAMIC:
        raise InvalidRequest("a dynamic list is filled by CSV uploads only: each of its rows has values of its own")
    known = Contact.objects.filter(account=contact_list.account_id, pk__in=contact_ids).values_list("pk", flat=True)
    with transaction.atomic():
        # One at a time: of two that fill the last places of a list, the second must see what the first has added.
        ContactList.objects.select_for_update(no_key=True).get(pk=contact_list.pk)
        there = set(
            ListEntry.objects.filter(contact_list=contact_list, contact__in=known).values_list("contact_id", flat=True)
        )
        new = [contact_id for contact_id in dict.fromkeys(contact_ids) if contact_id in set(known) - there]
        if contact_list.entries.count() + len(new) > MOST_ENTRIES:
            raise InvalidRequest(f"the list would have more than {MOST_ENTRIES:,} entries: start another list")
        ListEntry.objects.bulk_create(
            [ListEntry(contact_list=contact_list, contact_id=contact_id) for contact_id in new], ignore_conflicts=True
        )
        _touch(contact_list)
    return {contact_id: contact_id not in there for contact_id in known}


def remove_contact(contact_list: ContactList, contact_id: UUID) -> bool:
    """Takes a contact out of the list; False where it was not in it."""
    removed, _ = ListEntry.objects.filter(contact_list=contact_list, contact=contact_id).delete()
    if removed:
        _touch(contact_list)
    return bool(removed)


def sizes(list_ids: Collection[UUID]) -> dict[UUID, int]:
    """The number of entries of each list, in one query."""
    counted = (
        ListEntry.objects.filter(contact_list__in=list_ids).values_list("contact_list").annotate(Count("id")).order_by()
    )
    return dict.fromkeys(list_ids, 0) | dict(counted)


def of_contacts(contact_ids: Collection[UUID]) -> dict[UUID, list[ContactList]]:
    """The lists that each contact is in, in two queries."""
    pairs = ListEntry.objects.filter(contact__in=contact_ids).values_list("contact_id", "contact_list_id").distinct()
    lists = ContactList.objects.in_bulk({list_id for _, list_id in pairs})
    found: dict[UUID, list[ContactList]] = {contact_id: [] for contact_id in contact_ids}
    for contact_id, list_id in pairs:
        found[contact_id].append(lists[list_id])
    return {contact_id: sorted(each, key=lambda row: row.name) for contact_id, each in found.items()}


def hold(list_ids: Sequence[UUID]) -> dict[UUID, ContactList]:
    """Those of the lists that exist; none of them can be deleted before the end of the transaction."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM contacts_contactlist WHERE id = ANY(%s) ORDER BY id FOR KEY SHARE", [list(list_ids)]
        )
    return ContactList.objects.in_bulk(list_ids)


def refuse_while_loading(lists: Collection[ContactList]) -> None:
    loading = CsvUpload.objects.filter(contact_list__in=lists, status=CsvUpload.Status.IN_PROGRESS).select_related(
        "contact_list"
    )
    if upload := loading.first():
        raise Conflict(
            f"the list {upload.contact_list.name[:100]} ({wire_id(upload.contact_list_id)}) is still being loaded,"
            f" {upload.rows_total:,} rows so far: wait until the upload {wire_id(upload.pk)} is completed"
        )


def _touch(contact_list: ContactList) -> None:
    ContactList.objects.filter(pk=contact_list.pk).update(updated_at=timezone.now())
