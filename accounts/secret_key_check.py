"""Is SECRET_KEY the one that the stored secrets are encrypted with? A known text that is encrypted tells it."""

from django.db import models

from core.encryption import SecretField, UnreadableSecret

TEXT = "trunkline"
_ONLY = 1


class SecretKeyCheck(models.Model):
    """The text, in the only row. The first process that starts on a database writes it."""

    id = models.SmallIntegerField(primary_key=True, default=_ONLY)
    text = SecretField()

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(id=_ONLY), name="secret_key_check_has_one_row")]

    def __str__(self) -> str:
        return "secret key check"


def is_right() -> bool:
    """Tell whether this process's keys can read what is stored, as far as anything is."""
    row = SecretKeyCheck.objects.filter(pk=_ONLY).first()
    try:
        return row is None or bool(row.text.reveal() == TEXT)
    except UnreadableSecret:
        return False


def store_once() -> None:
    """Store the text, unless another process has."""
    if not SecretKeyCheck.objects.filter(pk=_ONLY).exists():
        SecretKeyCheck.objects.bulk_create([SecretKeyCheck(text=TEXT)], ignore_conflicts=True)
