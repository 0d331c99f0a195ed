"""API keys: create, rotate and revoke them, and find the account that a user and a password belong to."""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hmac import compare_digest

from django.db import transaction
from django.db.models import DateTimeField, Q, QuerySet

from accounts import address_ranges as ranges
from accounts import audit
from accounts.audit import Actor, Verb
from accounts.models import Account, ApiKey
from core import clocks
from core.composed_once import ComposedOnce, Given

# The last use is recorded to the minute: a write for every request would cost more than the request.
USE_PRECISION = timedelta(minutes=1)
# How long a rotated key still works: a working day to bring the new one to every machine that uses it.
OVERLAP = timedelta(hours=24)


class Revoked(ValueError):
    """The key no longer works, so it can't be rotated: create a new one."""


def digest(token: str) -> str:
    """Return the SHA-256 in hex.

    A slow hash would protect guessable passwords. Tokens are 256 random bits, and each request computes a digest.
    """
    return hashlib.sha256(token.encode()).hexdigest()


@dataclass(frozen=True)
class Credentials:
    """A key with its token, which nothing can show again later."""

    key: str
    token: str


def create_key(
    account: Account,
    *,
    actor: Actor,
    name: str = "",
    key: str = "",
    token: str = "",
    address_ranges: Sequence[str] = (),
) -> Credentials:
    """Store a new key of the account. Key and token are random where they are not given.

    Args:
        address_ranges: the only networks it may be used from; none: anywhere.

    Raises:
        IntegrityError: the key exists already.
    """
    made = Credentials(key or secrets.token_hex(16), token or secrets.token_urlsafe(32))
    with transaction.atomic():
        row = ApiKey.objects.create(
            account=account,
            name=name,
            key=made.key,
            token_digest=digest(made.token),
            address_ranges=list(address_ranges),
        )
        audit.record(actor, Verb.CREATED, row)
    return made


def rotate(key: ApiKey, *, actor: Actor, now: datetime, overlap: timedelta = OVERLAP) -> Credentials:
    """Create a new key beside the old one, which ends after the overlap, or earlier if it already had an end.

    Two keys, not two tokens of one key: the last use of each shows which clients have changed over, and a client that
    signs in with the account's SID may use either.

    Raises:
        Revoked: the old key has ended.
    """
    with transaction.atomic():
        old = ApiKey.objects.select_for_update().select_related("account").get(pk=key.pk)
        if not old.works(now):
            raise Revoked(f"the key {old.key} is revoked: create a new one")
        _end(old, now + overlap)
        made = create_key(old.account, actor=actor, name=old.name, address_ranges=old.address_ranges)
        audit.record(actor, Verb.ROTATED, old, what=f"ends at {old.revoked_at:%Y-%m-%d %H:%M} UTC")
        return made


def revoke(key: ApiKey, *, actor: Actor, now: datetime) -> bool:
    """End the key now. Returns False, and changes nothing, where it had ended before."""
    with transaction.atomic():
        old = ApiKey.objects.select_for_update().select_related("account").get(pk=key.pk)
        if not old.works(now):
            return False
        _end(old, now)
        audit.record(actor, Verb.REVOKED, old)
        return True


def find_key(user: str, token: str) -> ApiKey | None:
    """Return the key that key:token or, as old clients have it, sid:token belongs to; None for wrong credentials.

    The key works and its account is active.
    Records that the key was used.
    """
    now = clocks.now()
    given = digest(token)
    candidates = _BY_KEY.of([user], now=now) or _BY_SID.of([user], now=now)
    matching = [candidate for candidate in candidates if compare_digest(candidate.token_digest, given)]
    if not matching:
        return None
    _record_use(matching[0], now)
    return matching[0]


def _working() -> "QuerySet[ApiKey]":
    works = Q(revoked_at=None) | Q(revoked_at__gt=Given("now", DateTimeField()))
    return ApiKey.objects.select_related("account").filter(works, account__is_active=True)


# Every request of the API asks these.
_BY_KEY = ComposedOnce(_working, by="key")
_BY_SID = ComposedOnce(_working, by="account__sid")


def may_be_used_from(key: ApiKey, address: str) -> bool:
    """Tell whether the key may be used from this address."""
    return ranges.contains(key.address_ranges, address)


def _record_use(key: ApiKey, now: datetime) -> None:
    """Write at most once a minute for each key. Of many requests at once, only the first finds the old time."""
    stale = now - USE_PRECISION
    if key.last_used_at is None or key.last_used_at < stale:
        is_stale = Q(last_used_at=None) | Q(last_used_at__lt=stale)
        ApiKey.objects.filter(is_stale, pk=key.pk).update(last_used_at=now)


def _end(key: ApiKey, at: datetime) -> None:
    """Let the key end at this moment, or earlier if it already had an end."""
    key.revoked_at = min(at, key.revoked_at or at)
    key.save(update_fields=["revoked_at"])
