"""Change rows of which each has a column for itself: the number of a contact, the name of a list."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from django.db.models import QuerySet

from contacts.models import Contact, ContactList
from core import clocks

Row = TypeVar("Row", Contact, ContactList)


def apply(
    rows_of_account: QuerySet[Row], changes: Sequence[tuple[Row, Mapping[str, Any]]], unique: str
) -> list[Row | None]:
    """Set columns of rows, which the caller has to save. A value counts as taken until the change is saved.

    Args:
        rows_of_account: all rows among which a value may stand once.
        changes: rows with the values of their columns.
        unique: the name of the column that each row has for itself.

    Returns:
        The changed rows, with None for one whose new value is another row's, and which stays as it was.
    """
    values = {columns[unique] for _, columns in changes if unique in columns}
    owners = dict(rows_of_account.filter(**{f"{unique}__in": values}).values_list(unique, "pk"))
    changed: list[Row | None] = []
    for row, columns in changes:
        value = columns.get(unique, getattr(row, unique))
        if owners.get(value, row.pk) != row.pk:
            changed.append(None)
            continue
        if value != getattr(row, unique):
            owners[value] = row.pk
        for column, given in columns.items():
            setattr(row, column, given)
        row.updated_at = clocks.now()
        changed.append(row)
    return changed
