"""The faults, in the order of docs/operator/guarantees.md.

Each breaks one thing at a moment that the run's seed chooses.

A fault is a generator: up to its `yield` the campaigns are not posted yet, after it they are being dialled, and at its
end everything that it broke is mended, or left for the system to mend by itself.
"""

import hashlib
import hmac
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import requests
from django.db import connection
from django.utils import timezone

from accounts.models import Account
from campaigns.models import Call, Campaign
from core.redis_client import redis_client
from dialer.models import CarrierEvent
from reports import links
from tools.chaos.run import STILL_AFTER_END, Fault, Run

WORKERS = ("control", "dial", "webhooks", "load")
AWAY_SECONDS = 20.0
HOUR = 3600.0


@dataclass(frozen=True)
class Row:
    """A line of the table: its number in docs/operator/guarantees.md, what it says, and whether the moment between two
    processes decides how it goes, so that many seeds are needed to meet them all.
    """

    number: str
    title: str
    fault: Fault
    is_race: bool


ROWS: list[Row] = []


def row(number: str, title: str, *, race: bool = False) -> Callable[[Fault], Fault]:
    def add(fault: Fault) -> Fault:
        ROWS.append(Row(number, title, fault, race))
        return fault

    return add


# 1. A worker dies between two steps ----------------------------------------------------------------------------------


def _killed_at(number: str, point: str, title: str) -> None:
    def fault(run: Run) -> Iterator[None]:
        yield from run.strikes_at(point)

    ROWS.append(Row(number, f"kill -9 {title}", fault, is_race=True))


_killed_at("1a", "leased", "after the lease")
_killed_at("1b", "claimed", "after the claim")
_killed_at("1c", "published", "after the publish")
_killed_at("1d", "placing", "in placing, before the ring")
_killed_at("1e", "carrier-answered", "in placing, after the ring")
_killed_at("1f", "answer-kept", "after the answer")
_killed_at("1g", "inbox-before-commit", "in the inbox batch, before commit")
_killed_at("1h", "inbox-after-commit", "in the inbox batch, after commit")


# 2. Whole processes die ----------------------------------------------------------------------------------------------


@row("2a", "kill -9 of all workers", race=True)
def all_workers(run: Run) -> Iterator[None]:
    yield
    run.wait_a_moment()
    run.strike(lambda: run.system.kill(*WORKERS))


@row("2b", "kill -9 of beat")
def beat(run: Run) -> Iterator[None]:
    yield
    run.wait_a_moment()
    run.strike(lambda: run.system.kill("beat"))


@row("2c", "kill -9 of web while creating, before commit", race=True)
def web_before_creating(run: Run) -> Iterator[None]:
    yield from run.strikes_at("campaign-before-commit")


@row("2d", "kill -9 of web while creating, after commit", race=True)
def web_after_creating(run: Run) -> Iterator[None]:
    yield from run.strikes_at("campaign-after-commit")


@row("2e", "kill -9 of web taking an event, before commit", race=True)
def web_before_an_event(run: Run) -> Iterator[None]:
    yield from run.strikes_at("event-before-commit", most=30)


@row("2f", "kill -9 of web taking an event, after commit", race=True)
def web_after_an_event(run: Run) -> Iterator[None]:
    yield from run.strikes_at("event-after-commit", most=30)


# 3. Too many of them -------------------------------------------------------------------------------------------------


@row("3", "two beats, four dispatchers, two dialers at once", race=True)
def crowd(run: Run) -> Iterator[None]:
    more = ("beat-2", "control-2", "control-3", "control-4", "dial-2")
    for name in more:
        run.system.spawn(name)
    yield
    run.wait_a_moment(4, 6)
    run.strike(lambda: run.system.shut_down(*more))


# 4. Redis ------------------------------------------------------------------------------------------------------------


@row("4a", "Redis restarts with its data", race=True)
def redis_restarts(run: Run) -> Iterator[None]:
    yield
    run.wait_a_moment()
    run.strike(run.system.stop_valkey)
    run.system.start_servers()


@row("4b", "Redis loses everything (FLUSHALL)", race=True)
def redis_flushed(run: Run) -> Iterator[None]:
    yield
    run.wait_a_moment()
    run.strike(redis_client().flushall)


@row("4c", "Redis away for 20 s")
def redis_away(run: Run) -> Iterator[None]:
    yield
    run.wait_a_moment()
    run.strike(run.system.stop_valkey)
    time.sleep(AWAY_SECONDS)
    run.system.start_servers()


@row("4d", "the broker's queues lost", race=True)
def queues_lost(run: Run) -> Iterator[None]:
    yield
    run.wait_a_moment()
    run.strike(lambda: redis_client().delete("control", "dial", "webhooks", "load", "unacked", "unacked_index"))
    for _ in range(40):  # as fast as they fill: no message of these seconds arrives
        redis_client().delete("control", "dial", "webhooks")
        time.sleep(0.05)


# 5. PostgreSQL -------------------------------------------------------------------------------------------------------


@row("5a", "PostgreSQL restarts", race=True)
def postgres_restarts(run: Run) -> Iterator[None]:
    yield
    run.wait_a_moment()
    run.strike(run.system.stop_postgres)
    run.system.start_servers()


@row("5b", "PostgreSQL crashes", race=True)
def postgres_crashes(run: Run) -> Iterator[None]:
    yield
    run.wait_a_moment()
    run.strike(lambda: run.system.stop_postgres(crash=True))
    run.system.start_servers()


@row("5c", "PostgreSQL away for 20 s")
def postgres_away(run: Run) -> Iterator[None]:
    yield
    run.wait_a_moment()
    run.strike(run.system.stop_postgres)
    time.sleep(AWAY_SECONDS)
    run.system.start_servers()


@row("5d", "all connections to PostgreSQL terminated", race=True)
def connections_terminated(run: Run) -> Iterator[None]:
    yield
    run.wait_a_moment()
    run.strike(terminate_connections)


def terminate_connections() -> None:
    connection.close()  # ours may be one that an earlier fault has ended
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")


# 6. The carrier ------------------------------------------------------------------------------------------------------


def _carrier(number: str, title: str, *faults: dict[str, object], seconds: float = 4) -> None:
    """The carrier misbehaves so while the campaigns are dialled, for so many seconds."""

    def fault(run: Run) -> Iterator[None]:
        run.order(*faults)
        yield
        run.strike(lambda: time.sleep(seconds))
        run.order()

    ROWS.append(Row(number, title, fault, is_race=False))


# Seconds of the script are a tenth in life: a hang of five is beyond the two that the dialer waits.
_carrier("6a", "carrier's answer lost after the ring", {"name": "hang-after-ring", "rate": 0.3, "seconds": 50})
_carrier("6b", "carrier silent, no ring", {"name": "hang-before-ring", "rate": 0.3, "seconds": 50})
_carrier("6c", "carrier answers 429", {"name": "http-429", "rate": 0.5})
_carrier(
    "6d",
    "carrier answers 500 and 503, some after the ring",
    {"name": "http-503", "rate": 0.2},
    {"name": "http-500", "rate": 0.2},
    {"name": "error-after-ring", "rate": 0.3},
)
_carrier("6e", "carrier's answers malformed", {"name": "malformed-answer", "rate": 0.5})
_carrier("6f", "carrier down for a minute", {"name": "down"}, seconds=60)
_carrier("6g", "callbacks dropped", {"name": "drop-callbacks", "rate": 0.5}, seconds=8)
_carrier("6h", "callbacks tripled", {"name": "repeat-callbacks"}, seconds=8)
_carrier(
    "6i", "callbacks shuffled", {"name": "shuffle-callbacks"}, {"name": "repeat-callbacks", "rate": 0.3}, seconds=8
)


@row("6j", "callbacks an hour late")
def late_callbacks(run: Run) -> Iterator[None]:
    """Late by the server's clock, which is set ahead while they are on their way."""
    run.order({"name": "delay-callbacks", "rate": 0.5, "seconds": 200})
    yield
    run.wait_a_moment(2, 3)
    run.strike(lambda: run.system.set_clock(HOUR))
    run.order()


@row("6k", "callbacks forged, and for unknown attempts")
def forged_callbacks(run: Run) -> Iterator[None]:
    yield
    run.wait_a_moment()
    run.strike(lambda: _forge(run))


def _forge(run: Run) -> None:
    """A wrong token is turned away and changes nothing; an unknown attempt is kept and changes nothing."""
    for attempt_id in run.under_way():
        for token in ("", "0" * 64, _token(run, uuid4())):
            answer = _post_event(run, attempt_id, token)
            if answer.status_code != 403:
                run.notes.append(f"a forged event was answered {answer.status_code}")
        if CarrierEvent.objects.filter(attempt_id=attempt_id, payload__CallSid="forged").exists():
            run.notes.append("a forged event was kept")
    nobody = uuid4()
    if _post_event(run, nobody, _token(run, nobody)).status_code != 204:
        run.notes.append("an event for an unknown attempt was refused")


def _post_event(run: Run, attempt_id: UUID, token: str) -> requests.Response:
    address = f"{run.system.url}/carrier-events/exotel/{attempt_id.hex}?token={token}"
    return requests.post(address, data={"CallSid": "forged", "Status": "completed"}, timeout=30)


def _token(run: Run, attempt_id: UUID) -> str:
    """As the server makes it: whoever knows its key may speak for any attempt."""
    key = (run.system.data_dir / "secret_key").read_bytes()
    return hmac.new(key, f"events:{attempt_id.hex}".encode(), hashlib.sha256).hexdigest()


# 7. The customer's receiver of webhooks ------------------------------------------------------------------------------


@row("7a", "webhook receiver down")
def receiver_down(run: Run) -> Iterator[None]:
    yield
    run.strike(run.receiver.close)
    time.sleep(6)
    run.receiver.open()


@row("7b", "webhook receiver slow")
def receiver_slow(run: Run) -> Iterator[None]:
    run.receiver.seconds = 3
    yield
    run.strike(lambda: time.sleep(6))
    run.receiver.behave()


@row("7c", "webhook receiver answers 500")
def receiver_broken(run: Run) -> Iterator[None]:
    run.receiver.answer = lambda: 500 if run.chance.random() < 0.3 else 200
    yield
    run.strike(lambda: time.sleep(6))
    run.receiver.behave()


@row("7d", "webhook receiver redirects to a private address")
def receiver_redirects(run: Run) -> Iterator[None]:
    run.receiver.answer = lambda: 307
    yield
    run.strike(lambda: time.sleep(6))
    run.receiver.behave()
    if run.receiver.redirected:
        run.notes.append(f"{run.receiver.redirected} redirects were followed")


# 8. Time. The clock is set right when the run is over ----------------------------------------------------------------


@row("8a", "clock set an hour forwards")
def clock_forwards(run: Run) -> Iterator[None]:
    yield
    run.wait_a_moment()
    run.strike(lambda: run.system.set_clock(HOUR))


@row("8b", "clock set an hour backwards, and right again")
def clock_backwards(run: Run) -> Iterator[None]:
    yield
    run.wait_a_moment()
    ending = run.campaigns["ending"]
    ending.silences.clear()  # its end is a moment of the server's clock
    run.strike(lambda: run.system.set_clock(-HOUR))
    run.wait_a_moment(4, 6)
    run.system.set_clock(0)
    ending.silences.append((max(time.time(), ending.ends_at) + STILL_AFTER_END, float("inf")))


@row("8c", "clocks change (DST) during a campaign")
def daylight_saving(run: Run) -> Iterator[None]:
    """Calling hours from 00:30 to 01:30 in London, on the night in which 01:00 is followed by 02:00."""
    shut = datetime(2026, 3, 29, 1, 0, tzinfo=UTC)
    opens_again = datetime(2026, 3, 29, 23, 30, tzinfo=UTC)
    hours = {"opens_at": "00:30", "closes_at": "01:30", "time_zone": "Europe/London"}
    Account.objects.filter(pk=run.account.pk).update(**hours)
    shuts_at = time.time() + run.chance.uniform(7, 9)
    run.system.set_clock(shut.timestamp() - shuts_at)
    time.sleep(2)  # every process follows within a tenth of a second, and its next tick sees it
    yield
    time.sleep(max(0, shuts_at - time.time()) + 5)
    run.strike(lambda: run.system.set_clock(opens_again.timestamp() - time.time()))
    for campaign in run.campaigns.values():
        campaign.silences.append((shuts_at + STILL_AFTER_END, time.time()))


# 9. The disk ---------------------------------------------------------------------------------------------------------

REPORT_LINES = 20_000
# A sort that is larger than its memory needs a temporary file, and may write none.
FULL_DISK = {
    "temp_file_limit": "0",
    "work_mem": "'64kB'",
    "enable_indexscan": "off",
    "enable_indexonlyscan": "off",
}


@row("9", "disk full for the report")
def disk_full(run: Run) -> Iterator[None]:
    """The report breaks off, so that nobody takes it for whole; afterwards it is whole."""
    address = run.system.url + links.report_url(_large_campaign(run)).partition(run.system.url)[2]
    yield
    run.wait_a_moment()
    run.strike(lambda: _set_database(FULL_DISK))
    try:
        with suppress(requests.RequestException):
            answer = requests.get(address, timeout=60)
            if answer.status_code == 200:
                run.notes.append(f"a report of {len(answer.text.splitlines()) - 1} lines passed for whole")
    finally:
        _set_database(dict.fromkeys(FULL_DISK, "DEFAULT"))

    def lines() -> int:
        return len(requests.get(address, timeout=60).text.splitlines()) - 1

    # Some seconds, as the first to ask may meet a connection that was ended: then a client comes again.
    if not run.wait_for(lambda: lines() == REPORT_LINES, seconds=5):
        run.notes.append(f"afterwards the report had {lines()} lines")


def _large_campaign(run: Run) -> UUID:
    """One that has ended, with so many calls."""
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
    """For every session from now on: those that are open are ended."""
    with connection.cursor() as cursor:
        for name, value in settings.items():
            cursor.execute(f"ALTER DATABASE {connection.settings_dict['NAME']} SET {name} = {value}")
    terminate_connections()


# 10. Poison ----------------------------------------------------------------------------------------------------------


@row("10a", "a row that raises in dispatch")
def poison_in_dispatch(run: Run) -> Iterator[None]:
    yield
    run.strike(lambda: _poison(run, "INSERT", "true"))


@row("10b", "a row that raises in outcomes")
def poison_in_outcomes(run: Run) -> Iterator[None]:
    yield
    run.strike(lambda: _poison(run, "UPDATE", "NEW.status = 'completed'"))


def _poison(run: Run, event: str, condition: str) -> None:
    """The database raises for one number of `main`, one of the last to be dialled; its call must fail, and no other."""
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
        run.notes.append(f"a fault was met by {numbers or 'nobody'}, where {number} is the poison")


# 11. A deploy --------------------------------------------------------------------------------------------------------


@row("11", "a deploy: warm shutdown, migration, start", race=True)
def deploy(run: Run) -> Iterator[None]:
    everything = ("beat", *WORKERS, "web")
    yield
    run.wait_a_moment()
    run.strike(lambda: run.system.shut_down(*everything))
    run.system.manage("migrate", "--noinput", "--verbosity", "0")
    for name in everything:
        run.system.spawn(name)
