"""Secrets that must be read back, such as a trunk's API token, are encrypted with a key made from SECRET_KEY."""

import base64
import hashlib
from typing import Any

from cryptography.fernet import Fernet
from django.conf import settings
from django.db import models


def _fernet() -> Fernet:
    digest = hashlib.sha256(b"trunkline column encryption:" + settings.SECRET_KEY.encode()).digest()
    return Fernet(base64.urlsafe_b64encode(digest))


class EncryptedTextField(models.TextField):  # type: ignore[type-arg]
    """Text that is stored as a Fernet token (AES-128-CBC with an HMAC); an empty text stays empty.

    A change of SECRET_KEY makes it unreadable (cryptography.fernet.InvalidToken): enter the secret again.
    """

    def get_prep_value(self, value: Any) -> Any:
        return _fernet().encrypt(str(value).encode()).decode() if value else value

    def from_db_value(self, value: Any, *_: Any) -> Any:
        return _fernet().decrypt(value.encode()).decode() if value else value
