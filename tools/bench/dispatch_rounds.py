"""`python -m tools.bench.dispatch_rounds CAMPAIGNS CALLS CHANNELS LISTED PAST`: measure dispatch, a round for a line.

All happens in one process, without workers. A round is a dispatch, which is measured, and the work of the workers,
which is not: calls are placed over the simulated carrier and their events applied, so that the next round finds the
channels free. With CAMPAIGNS `accounts` a round is the tick that finds due accounts, among CALLS accounts that are all
outside their calling hours. With `rules` it is that of an account with rules for numbers, with LISTED numbers on its
do-not-call list and PAST attempts.
"""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import django

django.setup()

from django.db import connection  # noqa: E402 -- models can be imported now
from django.utils import timezone  # noqa: E402

from accounts import audit  # noqa: E402
from accounts.models import Account, CallerId, Trunk  # noqa: E402
from campaigns import lifecycle, schedule  # noqa: E402
from campaigns.models import Call, Campaign, Flow  # noqa: E402
from campaigns_project import garbage  # noqa: E402
from contacts.models import DoNotCall  # noqa: E402
from core.redis_client import redis_client  # noqa: E402
from dialer import dialing, dispatch, inbox, reconciliation, tasks  # noqa: E402
from dialer.models import CallAttempt  # noqa: E402
from tools.bench.system import clone, number, number_sql  # noqa: E402

T = TypeVar("T")

# How often a round looks for calls before there are none left.
TRIES, PAUSE_SECONDS = 10, 0.5


def main(campaigns: str, calls: int, channels: int, listed: int, past_attempts: int) -> None:
    """Print milliseconds of CPU per attempt (or per tick), a line for each line of the standard input."""
    garbage.leave_out_what_is_loaded()  # as workers do
    reconciliation.rebuild()
    if campaigns == "accounts":
        _idle_accounts(calls)
        work: Callable[[], float] = _tick
    else:
        account, campaign = _campaign("bench", "00:00", "00:00", channels)
        if campaigns == "rules":
            _past(campaign, calls, past_attempts)
            _rules(account, listed)
        _fill(campaign, 1 if campaigns == "rules" else int(campaigns), calls)
        work = partial(_round, account.pk)
    for _ in sys.stdin:
        print(work(), flush=True)


def _fill(campaign: Campaign, campaigns: int, calls: int) -> None:
    """Let so many campaigns like this one be in progress, of so many calls each."""
    schedule.start_due(timezone.now())
    connection.ensure_connection()
    db = connection.connection
    clone(db, "campaigns_campaign", campaign.pk, campaigns - 1, id="gen_random_uuid()")
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TEMP TABLE ids AS SELECT id, row_number() OVER () - 1 AS place FROM campaigns_campaign"
            " WHERE status = 'in-progress'"
        )
        cursor.execute("CREATE INDEX ON ids (place)")
    # Each campaign has numbers of its own: an account rings a number once at a time.
    template = Call.objects.get(campaign=campaign).pk
    of_campaign = f"(SELECT id FROM ids WHERE place = mod(n, {campaigns}))"  # noqa: S608 -- a number of ours
    clone(db, "campaigns_call", template, campaigns * calls - 1, number=number_sql(1), campaign_id=of_campaign)
    _vacuum()


def _past(campaign: Campaign, calls: int, attempts: int) -> None:
    """Let an earlier campaign have made so many attempts, at the numbers that this one will call.

    They are older than what the caps count.
    """
    connection.ensure_connection()
    db = connection.connection
    ended = {"status": "'completed'", "ended_at": "now()"}
    clone(db, "campaigns_campaign", campaign.pk, 1, id="gen_random_uuid()", started_at="now()", **ended)
    earlier = Campaign.objects.exclude(pk=campaign.pk).get().pk
    of_earlier = {"campaign_id": f"uuid '{earlier}'", "last_outcome": "'completed'", "attempts_made": "1", **ended}
    template = Call.objects.get(campaign=campaign).pk
    clone(db, "campaigns_call", template, calls, number=number_sql(0), **of_earlier)
    with _without_indexes("dialer_callattempt"), connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")  # no look at each key
        cursor.execute(_PAST, {"campaign": earlier, "turns": attempts // calls})
        cursor.execute("RESET session_replication_role")


@contextmanager
def _without_indexes(table: str) -> Iterator[None]:
    """Make the table's indexes again behind a `with` block that adds millions of rows: to enter each costs minutes."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index"
            " WHERE indrelid = %s::regclass AND NOT indisprimary",
            [table],
        )
        indexes = cursor.fetchall()
        for name, _ in indexes:
            cursor.execute(f"DROP INDEX {name}")
        yield
        for _, definition in indexes:
            cursor.execute(definition)


def _rules(account: Account, listed: int) -> None:
    """Ask everything of numbers that rules can ask; none of it holds a call of this account."""
    now = timezone.now()
    account.number_caps, account.number_gap_seconds = ["3 attempts in 1 day", "1 conversation in 7 days"], 60
    # Hours of the recipients, as long as these are open.
    indian_hours = 10 <= now.astimezone(ZoneInfo("Asia/Kolkata")).hour < 20
    account.rules = ["us-debt", "fr", *(["in-promotional"] if indian_hours else [])]
    account.save()
    template = DoNotCall.objects.create(account=account, number="+917000000000", source="csv", added_at=now)
    connection.ensure_connection()
    db = connection.connection
    clone(db, "contacts_donotcall", template.pk, listed - 1, number="'+91' || (7000000000 + n)")


_PAST = """
    INSERT INTO dialer_callattempt (id, call_id, campaign_id, account_id, callee, trunk_id, carrier_account_id, number,
        status, claimed_at, placing_at, ended_at, carrier_ref, digits, recording_url, reason)
    SELECT uuidv7(), call.id, call.campaign_id, call.account_id, call.number, trunk.id,
        trunk.carrier_account_id, turn, 'completed', at, at, at + interval '30 s', '', '', '', ''
    FROM (
        SELECT call.id, campaign_id, account_id, call.number, %(turns)s AS turns
        FROM campaigns_call AS call JOIN campaigns_campaign AS campaign ON campaign.id = campaign_id
        WHERE campaign_id = %(campaign)s ORDER BY call.id OFFSET 0
    ) AS call
    CROSS JOIN accounts_trunk AS trunk
    CROSS JOIN LATERAL generate_series(1, call.turns) AS turn
    CROSS JOIN LATERAL (SELECT now() - interval '8 days' - turn * interval '1 day' AS at) AS past
"""


def _idle_accounts(accounts: int) -> None:
    """Create so many accounts with a due call, all of them outside their calling hours for the next hours.

    And one that is open and has none: where nobody is open, their calls are not even asked for.
    """
    opens = (timezone.now() + timedelta(hours=12)).replace(minute=0)
    account, campaign = _campaign("bench", f"{opens:%H:%M}", f"{opens:%H}:30", 1)
    Account.objects.create(sid="open", opens_at="00:00", closes_at="00:00")
    schedule.start_due(timezone.now())
    connection.ensure_connection()
    db = connection.connection
    clone(db, "accounts_account", account.pk, accounts - 1, sid="'bench' || n")
    own = "(SELECT id FROM accounts_account WHERE sid = 'bench' || n)"
    clone(db, "campaigns_campaign", campaign.pk, accounts - 1, id="gen_random_uuid()", account_id=own)
    of_campaign = f"(SELECT id FROM campaigns_campaign WHERE account_id = {own})"  # noqa: S608 -- texts of ours
    clone(db, "campaigns_call", Call.objects.get(campaign=campaign).pk, accounts - 1, campaign_id=of_campaign)
    _vacuum()


def _campaign(sid: str, opens_at: str, closes_at: str, channels: int) -> tuple[Account, Campaign]:
    trunk = Trunk.objects.create(name="simulated", carrier="simulated")
    hours = {"opens_at": opens_at, "closes_at": closes_at, "time_zone": "UTC"}
    account = Account.objects.create(sid=sid, channels=channels, starts_per_minute=10_000_000, **hours)
    caller_id = CallerId.objects.create(account=account, number="+918012345678", trunk=trunk)
    flow = Flow.objects.create(account=account, flow_id="1", document={"steps": [{"hangup": True}]})
    columns: dict[str, Any] = {"caller_id": caller_id, "caller_id_given": caller_id.number, "flow": flow}
    columns["flow_url"] = "http://my.exotel.com/bench/exoml/start_voice/1"
    return account, lifecycle.create(account, actor=audit.SYSTEM, numbers=[number(0)], now=timezone.now(), **columns)


def _vacuum() -> None:
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")  # or autovacuum would begin in the middle of a round


def _round(account_id: int) -> float:
    """Return milliseconds of CPU per attempt."""
    for _ in range(TRIES):
        now: datetime = timezone.now()
        claimed, took = _measured(lambda now=now: dispatch.dispatch(account_id, now))  # type: ignore[misc]
        if claimed:
            _place_and_settle()
            return took / claimed
        time.sleep(PAUSE_SECONDS)  # calls that were given back on a busy machine wait for a second
    raise LookupError("nothing was left to claim")


def _tick() -> float:
    """Return milliseconds of CPU per tick."""
    return _measured(tasks.dispatch_due)[1]


def _measured(work: Callable[[], T]) -> tuple[T, float]:
    """Return what the work returns, and the milliseconds of CPU that it took: here, in PostgreSQL and in Redis.

    CPU rather than time, as other programs of the machine take turns with these.
    """
    connection.ensure_connection()
    servers = [connection.connection.info.backend_pid, redis_client().info("server")["process_id"]]
    before = [time.process_time_ns(), *map(_cpu_ns, servers)]
    done = work()
    after = [time.process_time_ns(), *map(_cpu_ns, servers)]
    return done, float(sum(after) - sum(before)) / 1e6


def _cpu_ns(pid: int) -> int:
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])


def _place_and_settle() -> None:
    claimed: Sequence[Any] = list(CallAttempt.objects.filter(status="claimed").values_list("id", flat=True))
    dialing.dial(claimed)
    while inbox.settle_batch(timezone.now()):
        pass


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
