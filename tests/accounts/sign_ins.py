"""Signing in with an API key, as the API does it."""

from accounts import credentials
from accounts.models import Account


def account_of(user: str, token: str) -> Account | None:
    """Return the account that these credentials sign in to; None where they are wrong."""
    key = credentials.find_key(user, token)
    return key.account if key else None
