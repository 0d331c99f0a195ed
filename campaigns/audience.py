"""The calls of a campaign, made from numbers or from lists of contacts in one statement.

A request makes up to AT_ONCE calls from lists. `campaigns.loading` makes those of larger campaigns.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Max

from accounts.models import Account
from campaigns import called_again, loading, progress
from campaigns.models import Campaign
from contacts import deletion_lock, lists
from contacts.models import ListEntry
from core.errors import Conflict, InvalidRequest, WrongState
from core.ids import wire_id

# Calls that one request makes from lists, all of its campaigns together: a fifth of a second.
AT_ONCE = 5_000


@dataclass
class Allowance:
    """What one request may still do.

    Attributes:
        room: how many more open calls the account may have.
        at_once: how many calls may be made from lists before the response.
        sizes: of the lists that were counted for it.
    """

    room: int
    at_once: int
    sizes: dict[UUID, int] = field(default_factory=dict)

    @classmethod
    def of(cls, account: Account) -> "Allowance":
        return cls(settings.MAX_OPEN_CALLS_PER_ACCOUNT - _open_calls(account), AT_ONCE)

    def take(self, calls: int) -> None:
        """Take room for so many calls. Raises Conflict where there is too little."""
        if calls > self.room:
            most = settings.MAX_OPEN_CALLS_PER_ACCOUNT
            raise Conflict(
                f"this needs {calls:,} calls, and the account may have {max(self.room, 0):,} more that have not ended,"
                f" {most:,} in all: wait until campaigns have ended, or end some"
            )
        self.room -= calls

    def size(self, list_ids: Sequence[UUID]) -> int:
        self.sizes |= lists.sizes([list_id for list_id in list_ids if list_id not in self.sizes])
        return sum(self.sizes[list_id] for list_id in list_ids)


def _open_calls(account: Account) -> int:
    """Count the calls of the account that have not ended; of a campaign that is loading those that it may have."""
    with connection.cursor() as cursor:
        cursor.execute(_OPEN_CALLS, {"account": account.pk})
        [[count]] = cursor.fetchall()
    return int(count)


# A join, so that PostgreSQL may read the tally once, instead of asking it for each of an account's thousand campaigns.
_OPEN_CALLS = """
    SELECT coalesce(sum(calls), 0) FROM (
        SELECT calls_expected AS calls FROM campaigns_campaign
        WHERE account_id = %(account)s AND status IN ('created', 'in-progress', 'paused') AND is_loading
        UNION ALL
        SELECT tally.calls FROM campaigns_campaign AS campaign
        JOIN campaigns_calltally AS tally ON tally.campaign_id = campaign.id
        WHERE account_id = %(account)s AND campaign.status IN ('created', 'in-progress', 'paused') AND NOT is_loading
            AND tally.status IN ('created', 'in-progress', 'retrying')
    ) AS open
"""


def add_calls(campaign: Campaign, numbers: Sequence[str], allowance: Allowance) -> None:
    """Create the calls of a campaign, inside the caller's transaction; a large one is left to the loader.

    Args:
        campaign: stored already, with its list_ids.
        numbers: in E.164; ignored where there are lists. Each is called once, unless call_duplicate_numbers is set.
        allowance: of the request.

    Raises:
        InvalidRequest: a list does not exist or is empty.
        Conflict: a list is still being loaded, so half of it would be called; or the account has too many open calls.
    """
    if campaign.list_ids:
        deletion_lock.hold_shared(campaign.account_id)
    if campaign.again is not None:
        _add_again(campaign, allowance)
    elif campaign.list_ids:
        _add_from_lists(campaign, allowance)
    else:
        allowance.take(len(numbers))
        _add_numbers(campaign, numbers)


def require_replaceable(campaign: Campaign) -> None:
    """Raise WrongState where its calls can't be replaced within a request."""
    if campaign.is_loading:
        raise WrongState("the campaign's calls are still being made from its lists: try again in a minute")
    if campaign.calls.all()[AT_ONCE : AT_ONCE + 1].exists():
        raise WrongState(
            f"from and lists can't be changed in a campaign of more than {AT_ONCE:,} calls: delete it, and create"
            " another one"
        )


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


def _add_from_lists(campaign: Campaign, allowance: Allowance) -> None:
    """Add the entries list by list, each in its order, or leave that to the loader.

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
    size = allowance.size(campaign.list_ids)
    allowance.take(size)
    if size > allowance.at_once:
        _leave_to_the_loader(campaign, size)
        return
    allowance.at_once -= size
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


def _add_again(campaign: Campaign, allowance: Allowance) -> None:
    """Add calls to people of the parent. Their exact number is known when they are made: a request bounds it."""
    [counted] = progress.of([campaign.parent_id]).values() if campaign.parent_id else [progress.Progress()]
    most = called_again.Selection.of(campaign).at_most(counted)
    if counted.total > allowance.at_once:
        allowance.take(most)
        _leave_to_the_loader(campaign, most)
        return
    made = called_again.make(campaign).made
    if not made:
        raise InvalidRequest(
            "'who': nobody of them is left to call: they were reached, are listed, deleted or called already"
        )
    allowance.take(made)
    allowance.at_once -= made


def _leave_to_the_loader(campaign: Campaign, size: int) -> None:
    entries = ListEntry.objects.filter(contact_list__in=campaign.list_ids)
    campaign.is_loading, campaign.calls_expected = True, size
    campaign.lists_taken = campaign.entry_taken = 0
    campaign.entries_until = entries.aggregate(last=Max("id"))["last"] or 0
    campaign.save(
        update_fields=["is_loading", "calls_expected", "lists_taken", "entry_taken", "entries_until", "updated_at"]
    )
    transaction.on_commit(loading.enqueue_turn)


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
