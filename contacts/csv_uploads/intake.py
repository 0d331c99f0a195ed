"""Take in a file of contacts: check its header, find or create its list, store it, and enqueue its loading."""

import io
from typing import IO

from django.db import transaction

from accounts import audit
from accounts.audit import Actor, Subject
from accounts.models import Account
from contacts import lists
from contacts.csv_uploads import stored_file
from contacts.csv_uploads.columns import ColumnChoice, Layout, layout_of
from contacts.csv_uploads.source import Received
from contacts.csv_uploads.upload_states import enqueue_turn
from contacts.models import ContactList, CsvUpload, DoNotCall
from core.errors import Conflict


def receive(
    account: Account,
    file: IO[bytes],
    *,
    actor: Actor,
    list_name: str,
    choice: ColumnChoice,
    file_name: str = "",
    allows_blanks: bool | None = None,
) -> CsvUpload:
    """Store a file to be loaded into the list of that name, which is created where there is none.

    Args:
        account: owns the list and its contacts.
        file: text or an .xlsx, seekable.
        actor: who sent it.
        list_name: of the list to fill.
        choice: whether the list is dynamic, and what the client says about the columns.
        file_name: for people; cut to 255 characters.
        allows_blanks: of a dynamic list from now on; None leaves it as it is.

    Raises:
        FileRefused: the file can't be read, or its header makes no sense.
        Conflict: the file does not fit the list.
        InvalidRequest: a static list has no setting for blanks.
    """
    received = Received(file, account.region)
    layout = layout_of(received.header(), choice)
    kind = ContactList.Type.DYNAMIC if choice.is_dynamic else ContactList.Type.STATIC
    size = file.seek(0, io.SEEK_END)
    with transaction.atomic():
        contact_list = _list_for(account, actor, list_name, kind, layout)
        if allows_blanks is not None:
            lists.change(contact_list, actor=actor, allows_blanks=allows_blanks)
        upload = CsvUpload.objects.create(
            account=account,
            contact_list=contact_list,
            number=_number_for(contact_list, layout) if choice.is_dynamic else 0,
            file_name=file_name[:255],
            size_bytes=size,
            columns=list(layout.spelled_as(contact_list.columns).columns),
        )
        stored_file.store(upload, received.content())
        audit.record(actor, audit.Verb.UPLOADED, contact_list, what=f"{size:,} bytes: {upload.file_name}")
        transaction.on_commit(enqueue_turn)
    return upload


def receive_do_not_call(
    account: Account, file: IO[bytes], *, actor: Actor, number_column: str = "", file_name: str = ""
) -> CsvUpload:
    """Store a file whose numbers are to be loaded into the account's do-not-call list. Other columns are left out.

    Args:
        number_column: how the header spells the column of the numbers; "" where its name says it.
        account, file, actor, file_name: as for `receive`.

    Raises:
        FileRefused: the file can't be read, or no column has the numbers.
    """
    received = Received(file, account.region)
    names = {"number": number_column} if number_column else {}
    layout = layout_of(received.header(), ColumnChoice(is_dynamic=False, names=names, ignores_others=True))
    size = file.seek(0, io.SEEK_END)
    with transaction.atomic():
        upload = CsvUpload.objects.create(
            account=account,
            file_name=file_name[:255],
            size_bytes=size,
            columns=[name if name == "number" else "" for name in layout.columns],
        )
        stored_file.store(upload, received.content())
        subject = Subject(DoNotCall, "the do-not-call list", account)
        audit.record(actor, audit.Verb.UPLOADED, subject, what=f"{size:,} bytes: {upload.file_name}")
        transaction.on_commit(enqueue_turn)
    return upload


def _list_for(account: Account, actor: Actor, name: str, kind: str, layout: Layout) -> ContactList:
    contact_list = lists.create(account, name, kind=kind, actor=actor).contact_list
    if not lists.lock_against_deletion([contact_list.pk]):
        raise Conflict(f"the list {name[:100]} was deleted at the same moment: send the file again")
    if contact_list.type != kind:
        raise Conflict(f"the list {name[:100]} is {contact_list.type}: send type={contact_list.type}, or another name")
    if kind == ContactList.Type.DYNAMIC:
        contact_list = ContactList.objects.select_for_update(no_key=True).get(pk=contact_list.pk)
        if not contact_list.columns:
            contact_list.columns = layout.variables
            contact_list.save(update_fields=["columns"])
        if sorted(contact_list.columns) != sorted(layout.spelled_as(contact_list.columns).variables):
            raise Conflict(
                f"line {layout.header.line}: the list {name[:100]} has the columns number,"
                f" {', '.join(contact_list.columns)}; a file that extends it must have the same"
            )
    return contact_list


def _number_for(contact_list: ContactList, layout: Layout) -> int:
    """Return the place of an upload among those of its list.

    A file of rejected rows, mended, is a late part of the last upload: with a place of its own, its rows would replace
    the rows of their numbers that were loaded at once.
    """
    latest = lists.latest_upload_number(contact_list)
    return latest if latest and layout.header.is_of_rejected_rows else latest + 1
