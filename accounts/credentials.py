"""API keys: making, rotating and revoking them, and telling whose a pair of user and password is."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from hmac import compare_digest

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from accounts.models import Account, ApiKey

# The last use is known to the minute: a write for every request would cost more than the request.
NOTED_EVERY = timedelta(minutes=1)
# How long a rotated key goes on working: a working day to bring the new one to every machine that uses it.
OVERLAP = timedelta(hours=24)


class Revoked(ValueError):
    """The key works no longer, so there is nothing to rotate: create a new one."""


def digest(token: str) -> str:
    """SHA-256 in hex. Enough for random tokens of 256 bits, which no dictionary holds, and cheap on every request."""
    return hashlib.sha256(token.encode()).hexdigest()


@dataclass(frozen=True)
class Credentials:
    """A key and its token, the only moment that the token can be seen."""

    key: str
    token: str


def create_key(account: Account, *, name: str = "", key: str = "", token: str = "") -> Credentials:
    """Stores a new key of the account; what is not given is random. Raises IntegrityError where the key exists."""
    made = Credentials(key or secrets.token_hex(16), token or secrets.token_urlsafe(32))
    ApiKey.objects.create(account=account, name=name, key=made.key, token_digest=digest(made.token))
    return made


def rotate(key: ApiKey, *, now: datetime, overlap: timedelta = OVERLAP) -> Credentials:
    """A new key beside the old one, which goes on working for the overlap; an earlier end that it has stays.

    Two keys, not two tokens of one key: the last use of each then tells which clients have changed over, and a client
    that signs in with the account's SID may use either. Raises Revoked.
    """
    with transaction.atomic():
        old = ApiKey.objects.select_for_update().select_related("account").get(pk=key.pk)
        if not old.works(now):
            raise Revoked(f"the key {old.key} is revoked: create a new one")
        _end(old, now + overlap)
        return create_key(old.account, name=old.name)


def revoke(key: ApiKey, *, now: datetime) -> bool:
    """At once. False, and nothing changed, where it was revoked before."""
    with transaction.atomic():
        old = ApiKey.objects.select_for_update().get(pk=key.pk)
        if not old.works(now):
            return False
        _end(old, now)
        return True


def find_account(user: str, token: str) -> Account | None:
    """The active account that signs in with key:token, or, as old clients do, with sid:token; else None.

    Notes that the key was used.
    """
    now = timezone.now()
    given = digest(token)
    working = Q(revoked_at=None) | Q(revoked_at__gt=now)
    by_key = ApiKey.objects.select_related("account").filter(working, account__is_active=True)
    candidates = by_key.filter(key=user) or by_key.filter(account__sid=user)
    matching = [candidate for candidate in candidates if compare_digest(candidate.token_digest, given)]
    if not matching:
        return None
    _note_use(matching[0], now)
    return matching[0].account


def _note_use(key: ApiKey, now: datetime) -> None:
    """At most one write a minute and key, however many requests come at once: the first makes the others' untrue."""
    stale = now - NOTED_EVERY
    if key.last_used_at is None or key.last_used_at < stale:
        unnoted = Q(last_used_at=None) | Q(last_used_at__lt=stale)
        ApiKey.objects.filter(unnoted, pk=key.pk).update(last_used_at=now)


def _end(key: ApiKey, at: datetime) -> None:
    """An end that comes sooner stays."""
    key.revoked_at = min(at, key.revoked_at or at)
    key.save(update_fields=["revoked_at"])
