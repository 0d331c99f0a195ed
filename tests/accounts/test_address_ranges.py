"""API keys that may be used from some networks only."""

import json
from io import StringIO

import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.urls import reverse
from django.utils import timezone

from accounts import credentials
from accounts.address_ranges import contains, validate_range
from accounts.audit_entry import AuditEntry
from accounts.models import ApiKey
from tests.factories import ACTOR, AccountFactory, ApiKeyFactory

RANGES = ["192.0.2.0/24", "198.51.100.7", "2001:db8:1::/48"]


@pytest.mark.parametrize("text", [*RANGES, "0.0.0.0/0", "::/0"])
def test_a_network_or_an_address_is_a_range(text):
    validate_range(text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("192.0.2.7/24", "write 192.0.2.0/24"),
        ("2001:db8::1/32", "write 2001:db8::/32"),
        ("192.0.2", "write 192.0.2.7, 192.0.2.0/24"),
        ("192.0.2.0-192.0.2.9", "is not an address or a network"),
        ("office.example", "is not an address or a network"),
        ("", "is not an address or a network"),
    ],
)
def test_anything_else_is_refused_with_what_to_write(text, told):
    with pytest.raises(ValidationError, match=told):
        validate_range(text)


@pytest.mark.parametrize(
    ("address", "is_in"),
    [
        ("192.0.2.200", True),
        ("192.0.3.1", False),
        ("198.51.100.7", True),
        ("198.51.100.8", False),
        ("2001:db8:1:2::3", True),
        ("2001:db8:2::3", False),
        ("::ffff:192.0.2.9", True),
        ("::ffff:203.0.113.9", False),
        ("", False),
        ("192.0.2.9:4711", False),
    ],
)
def test_an_address_is_in_a_range_or_not(address, is_in):
    assert contains(RANGES, address) is is_in
    assert contains([], address)


@pytest.mark.django_db
def test_a_new_key_of_a_rotation_has_the_ranges_of_the_old_one():
    made = credentials.rotate(ApiKeyFactory(address_ranges=RANGES), actor=ACTOR, now=timezone.now())
    assert ApiKey.objects.get(key=made.key).address_ranges == RANGES


@pytest.mark.django_db
def test_the_command_makes_such_a_key_and_refuses_what_is_no_range():
    AccountFactory(sid="acme")
    out = StringIO()
    call_command("create_key", "acme", "--from", *RANGES, "--json", stdout=out)
    assert ApiKey.objects.get(key=json.loads(out.getvalue())["api_key"]).address_ranges == RANGES
    with pytest.raises(CommandError, match="not an address or a network"):
        call_command("create_key", "acme", "--from", "office")
    assert ApiKey.objects.count() == 1


@pytest.mark.django_db
def test_the_admin_changes_the_ranges_and_says_what_is_wrong_with_them(admin_client):
    key = ApiKeyFactory(name="laptop")
    address = reverse("admin:accounts_apikey_change", args=[key.pk])
    page = admin_client.post(address, {"name": "laptop", "address_ranges": "192.0.2.7/24"})
    assert "write 192.0.2.0/24" in page.content.decode()
    admin_client.post(address, {"name": "laptop", "address_ranges": "192.0.2.0/24, 2001:db8:1::/48"})
    key.refresh_from_db()
    assert key.address_ranges == ["192.0.2.0/24", "2001:db8:1::/48"]
    assert "192.0.2.0/24" in AuditEntry.objects.get().what
