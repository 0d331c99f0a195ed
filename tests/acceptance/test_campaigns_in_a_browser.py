"""The pages of campaigns in a real browser: the report and "call again" within few clicks, and for everybody."""

import json
from uuid import UUID

import pytest
from playwright.sync_api import Page, expect

from tests.acceptance.browser import NEEDS_CHROMIUM, Hand, faults, make_person, sign_in, watched
from tests.acceptance.test_campaign import wait

pytestmark = NEEDS_CHROMIUM

REACHED, MISSED = "+919870000081", "+919870000082"
PAGES = (
    *("campaigns/", "campaigns/?tab=ended", "campaigns/?since=soon", "campaign/{pk}/again/"),
    *(f"campaign/{{pk}}/{tab}" for tab in ("", "calls/", "timeline/", "settings/", "webhooks/", "report/")),
)


@pytest.fixture(scope="module")
def campaign(stack, tmp_path_factory):
    """Have a campaign that reached one of two people. Returns its key."""
    flow = tmp_path_factory.mktemp("flow") / "flow.json"
    flow.write_text(json.dumps({"steps": [{"gather": {"branches": {"1": [{"say": "Thank you"}]}}}]}))
    client = stack.create_account("fees", "--caller-id", "08012340088", "--calling-hours", "00:00-24:00")
    stack.manage("create_flow", "fees", "1", "--file", str(flow))
    answered = {"outcome": "completed", "ring": 0.1, "talk": 1, "digits": "1"}
    stack.script({"numbers": {MISSED: [{"outcome": "busy", "ring": 0.1}]}, "default": [answered]})
    url = "http://my.exotel.com/fees/exoml/start_voice/1"
    body = {"name": "School fees", "caller_id": "08012340088", "url": url, "from": [REACHED, MISSED]}
    made = client.post_campaign(body)
    wait(client, made["id"])
    return str(UUID(made["id"]))


@pytest.fixture(scope="module")
def supervisor(browser, stack, campaign):
    make_person(stack, "fees", "operator", "fees")
    page = sign_in(browser, stack, "fees")
    yield page
    page.context.close()


@pytest.fixture
def page(supervisor):
    supervisor.goto("/admin/now/")
    return supervisor


def test_the_report_of_a_campaign_is_two_clicks_away(page: Page):
    hand = Hand(page)
    hand.click(page.get_by_role("link", name="School fees", exact=True).first)
    with page.expect_download() as started:
        hand.click(page.get_by_role("link", name="Report (CSV)"))
    assert hand.clicks <= 2
    lines = started.value.path().read_text().splitlines()
    assert lines[0].startswith("number,name,status")
    assert {line.split(",")[0] for line in lines[1:]} == {REACHED, MISSED}


def test_a_chart_is_had_as_a_picture(page: Page, campaign):
    page.goto(f"/admin/console/campaign/{campaign}/")
    with page.expect_download() as started:
        page.get_by_role("button", name="PNG of the ends by hour").click()
    assert started.value.suggested_filename == "outcomes.png"
    picture = started.value.path().read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert int.from_bytes(picture[16:20]) == 1280


def test_the_unanswered_are_called_again_within_four_clicks(page: Page):
    hand = Hand(page)
    hand.menu("Campaigns")
    hand.click(page.get_by_role("link", name="Ended", exact=True))
    hand.click(page.get_by_role("link", name="Call again School fees", exact=True))
    expect(page.get_by_text("1 to call")).to_be_visible()
    hand.click(page.get_by_role("button", name="Call again"))
    expect(page.get_by_text("It calls people of School fees again")).to_be_visible()
    assert hand.clicks <= 4


def test_a_verb_for_many_asks_first(page: Page):
    Hand(page).menu("Campaigns")
    page.get_by_role("link", name="Ended", exact=True).click()
    page.get_by_role("checkbox", name="Choose School fees", exact=True).check()
    page.get_by_role("button", name="Archive").click()
    expect(page.get_by_text("Nothing is taken out of the archive again.")).to_be_visible()
    page.get_by_role("link", name="No, go back").click()
    expect(page.get_by_role("link", name="School fees", exact=True)).to_be_visible()


def test_every_page_is_for_everybody(page: Page, stack, campaign):
    errors = watched(page, stack.url)
    addresses = [f"/admin/console/{address.format(pk=campaign)}" for address in PAGES]
    wrong = [fault for address in addresses for fault in faults(page, address)]
    assert wrong == [], "\n".join(wrong)
    assert [error for error in errors if "400" not in error] == []
