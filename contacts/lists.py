"""Lists of contacts: create, change, fill and delete them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import IntegrityError, connection, transaction
from django.db.models import Count, Max

from accounts import audit
from accounts.audit import Actor, Verb
from accounts.models import Account
from contacts import signals, unique_changes
from contacts.models import ContactList, CsvUpload, ListEntry
from core import clocks
from core.errors import Conflict, InvalidRequest, Missing
from core.ids import wire_id

# Exotel takes so many rows in a dynamic list, and 100,000 contacts in a static one; one limit for both is enough here.
MAX_ENTRIES = 500_000

_DELETED_BESIDE = "the list {} was deleted at the same moment: send the request again"


@dataclass(frozen=True)
class ListCreation:
    """The list that has a name, and whether it was created just now."""

    contact_list: ContactList
    is_new: bool


def create(
    account: Account,
    name: str,
    tag: str = "",
    kind: str = ContactList.Type.STATIC,
    *,
    actor: Actor,
    allows_blanks: bool = False,
) -> ListCreation:
    """Create a list, or return the one that has the name already, as it is.

    Raises:
        Conflict: a list of that name was deleted at the same moment.
        InvalidRequest: blanks are allowed in a static list.
    """
    candidate = ContactList(account=account, name=name, tag=tag, type=kind, allows_blanks=allows_blanks)
    require_blanks_make_sense(candidate, {})
    # One statement, so that of two requests at the same moment the second gets the list of the first.
    with transaction.atomic():
        ContactList.objects.bulk_create([candidate], ignore_conflicts=True)
        stored = account.contact_lists.filter(name=name).first()
        if stored is None:
            raise Conflict(_DELETED_BESIDE.format(name[:100]))
        is_new = stored.pk == candidate.pk
        if is_new:
            audit.record(actor, Verb.CREATED, stored)
    return ListCreation(stored, is_new)


def create_all(account: Account, wanted: Sequence[Mapping[str, Any]], *, actor: Actor) -> list[ListCreation]:
    """Create a static list for each of `wanted`, in two statements. Of two with one name the first counts.

    Args:
        wanted: the columns of each, `name` among them; blanks are not allowed in any.

    Returns:
        For each of `wanted` the list that has its name.

    Raises:
        Conflict: a list of such a name was deleted at the same moment.
    """
    candidates: dict[str, ContactList] = {}
    for columns in wanted:
        candidates.setdefault(columns["name"], ContactList(account=account, **columns))
    creations = []
    with transaction.atomic():
        ContactList.objects.bulk_create(candidates.values(), ignore_conflicts=True)
        stored = {row.name: row for row in account.contact_lists.filter(name__in=candidates)}
        for columns in wanted:
            candidate = candidates.pop(columns["name"], None)
            contact_list = stored.get(columns["name"])
            if contact_list is None:
                raise Conflict(_DELETED_BESIDE.format(columns["name"][:100]))
            creations.append(ListCreation(contact_list, candidate is not None and candidate.pk == contact_list.pk))
        audit.record(actor, Verb.CREATED, *(creation.contact_list for creation in creations if creation.is_new))
    return creations


def change_all(
    account: Account, changes: Sequence[tuple[ContactList, Mapping[str, Any]]], *, actor: Actor
) -> list[ContactList | None]:
    """Change names and tags of lists, in a few statements.

    Returns:
        The changed lists, with None for one whose new name is another list's, and which stays as it was.

    Raises:
        Conflict: another request gave such a name to a list at the same moment, or deleted one of the lists.
    """
    changed = unique_changes.apply(account.contact_lists.all(), changes, "name")
    rows = {row.pk: row for row in changed if row}
    told = {row.pk: ", ".join(columns) for row, columns in changes}
    try:
        with transaction.atomic():
            columns_of_a_list = ["name", "tag", "allows_blanks", "updated_at"]
            if ContactList.objects.bulk_update(rows.values(), columns_of_a_list, batch_size=500) < len(rows):
                raise Conflict("one of the lists was deleted at the same moment, nothing was changed: look again")
            audit.record_each(actor, Verb.CHANGED, ((row, told[row.pk]) for row in rows.values()))
    except IntegrityError as error:
        raise Conflict("a name was given to another list at the same moment: send the request again") from error
    return changed


def require_blanks_make_sense(contact_list: ContactList, columns: Mapping[str, Any]) -> None:
    """Raise InvalidRequest where these columns would allow blanks in a static list."""
    if columns.get("allows_blanks", contact_list.allows_blanks) and contact_list.type == ContactList.Type.STATIC:
        raise InvalidRequest("'allow_blanks': only a dynamic list has values that may be blank: leave it out")


def change(contact_list: ContactList, *, actor: Actor, **columns: Any) -> ContactList:
    """Rename a list, change its tag, or whether it allows blanks, which counts for the rows loaded from then on.

    Raises:
        Conflict: another list has the name.
        InvalidRequest: blanks are allowed in a static list.
        Missing
    """
    require_blanks_make_sense(contact_list, columns)
    gone = _gone(contact_list)
    for column, value in columns.items():
        setattr(contact_list, column, value)
    try:
        with transaction.atomic():
            contact_list.updated_at = clocks.now()
            if not ContactList.objects.filter(pk=contact_list.pk).update(**columns, updated_at=contact_list.updated_at):
                raise Missing(gone)
            audit.record(actor, Verb.CHANGED, contact_list, what=", ".join(columns))
    except IntegrityError as error:
        raise Conflict(f"there is another list named {contact_list.name[:100]}: choose another name") from error
    return contact_list


def delete(contact_list: ContactList, *, actor: Actor) -> None:
    """Delete a list. Its contacts stay.

    Raises:
        Conflict: a campaign or an upload needs the list.
        Missing
    """
    with transaction.atomic():
        # Waits for transactions that create a campaign from the list: they share a lock on its row until the campaign
        # can be seen here.
        if not ContactList.objects.select_for_update().filter(pk=contact_list.pk):
            raise Missing(_gone(contact_list))
        require_loaded([contact_list])
        signals.list_deletion_requested.send(ContactList, contact_list=contact_list)
        audit.record(actor, Verb.DELETED, contact_list)
        contact_list.delete()


def add_contacts(contact_list: ContactList, contact_ids: Sequence[UUID], *, actor: Actor) -> dict[UUID, bool]:
    """Add contacts of the account to a static list.

    Returns:
        For each contact that exists, whether it is new to the list.

    Raises:
        InvalidRequest: the list is dynamic, or would become too long.
        Missing
    """
    if contact_list.type == ContactList.Type.DYNAMIC:
        raise InvalidRequest("a dynamic list is filled by CSV uploads only: each of its rows has values of its own")
    with transaction.atomic():
        # One at a time: of two requests that fill the last places, the second must see what the first has added.
        if not ContactList.objects.select_for_update(no_key=True).filter(pk=contact_list.pk):
            raise Missing(_gone(contact_list))
        known = _locked_contacts(contact_list.account_id, contact_ids)
        present = set(
            ListEntry.objects.filter(contact_list=contact_list, contact__in=known).values_list("contact_id", flat=True)
        )
        new = [contact_id for contact_id in dict.fromkeys(contact_ids) if contact_id in known - present]
        if contact_list.entries.count() + len(new) > MAX_ENTRIES:
            raise InvalidRequest(f"the list would have more than {MAX_ENTRIES:,} entries: start another list")
        ListEntry.objects.bulk_create(
            [ListEntry(contact_list=contact_list, contact_id=contact_id) for contact_id in new], ignore_conflicts=True
        )
        _touch(contact_list)
        audit.record(actor, Verb.CHANGED, contact_list, what=f"contacts added: {len(new):,}")
    return {contact_id: contact_id not in present for contact_id in known}


def remove_contact(contact_list: ContactList, contact_id: UUID, *, actor: Actor) -> bool:
    """Remove a contact from the list. Returns whether it was in it."""
    with transaction.atomic():
        removed, _ = ListEntry.objects.filter(contact_list=contact_list, contact=contact_id).delete()
        if removed:
            _touch(contact_list)
            audit.record(actor, Verb.CHANGED, contact_list, what=f"contact {wire_id(contact_id)} removed")
    return bool(removed)


def latest_upload_number(contact_list: ContactList) -> int:
    """Return the place of the last upload among those of a dynamic list, from 1; 0 where there was none.

    The caller holds the list's row locked.
    """
    latest: int | None = contact_list.uploads.aggregate(latest=Max("number"))["latest"]
    return latest or 0


def lock_against_loading(list_id: UUID) -> None:
    """Let no other upload change the entries of the list before the end of the transaction."""
    ContactList.objects.select_for_update(no_key=True).only("pk").get(pk=list_id)


def sizes(list_ids: Collection[UUID]) -> dict[UUID, int]:
    """Return the number of entries of each list, in one query."""
    counted = (
        ListEntry.objects.filter(contact_list__in=list_ids).values_list("contact_list").annotate(Count("id")).order_by()
    )
    return dict.fromkeys(list_ids, 0) | dict(counted)


def of_contacts(contact_ids: Collection[UUID]) -> dict[UUID, list[ContactList]]:
    """Return the lists that each contact is in, by name, in two queries."""
    pairs = ListEntry.objects.filter(contact__in=contact_ids).values_list("contact_id", "contact_list_id").distinct()
    lists = ContactList.objects.in_bulk({list_id for _, list_id in pairs})
    found: dict[UUID, list[ContactList]] = {contact_id: [] for contact_id in contact_ids}
    for contact_id, list_id in pairs:
        found[contact_id].append(lists[list_id])
    return {contact_id: sorted(lists_of_one, key=lambda row: row.name) for contact_id, lists_of_one in found.items()}


def lock_against_deletion(list_ids: Sequence[UUID]) -> dict[UUID, ContactList]:
    """Keep the lists from being deleted before the end of the transaction. Returns those that exist, by id."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM contacts_contactlist WHERE id = ANY(%s) ORDER BY id FOR KEY SHARE", [list(list_ids)]
        )
    return ContactList.objects.in_bulk(list_ids)


def require_loaded(lists: Collection[ContactList]) -> None:
    """Raise Conflict while an upload is still being loaded into one of the lists."""
    loading = CsvUpload.objects.filter(contact_list__in=lists, status=CsvUpload.Status.IN_PROGRESS).select_related(
        "contact_list"
    )
    if upload := loading.first():
        raise Conflict(
            f"the list {upload.filled_list.name[:100]} ({wire_id(upload.contact_list_id)}) is still being loaded,"
            f" {upload.rows_total:,} rows so far: wait until the upload {wire_id(upload.pk)} is completed"
        )


def _locked_contacts(account_id: int, contact_ids: Sequence[UUID]) -> set[UUID]:
    """Keep contacts from being deleted before the end of the transaction. Returns the account's among them."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM contacts_contact WHERE account_id = %s AND id = ANY(%s) ORDER BY id FOR KEY SHARE",
            [account_id, list(contact_ids)],
        )
        return {contact_id for (contact_id,) in cursor.fetchall()}


def _gone(contact_list: ContactList) -> str:
    return f"the list {contact_list.name[:100]} was deleted at the same moment"


def _touch(contact_list: ContactList) -> None:
    ContactList.objects.filter(pk=contact_list.pk).update(updated_at=clocks.now())
