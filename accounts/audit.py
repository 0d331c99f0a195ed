"""Who did it: one row for each thing that a person, an API key or a command did, stored with the change itself.

Code that changes something takes an `Actor` as an argument and calls `record` in the transaction of the change. Where
the request came from is no business of that code: it is read from the context of the request.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Model

from accounts.audit_entry import AuditEntry, Verb
from core import clocks, request_context

__all__ = ["SYSTEM", "UNKNOWN", "Actor", "Kind", "Subject", "Verb", "of_key", "of_user", "record", "record_each"]

Kind = AuditEntry.ActorKind

# Rows of one INSERT.
BATCH = 1000


@dataclass(frozen=True)
class Actor:
    """Who does something, as histories and entries name it."""

    kind: AuditEntry.ActorKind
    id: str
    name: str

    def __str__(self) -> str:
        return AuditEntry(actor_kind=self.kind, actor_name=self.name).actor


SYSTEM = Actor(Kind.SYSTEM, "", "")
UNKNOWN = Actor(Kind.UNKNOWN, "", "")


def of_user(user: Any) -> Actor:
    """Return the person who has signed in."""
    return Actor(Kind.USER, str(user.pk), user.get_username())


def of_key(key: Any) -> Actor:
    """Return the API key: by its name, or by the beginning of the key where it has none."""
    return Actor(Kind.API_KEY, str(key.pk), key.name or f"{key.key[:8]}…")


@dataclass(frozen=True)
class Subject:
    """What something was done to, where it is not a row with a name of its own.

    kind: a model, for "5,000 contacts" and the like.
    """

    kind: type[Model]
    name: str
    account: Any = None
    id: str = ""


def record(actor: Actor, verb: Verb, *subjects: Model | Subject, what: str = "", at: datetime | None = None) -> None:
    """Store an entry for each subject, in the caller's transaction and in one statement for a thousand.

    Args:
        subjects: rows, with their account loaded where they have one.
        what: names of columns, counts, values that are no secrets; never numbers of people.
    """
    record_each(actor, verb, ((subject, what) for subject in subjects), at=at)


def record_each(
    actor: Actor, verb: Verb, subjects: Iterable[tuple[Model | Subject, str]], *, at: datetime | None = None
) -> None:
    """Store an entry for each subject with words of its own."""
    at = at or clocks.now()
    entries = [_entry(actor, verb, _subject(subject), what, at) for subject, what in subjects]
    AuditEntry.objects.bulk_create(entries, batch_size=BATCH)


def _subject(given: Model | Subject) -> Subject:
    if isinstance(given, Subject):
        return given
    account = given if given._meta.label_lower == "accounts.account" else getattr(given, "account", None)
    return Subject(given._meta.model, str(given), account, str(given.pk))


def _entry(actor: Actor, verb: Verb, subject: Subject, what: str, at: datetime) -> AuditEntry:
    return AuditEntry(
        at=at,
        actor_kind=actor.kind,
        actor_id=actor.id,
        actor_name=actor.name[:255],
        account_id=subject.account.pk if subject.account else None,
        account_sid=subject.account.sid if subject.account else "",
        verb=verb,
        object_kind=subject.kind._meta.label_lower,
        object_id=subject.id,
        object_name=subject.name[:255],
        what=what,
        ip=request_context.client_ip()[:64],
        request_id=request_context.request_id()[:64],
    )
