"""`manage.py reencrypt_secrets`: encrypt what is stored with the present SECRET_KEY, after it was changed."""

from typing import Any

from django.apps import apps
from django.core.management.base import BaseCommand, CommandError
from django.db import models

from core.encryption import Secret, SecretField, UnreadableSecret


class Command(BaseCommand):
    help = (
        "Encrypts the stored secrets with the present SECRET_KEY. Afterwards SECRET_KEY_FALLBACKS is needed only for"
        " links and addresses that were handed out before. May be repeated at will."
    )

    def handle(self, *_: Any, **__: Any) -> None:
        done, unreadable = 0, []
        for model in apps.get_models():
            for field in model._meta.concrete_fields:
                if isinstance(field, SecretField):
                    changed, left = _reencrypt(model, field)
                    done += changed
                    unreadable += [f"{model._meta.verbose_name} {pk}, {field.verbose_name}" for pk in left]
        self.stdout.write(f"{done} secrets are encrypted with the present SECRET_KEY now.")
        if unreadable:
            lines = "\n".join(f"  {name}" for name in unreadable)
            raise CommandError(f"No key of SECRET_KEY and SECRET_KEY_FALLBACKS reads these, enter them again:\n{lines}")


def _reencrypt(model: type[models.Model], field: SecretField) -> tuple[int, list[Any]]:
    """Return how many secrets of the field were changed, and the keys of the rows that can't be read."""
    done, unreadable = 0, []
    for row in model._default_manager.only("pk", field.name).iterator(chunk_size=1000):
        secret: Secret | None = getattr(row, field.attname)
        if secret is None or secret.is_of_present_key():
            continue
        try:
            text = secret.reveal()
        except UnreadableSecret:
            unreadable.append(row.pk)
            continue
        # Unless it was entered again meanwhile.
        same = model._default_manager.filter(pk=row.pk, **{field.name: secret})
        done += same.update(**{field.name: Secret.of(text)})
    return done, unreadable
