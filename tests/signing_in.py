"""Sign the client of a test in by one statement. Django's `force_login` makes a dozen, which take as long as a page."""

from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import AbstractBaseUser
from django.http import HttpRequest
from django.test import Client
from django.utils.crypto import get_random_string

_client: Any = Client
_login_of_django = _client._login


def login(client: Any, user: AbstractBaseUser, backend: str | None = None) -> None:
    """Begin a session. `last_login` stays as it is, and nobody is told: no code of ours listens."""
    if settings.SESSION_COOKIE_NAME in client.cookies:
        _login_of_django(client, user, backend)
        return
    data = {
        SESSION_KEY: str(user.pk),
        BACKEND_SESSION_KEY: backend or settings.AUTHENTICATION_BACKENDS[0],
        HASH_SESSION_KEY: user.get_session_auth_hash(),
    }
    session: Any = import_module(settings.SESSION_ENGINE).SessionStore()
    key, until = get_random_string(32), session.get_expiry_date()
    session.model.objects.bulk_create([session.model(pk=key, session_data=session.encode(data), expire_date=until)])
    request = HttpRequest()
    request.session = session.__class__(key)
    client._set_login_cookies(request)
