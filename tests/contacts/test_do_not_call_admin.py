"""The admin page of the do-not-call list: whose it is, what can be pasted, found, removed."""

import pytest
from django.contrib.auth import get_user_model
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse

from accounts.audit_entry import AuditEntry
from accounts.models import Membership
from contacts.models import DoNotCall
from tests.factories import AccountFactory, DoNotCallFactory

A, B, C = (f"+9198100123{n}" for n in (45, 46, 47))
LIST, ADD = reverse("admin:contacts_donotcall_changelist"), reverse("admin:contacts_donotcall_add")


@pytest.fixture
def account():
    return AccountFactory(region="IN")


def person(account, role):
    user = get_user_model().objects.create_user(f"{role} of {account}", is_staff=True)
    Membership.objects.create(user=user, account=account, role=role)
    client = Client()
    client.force_login(user)
    return client


def told(response):
    return [str(message) for message in get_messages(response.wsgi_request)]


@pytest.mark.django_db
class TestAdding:
    def test_pasted_numbers_come_on_the_list_with_one_entry(self, account):
        DoNotCallFactory(account=account, number=C)
        client = person(account, "operator")
        response = client.post(ADD, {"account": account.pk, "numbers": f"98100 12345\n{B}, {C}", "note": "by mail"})
        assert response.status_code == 302
        assert told(response) == ["2 numbers added to the do-not-call list; 1 were on it already."]
        assert set(account.do_not_call.values_list("number", "source", "note")) == {
            (A, "admin", "by mail"),
            (B, "admin", "by mail"),
            (C, "api", ""),
        }
        entry = AuditEntry.objects.get()
        assert (entry.actor, entry.object_name) == (f"operator of {account}", "2 numbers on the do-not-call list")

    def test_a_mistake_is_named_and_nothing_is_added(self, account):
        response = person(account, "operator").post(ADD, {"account": account.pk, "numbers": f"{A}\n12\nhello"})
        assert response.status_code == 200
        [error] = response.context["adminform"].form.errors["numbers"]
        assert "2 are not valid numbers: 12, hello" in error
        assert not DoNotCall.objects.exists()

    def test_more_than_the_most_are_refused(self, account, monkeypatch):
        monkeypatch.setattr("contacts.do_not_call_admin.MOST", 1)
        response = person(account, "operator").post(ADD, {"account": account.pk, "numbers": f"{A} {B}"})
        assert "more than 1" in response.context["adminform"].form.errors["numbers"][0]

    @pytest.mark.parametrize("role", ["viewer", "operator", "administrator"])
    def test_for_all_accounts_is_the_servers_administrators_alone(self, account, role):
        response = person(account, role).post(ADD, {"account": "", "numbers": A})
        assert response.status_code == (403 if role == "viewer" else 200)
        assert not DoNotCall.objects.exists()

    def test_for_all_accounts(self, admin_client, account):
        assert admin_client.post(ADD, {"account": "", "numbers": "98100 12345"}).status_code == 302
        assert DoNotCall.objects.get().account is None

    def test_for_all_accounts_of_several_countries_a_number_needs_its_country(self, admin_client, account):
        AccountFactory(region="GB")
        assert admin_client.post(ADD, {"account": "", "numbers": "98100 12345"}).status_code == 200
        assert admin_client.post(ADD, {"account": "", "numbers": A}).status_code == 302

    def test_another_account_can_not_be_chosen(self, account):
        other = AccountFactory()
        assert person(account, "administrator").post(ADD, {"account": other.pk, "numbers": A}).status_code == 200
        assert not DoNotCall.objects.exists()


@pytest.mark.django_db
class TestLookingUp:
    @pytest.mark.parametrize("spelled", ["98100 12345", "09810012345", "+91-98100-12345", "919810012345"])
    def test_any_spelling_is_found(self, account, spelled):
        DoNotCallFactory(account=account, number=A)
        DoNotCallFactory(account=account, number=B)
        page = person(account, "viewer").get(LIST, {"q": spelled})
        assert [entry.number for entry in page.context["cl"].result_list] == [A]

    @pytest.mark.parametrize("trait", [{}, {"for_all": True}])
    def test_entries_of_others_and_for_all_do_not_exist_for_an_accounts_people(self, account, trait):
        entry = DoNotCallFactory(number=A, **trait)
        client = person(account, "administrator")
        assert list(client.get(LIST, {"q": A}).context["cl"].result_list) == []
        assert client.get(reverse("admin:contacts_donotcall_change", args=[entry.pk])).status_code == 404


@pytest.mark.django_db
class TestRemoving:
    def test_asks_for_a_reason_and_then_removes(self, account):
        entry = DoNotCallFactory(account=account, number=A)
        client = person(account, "administrator")
        chosen = {"action": "remove_numbers", "_selected_action": [entry.pk]}
        asked = client.post(LIST, chosen)
        assert asked.status_code == 200
        assert A in asked.content.decode()
        again = client.post(LIST, {**chosen, "confirmed": "remove_numbers", "reason": ""})
        assert again.context["form"].errors["reason"]
        assert DoNotCall.objects.exists()
        done = client.post(LIST, {**chosen, "confirmed": "remove_numbers", "reason": "asked again"})
        assert told(done) == ["1 number removed from the do-not-call list."]
        assert not DoNotCall.objects.exists()
        assert AuditEntry.objects.get().what == "asked again"

    def test_is_not_for_operators(self, account):
        entry = DoNotCallFactory(account=account)
        chosen = {"action": "remove_numbers", "_selected_action": [entry.pk], "confirmed": "remove_numbers"}
        person(account, "operator").post(LIST, {**chosen, "reason": "x"})
        assert DoNotCall.objects.exists()

    def test_has_no_other_way(self, admin_client):
        entry = DoNotCallFactory()
        assert admin_client.post(f"{LIST}{entry.pk}/delete/", {"post": "yes"}).status_code == 403
        assert admin_client.post(LIST, {"action": "delete_selected", "_selected_action": [entry.pk], "post": "yes"})
        assert DoNotCall.objects.exists()
