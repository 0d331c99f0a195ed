"""The table of who did what. `accounts.audit` writes it; nothing changes or deletes a row."""

from typing import ClassVar

from django.apps import apps
from django.db import models
from django.db.models import Q


class Verb(models.TextChoices):
    """What was done, with the words that stand before its object."""

    CREATED = "created", "created"
    CHANGED = "changed", "changed"
    DELETED = "deleted", "deleted"
    PAUSED = "paused", "paused"
    RESUMED = "resumed", "resumed"
    COMPLETED = "completed", "completed"
    ARCHIVED = "archived", "archived"
    UPLOADED = "uploaded", "uploaded a file into"
    ROTATED = "rotated", "rotated"
    REVOKED = "revoked", "revoked"
    SHOWN = "shown", "saw a secret of"
    INVITED = "invited", "made a password link for"
    REDELIVERED = "redelivered", "redelivered"
    DOWNLOADED = "downloaded", "downloaded the report of"
    RAN = "ran", "ran an action on"
    REFUSED = "refused", "was refused with"
    SIGNED_IN = "signed-in", "signed in as"
    SIGN_IN_FAILED = "sign-in-failed", "failed to sign in as"
    SECOND_FACTOR_SET_UP = "second-factor-set-up", "set up a second factor for"
    SECOND_FACTOR_REMOVED = "second-factor-removed", "removed the second factor of"
    RECOVERY_CODE_USED = "recovery-code-used", "used a recovery code of"
    SIGN_IN_LIMITED = "sign-in-limited", "was refused for too many failures as"
    HELD = "held", "held"
    RELEASED = "released", "released"
    RECONCILED = "reconciled", "asked the carriers for calls that are missing in"


def verbs() -> list[tuple[str, str]]:
    """Return the choices; a function, so that a new verb is no migration."""
    return list(Verb.choices)


class AuditEntry(models.Model):
    """One thing that somebody did, in the words of that moment: it outlives the rows that it names.

    The database refuses every change of an entry, and its deletion within a year (`accounts/migrations`).
    """

    class ActorKind(models.TextChoices):
        USER = "user", "person"
        API_KEY = "api-key", "API key"
        SYSTEM = "system", "command line or program"
        UNKNOWN = "unknown", "somebody unknown"

    at = models.DateTimeField()
    actor_kind = models.CharField("kind of actor", max_length=16, choices=ActorKind)
    actor_id = models.CharField("actor's ID", max_length=64, blank=True)
    actor_name = models.CharField("actor", max_length=255, blank=True)
    # Without a constraint: entries stay when their account is deleted, and they don't keep it from being deleted.
    account = models.ForeignKey(
        "accounts.Account",
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        null=True,
        blank=True,
        related_name="+",
    )
    account_sid = models.CharField("SID of the account", max_length=64, blank=True)
    verb = models.CharField(max_length=32, choices=verbs)
    object_kind = models.CharField("kind of object", max_length=64, blank=True)
    object_id = models.CharField("object's ID", max_length=64, blank=True)
    object_name = models.CharField("object", max_length=255, blank=True)
    what = models.TextField(blank=True)
    ip = models.CharField("IP address", max_length=64, blank=True)
    request_id = models.CharField("request ID", max_length=64, blank=True)

    class Meta:
        verbose_name_plural = "audit entries"
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(actor_kind__in=["user", "api-key", "system", "unknown"]), name="audit_entry_has_an_actor"
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["account", "id"], name="audit_entry_of_account"),
            models.Index(fields=["object_kind", "object_id", "id"], name="audit_entry_of_object"),
        ]

    def __str__(self) -> str:
        return f"{self.actor} {self.get_verb_display()} {self.object_name}".rstrip()

    @property
    def actor(self) -> str:
        """Return the actor as histories name it."""
        if self.actor_kind == self.ActorKind.USER:
            return self.actor_name
        if self.actor_kind == self.ActorKind.UNKNOWN:
            return self.actor_name or "somebody"
        return f"{'API key' if self.actor_kind == self.ActorKind.API_KEY else 'system'} {self.actor_name}".rstrip()

    @property
    def kind_of_object(self) -> str:
        """Return the kind as people read it: `API key` for `accounts.apikey`."""
        try:
            return str(apps.get_model(self.object_kind)._meta.verbose_name)
        except (LookupError, ValueError):
            return self.object_kind
