"""Hold the whole server: it dials nothing, however many campaigns run, until it is released.

The one gate asks. A hold is a row, read in the transaction that commits intents, behind a lock that `hold` takes
exclusively: once `hold` has returned, no intent is committed any more. Calls that are up go on, and look-ups too.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.db import connection, transaction
from django.db.models.expressions import RawSQL

from accounts import audit
from accounts.audit import Actor, Subject, Verb
from accounts.installation import ONLY, Installation, load
from accounts.models import Account
from campaigns import campaign_lock
from core.errors import WrongState

log = structlog.get_logger(__name__)

Because = Installation.Because

# Batches that commit intents hold this key of the campaigns' lock shared, beside those of their campaigns.
LOCK = UUID(int=0)
# As a column: why the server is held; null while it is not.
COLUMN = f"(SELECT held_why FROM accounts_installation WHERE id = {ONLY} AND held_since IS NOT NULL)"  # noqa: S608
# How long before its last sign of life a restored database may lack calls already: it gives one every five seconds.
BEFORE = timedelta(minutes=1)
# What customers read. The reason is the operator's.
SENTENCE = "the server's operator lets it dial nothing for now"


def current() -> Installation | None:
    """Return the row while the server is held; None while it is not."""
    return Installation.objects.filter(pk=ONLY, held_since__isnull=False).first()


def of(account: Account) -> str | None:
    """Return why the server is held, as it was loaded with the account, by one query where it was not; None: it is not.

    An instance must not outlive a task or a request.
    """
    if not hasattr(account, "held"):
        load_into([account])
    held: str | None = account.held  # type: ignore[attr-defined]
    return held


def load_into(accounts: Iterable[Account]) -> None:
    """Ask whether the server is held, and keep it with the accounts."""
    accounts = list(accounts)
    if not accounts:
        return
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {COLUMN}")
        [[held]] = cursor.fetchall()
    for account in accounts:
        keep(account, held)


def annotation() -> RawSQL:
    """Return COLUMN for a query that loads other rows."""
    return RawSQL(COLUMN, ())  # noqa: S611 -- a constant


def keep(account: Account, held: str | None) -> None:
    """Keep with the account what COLUMN has told."""
    account.held = held  # type: ignore[attr-defined]


def hold(because: "Because", why: str, *, actor: Actor, now: datetime, missing_since: datetime | None = None) -> bool:
    """Hold the server. Waits for the batches that are committing intents.

    A hold that a restore has made stays one, whoever holds the server as well.

    Args:
        why: a sentence for operators.
        missing_since: since when calls may be missing in the database.

    Returns:
        Whether it was not held in this way before.
    """
    with transaction.atomic():
        campaign_lock.hold([LOCK])
        load()
        row = Installation.objects.select_for_update().get(pk=ONLY)
        if row.held_since and (row.held_because == because or because == Because.OPERATOR):
            return False
        row.held_since, row.held_because, row.held_why = row.held_since or now, because, why[:255]
        if because != Because.OPERATOR:
            row.missing_since = min(filter(None, (row.missing_since, missing_since)), default=None)
            row.reconciled_at, row.not_asked = None, []
        row.save()
        audit.record(actor, Verb.HELD, Subject(Installation, "the server"), what=why, at=now)
    log.error("server_held", because=str(because), why=why)
    return True


def release(*, actor: Actor, now: datetime, accept_unknown: bool = False, force: str = "") -> bool:
    """Let the server dial again. Returns False where it was not held.

    Args:
        accept_unknown: also where some carriers could not be asked for the calls that may be missing.
        force: also without a reconciliation, for this reason.

    Raises:
        WrongState: calls may be missing, and the carriers have not been asked for them.
    """
    with transaction.atomic():
        load()
        row = Installation.objects.select_for_update().get(pk=ONLY)
        if row.held_since is None:
            return False
        if not force:
            _require_reconciled(row, accept_unknown=accept_unknown)
        said = force or ("calls that can't be asked for may ring again" if accept_unknown and row.not_asked else "")
        if row.held_because != Because.OPERATOR or row.reconciled_at:
            row.settled_until = now  # events of calls that were lost may still come
        if row.held_because != Because.OPERATOR:
            # What was lost before this moment is settled, or accepted.
            row.whole_until, row.identity = max(now, row.whole_until or now), ""
        row.held_since, row.held_because, row.held_why = None, "", ""
        row.missing_since, row.reconciled_at, row.not_asked = None, None, []
        row.save()
        audit.record(actor, Verb.RELEASED, Subject(Installation, "the server"), what=said, at=now)
    log.warning("server_released", said=said)
    return True


def _require_reconciled(row: Installation, *, accept_unknown: bool) -> None:
    if row.held_because == Because.OPERATOR:
        return
    if row.reconciled_at is None:
        raise WrongState(
            "Calls may be missing in the database, and people be called again: run `manage.py reconcile` first, or"
            " `manage.py release --force REASON` if you know that none are missing"
        )
    if row.not_asked and not accept_unknown:
        raise WrongState(
            f"These could not be asked for their calls: {', '.join(row.not_asked)}. Pause the campaigns that dial over"
            " them, or run `manage.py release --accept-unknown`: then people whom they have called may be called again"
        )
