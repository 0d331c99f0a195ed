"""`python -m tools.bench.registry_rounds LISTED`: put so many numbers on the list of all, and measure what it costs.

Prints milliseconds by what they are of, as JSON.
"""

import json
import sys
import time
from collections.abc import Callable
from datetime import date

import django

django.setup()

from django.db import connection, transaction  # noqa: E402 -- models can be imported now
from django.utils import timezone  # noqa: E402

from accounts import audit  # noqa: E402
from accounts.models import Account  # noqa: E402
from console import listed as listed_in_console  # noqa: E402
from contacts import do_not_call  # noqa: E402
from contacts.models import DoNotCall  # noqa: E402
from tools.bench.arithmetic import median  # noqa: E402

TURNS = 9
# Numbers of a batch that dispatch asks for at once, and of the largest request.
ASKED, ADDED = 500, 5_000
FIRST = 7_000_000_000


def main(listed: int) -> None:
    account = Account.objects.create(sid="bench")
    _fill(account, listed)
    step = max(1, listed // ASKED)
    asked = [_number(position * step + turn % 2 * 10**9) for turn, position in enumerate(range(ASKED))]
    fresh = iter(range(2 * 10**9, 3 * 10**9))

    def add(count: int) -> None:
        do_not_call.add(account, [_number(next(fresh)) for _ in range(count)], source="api", actor=audit.SYSTEM)

    work: dict[str, Callable[[], object]] = {
        f"a look-up of {ASKED}": lambda: do_not_call.listed(account.pk, asked),
        "one is added": lambda: add(1),
        f"{ADDED:,} are added": lambda: add(ADDED),
        "the console's first page": lambda: listed_in_console.newest({account.pk}),
        "those that begin with some digits, in the console": lambda: listed_in_console.find(
            "+917001", None, is_over_the_server=True
        ),
    }
    print(json.dumps({what: _milliseconds(done) for what, done in work.items()}))


def _fill(account: Account, listed: int) -> None:
    """Half of them are the account's own."""
    now = timezone.now()
    with connection.cursor() as cursor:
        for owner, first, count in ((None, 0, listed - listed // 2), (account.pk, listed - listed // 2, listed // 2)):
            cursor.execute(
                "INSERT INTO contacts_donotcall (account_id, number, source, registry, registry_date, note, added_at)"
                " SELECT %s, '+91' || (%s + n), 'registry', 'bench', %s, '', %s FROM generate_series(1, %s) AS n",
                [owner, FIRST + first, date(2030, 1, 31), now, count],
            )
        cursor.execute("VACUUM ANALYZE contacts_donotcall")
    assert DoNotCall.objects.exists()


def _number(position: int) -> str:
    return f"+91{FIRST + position}"


def _milliseconds(work: Callable[[], object]) -> float:
    took = []
    for _ in range(TURNS):
        began = time.monotonic()
        with transaction.atomic():
            work()
        took.append((time.monotonic() - began) * 1000)
    return median(took)


if __name__ == "__main__":
    main(int(sys.argv[1]))
