"""Take in a CSV file: check its header, find or create its list, store it, and enqueue its loading."""

import io
from typing import IO

from django.db import transaction

from accounts.models import Account
from contacts import lists
from contacts.csv_uploads import stored_file
from contacts.csv_uploads.header import Layout, read_layout
from contacts.csv_uploads.upload_states import enqueue_load
from contacts.models import ContactList, CsvUpload
from core.errors import Conflict


def receive(account: Account, file: IO[bytes], *, list_name: str, kind: str, file_name: str = "") -> CsvUpload:
    """Store a file to be loaded into the list of that name, which is created where there is none.

    Args:
        account: owns the list and its contacts.
        file: at its beginning.
        list_name: of the list to fill.
        kind: a ContactList.Type.
        file_name: for people; cut to 255 characters.

    Raises:
        FileRefused: the header makes no sense.
        Conflict: the file does not fit the list.
    """
    layout, _ = read_layout(file, dynamic=kind == ContactList.Type.DYNAMIC)
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    with transaction.atomic():
        upload = CsvUpload.objects.create(
            account=account,
            contact_list=_list_for(account, list_name, kind, layout),
            file_name=file_name[:255],
            size_bytes=size,
            columns=list(layout.columns),
        )
        stored_file.store(upload, file)
        transaction.on_commit(lambda: enqueue_load(upload))
    return upload


def _list_for(account: Account, name: str, kind: str, layout: Layout) -> ContactList:
    contact_list = lists.create(account, name, kind=kind).contact_list
    if contact_list.type != kind:
        raise Conflict(f"the list {name[:100]} is {contact_list.type}: send type={contact_list.type}, or another name")
    if kind == ContactList.Type.DYNAMIC:
        contact_list = ContactList.objects.select_for_update(no_key=True).get(pk=contact_list.pk)
        if not contact_list.columns:
            contact_list.columns = layout.variables
            contact_list.save(update_fields=["columns"])
        if sorted(contact_list.columns) != sorted(layout.variables):
            raise Conflict(
                f"line 1: the list {name[:100]} has the columns number, {', '.join(contact_list.columns)}; a file that"
                " extends it must have the same"
            )
    return contact_list
