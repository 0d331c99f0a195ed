"""The admin pages of accounts, API keys, caller IDs and trunks."""

import html
import re
from datetime import UTC, date, datetime, time
from typing import Any

import pytest
from django.urls import reverse

from accounts import credentials
from accounts.audit_entry import AuditEntry
from accounts.models import Account, ApiKey, CallerId, Trunk
from core.encryption import Secret
from tests.accounts.sign_ins import account_of
from tests.factories import AccountFactory, ApiKeyFactory, CallerIdFactory, CampaignFactory, TrunkFactory

pytestmark = pytest.mark.django_db

TRUNK = {"name": "main", "carrier": "sandbox", "base_url": "", "account_sid": "", "api_key": "", "channels": ""}


def _text(response) -> str:
    """Return what a person reads: no tags, single blanks."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", response.content.decode())).split())


def test_the_list_of_accounts_shows_the_calling_hours_and_when_each_was_made_by_its_own_clock(
    admin_client, time_machine
):
    time_machine.move_to(datetime(2026, 3, 2, 6, 0, tzinfo=UTC), tick=False)
    AccountFactory(opens_at=time(10, 30), closes_at=time(21))
    AccountFactory(time_zone="America/New_York")
    page = _text(admin_client.get(reverse("admin:accounts_account_changelist")))
    assert "10:30-21:00 Asia/Kolkata" in page
    assert "2026-03-02 11:30:00 IST" in page
    assert "00:00-24:00 America/New_York" in page
    assert "2026-03-02 01:00:00 EST" in page


def test_an_account_that_closes_when_it_opens_is_refused_and_one_that_closes_the_next_day_is_not(admin_client):
    account = AccountFactory()
    given = {
        "sid": account.sid,
        "is_active": "on",
        "region": "IN",
        "allowed_kinds": ["mobile"],
        "time_zone": "Asia/Kolkata",
        "opens_at": "18:30",
        "closes_at": "18:30",
        "channels": 1,
        "starts_per_minute": 1,
        "requests_per_minute": 1,
    }
    page = _text(admin_client.post(reverse("admin:accounts_account_change", args=[account.pk]), given))
    assert "The closing time must differ from the opening time" in page
    admin_client.post(reverse("admin:accounts_account_change", args=[account.pk]), given | {"closes_at": "03:30"})
    assert Account.objects.get().closes_at == time(3, 30)


def test_hours_of_a_week_holidays_and_rules_are_checked(admin_client):
    account = AccountFactory()
    address = reverse("admin:accounts_account_change", args=[account.pk])
    given = {
        "sid": account.sid,
        "is_active": "on",
        "region": "IN",
        "time_zone": "Asia/Kolkata",
        "opens_at": "10:00",
        "closes_at": "21:00",
        "channels": 1,
        "starts_per_minute": 1,
        "requests_per_minute": 1,
        "allowed_kinds": ["mobile"],
        "weekly_hours": "Mon-Fri 10:00",
        "holidays_of": "XX",
        "number_caps": "3 rings",
        "agent_numbers": "022 2222 2222",
    }
    page = _text(admin_client.post(address, given))
    assert "calling hours look like 10:30-21:00" in page
    assert "XX is not a calendar of public holidays" in page
    assert "a cap looks like 3 attempts in 24 hours" in page
    assert "02222222222 is not a number with its country code" in page
    right: dict[str, Any] = {"weekly_hours": "Mon-Fri 18:30-03:30; Sat 10:00-17:00", "holidays_of": "in, us-al"}
    right |= {"closed_on": "2026-12-24,2026-12-31", "rules": ["in-promotional", "us"]}
    right |= {"number_caps": "3 attempts in 24 hours,1 conversation in 7 days", "number_gap_seconds": "600"}
    right |= {"agent_numbers": "+91 (22) 2222-2222, +911800112233, +912222222222"}
    assert admin_client.post(address, given | right).status_code == 302
    account.refresh_from_db()
    assert account.agent_numbers == ["+912222222222", "+911800112233"]
    assert str(account.calling_hours) == "Mon-Fri 18:30-03:30; Sat 10:00-17:00 Asia/Kolkata"
    assert (account.holidays_of, account.rules) == (["IN", "US-AL"], ["in-promotional", "us"])
    assert account.calling_hours.closed_on == {date(2026, 12, 24), date(2026, 12, 31)}
    assert account.number_gap_seconds == 600


def test_countries_and_kinds_of_numbers_are_chosen_and_checked(admin_client):
    account = AccountFactory()
    address = reverse("admin:accounts_account_change", args=[account.pk])
    given = {
        "sid": account.sid,
        "is_active": "on",
        "region": "IN",
        "time_zone": "Asia/Kolkata",
        "opens_at": "10:00",
        "closes_at": "21:00",
        "channels": 1,
        "starts_per_minute": 1,
        "requests_per_minute": 1,
        "allowed_countries": "AE, UK",
        "allowed_kinds": ["mobile", "premium-rate"],
    }
    assert "UK is not a country with phone numbers" in _text(admin_client.post(address, given))
    assert "toll-free" in _text(admin_client.get(address))
    assert admin_client.post(address, given | {"allowed_countries": "ae, GB"}).status_code == 302
    account.refresh_from_db()
    assert (account.allowed_countries, account.allowed_kinds) == (["AE", "GB"], ["mobile", "premium-rate"])


def test_a_webhook_secret_is_shown_when_asked_for_and_on_no_page_by_itself(admin_client):
    account = AccountFactory()
    secret = account.webhook_secret.reveal()
    address = reverse("admin:accounts_account_changelist")
    for page in (address, reverse("admin:accounts_account_change", args=[account.pk])):
        assert secret not in html.unescape(admin_client.get(page).content.decode())
    chosen = {"action": "show_webhook_secret", "_selected_action": [account.pk]}
    assert secret in html.unescape(admin_client.post(address, chosen, follow=True).content.decode())
    assert secret not in html.unescape(admin_client.get(address).content.decode())
    entry = AuditEntry.objects.latest("pk")
    assert (entry.verb, entry.object_name, entry.what) == ("shown", account.sid, "webhook secret")


def test_a_new_webhook_secret_replaces_the_old_one_even_one_that_can_not_be_read(admin_client):
    account = AccountFactory()
    before = account.webhook_secret.reveal()
    Account.objects.update(webhook_secret=Secret("made with another SECRET_KEY"))
    address = reverse("admin:accounts_account_changelist")
    chosen = {"action": "show_webhook_secret", "_selected_action": [account.pk]}
    assert "Make a new one" in admin_client.post(address, chosen, follow=True).content.decode()
    admin_client.post(address, chosen | {"action": "renew_webhook_secret"})
    assert Account.objects.get().webhook_secret.reveal() not in {"", before}


def test_an_account_can_be_deleted_only_while_nothing_refers_to_it(admin_client):
    used = CallerIdFactory().account
    unused = AccountFactory()
    for account in (used, unused):
        admin_client.post(reverse("admin:accounts_account_delete", args=[account.pk]), {"post": "yes"})
    assert list(Account.objects.all()) == [used]


# API keys ------------------------------------------------------------------------------------------------------------


def _make_key(client, account: Account):
    return client.post(reverse("admin:accounts_apikey_add"), {"account": account.pk, "name": "laptop"}, follow=True)


def test_a_new_key_shows_its_token_once_and_the_token_works(admin_client):
    account = AccountFactory()
    page = _text(_make_key(admin_client, account))
    ((key, token),) = re.findall(r"Key: (\S+) Token: (\S+)", page)
    assert account_of(key, token) == account
    again = _text(admin_client.get(reverse("admin:accounts_apikey_changelist")))
    assert key in again
    assert token not in again


def test_a_token_or_a_key_that_was_typed_is_not_taken(admin_client):
    account = AccountFactory()
    typed = {"account": account.pk, "key": "typed", "token": "typed", "token_digest": credentials.digest("typed")}
    admin_client.post(reverse("admin:accounts_apikey_add"), typed)
    assert ApiKey.objects.get().key != "typed"
    assert account_of(ApiKey.objects.get().key, "typed") is None


def test_the_digest_of_a_token_and_the_token_are_in_no_page_and_no_log(admin_client):
    _make_key(admin_client, AccountFactory())
    key = ApiKeyFactory(token="secret token")
    pages = [reverse("admin:accounts_apikey_changelist"), reverse("admin:accounts_apikey_change", args=[key.pk])]
    for page in pages:
        text = _text(admin_client.get(page))
        assert key.key in text
        assert key.token_digest not in text
    assert "oken" not in "".join(f"{entry} {entry.what}" for entry in AuditEntry.objects.all())


def test_only_the_name_of_a_key_can_be_changed(admin_client):
    key = ApiKeyFactory()
    given = {"name": "server", "key": "other", "account": AccountFactory().pk, "token_digest": "0", "revoked_at_0": "x"}
    admin_client.post(reverse("admin:accounts_apikey_change", args=[key.pk]), given)
    changed = ApiKey.objects.get(pk=key.pk)
    assert changed.name == "server"
    assert (changed.key, changed.account, changed.token_digest) == (key.key, key.account, key.token_digest)


def test_a_revoked_key_stays_listed_and_is_refused(admin_client):
    key = ApiKeyFactory(token="secret token")
    assert account_of(key.key, "secret token") == key.account
    address = reverse("admin:accounts_apikey_changelist")
    page = _text(admin_client.post(address, {"action": "revoke", "_selected_action": [key.pk]}, follow=True))
    assert "Revoked: 1." in page
    assert account_of(key.key, "secret token") is None
    assert admin_client.post(reverse("admin:accounts_apikey_delete", args=[key.pk])).status_code == 403


def test_revoking_a_key_twice_keeps_the_first_moment(admin_client):
    key = ApiKeyFactory(revoked=True)
    admin_client.post(reverse("admin:accounts_apikey_changelist"), {"action": "revoke", "_selected_action": [key.pk]})
    assert ApiKey.objects.get().revoked_at == key.revoked_at


# Caller IDs ----------------------------------------------------------------------------------------------------------


def routes(*trunks):
    """What the page sends for the order of a caller ID's trunks."""
    rows = {f"routes-{row}-trunk": trunk.pk for row, trunk in enumerate(trunks)}
    places = {f"routes-{row}-place": row + 1 for row in range(len(trunks))}
    return {"routes-TOTAL_FORMS": len(trunks), "routes-INITIAL_FORMS": 0, **rows, **places}


def order_of(caller_id):
    return [route.trunk for route in caller_id.routes.all()]


def test_a_caller_id_may_have_several_trunks_in_an_order(admin_client):
    caller_id, second = CallerIdFactory(), TrunkFactory()
    address = reverse("admin:accounts_callerid_change", args=[caller_id.pk])
    given = {"trunk": caller_id.trunk.pk, "is_active": "on"}
    page = admin_client.post(address, given | routes(second))
    assert "Put the trunk of the caller ID into the order too" in _text(page)
    assert order_of(caller_id) == []
    admin_client.post(address, given | routes(caller_id.trunk, second))
    assert order_of(caller_id) == [caller_id.trunk, second]
    assert AuditEntry.objects.filter(object_kind="accounts.route", verb="created").count() == 2


def test_a_trunk_in_the_order_has_to_call_for_open_campaigns_too(admin_client):
    campaign = CampaignFactory(greeting=True, name="fees")
    caller_id = campaign.caller_id
    address = reverse("admin:accounts_callerid_change", args=[caller_id.pk])
    given = {"trunk": caller_id.trunk.pk, "is_active": "on"}
    page = admin_client.post(address, given | routes(caller_id.trunk, TrunkFactory(exotel=True)))
    assert "the campaign fees reads a text" in _text(page)
    assert order_of(caller_id) == []
    second = TrunkFactory(carrier="sandbox", name="second")
    admin_client.post(address, given | routes(caller_id.trunk, second))
    assert order_of(caller_id) == [caller_id.trunk, second]
    exotel = {"carrier": "exotel", "base_url": "https://carrier.example", "account_sid": "one", "api_key": "key"}
    change = TRUNK | exotel | {"name": "second", "new_api_token": "token"}
    page = admin_client.post(reverse("admin:accounts_trunk_change", args=[second.pk]), change)
    assert "End that campaign first, or use another trunk." in _text(page)


def test_a_caller_id_is_stored_in_the_one_spelling_that_campaigns_look_for(admin_client):
    given = {"account": AccountFactory().pk, "number": "080 1234 5678", "trunk": TrunkFactory().pk, "is_active": "on"}
    admin_client.post(reverse("admin:accounts_callerid_add"), given | routes())
    assert CallerId.objects.get().number == "+918012345678"


def test_a_caller_id_keeps_its_number_and_account(admin_client):
    caller_id = CallerIdFactory()
    given = {"account": AccountFactory().pk, "number": "+911111111111", "trunk": caller_id.trunk.pk, "channels": 3}
    admin_client.post(reverse("admin:accounts_callerid_change", args=[caller_id.pk]), given | routes())
    changed = CallerId.objects.get()
    assert (changed.number, changed.account) == (caller_id.number, caller_id.account)
    assert (changed.channels, changed.is_active) == (3, False)


def test_a_caller_id_does_not_leave_a_carrier_that_its_open_campaign_needs(admin_client):
    campaign = CampaignFactory(greeting=True, name="fees")
    address = reverse("admin:accounts_callerid_change", args=[campaign.caller_id.pk])
    page = admin_client.post(address, {"trunk": TrunkFactory(exotel=True).pk, "is_active": "on"} | routes())
    assert "the campaign fees reads a text, and Exotel (v1 connect) runs flows of its own account only." in _text(page)
    assert CallerId.objects.get().trunk == campaign.caller_id.trunk
    admin_client.post(address, {"trunk": TrunkFactory(carrier="sandbox").pk, "is_active": "on"} | routes())
    assert CallerId.objects.get().trunk.carrier == "sandbox"


# Trunks --------------------------------------------------------------------------------------------------------------


def test_a_trunk_s_token_is_stored_encrypted_and_never_shown(admin_client):
    admin_client.post(reverse("admin:accounts_trunk_add"), TRUNK | {"new_api_token": "token-of-the-carrier"})
    trunk = Trunk.objects.get()
    assert trunk.api_token.reveal() == "token-of-the-carrier"
    page = admin_client.get(reverse("admin:accounts_trunk_change", args=[trunk.pk])).content.decode()
    assert 'type="password"' in page
    assert "token-of-the-carrier" not in page


def test_a_form_that_is_refused_does_not_give_the_token_back(admin_client):
    page = admin_client.post(
        reverse("admin:accounts_trunk_add"), TRUNK | {"carrier": "exotel", "new_api_token": "token-of-the-carrier"}
    )
    assert page.status_code == 200
    assert "token-of-the-carrier" not in page.content.decode()


def test_an_empty_token_leaves_the_old_one_and_a_new_one_replaces_it(admin_client):
    trunk = TrunkFactory(api_token="old")
    address = reverse("admin:accounts_trunk_change", args=[trunk.pk])
    admin_client.post(address, TRUNK | {"name": "renamed", "new_api_token": ""})
    assert (Trunk.objects.get().name, Trunk.objects.get().api_token.reveal()) == ("renamed", "old")
    admin_client.post(address, TRUNK | {"new_api_token": "new"})
    assert Trunk.objects.get().api_token.reveal() == "new"


def test_a_trunk_does_not_get_a_carrier_that_can_t_call_for_its_open_campaigns(admin_client):
    campaign = CampaignFactory(greeting=True, name="fees")
    trunk = campaign.caller_id.trunk
    exotel = {"carrier": "exotel", "base_url": "https://carrier.example", "account_sid": "one", "api_key": "key"}
    given = TRUNK | exotel | {"name": trunk.name, "new_api_token": "token"}
    page = admin_client.post(reverse("admin:accounts_trunk_change", args=[trunk.pk]), given)
    assert "End that campaign first, or use another trunk." in _text(page)
    assert Trunk.objects.get().carrier == "simulated"


def test_a_token_that_a_changed_secret_key_made_unreadable_can_be_entered_again(admin_client, settings):
    """The session is signed with the same key, so the new key joins after the old one has signed in."""
    trunk = TrunkFactory(api_token="old")
    settings.SECRET_KEY_FALLBACKS, settings.SECRET_KEY = [settings.SECRET_KEY], "another secret key"
    assert admin_client.get(reverse("admin:accounts_trunk_changelist")).status_code == 200
    address = reverse("admin:accounts_trunk_change", args=[trunk.pk])
    assert admin_client.get(address).status_code == 200
    admin_client.post(address, TRUNK | {"new_api_token": "new"})
    assert Trunk.objects.get().api_token.reveal() == "new"
