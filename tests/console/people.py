"""People of several roles, signed in to the console, and the text of its pages."""

import html
import re
from typing import Any

from django.contrib.auth import get_user_model
from django.test import Client

from accounts.models import Membership


def sign_in(role: str, account: Any = None, name: str = "meera") -> Client:
    """Return a browser of a person with one membership. account: None for all."""
    user = get_user_model().objects.create_user(name, is_staff=True)
    Membership.objects.create(user=user, account=account, role=role)
    client = Client()
    client.force_login(user)
    return client


def text(response: Any) -> str:
    return " ".join(response.content.decode().split())


def words(response: Any) -> str:
    """Return what a person reads: no tags, single blanks."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", response.content.decode())).split())
