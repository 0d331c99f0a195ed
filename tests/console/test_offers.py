"""What pages offer: no link or button leads to a refusal, also where somebody has several roles in several accounts."""

import html
import re
from collections.abc import Iterator
from urllib.parse import urljoin, urlsplit

import pytest
from django.test import Client
from django.urls import resolve, reverse

from accounts.models import Account, Membership
from campaigns.models import Campaign
from tests.console.people import sign_in
from tests.factories import (
    AccountFactory,
    ApiKeyFactory,
    CallAttemptFactory,
    CallerIdFactory,
    CallFactory,
    CampaignFactory,
    ContactListFactory,
    CsvUploadFactory,
    DoNotCallFactory,
    FlowFactory,
    WebhookDeliveryFactory,
)

pytestmark = pytest.mark.django_db

NUMBER = "+919810077777"
PAGES = ("now", "campaigns", "new_campaign", "find_number", "do_not_call", "reports", "set_up", "people", "system")
TABS = ("campaign", "campaign_calls", "campaign_timeline", "campaign_settings", "campaign_webhooks", "campaign_report")


def filled(sid: str) -> Account:
    """Return an account with a row of everything that pages offer to act on."""
    account = AccountFactory(sid=sid, region="IN")
    CallFactory(campaign=CampaignFactory(account=account, running=True))
    ended = CampaignFactory(account=account, completed=True, status_callback="https://client.example/done")
    CallAttemptFactory(busy=True, call=CallFactory(failed=True, campaign=ended, number=NUMBER, last_outcome="busy"))
    ApiKeyFactory(account=account)
    CallerIdFactory(account=account)
    FlowFactory(account=account, flow_id="fees")
    CsvUploadFactory(account=account, contact_list=ContactListFactory(account=account), completed=True)
    DoNotCallFactory(account=account)
    WebhookDeliveryFactory(campaign=ended)
    return account


def addresses(accounts: list[Account]) -> Iterator[str]:
    """Yield every page of the console, for each account and campaign."""
    yield from (reverse(f"admin:{name}") for name in PAGES)
    yield f"{reverse('admin:find_number')}?q={NUMBER.replace('+', '%2B')}"
    yield from (f"{reverse('admin:campaigns')}?tab={tab}" for tab in ("ended", "scheduled", "archive"))
    for account in accounts:
        yield from (reverse(f"admin:{name}", args=[account.sid]) for name in ("set_up_account", "new_campaign_of"))
        yield reverse("admin:set_up_flow", args=[account.sid, "fees"])
        yield f"{reverse('admin:reports')}?account={account.sid}"
    for key in Campaign.objects.values_list("pk", flat=True):
        yield from (reverse(f"admin:{name}", args=[key]) for name in TABS)


def offered(page: str, address: str, kind: str) -> set[str]:
    """Return where the links (href) or the forms (action) of a page lead, within the admin."""
    found = {html.unescape(one) for one in re.findall(rf'{kind}="([^"#]+)', page)}
    return {urljoin(address, one) for one in found if urlsplit(urljoin(address, one)).path.startswith("/admin/")}


def refused(client: Client, accounts: list[Account]) -> list[str]:
    """Walk over the pages that open. Returns links that don't, and forms of an account that the person can't send."""
    names = {str(one) for one in (*Campaign.objects.values_list("pk", flat=True), *(one.sid for one in accounts))}
    wrong: list[str] = []
    seen: set[str] = set()
    for address in addresses(accounts):
        response = client.get(address)
        if response.status_code == 403:
            continue
        page = response.content.decode()
        for link in offered(page, address, "href") - seen:
            seen.add(link)
            response = client.get(link if link != reverse("admin:flower") else address)
            _ = b"".join(response) if response.streaming else b""  # a report keeps its place until it was read
            if response.status_code not in {200, 302}:
                wrong.append(f"{address} leads to {link}")
        for form in offered(page, address, "action") - seen:
            seen.add(form)
            # What is sent is wrong on purpose, or a question first: only whether the person may send it counts.
            is_of_row = bool(set(map(str, resolve(urlsplit(form).path).kwargs.values())) & names)
            if is_of_row and client.post(form, {"name": "\0"}).status_code in {403, 404}:
                wrong.append(f"{address} lets one send {form}")
    assert len(seen) > 20
    return wrong


@pytest.mark.parametrize("role", ["viewer", "operator", "administrator"])
def test_what_a_role_is_offered_is_not_refused(role):
    account = filled("acme")
    assert refused(sign_in(role, account), [account]) == []


def test_what_the_server_s_administrator_is_offered_is_not_refused():
    accounts = [filled("acme"), filled("branch")]
    assert refused(sign_in("administrator"), accounts) == []


def test_a_role_in_one_account_offers_nothing_in_another():
    accounts = [filled("acme"), filled("branch")]
    client = sign_in("operator", accounts[0])
    Membership.objects.create(user_id=client.session["_auth_user_id"], account=accounts[1], role="viewer")
    now = client.get(reverse("admin:now")).content.decode()
    for campaign in Campaign.objects.all():
        may_act = campaign.account == accounts[0]
        assert (str(campaign.pk) in "".join(offered(now, "/", "action"))) is (
            may_act and campaign.status == "in-progress"
        )
        again = reverse("admin:call_again", args=[campaign.pk])
        assert (again in now) is (may_act and campaign.status == "completed")
        listed = client.get(reverse("admin:campaigns"), {"tab": "ended" if campaign.ended_at else "running"})
        assert (again in listed.content.decode()) is (may_act and campaign.status == "completed")
        assert (f'value="{campaign.pk.hex}"' in listed.content.decode()) is may_act
    assert refused(client, accounts) == []
