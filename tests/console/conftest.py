"""People of the console."""

import pytest
from django.test import Client

from accounts.models import Membership


@pytest.fixture
def person(django_user_model):
    """Return a function that makes a person with a role in an account, or in all, and signs the person in."""

    def make(role: str, account=None, name: str = "meera") -> Client:
        user = django_user_model.objects.create_user(name, is_staff=True)
        Membership.objects.create(user=user, account=account, role=role)
        client = Client()
        client.force_login(user)
        return client

    return make
