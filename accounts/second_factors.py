"""Set up, use and remove the second factor of a person, each with its audit entry."""

from base64 import b32encode
from os import urandom
from typing import Any

import django_otp
from django.contrib.auth import get_user_model
from django.db import connection, transaction

from accounts import audit
from accounts.audit import Actor, Subject, Verb
from accounts.memberships import only_account_of
from accounts.second_factor_devices import DIGITS, AuthenticatorApp, RecoveryCodes, digest

RECOVERY_CODES = 10
_CODE_BYTES = 10


def has_one(person: Any) -> bool:
    with connection.cursor() as cursor:  # asked for each page of the admin
        cursor.execute("SELECT FROM accounts_authenticatorapp WHERE user_id = %s AND confirmed", [person.pk])
        return bool(cursor.rowcount)


@transaction.atomic
def set_up(app: AuthenticatorApp, *, actor: Actor) -> list[str]:
    """Store the app as the person's second factor, in the place of any other. Returns new recovery codes."""
    person = _locked(app.user)
    had_one = _delete(person)
    app.save()
    codes = [b32encode(urandom(_CODE_BYTES)).decode().lower() for _ in range(RECOVERY_CODES)]
    RecoveryCodes.objects.create(user=person, name="recovery codes", digests=[digest(code) for code in codes])
    what = "in the place of the one before" if had_one else ""
    audit.record(actor, Verb.SECOND_FACTOR_SET_UP, _subject(person), what=what)
    return codes


@transaction.atomic
def remove(person: Any, *, actor: Actor) -> bool:
    """Let the password alone sign in, until another is set up. Returns whether the person had one."""
    had_one = _delete(_locked(person))
    if had_one:
        audit.record(actor, Verb.SECOND_FACTOR_REMOVED, _subject(person))
    return had_one


@transaction.atomic
def use(person: Any, code: str) -> Any:
    """Return the device of the person that takes this code, which is used up with it; None where none does.

    Raises:
        UnreadableSecret: the key of the app was encrypted with another SECRET_KEY. Recovery codes work nevertheless.
    """
    kind: Any = AuthenticatorApp if len(code) == DIGITS and code.isdecimal() else RecoveryCodes
    device = kind.objects.filter(user=person, confirmed=True).first()
    if device is None:
        return None
    was_looked_at, _ = device.verify_is_allowed()
    taken = django_otp.verify_token(person, device.persistent_id, code)
    if taken is None and was_looked_at:
        audit.record(audit.UNKNOWN, Verb.SIGN_IN_FAILED, _subject(person), what="wrong code of the second factor")
    elif isinstance(taken, RecoveryCodes):
        left = f"{len(taken.digests)} are left"
        audit.record(audit.of_user(person), Verb.RECOVERY_CODE_USED, _subject(person), what=left)
    return taken


def _locked(person: Any) -> Any:
    """Lock the person's row, so that two requests don't both store a second factor."""
    return get_user_model().objects.select_for_update(no_key=True).get(pk=person.pk)


def _delete(person: Any) -> bool:
    deleted, _ = AuthenticatorApp.objects.filter(user=person).delete()
    codes, _ = RecoveryCodes.objects.filter(user=person).delete()
    return bool(deleted or codes)


def _subject(person: Any) -> Subject:
    """Name the person, with the account where it is one alone, so that its administrators see the entry."""
    return Subject(get_user_model(), person.get_username(), only_account_of(person), str(person.pk))
