"""The calls of a campaign, made from numbers or from lists of contacts in one statement, however many there are."""

from collections.abc import Sequence

from django.db import connection

from campaigns.models import Campaign
from contacts import lists
from core.errors import Conflict, InvalidRequest
from core.ids import wire_id


def add_calls(campaign: Campaign, numbers: Sequence[str] = ()) -> None:
    """Create the calls of a campaign, inside the caller's transaction.

    Args:
        campaign: stored already, with its list_ids.
        numbers: in E.164; ignored where there are lists. Each is called once, unless call_duplicate_numbers is set.

    Raises:
        InvalidRequest: a list does not exist or is empty.
        Conflict: a list is still being loaded, so half of it would be called.
    """
    if campaign.list_ids:
        _add_from_lists(campaign)
    else:
        _add_numbers(campaign, numbers)


def remove_calls(campaign: Campaign) -> None:
    """Delete the calls of a campaign that has not started, which have neither attempts nor history."""
    # Plain SQL, because Django would load all of them first.
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM campaigns_call WHERE campaign_id = %s", [campaign.pk])


def numbers_to_call(campaign: Campaign, numbers: Sequence[str]) -> list[str]:
    """Return the numbers that get a call each: all of them, or each once without call_duplicate_numbers."""
    return list(numbers if campaign.call_duplicate_numbers else dict.fromkeys(numbers))


def _add_numbers(campaign: Campaign, numbers: Sequence[str]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_ADD_NUMBERS, [campaign.pk, numbers_to_call(campaign, numbers)])


def _add_from_lists(campaign: Campaign) -> None:
    """Add the entries list by list, each in its order. 500,000 calls take some seconds.

    A number that is in two lists is called once, for the first of them, and one that has two rows in a dynamic list
    for the latest of them (decision 0012), unless the campaign calls duplicates.
    """
    found = lists.lock_against_deletion(campaign.list_ids)
    missing = [list_id for list_id in campaign.list_ids if list_id not in found]
    if missing:
        raise InvalidRequest(f"'lists': there is no list {wire_id(missing[0])} in this account")
    lists.require_loaded(list(found.values()))
    for list_id in campaign.list_ids:
        if not found[list_id].entries.exists():
            raise InvalidRequest(f"'lists': the list {found[list_id].name[:100]} ({wire_id(list_id)}) is empty")
    with connection.cursor() as cursor:
        cursor.execute(
            _ADD_FROM_LISTS,
            {
                "campaign": campaign.pk,
                "lists": campaign.list_ids,
                "dynamic": campaign.type == Campaign.Type.DYNAMIC,
                "duplicates": campaign.call_duplicate_numbers,
            },
        )
        if not cursor.rowcount:
            raise Conflict("a list has changed at this very moment: send the request again")


# The columns that are not named here have their defaults in the database (Call's db_default).
_ADD_NUMBERS = """
    INSERT INTO campaigns_call (campaign_id, number)
    SELECT %s, given.number FROM unnest(%s::text[]) WITH ORDINALITY AS given(number, position) ORDER BY position
"""

# An upload may begin after `require_loaded`. This statement looks again: of an upload it sees either all rows, or that
# it is being loaded.
_ADD_FROM_LISTS = """
    INSERT INTO campaigns_call (campaign_id, number, name, variables)
    SELECT %(campaign)s, number, name, CASE WHEN %(dynamic)s THEN values END
    FROM (
        SELECT contact.number, left(btrim(contact.first_name || ' ' || contact.last_name), 255) AS name, entry.values,
            entry.id AS entry_id, array_position(%(lists)s::uuid[], entry.contact_list_id) AS list_order,
            row_number() OVER (
                PARTITION BY contact.id
                ORDER BY array_position(%(lists)s::uuid[], entry.contact_list_id),
                    entry.upload_number DESC, entry.line DESC, entry.id DESC
            ) AS occurrence
        FROM contacts_listentry AS entry JOIN contacts_contact AS contact ON contact.id = entry.contact_id
        WHERE entry.contact_list_id = ANY(%(lists)s::uuid[])
    ) AS entries
    WHERE (occurrence = 1 OR %(duplicates)s) AND NOT EXISTS (
        SELECT FROM contacts_csvupload WHERE contact_list_id = ANY(%(lists)s::uuid[]) AND status = 'in-progress'
    )
    ORDER BY list_order, entry_id
"""
