"""A changed SECRET_KEY: what earlier keys have signed and encrypted is still read, until it is encrypted again."""

import re

import pytest
from django.core.management import CommandError, call_command

from accounts import secret_key_check
from accounts.models import Account, Trunk
from core import signed_addresses
from core.encryption import Secret, UnreadableSecret
from reports import links
from tests.factories import AccountFactory, CampaignFactory, TrunkFactory

NEW = "the key that an operator has set after the old one was lost"


@pytest.fixture
def changed(settings):
    """Change the key, as an operator does."""

    def change(*, keeps_old: bool) -> None:
        if keeps_old:
            settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
        settings.SECRET_KEY = NEW

    return change


@pytest.mark.parametrize("keeps_old", [True, False])
def test_secrets_are_read_with_the_key_before(changed, keeps_old):
    old = Secret.of("token")
    assert old.is_of_present_key()
    changed(keeps_old=keeps_old)
    assert not old.is_of_present_key()
    if keeps_old:
        assert old.reveal() == "token"
    else:
        with pytest.raises(UnreadableSecret):
            old.reveal()
    assert Secret.of("token").is_of_present_key()


@pytest.mark.parametrize("keeps_old", [True, False])
def test_addresses_that_carriers_hold_stay_good(changed, keeps_old):
    plain, dated = signed_addresses.token("events", "x"), signed_addresses.dated_token("reports", "x")
    changed(keeps_old=keeps_old)
    assert signed_addresses.is_token(plain, "events", "x") == keeps_old
    assert signed_addresses.is_dated_token(dated, "reports", "x", max_age=60) == keeps_old
    assert not signed_addresses.is_token(plain, "events", "y")
    assert not signed_addresses.is_token(plain, "flows", "x")
    assert signed_addresses.token("events", "x") != plain, "new addresses are of the new key"


def test_a_link_to_a_report_of_before_the_change_works(changed, db):
    campaign = CampaignFactory()
    signature = links.report_url(campaign.pk).partition("signature=")[2]
    changed(keeps_old=True)
    assert links.is_signed(campaign.pk, signature)


def test_secrets_are_encrypted_with_the_present_key(changed, db, settings, capsys):
    trunk, account = TrunkFactory(api_token="token"), AccountFactory()
    secret_key_check.store_once()
    webhook_secret = account.webhook_secret.reveal()
    changed(keeps_old=True)
    call_command("reencrypt_secrets")
    changed_secrets = int(re.findall(r"(\d+) secrets are encrypted", capsys.readouterr().out)[0])
    assert changed_secrets >= 3
    settings.SECRET_KEY_FALLBACKS = []
    assert Trunk.objects.get(pk=trunk.pk).api_token.reveal() == "token"
    assert Account.objects.get(pk=account.pk).webhook_secret.reveal() == webhook_secret
    assert secret_key_check.is_right()
    call_command("reencrypt_secrets")
    assert "0 secrets are encrypted" in capsys.readouterr().out, "it may be repeated"


def test_secrets_that_no_key_reads_are_named_and_left(changed, db, capsys):
    trunk = TrunkFactory(api_token="token")
    before = trunk.api_token.ciphertext
    changed(keeps_old=False)
    with pytest.raises(CommandError, match=f"enter them again:(.|\n)*trunk {trunk.pk}, API token"):
        call_command("reencrypt_secrets")
    assert Trunk.objects.get(pk=trunk.pk).api_token.ciphertext == before
