"""The console in a real browser: each task within its number of clicks, on a desk in light and on a phone in dark.

Needs Debian's `chromium` (`.ci/run` installs it); skipped where it is absent.
"""

import json
import re

import pytest
from playwright.sync_api import Page, expect

from tests.acceptance.browser import DESK, NEEDS_CHROMIUM, PHONE, Hand, chromium, make_person, sign_in

pytestmark = NEEDS_CHROMIUM

LOOKS = {"desk-light": (DESK, "light"), "phone-dark": (PHONE, "dark")}
NUMBER = "+919870000077"


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def account(stack, tmp_path_factory):
    """Have an account whose campaign has a call up, and two people of it."""
    flow = tmp_path_factory.mktemp("flow") / "flow.json"
    flow.write_text(json.dumps({"steps": [{"say": "Hello"}]}))
    client = stack.create_account("console", "--caller-id", "08012340077", "--calling-hours", "00:00-24:00")
    stack.manage("create_flow", "console", "1", "--file", str(flow))
    stack.script({"default": [{"outcome": "completed", "ring": 0.1, "talk": 3600}]})
    url = "http://my.exotel.com/console/exoml/start_voice/1"
    client.post_campaign({"name": "Fees", "caller_id": "08012340077", "url": url, "from": [NUMBER]})
    make_person(stack, "supervisor", "administrator", "console")
    make_person(stack, "root", "administrator")
    return client


@pytest.fixture(params=LOOKS)
def look(request):
    return LOOKS[request.param]


@pytest.fixture
def page(browser, stack, account, look):
    page = sign_in(browser, stack, "supervisor", *look)
    yield page
    page.context.close()


def test_all_calling_is_stopped_with_two_clicks_and_resumed_with_one(page: Page):
    hand = Hand(page)
    expect(page.locator(".running")).to_contain_text("Fees")
    hand.click(page.get_by_role("link", name="Stop calling"))
    expect(page.get_by_text("This pauses 1 running campaign")).to_be_visible()
    hand.click(page.get_by_role("button", name="Stop calling"))
    expect(page.get_by_text("1 campaign paused.")).to_be_visible()
    assert hand.clicks <= 2
    page.get_by_role("button", name="Resume the campaign").click()
    expect(page.get_by_text("1 campaign resumed.")).to_be_visible()


def test_a_complaint_takes_two_clicks_and_the_key_leads_to_the_box(page: Page):
    hand = Hand(page)
    page.locator("body").press("/")
    page.keyboard.type("98700 00077/")
    expect(page.get_by_role("searchbox", name="Number")).to_have_value("98700 00077/")
    page.keyboard.press("Backspace")
    hand.click(page.get_by_role("button", name="Find"))
    expect(page.get_by_text("1 call in 1 campaign")).to_be_visible()
    hand.click(page.get_by_role("button", name="Never call again"))
    expect(page.get_by_text("will never be called again")).to_be_visible()
    assert hand.clicks <= 2


def test_a_do_not_call_number_takes_three_clicks(page: Page):
    hand = Hand(page)
    hand.menu("Do not call")
    page.get_by_label("Numbers, in any spelling").fill("98700 00088; 098700-00089\nhello")
    hand.click(page.get_by_role("button", name="Add"))
    expect(
        page.get_by_text(re.compile("number.* added to the do-not-call list of console|stood there already"))
    ).to_be_visible()
    expect(page.get_by_text("1 of them can't be read")).to_be_visible()
    assert hand.clicks <= 3


def test_a_colleague_with_rights_to_one_account_takes_four_clicks(browser, stack, account, look):
    page = sign_in(browser, stack, "root", *look)
    hand, name = Hand(page), f"colleague-{look[1]}"
    hand.menu("People and audit")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill("a long enough password")
    hand.choose(page.get_by_label("Account"), "console")
    if look[0] == DESK:
        hand.choose(page.get_by_label("Role"), "operator")
    hand.click(page.get_by_role("button", name="Add", exact=True))
    expect(page.get_by_text("was added successfully")).to_be_visible()
    assert hand.clicks <= 4
    page.context.close()
    theirs = sign_in(browser, stack, name)
    expect(theirs.get_by_role("heading", name="Now")).to_be_visible()
    theirs.context.close()


def test_now_follows_what_happens_and_holds_still_when_asked(page: Page):
    as_of = page.locator(".as-of")
    first = as_of.inner_text()
    expect(as_of).not_to_have_text(first)
    page.get_by_label("Hold still").check()
    held = as_of.inner_text()
    with pytest.raises(AssertionError):
        expect(as_of).not_to_have_text(held, timeout=3_000)


def test_the_keyboard_alone_gets_past_the_menu(page: Page):
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to main content")
    expect(skip).to_be_focused()
    skip.press("Enter")
    expect(page.locator("#content-start")).to_be_focused()
