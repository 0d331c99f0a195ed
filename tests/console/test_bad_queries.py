"""What somebody may type into an address of the console: a page that says what is wrong, never a fault."""

import pytest
from django.urls import reverse

from console.templatetags.console_figures import grouped
from tests.console.people import sign_in
from tests.factories import AccountFactory, CampaignFactory

pytestmark = pytest.mark.django_db

BAD = ("\0", "9" * 40, "-1", "x" * 5_000, "💥", "'", "%", "1e9", "2026-13-45", "٣", "²", "\ud800")
FIELDS = {
    "now": ("x",),
    "campaigns": ("tab", "q", "account", "caller_id", "since", "until", "nobody", "after"),
    "find_number": ("q",),
    "do_not_call": ("number", "before"),
    "reports": ("account", "caller_id", "first", "last", "campaign"),
    "campaign_calls": ("outcome", "after"),
    "campaign_webhooks": ("before",),
    "call_again": ("who", "name"),
    "campaign_csv": ("format",),
    "new_campaign_of": ("clone", "list"),
    "set_up_account": ("x",),
    "people": ("x",),
}


@pytest.mark.parametrize("name", FIELDS)
def test_an_address_with_anything_in_it_is_no_fault(name):
    campaign = CampaignFactory(completed=True, account=AccountFactory(sid="acme"))
    client = sign_in("administrator")
    row = {"new_campaign_of": ["acme"], "set_up_account": ["acme"]}.get(name, [campaign.pk])
    address = reverse(f"admin:{name}", args=row if name.startswith(("campaign_", "call_", "new_", "set_")) else [])
    for field in FIELDS[name]:
        for value in BAD:
            sent = value.encode("utf-8", "surrogatepass")
            response = client.get(address, {field: sent})
            assert response.status_code in {200, 302, 400, 404}, (field, value, response.status_code)


def test_counts_have_their_thousands_apart():
    assert [grouped(count) for count in (0, 999, 10_000)] == ["0", "999", "10,000"]


def test_a_path_or_a_form_with_a_nul_is_no_fault():
    AccountFactory(sid="acme")
    client = sign_in("administrator")
    assert client.get("/admin/set-up/%00/").status_code == 400
    never = client.post(reverse("admin:never_call"), {"number": "+919810077777", "account": "\0"})
    assert never.status_code == 404
