"""Notice that the database is older than what was dialed from it: restored from a backup, or a replica that lagged.

Each intent is noted in Redis after its commit and before the carrier is asked. A noted intent that the database does
not know, or has as a mere claim, was lost in a restore: its phone may have rung, and would ring again. Then the server
is held, until `dialer.reconcile` has asked the carriers.

Where Redis has no notes, as it was emptied too, PostgreSQL itself tells a copy from its original: a restored dump is in
another database, or has other tables, and a replica that was promoted has another timeline.
"""

import threading
from collections.abc import Collection, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import structlog
from django.db import DatabaseError, connection, transaction
from django.db.models import Case, F, Value, When
from redis.exceptions import RedisError, ResponseError

from accounts import audit
from accounts.installation import ONLY, Installation, load
from core.redis_client import prefixed, redis_client
from dialer import holds, redis_owner, unknown_calls
from dialer.holds import Because
from dialer.models import CallAttempt

log = structlog.get_logger(__name__)

# Intents that are noted: the newest, as a backup lacks what was committed last.
NOTED = 1_000
# How often a process that dials looks, in seconds, beside the look with each new connection to the database.
LOOKS_EVERY = 5.0
# Nobody has looked for so long: the system stood still, and what is there now may be an older copy of it.
STANDSTILL = timedelta(seconds=30)


class _Look(NamedTuple):
    """The last look of a thread: over which connection, and whether the carriers had to be asked."""

    connection: object
    at: datetime
    must_ask: bool


_looked = threading.local()


def note(attempt_ids: Collection[UUID], placing_at: datetime) -> None:
    """Note that the intents of these attempts are committed. Before the carrier is asked. An absent Redis is logged."""
    if not attempt_ids:
        return
    score = placing_at.timestamp()
    try:
        pipe = redis_client().pipeline(transaction=False)
        pipe.zadd(_key(), {attempt_id.hex: score for attempt_id in attempt_ids})
        pipe.zremrangebyrank(_key(), 0, -NOTED - 1)
        pipe.execute()
    except RedisError as error:
        log.warning("intents_not_noted", attempts=len(attempt_ids), error=str(error))


def may_dial(now: datetime, *, at_once: bool = False) -> bool:
    """Look, and after a standstill let the carriers be asked first. Call it before anything is dialed, or deleted.

    Raises:
        redis.RedisError: Redis is away.
    """
    return look(now, at_once=at_once) and (not _looked.last.must_ask or unknown_calls.are_ruled_out(now))


def may_dial_without_asking(now: datetime) -> bool:
    """Tell the same without asking the carriers, which takes a while: False where they have to be asked first."""
    return look(now) and not _looked.last.must_ask


def look(now: datetime, *, at_once: bool = False) -> bool:
    """Check with each new connection to the database, and every few seconds.

    Args:
        at_once: also where the last check was a moment ago.

    Returns:
        Whether this system may use its Redis. Where another one has it, nothing may be dialed.

    Raises:
        redis.RedisError: Redis is away.
    """
    connection.ensure_connection()
    last: _Look | None = getattr(_looked, "last", None)
    age = (now - last.at).total_seconds() if last else LOOKS_EVERY
    if not at_once and last and last.connection is connection.connection and 0 <= age < LOOKS_EVERY:
        return True
    try:
        row = check(now)
    except redis_owner.OwnedByAnother as error:
        log.error("redis_is_anothers", error=str(error))  # noqa: TRY400 -- the sentence says all
        return False
    _looked.last = _Look(connection.connection, now, must_ask=row.must_ask)
    return True


def check(now: datetime) -> Installation:
    """Compare the database with what Redis has noted, and hold the server where it is older. Returns its row.

    Raises:
        redis_owner.OwnedByAnother: another system has this one's Redis.
        redis.RedisError: Redis is away.
    """
    row = load()
    identity = _identity()
    redis_owner.take("/".join([str(row.uuid), *identity.split("/")[:2]]))
    noted, is_emptied = _noted()
    if lost := _lost(noted, row.whole_until):
        why = f"the database lacks {len(lost)} calls or more that were dialed: it was restored from a backup"
        since = min([noted[pk] for pk in lost], default=now)
        _hold(Because.RESTORED, why, min(since, row.alive_at or since), now)
    elif row.identity and row.identity != identity and not noted:
        why = "the database was restored or copied, and Redis has no notes of what was dialed since"
        _hold(Because.DOUBTFUL, why, row.alive_at or now, now)
    elif row.held_because in {"", Because.OPERATOR}:
        _note_whole(row, identity, max(noted.values(), default=row.whole_until))
    row.must_ask = _note_life(row, is_emptied=is_emptied, now=now)
    return row


def owner() -> str:
    """Return how this system is named in Redis."""
    return "/".join([str(load().uuid), *_identity().split("/")[:2]])


def _key() -> str:
    return prefixed("intents")


def _mark() -> str:
    return prefixed("intents-kept")


def _noted() -> tuple[dict[UUID, datetime], bool]:
    """Return what is noted, and whether Redis has lost all that it had."""
    pipe = redis_client().pipeline(transaction=False)
    pipe.zrevrange(_key(), 0, -1, withscores=True)
    pipe.exists(_mark())
    newest, is_kept = pipe.execute()
    noted = {UUID(hex=attempt_id): datetime.fromtimestamp(score, UTC) for attempt_id, score in newest}
    return noted, not is_kept


def _lost(noted: Mapping[UUID, datetime], whole_until: datetime | None) -> set[UUID]:
    """Return the intents that the database lacks. Only later ones than whole_until: others may have been deleted."""
    new = {pk for pk, at in noted.items() if whole_until is None or at > whole_until}
    if not new:
        return set()
    known = CallAttempt.objects.filter(pk__in=new, placing_at__isnull=False)
    return new - set(known.values_list("pk", flat=True))


def _hold(because: Because, why: str, whole_until: datetime, now: datetime) -> None:
    holds.hold(because, why, actor=audit.SYSTEM, now=now, missing_since=whole_until - holds.BEFORE)


def _note_whole(row: Installation, identity: str, until: datetime | None) -> None:
    if (row.identity, row.whole_until) == (identity, until):
        return
    if row.identity and row.identity != identity:
        log.warning("database_moved", before=row.identity, now=identity)
    Installation.objects.filter(pk=ONLY).update(identity=identity, whole_until=until)


def _note_life(row: Installation, *, is_emptied: bool, now: datetime) -> bool:
    """Note that the system is at work. Returns whether the carriers have to be asked first.

    That is so after a standstill, and where Redis was emptied. Of several processes that find it one notes it: for the
    others the row is another one by then.
    """
    last, of_last = row.looked_at, Installation.objects.filter(pk=ONLY, looked_at=row.looked_at)
    stood_still = last is not None and (is_emptied or now - last > STANDSTILL)
    if stood_still:
        before = Case(When(must_ask=True, then=F("stopped_at")), default=Value(last))
        of_last.update(looked_at=now, must_ask=True, stopped_at=before)
    elif last is None or abs((now - last).total_seconds()) >= LOOKS_EVERY:
        of_last.update(looked_at=now)
    if is_emptied:
        with suppress(ResponseError):  # it is full, or a replica: nothing is dialed with it, and it is asked again
            redis_client().set(_mark(), 1)
    return row.must_ask or stood_still


def _identity() -> str:
    """Return what tells this database from a copy of it: server, database, table, timeline; "" for what is hidden."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT oid, 'dialer_callattempt'::regclass::oid FROM pg_database WHERE datname = current_database()"
        )
        [[database, table]] = cursor.fetchall()
        try:
            with transaction.atomic():
                cursor.execute(
                    "SELECT system_identifier, timeline_id FROM pg_control_system(), pg_control_checkpoint()"
                )
                [[server, timeline]] = cursor.fetchall()
        except DatabaseError:
            server = timeline = ""  # some hosted servers hide it
    return f"{server}/{database}/{table}/{timeline}"
