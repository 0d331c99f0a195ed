"""Tokens in addresses that this server hands out: a request with one needs no other credentials. Nothing is stored.

A token is made from SECRET_KEY, a purpose and a subject, so it opens one address. It belongs in the query, which is not
logged. Tokens that were made with a key of SECRET_KEY_FALLBACKS are good too: carriers hold addresses for hours.
"""

from django.conf import settings
from django.core import signing
from django.utils.crypto import constant_time_compare


def token(purpose: str, subject: str) -> str:
    """Return the token of this subject. It is always the same, and never expires."""
    return signing.Signer(salt=purpose).signature(subject)


def is_token(given: str, purpose: str, subject: str) -> bool:
    """Tell whether the token is this subject's. Compares in constant time."""
    if constant_time_compare(given, token(purpose, subject)):
        return True
    before = (signing.Signer(key=key, salt=purpose) for key in settings.SECRET_KEY_FALLBACKS)
    return any(constant_time_compare(given, signer.signature(subject)) for signer in before)


def dated_token(purpose: str, subject: str) -> str:
    """Return a token of this subject that carries the time of its making."""
    return signing.TimestampSigner(salt=purpose).sign(subject).removeprefix(f"{subject}:")


def is_dated_token(given: str, purpose: str, subject: str, *, max_age: int) -> bool:
    """Tell whether the token is this subject's and at most max_age seconds old."""
    try:
        signed = signing.TimestampSigner(salt=purpose).unsign(f"{subject}:{given}", max_age=max_age)
    except signing.BadSignature:
        return False
    return bool(signed == subject)
