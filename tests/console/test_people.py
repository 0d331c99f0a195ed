"""People and audit."""

import re

import pytest
from django.urls import reverse

from accounts.models import Membership
from tests.factories import AccountFactory, AuditEntryFactory

pytestmark = pytest.mark.django_db

PAGE = reverse("admin:people")


def test_a_colleague_is_made_by_the_form_of_the_page(person, client):
    account = AccountFactory()
    root = person("administrator")
    page = root.get(PAGE).content.decode()
    [form] = re.findall(
        rf'<form class="card" method="post" action="{reverse("admin:auth_user_add")}">.*?</form>', page, re.S
    )
    assert set(re.findall(r' name="(\w+)"', form)) == {"csrfmiddlewaretoken", "username", "password", "account", "role"}
    given = {"username": "asha", "password": "a long enough password", "account": account.pk, "role": "operator"}
    root.post(reverse("admin:auth_user_add"), given)
    made = Membership.objects.get(user__username="asha")
    assert (made.account, made.role) == (account, "operator")
    assert f"{account.sid}: operator" in root.get(PAGE).content.decode()


@pytest.mark.parametrize("of_all", [False, True])
def test_people_are_shown_to_administrators_of_the_server_alone(person, of_all):
    account = AccountFactory()
    person("viewer", account, "asha")
    page = person("administrator", None if of_all else account).get(PAGE).content.decode()
    assert ("asha" in page) is of_all
    assert ("Add a colleague" in page) is of_all


def test_superusers_are_shown_to_superusers(person, admin_client, admin_user):
    address = reverse("admin:auth_user_change", args=[admin_user.pk])
    assert address in admin_client.get(PAGE).content.decode()
    assert address not in person("administrator").get(PAGE).content.decode()


def test_everybody_reads_what_was_done_in_the_own_accounts(person):
    account = AccountFactory()
    AuditEntryFactory(account=account, object_name="our campaign")
    AuditEntryFactory(account=AccountFactory(), object_name="their campaign")
    AuditEntryFactory(account=None, account_sid="", object_name="a sign-in")
    page = person("viewer", account).get(PAGE).content.decode()
    assert "our campaign" in page
    assert "their campaign" not in page
    assert "a sign-in" not in page
    of_all = person("viewer", None, "asha").get(PAGE).content.decode()
    assert "their campaign" in of_all
    assert "a sign-in" not in of_all
    assert "a sign-in" in person("administrator", None, "root").get(PAGE).content.decode()
