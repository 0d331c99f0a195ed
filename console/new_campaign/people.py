"""Who would be called: how many, who must not be, who was called today, and what can't be read."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from uuid import UUID

from django.db import connection

from accounts.models import Account
from campaigns.called_again import Selection
from campaigns.models import Campaign
from console.new_campaign.pasted import Bad, Pasted
from contacts import do_not_call, lists
from contacts.models import ContactList, CsvUpload, ListEntry, RejectedRow

# Of larger lists nobody is looked up: that would take seconds. The rules hold when each of them is dialed.
MOST_LOOKED_UP = 20_000
# Rejected rows and bad numbers that the page spells out.
MOST_SHOWN = 50


@dataclass(frozen=True)
class People:
    """Who would be called.

    Attributes:
        numbers: those to call, where they were pasted; None where lists or another campaign say it.
        count: how many are called.
        given: entries of the lists, or numbers that were read.
        duplicates: numbers that stand there more than once, and are called once.
        bad: what can't be called, and why; for lists the first of the rows that their last uploads rejected.
        bad_count: how many there are of them.
        listed, today: how many of them are on the do-not-call list, or were called today; None: not looked up.
        without_today: whether those are left out.
        loading: uploads into the lists that go on.
        uploads: those with rejected rows.
        at_most: whether `count` is an upper bound.
        again: whom of another campaign, and called_again: their numbers, where they were looked up.
    """

    count: int = 0
    numbers: list[str] | None = None
    given: int = 0
    duplicates: int = 0
    bad: Sequence[Bad] = ()
    bad_count: int = 0
    listed: int | None = 0
    today: int | None = 0
    without_today: bool = False
    loading: Sequence[CsvUpload] = ()
    uploads: Sequence[CsvUpload] = ()
    at_most: bool = False
    again: Selection | None = None
    called_again: Sequence[str] = ()

    @property
    def bad_shown(self) -> Sequence[Bad]:
        return self.bad[:MOST_SHOWN]

    @property
    def bad_not_shown(self) -> int:
        return self.bad_count - len(self.bad_shown)


def of_pasted(account: Account, pasted: Pasted, now: datetime, *, without_today: bool) -> People:
    """Return who is called of numbers that were pasted."""
    listed = do_not_call.listed(account.pk, pasted.numbers)
    today = called_today(account, pasted.numbers, now)
    left_out = listed.keys() | (today if without_today else set())
    numbers = [number for number in pasted.numbers if number not in left_out]
    return People(
        count=len(numbers),
        numbers=numbers,
        given=pasted.pieces - len(pasted.bad),
        duplicates=pasted.duplicates,
        bad=pasted.bad,
        bad_count=len(pasted.bad),
        listed=len(listed),
        today=len(today),
        without_today=without_today,
    )


def of_lists(account: Account, chosen: Sequence[ContactList], now: datetime) -> People:
    """Return who is called of some lists of the account."""
    ids = [row.pk for row in chosen]
    given = sum(lists.sizes(ids).values())
    uploads = _latest_uploads(ids)
    rejected = [upload for upload in uploads if upload.rows_rejected]
    count, listed, today = given, None, None
    if given <= MOST_LOOKED_UP:
        numbers = _numbers_of(ids)
        listed, today = len(do_not_call.listed(account.pk, numbers)), len(called_today(account, numbers, now))
        count = len(numbers) - listed
    return People(
        count=count,
        given=given,
        duplicates=given - count - (listed or 0),
        bad=_rejected_rows(rejected),
        bad_count=sum(upload.rows_rejected for upload in rejected),
        listed=listed,
        today=today,
        loading=[upload for upload in uploads if upload.status == CsvUpload.Status.IN_PROGRESS],
        uploads=rejected,
        at_most=given > MOST_LOOKED_UP,
    )


def called_today(account: Account, numbers: Collection[str], now: datetime) -> set[str]:
    """Return those of the numbers that the account has called since midnight on its clocks. One query."""
    if not numbers:
        return set()
    midnight = datetime.combine(now.astimezone(account.zone).date(), time(0), account.zone)
    with connection.cursor() as cursor:
        cursor.execute(_CALLED, {"account": account.pk, "numbers": list(numbers), "since": midnight})
        return {number for (number,) in cursor.fetchall()}


# Two indexes: attempts that have ended, and the one under way. OFFSET 0 keeps the look-ups at them.
_CALLED = """
    SELECT wanted.number FROM unnest(%(numbers)s::text[]) AS wanted (number)
    WHERE EXISTS (
        SELECT FROM dialer_callattempt WHERE account_id = %(account)s AND callee = wanted.number
            AND placing_at >= %(since)s AND status IN ('completed', 'busy', 'no-answer', 'failed') OFFSET 0
    ) OR EXISTS (
        SELECT FROM dialer_callattempt WHERE account_id = %(account)s AND callee = wanted.number
            AND placing_at >= %(since)s AND status IN ('claimed', 'placing', 'in-progress', 'unknown') OFFSET 0
    )
"""


def _numbers_of(list_ids: Sequence[UUID]) -> list[str]:
    entries = ListEntry.objects.filter(contact_list__in=list_ids)
    return list(entries.order_by().values_list("contact__number", flat=True).distinct())


def _latest_uploads(list_ids: Sequence[UUID]) -> list[CsvUpload]:
    uploads = CsvUpload.objects.filter(contact_list__in=list_ids).select_related("contact_list")
    return list(uploads.order_by("contact_list", "-created_at", "-pk").distinct("contact_list"))


def _rejected_rows(uploads: Sequence[CsvUpload]) -> list[Bad]:
    if not uploads:
        return []
    rows = RejectedRow.objects.filter(upload__in=uploads).order_by("upload", "line")[:MOST_SHOWN]
    return [Bad(row.line, " | ".join(row.cells)[:64], row.reason) for row in rows]


def lately_called(account: Account, now: datetime, most: int) -> list[Campaign]:
    """Return the account's campaigns whose people may be called again, the newest first."""
    since = now - timedelta(days=90)
    rows = Campaign.objects.filter(account=account, started_at__gte=since, is_purging=False, is_loading=False)
    return list(rows.order_by("-started_at", "pk").only("name", "started_at", "status", "type")[:most])
