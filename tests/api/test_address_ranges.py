"""A key that is limited to networks: elsewhere it is refused with a sentence, and the entry tells of it."""

import pytest

from accounts.audit_entry import AuditEntry
from accounts.models import ApiKey
from tests.api.client import basic

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def limited(api):
    ApiKey.objects.update(address_ranges=["192.0.2.0/24", "2001:db8::/32"])


@pytest.mark.parametrize("address", ["192.0.2.9", "::ffff:192.0.2.9", "2001:db8::9"])
def test_it_is_let_in_from_its_networks(api, address):
    assert api.get("/campaigns", REMOTE_ADDR=address).status == 200


@pytest.mark.parametrize("address", ["198.51.100.9", "2001:db9::9", ""])
def test_it_is_refused_from_anywhere_else(api, address):
    response = api.get("/campaigns", REMOTE_ADDR=address)
    assert response.is_refused(403, "may not be used from", address or "an unknown address")


def test_behind_our_proxy_the_client_s_address_counts_and_never_what_it_claims(api, settings):
    claimed = {"x-forwarded-for": "192.0.2.9"}
    assert api.get("/campaigns", REMOTE_ADDR="198.51.100.9", headers=claimed).status == 403
    settings.BEHIND_TLS_PROXY = True
    assert api.get("/campaigns", REMOTE_ADDR="127.0.0.1", headers=claimed).status == 200
    claimed = {"x-forwarded-for": "192.0.2.9, 198.51.100.9"}
    assert api.get("/campaigns", REMOTE_ADDR="127.0.0.1", headers=claimed).status == 403


def test_the_entry_tells_of_it_once_a_minute_as_the_key_may_be_stolen(api):
    for address in ("198.51.100.9", "198.51.100.9", "198.51.100.10"):
        api.get("/campaigns", REMOTE_ADDR=address)
    told = AuditEntry.objects.filter(verb="refused").order_by("pk")
    assert [(entry.actor_kind, entry.ip) for entry in told] == [
        ("api-key", "198.51.100.9"),
        ("api-key", "198.51.100.10"),
    ]


def test_a_wrong_token_is_wrong_from_anywhere(api):
    key = ApiKey.objects.get().key
    api.headers = {"authorization": basic(key, "wrong")}
    for address in ("192.0.2.9", "198.51.100.9"):
        assert api.get("/campaigns", REMOTE_ADDR=address).status == 401
