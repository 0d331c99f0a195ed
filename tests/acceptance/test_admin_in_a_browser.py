"""The admin in a real browser: an operator signs in, finds a campaign, pauses it and looks at a call.

Needs Debian's `chromium` (`.ci/run` installs it); skipped where it is absent.
"""

import json

import pytest
from playwright.sync_api import Page, expect

from tests.acceptance.browser import NEEDS_CHROMIUM, make_person, sign_in, watched

pytestmark = NEEDS_CHROMIUM


@pytest.fixture(scope="module")
def campaign(stack, tmp_path_factory):
    """Create a campaign whose only call is up for a minute. Returns a function that fetches it."""
    flow = tmp_path_factory.mktemp("flow") / "flow.json"
    flow.write_text(json.dumps({"steps": [{"say": "Hello"}]}))
    client = stack.create_account("browsed", "--caller-id", "08012340000", "--calling-hours", "00:00-24:00")
    stack.manage("create_flow", "browsed", "1", "--file", str(flow))
    stack.script({"default": [{"outcome": "completed", "ring": 0.1, "talk": 60}]})
    url = "http://my.exotel.com/browsed/exoml/start_voice/1"
    body = {"name": "In the browser", "caller_id": "08012340000", "url": url, "from": ["+919870000001"]}
    created = client.post_campaign(body)
    make_person(stack, "operator", "administrator")
    return lambda: client.campaign(created["id"])


@pytest.fixture(scope="module")
def page(browser, stack, campaign):
    page = sign_in(browser, stack, "operator")
    yield page
    page.context.close()


def test_an_operator_pauses_and_resumes_a_campaign(page: Page, campaign):
    page.goto("/admin/campaigns/campaign/")
    row = page.get_by_role("row").filter(has_text="In the browser")
    expect(row).to_contain_text("0 of 1")
    row.get_by_role("link", name="In the browser").click()
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("button", name="Resume")).to_be_visible()
    assert campaign()["status"] == "Paused"
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    assert campaign()["status"] == "InProgress"


def test_an_operator_finds_a_call_by_its_number(page: Page):
    page.goto("/admin/campaigns/call/?q=%2B919870000001")
    expect(page.get_by_role("row").filter(has_text="+919870000001").first).to_contain_text("In the browser")


def test_a_list_that_is_searched_by_typing_offers_its_rows(page: Page, stack):
    """The forms of every page are walked elsewhere; this one asks the server while somebody types."""
    errors = watched(page, stack.url)
    page.goto("/admin/accounts/apikey/add/")
    page.locator(".select2-selection").first.click()
    expect(page.locator(".select2-results__option").first).to_be_visible()
    assert errors == []
