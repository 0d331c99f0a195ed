"""A call stays with the carrier account that took it, whatever becomes of its trunk and its caller ID."""

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.urls import reverse
from django.utils import timezone

from accounts.models import CarrierAccount, Trunk
from campaigns import schedule
from campaigns.models import Call
from core.encryption import Secret
from dialer import carrier_accounts, carriers, look_ups
from dialer.carriers.base import Access
from dialer.models import CallAttempt
from tests.conftest import NUMBERS
from tests.factories import CarrierAccountFactory, TrunkFactory

A, B = NUMBERS[:2]
NEW = "https://new.example"


def at(base_url="", account_sid="", api_key="", api_token=""):
    """The simulated carrier that is asked with these settings."""
    return carriers.connect("simulated", Access(base_url, account_sid, api_key, api_token))


def by_save(trunk, **columns):
    for name, value in columns.items():
        setattr(trunk, name, value)
    trunk.save()


def by_update(trunk, **columns):
    Trunk.objects.filter(pk=trunk.pk).update(**columns)


def by_sql(trunk, **columns):
    with connection.cursor() as cursor:
        for name, value in columns.items():
            cursor.execute(f"UPDATE accounts_trunk SET {name} = %s WHERE id = %s", [value, trunk.pk])


def attempt():
    return CallAttempt.objects.latest("claimed_at", "id")


@pytest.mark.parametrize("change", [by_save, by_update, by_sql])
@pytest.mark.parametrize("columns", [{"base_url": NEW}, {"account_sid": "new"}, {"carrier": "sandbox"}])
@pytest.mark.parametrize("fate", ["silent", "lost-after-ring"])
def test_a_call_is_asked_for_where_it_was_placed(rig, change, columns, fate):
    """The new carrier knows no such call. Believed, it would ring a person who is on the phone."""
    rig.carrier.script = {A: [fate, "completed"]}
    rig.campaign(1, retries=2)
    rig.tick()
    change(rig.trunk, **columns)
    for _ in range(5):
        rig.clock.shift(61)
        rig.recover()
        rig.tick()
    assert (attempt().status, attempt().carrier_ref) == ("in-progress", attempt().pk.hex)
    assert rig.rings() == [A]
    assert at(NEW).rings == at(account_sid="new").rings == []


def test_the_next_call_goes_to_the_new_address(rig):
    rig.carrier.script = {A: ["silent"]}
    rig.campaign([A])
    rig.tick()
    by_save(rig.trunk, base_url=NEW)
    rig.campaign([B])
    rig.tick()
    assert (rig.rings(), [ring.number for ring in at(NEW).rings]) == ([A], [B])
    assert attempt().carrier_account == Trunk.objects.get().carrier_account


def test_a_claim_belongs_to_the_account_that_is_asked_and_not_to_that_of_the_claim(rig):
    at(NEW).script = {A: ["silent"]}
    rig.campaign([A])
    schedule.start_due(timezone.now())
    rig.dispatch()
    by_save(rig.trunk, base_url=NEW)
    rig.dial()
    assert attempt().carrier_account.base_url == NEW
    rig.clock.shift(61)
    rig.recover()
    assert attempt().status == "in-progress"
    assert rig.rings() == []


def test_a_call_over_time_is_hung_up_where_it_was_placed(rig, monkeypatch):
    rig.carrier.script = {A: ["silent"]}
    rig.campaign(1)
    rig.tick()
    by_save(rig.trunk, base_url=NEW)
    monkeypatch.setattr(at(NEW), "hang_up", lambda _: pytest.fail("the new carrier has no such call"))
    rig.clock.shift(look_ups.longest_call() + timedelta(seconds=1))
    rig.recover()
    rig.settle()
    assert attempt().status == "completed"


def test_calls_of_a_caller_id_that_has_moved_to_another_trunk_are_asked_for_over_theirs(rig):
    other = TrunkFactory(base_url=NEW)
    rig.carrier.script = {A: ["lost-after-ring", "completed"]}
    rig.campaign(1, retries=2)
    rig.tick()
    rig.caller_id.trunk = other
    rig.caller_id.save()
    rig.clock.shift(61)
    assert rig.recover().adopted == 1
    rig.tick()
    assert (rig.rings(), at(NEW).rings) == ([A], [])


def test_a_new_token_opens_the_calls_of_yesterday(rig):
    """The old one may be revoked already."""
    rig.carrier.script = {A: ["silent"]}
    rig.campaign(1)
    rig.tick()
    rig.carrier.replies_to_look_ups = False
    by_save(rig.trunk, api_token="new", api_key="k2")
    at(api_key="k2", api_token="new").rings.extend(rig.carrier.rings)
    rig.clock.shift(61)
    rig.recover()
    assert attempt().heard_at == timezone.now()
    assert CarrierAccount.objects.count() == 1
    assert carrier_accounts.carrier_of(attempt().carrier_account, Trunk.objects.get()) is at(
        api_key="k2", api_token="new"
    )


def test_the_credentials_that_a_trunk_leaves_are_kept_encrypted_while_calls_are_under_way(rig):
    by_save(rig.trunk, api_key="k1", api_token="secret")
    at(api_key="k1", api_token="secret").script = {A: ["silent"]}
    rig.campaign(1)
    rig.tick()
    by_save(rig.trunk, base_url=NEW, api_key="k2", api_token="other")
    old = attempt().carrier_account
    assert (old.api_key, old.api_token.reveal()) == ("k1", "secret")
    assert "secret" not in old.api_token.ciphertext
    assert carrier_accounts.carrier_of(old, Trunk.objects.get()) is at(api_key="k1", api_token="secret")
    CarrierAccount.objects.filter(pk=old.pk).update(left_at=timezone.now() - timedelta(days=3650))
    assert carrier_accounts.forget_credentials() == 0
    CallAttempt.objects.update(status="completed", ended_at=timezone.now())
    rig.recover()
    old.refresh_from_db()
    assert (old.api_key, str(old.api_token)) == ("", "")


@pytest.mark.django_db
def test_credentials_are_kept_for_the_first_minutes_for_intents_that_are_just_committed():
    trunk = TrunkFactory(api_token="secret")
    old = trunk.carrier_account
    by_save(trunk, base_url=NEW)
    assert carrier_accounts.forget_credentials() == 0
    old.refresh_from_db()
    assert old.api_token.reveal() == "secret"


@pytest.mark.django_db
def test_a_trunk_that_comes_back_takes_its_credentials_with_it():
    trunk = TrunkFactory(api_token="secret")
    home = trunk.carrier_account
    by_save(trunk, base_url=NEW)
    by_save(trunk, base_url="", api_token="new")
    assert trunk.carrier_account == home
    home.refresh_from_db()
    assert (str(home.api_token), home.left_at) == ("", None)
    assert carrier_accounts.carrier_of(home, trunk) is at(api_token="new")


@pytest.mark.django_db
def test_another_trunk_at_the_account_asks_for_the_calls_that_were_left():
    trunk, heir = TrunkFactory(api_token="revoked"), TrunkFactory(api_token="valid")
    home = trunk.carrier_account
    by_save(trunk, base_url=NEW)
    home.refresh_from_db()
    assert (str(home.api_token), home.left_at) == ("", None), "nothing is kept where a trunk is left"
    assert carrier_accounts.carrier_of(home, trunk) is at(api_token="valid")
    assert heir.carrier_account == home


@pytest.mark.django_db
@pytest.mark.parametrize("spelling", [NEW, f"{NEW}/", "HTTPS://New.Example", f"{NEW}:443", f" {NEW}:443/ "])
def test_one_account_is_one_row_however_its_address_is_spelled(spelling):
    first, second = TrunkFactory(base_url=NEW, account_sid="a"), TrunkFactory(base_url=spelling, account_sid="a")
    assert first.carrier_account == second.carrier_account
    assert second.base_url == NEW
    assert TrunkFactory(base_url=NEW, account_sid="b").carrier_account != first.carrier_account
    assert TrunkFactory(base_url="https://new.example/API", account_sid="a").carrier_account != first.carrier_account


@pytest.mark.django_db
def test_an_account_keeps_its_address():
    account = CarrierAccountFactory()
    with pytest.raises(IntegrityError, match="change the trunk instead"), transaction.atomic():
        CarrierAccount.objects.filter(pk=account.pk).update(base_url=NEW)
    with pytest.raises(IntegrityError, match="change the trunk instead"), transaction.atomic():
        CarrierAccount.objects.filter(pk=account.pk).update(account_sid="x")


@pytest.mark.django_db
def test_no_hand_puts_a_trunk_at_an_account_that_its_columns_do_not_name():
    trunk = TrunkFactory()
    home = trunk.carrier_account
    by_update(trunk, carrier_account=CarrierAccountFactory())
    trunk.refresh_from_db()
    assert trunk.carrier_account == home


def test_an_attempt_whose_account_can_no_longer_be_opened_is_spent_in_the_end(rig):
    rig.carrier.script = {A: ["lost-after-ring"]}
    rig.campaign(1)
    rig.tick()
    by_save(rig.trunk, base_url=NEW)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE accounts_carrieraccount SET api_token = 'of another SECRET_KEY' WHERE base_url = ''")
    rig.clock.shift(61)
    rig.recover()
    assert attempt().status == "unknown"
    rig.clock.shift(look_ups.longest_call())
    assert rig.recover().given_up == 1
    assert Call.objects.get().status == "failed"


EXOTEL = {"name": "main", "carrier": "exotel", "base_url": "https://a.example", "account_sid": "a", "api_key": "k"}


@pytest.fixture
def main_trunk(db):
    return TrunkFactory(**EXOTEL, api_token="secret")


@pytest.mark.parametrize("moved", [{"base_url": NEW}, {"account_sid": "b"}])
def test_another_account_needs_its_own_token_in_the_admin(admin_client, main_trunk, moved):
    """Or the token would be sent to whatever host the form names."""
    address = reverse("admin:accounts_trunk_change", args=[main_trunk.pk])
    page = admin_client.post(address, EXOTEL | moved | {"new_api_token": ""})
    assert "Enter the API token of this account" in page.content.decode()
    assert Trunk.objects.get().base_url == "https://a.example"
    page = admin_client.post(address, EXOTEL | moved | {"new_api_token": "new"}, follow=True)
    assert "stay with the account that took them" in page.content.decode()
    assert Trunk.objects.get().api_token.reveal() == "new"
    assert CarrierAccount.objects.get(pk=main_trunk.carrier_account_id).api_token.reveal() == "secret"


@pytest.mark.parametrize(
    ("address", "is_taken"),
    [
        ("https://new.example", True),
        ("http://127.0.0.1:8002", True),
        ("http://localhost:8002", True),
        ("http://[::1]:8002", True),
        ("http://new.example", False),
        ("http://10.0.0.5", False),
        ("http://127.0.0.1.new.example", False),
        ("http://127.0.0.1@new.example", False),
    ],
)
def test_a_token_goes_over_tls_or_stays_on_this_machine(admin_client, main_trunk, address, is_taken):
    given = EXOTEL | {"base_url": address, "new_api_token": "new"}
    page = admin_client.post(reverse("admin:accounts_trunk_change", args=[main_trunk.pk]), given)
    assert page.status_code == (302 if is_taken else 200)
    assert Trunk.objects.get().base_url == (address if is_taken else "https://a.example")
    if not is_taken:
        assert "must begin with https://" in page.content.decode()
        with pytest.raises(ValidationError, match="must begin with https://"):
            TrunkFactory(**EXOTEL | {"name": "other", "base_url": address})


@pytest.mark.parametrize("same", [{"api_key": "k2"}, {"base_url": "https://A.example:443/"}, {"name": "renamed"}])
def test_the_same_account_needs_no_token_in_the_admin(admin_client, main_trunk, same):
    page = admin_client.post(
        reverse("admin:accounts_trunk_change", args=[main_trunk.pk]), EXOTEL | same | {"new_api_token": ""}, follow=True
    )
    assert "stay with the account" not in page.content.decode()
    assert (Trunk.objects.get().base_url, Trunk.objects.get().api_token.reveal()) == ("https://a.example", "secret")
    assert getattr(Trunk.objects.get(), next(iter(same))) in {*same.values(), "https://a.example"}


def test_the_page_of_an_account_shows_no_secret(admin_client):
    account = CarrierAccountFactory(api_key="the-key", api_token=Secret.of("the-token"))
    page = admin_client.get(reverse("admin:accounts_carrieraccount_change", args=[account.pk])).content.decode()
    assert account.base_url in page
    assert "the-key" not in page
    assert "the-token" not in page
    assert account.api_token.ciphertext not in page
