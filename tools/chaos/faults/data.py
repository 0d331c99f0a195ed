"""Faults 9 and 10: a full disk, and rows that make the server raise."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import timedelta
from uuid import UUID

import requests
from django.db import connection
from django.utils import timezone

from campaigns.models import Call, Campaign
from reports import links
from tools.chaos.faults.servers import terminate_connections
from tools.chaos.faults.table import Table
from tools.chaos.run import Run

table = Table()


# 9. The disk ---------------------------------------------------------------------------------------------------------

REPORT_LINES = 20_000
# A sort that is larger than its memory needs a temporary file, and may write none.
FULL_DISK = {
    "temp_file_limit": "0",
    "work_mem": "'64kB'",
    "enable_indexscan": "off",
    "enable_indexonlyscan": "off",
}


@table.row("9", "disk full for the report")
def disk_full(run: Run) -> Iterator[None]:
    """The report must break off, so that no client takes it for complete; afterwards it must be complete."""
    address = run.system.url + links.report_url(_large_campaign(run)).partition(run.system.url)[2]
    yield
    run.wait_a_moment()
    run.strike(lambda: _set_database(FULL_DISK))
    try:
        with suppress(requests.RequestException):
            response = requests.get(address, timeout=60)
            if response.status_code == 200:
                run.notes.append(f"a report of {len(response.text.splitlines()) - 1} lines passed for complete")
    finally:
        _set_database(dict.fromkeys(FULL_DISK, "DEFAULT"))

    def lines() -> int:
        return len(requests.get(address, timeout=60).text.splitlines()) - 1

    # Some seconds, as the first requests may meet a connection that was ended: a client repeats them.
    if not run.wait_for(lambda: lines() == REPORT_LINES, seconds=5):
        run.notes.append(f"afterwards the report had {lines()} lines")


def _large_campaign(run: Run) -> UUID:
    """Create a campaign that has ended, with REPORT_LINES calls; returns its id."""
    now = timezone.now()
    campaign = Campaign.objects.create(
        account=run.account,
        name="large",
        caller_id=run.caller_id,
        caller_id_given=run.caller_id.number,
        text="Hello.",
        flow_type="greeting",
        send_at=now,
        expires_at=now + timedelta(days=30),
        status="completed",
        started_at=now,
        ended_at=now,
    )
    Call.objects.bulk_create(
        Call(campaign=campaign, number=f"+9197{n:08d}", status="canceled", ended_at=now, end_reason="made so")
        for n in range(REPORT_LINES)
    )
    return campaign.pk


def _set_database(settings: Mapping[str, str]) -> None:
    """Change settings of the database for every session from now on: those that are open are ended."""
    with connection.cursor() as cursor:
        for name, value in settings.items():
            cursor.execute(f"ALTER DATABASE {connection.settings_dict['NAME']} SET {name} = {value}")
    terminate_connections()


# 10. Poison ----------------------------------------------------------------------------------------------------------


@table.row("10a", "a row that raises in dispatch")
def poison_in_dispatch(run: Run) -> Iterator[None]:
    yield
    run.strike(lambda: _poison(run, "INSERT", "true"))


@table.row("10b", "a row that raises in outcomes")
def poison_in_outcomes(run: Run) -> Iterator[None]:
    yield
    run.strike(lambda: _poison(run, "UPDATE", "NEW.status = 'completed'"))


def _poison(run: Run, event: str, condition: str) -> None:
    """Make the database raise for one number of `main`, one of the last to be dialled: only its call may fail."""
    number = run.campaigns["main"].numbers[-1 - run.chance.randrange(8)]
    run.order(numbers={number: [{"outcome": "completed", "talk": 2}]})
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            CREATE OR REPLACE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                IF {condition} AND EXISTS (SELECT 1 FROM campaigns_call WHERE id = NEW.call_id AND number = '{number}')
                THEN PERFORM 1 / 0; END IF;
                RETURN NEW;
            END $$;
            CREATE TRIGGER poison BEFORE {event} ON dialer_callattempt FOR EACH ROW EXECUTE FUNCTION poison();
            """
        )
    run.at_end.append(lambda: _check_poisoned(run, number))


def _check_poisoned(run: Run, number: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DROP FUNCTION poison CASCADE")
    failed = Call.objects.filter(campaign__account=run.account, end_reason__startswith="a fault of this server")
    numbers = list(failed.values_list("number", flat=True))
    if numbers != [number]:
        run.notes.append(f"a fault was met by {numbers or 'no call'}, where {number} is the poison")
