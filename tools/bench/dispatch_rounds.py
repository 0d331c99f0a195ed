"""`python -m tools.bench.dispatch_rounds CAMPAIGNS CALLS`: time dispatch alone, a round for each line of its input.

All happens in one process, without workers. A round is a dispatch, which is timed, and the work of the workers, which
is not: calls are placed over the simulated carrier and their events applied, so that the next round finds the channels
free.
"""

import sys
import time
from collections.abc import Sequence
from typing import Any

import django

django.setup()

from django.db import connection  # noqa: E402 -- models can be imported now
from django.utils import timezone  # noqa: E402

from accounts.models import Account, CallerId, Trunk  # noqa: E402
from campaigns import lifecycle, schedule  # noqa: E402
from campaigns.models import Call, Campaign, Flow  # noqa: E402
from campaigns_project.celery import collect_garbage_rarely  # noqa: E402
from dialer import dialing, dispatch, inbox, reconciliation  # noqa: E402
from dialer.models import CallAttempt  # noqa: E402
from tools.bench.system import clone, number, number_sql  # noqa: E402

# As many as one dispatch takes at most.
CHANNELS = 500


def main(campaigns: int, calls: int) -> None:
    """Print milliseconds of dispatch per attempt, a line for each line of the standard input."""
    collect_garbage_rarely()  # as workers do
    reconciliation.rebuild()
    account = _account(campaigns, calls)
    for _ in sys.stdin:
        print(_round(account.pk), flush=True)


def _account(campaigns: int, calls: int) -> Account:
    """Create an account with so many campaigns in progress, of so many calls each."""
    trunk = Trunk.objects.create(name="simulated", carrier="simulated")
    account = Account.objects.create(
        sid="bench", opens_at="00:00", closes_at="00:00", channels=CHANNELS, starts_per_minute=10_000_000
    )
    caller_id = CallerId.objects.create(account=account, number="+918012345678", trunk=trunk)
    flow = Flow.objects.create(account=account, flow_id="1", document={"steps": [{"hangup": True}]})
    now = timezone.now()
    columns: dict[str, Any] = {"caller_id": caller_id, "caller_id_given": caller_id.number, "flow": flow}
    columns["flow_url"] = "http://my.exotel.com/bench/exoml/start_voice/1"
    # Each campaign has numbers of its own: an account rings a number once at a time.
    for first in range(0, campaigns * calls, calls):
        campaign = lifecycle.create(account, numbers=[number(first)], now=now, **columns)
        _fill(campaign, calls - 1, first + 1)
    schedule.start_due(timezone.now())
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")  # or autovacuum would begin in the middle of a round
    return account


def _fill(campaign: Campaign, calls: int, first: int) -> None:
    template = Call.objects.get(campaign=campaign)
    connection.ensure_connection()
    clone(connection.connection, "campaigns_call", template.pk, calls, number=number_sql(first))


def _round(account_id: int) -> float:
    """Return milliseconds per attempt."""
    began = time.perf_counter()
    claimed = dispatch.dispatch(account_id, timezone.now())
    took = time.perf_counter() - began
    if not claimed:
        raise LookupError("nothing was left to claim")
    _place_and_settle()
    return took * 1000 / claimed


def _place_and_settle() -> None:
    claimed: Sequence[Any] = list(CallAttempt.objects.filter(status="claimed").values_list("id", flat=True))
    dialing.dial(claimed)
    while inbox.settle_batch(timezone.now()):
        pass


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
