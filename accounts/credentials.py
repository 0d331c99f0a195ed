"""API keys: making them, and telling whose a pair of user and password is."""

import hashlib
import secrets
from dataclasses import dataclass
from hmac import compare_digest

from accounts.models import Account, ApiKey


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


def find_account(user: str, token: str) -> Account | None:
    """The active account that signs in with key:token, or, as old clients do, with sid:token; else None."""
    given = digest(token)
    by_key = ApiKey.objects.select_related("account").filter(revoked_at=None, account__is_active=True)
    candidates = by_key.filter(key=user) or by_key.filter(account__sid=user)
    matching = [candidate.account for candidate in candidates if compare_digest(candidate.token_digest, given)]
    return matching[0] if matching else None
