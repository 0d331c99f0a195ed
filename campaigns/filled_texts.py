"""The text of a dynamic campaign with the values of each of its calls: none may be too long, or name what is blank."""

import string
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection

from campaigns import spoken_text
from campaigns.models import Campaign
from contacts import numbers
from contacts.models import ContactList
from core.errors import InvalidRequest

# Of these alone, a value is blank. Files are judged more strictly (contacts.csv_uploads.spoken_values); this is for
# values that were loaded while the list allowed blanks.
_BLANK = string.whitespace + string.punctuation + "\u00a0\u2013\u2014\u2026"


@dataclass(frozen=True)
class _Usage:
    """A column that a text names, and how often."""

    column: str
    times: int


def require_readable(campaign: Campaign) -> None:
    """Refuse a text that can't be read to one of the campaign's calls, which are stored already.

    One query, however many calls there are. The calls keep their values, so what holds now holds when they are dialled.

    Raises:
        InvalidRequest: with the values of a person it is too long, or a value that it names is blank although the list
            does not allow that.
    """
    if campaign.type != Campaign.Type.DYNAMIC or not campaign.text or campaign.again is not None:
        return  # who is called again was read the same text before
    contact_list = ContactList.objects.get(pk=campaign.list_ids[0])
    fixed, usages = _usages(campaign.text, contact_list.columns)
    if not usages:
        return
    found = _worst(campaign, fixed, usages, allows_blanks=contact_list.allows_blanks)
    if found is None:
        return
    number, length, *blank = found
    if length > spoken_text.LONGEST:
        raise InvalidRequest(
            f"'read_via_text': with the values of {numbers.masked(number)} it has {length:,} characters, and at most"
            f" {spoken_text.LONGEST:,} can be read: shorten it, or the values in the list"
        )
    column = next(usage.column for usage, is_blank in zip(usages, blank, strict=True) if is_blank)
    raise InvalidRequest(
        f"'read_via_text': {numbers.masked(number)} has no value for {column[:64]}: upload the row with one, leave"
        f" {spoken_text.MARK}{column[:64]} out, or allow blanks in the list"
    )


def _usages(text: str, columns: Sequence[str]) -> tuple[int, list[_Usage]]:
    """Return the length of the text without values, and the columns that it names."""
    nothing = dict.fromkeys(columns, "")
    fixed = len(spoken_text.fill(text, nothing))
    times = {column: len(spoken_text.fill(text, nothing | {column: "."})) - fixed for column in columns}
    return fixed, [_Usage(column, count) for column, count in times.items() if count]


def _worst(campaign: Campaign, fixed: int, usages: Sequence[_Usage], *, allows_blanks: bool) -> Sequence[Any] | None:
    """Return a call that can't be read the text: its number, the length of the text, and which values are blank."""
    columns = ", ".join(f"coalesce(variables ->> %s, '') AS value_{at}" for at in range(len(usages)))
    length = " + ".join(["%s", *(f"%s * char_length(value_{at})" for at in range(len(usages)))])
    blanks = [f"btrim(value_{at}, %s) = ''" for at in range(len(usages))]
    statement = f"""
        SELECT number, {length}, {", ".join(blanks)}
        FROM (SELECT number, {columns} FROM campaigns_call WHERE campaign_id = %s OFFSET 0) AS calls
        WHERE {length} > %s {"" if allows_blanks else "OR " + " OR ".join(blanks)}
        LIMIT 1
    """  # noqa: S608 -- made of constants; every value is a parameter
    lengths: list[Any] = [fixed, *(usage.times for usage in usages)]
    each_blank = [_BLANK] * len(usages)
    params = [*lengths, *each_blank, *(usage.column for usage in usages), campaign.pk, *lengths, spoken_text.LONGEST]
    with connection.cursor() as cursor:
        cursor.execute(statement, [*params, *([] if allows_blanks else each_blank)])
        found: Sequence[Any] | None = cursor.fetchone()
    return found
