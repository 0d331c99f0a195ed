"""Encrypt stored secrets that must be read back, such as the token of another service's API.

The key is derived from SECRET_KEY. Secrets that were encrypted with a key of SECRET_KEY_FALLBACKS are read too, until
`manage.py reencrypt_secrets` has encrypted them with the present one.
"""

import base64
import hashlib
from functools import cache
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.db import models
from django.db.models.query_utils import DeferredAttribute


class UnreadableSecret(Exception):
    """SECRET_KEY has changed since the secret was stored. The secret has to be entered again."""


class Secret:
    """A stored secret. Its text form is dots: only `reveal` decrypts it, where it is used."""

    def __init__(self, ciphertext: str) -> None:
        self.ciphertext = ciphertext

    @classmethod
    def of(cls, text: str) -> "Secret":
        """Encrypt the text as a Fernet token (AES-128-CBC with an HMAC). An empty text stays empty."""
        return cls(_fernet().encrypt(text.encode()).decode() if text else "")

    def reveal(self) -> str:
        """Return the text. Raises UnreadableSecret."""
        try:
            return _fernet().decrypt(self.ciphertext.encode()).decode() if self.ciphertext else ""
        except InvalidToken as error:
            raise UnreadableSecret("SECRET_KEY has changed since this was stored: enter it again") from error

    def is_of_present_key(self) -> bool:
        """Tell whether SECRET_KEY reads it, and not only one before it."""
        try:
            _of_key(settings.SECRET_KEY).decrypt(self.ciphertext.encode())
        except InvalidToken:
            return not self.ciphertext
        return True

    def __bool__(self) -> bool:
        return bool(self.ciphertext)

    def __len__(self) -> int:
        return len(self.ciphertext)

    def __str__(self) -> str:
        return "••••" if self.ciphertext else ""


def _fernet() -> MultiFernet:
    """Return what encrypts with SECRET_KEY, and decrypts with it and those before it."""
    return MultiFernet([_of_key(key) for key in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)])


@cache
def _of_key(key: str) -> Fernet:
    digest = hashlib.sha256(b"trunkline column encryption:" + key.encode()).digest()
    return Fernet(base64.urlsafe_b64encode(digest))


class _Holder(DeferredAttribute):
    """Turns an assigned text into a Secret, so that a new row has the same type as a loaded one."""

    def __set__(self, instance: models.Model, value: Any) -> None:
        instance.__dict__[self.field.attname] = self.field.to_python(value)


class SecretField(models.TextField):  # type: ignore[type-arg]
    """Takes a text or a Secret and holds a Secret.

    It decrypts nothing on its own: a row whose secret can't be read any more can still be loaded, listed and changed.
    """

    descriptor_class = _Holder

    def get_prep_value(self, value: Any) -> Any:
        if value is None:
            return None
        return (value if isinstance(value, Secret) else Secret.of(str(value))).ciphertext

    def from_db_value(self, value: Any, *_: Any) -> Any:
        return None if value is None else Secret(value)

    def to_python(self, value: Any) -> Any:
        return value if value is None or isinstance(value, Secret) else Secret.of(str(value))
