"""The console in a real browser: each task within its number of clicks, on a desk in light and on a phone in dark.

Needs Debian's `chromium` (`.ci/run` installs it); skipped where it is absent.
"""

import json
import re

import pytest
from playwright.sync_api import FilePayload, Page, Route, expect

from tests.acceptance.browser import DESK, NEEDS_CHROMIUM, PHONE, Hand, judged, make_person, sign_in

pytestmark = NEEDS_CHROMIUM

LOOKS = {"desk-light": (DESK, "light"), "phone-dark": (PHONE, "dark")}
# One for each look: a number that is on the list has no button.
NUMBERS = {"light": "+919870000077", "dark": "+919870000078"}


@pytest.fixture(scope="module")
def account(stack, tmp_path_factory):
    """Have an account whose campaign has a call up, and two people of it."""
    flow = tmp_path_factory.mktemp("flow") / "flow.json"
    flow.write_text(json.dumps({"steps": [{"say": "Hello"}]}))
    client = stack.create_account("console", "--caller-id", "08012340077", "--calling-hours", "00:00-24:00")
    stack.manage("create_flow", "console", "1", "--file", str(flow))
    stack.script({"default": [{"outcome": "completed", "ring": 0.1, "talk": 3600}]})
    url = "http://my.exotel.com/console/exoml/start_voice/1"
    client.post_campaign({"name": "Fees", "caller_id": "08012340077", "url": url, "from": list(NUMBERS.values())})
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


def test_a_complaint_takes_two_clicks_and_the_key_leads_to_the_box(page: Page, look):
    hand, spelled = Hand(page), f"98700 {NUMBERS[look[1]][-5:]}"
    page.locator("body").press("/")
    page.keyboard.type(f"{spelled}/")
    expect(page.get_by_role("searchbox", name="Number")).to_have_value(f"{spelled}/")
    page.keyboard.press("Backspace")
    hand.click(page.get_by_role("button", name="Find"))
    expect(page.get_by_role("paragraph").filter(has_text="1 call in 1 campaign")).to_be_visible()
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
    page.get_by_label("Fresh every").select_option("hold still")
    held = as_of.inner_text()
    with pytest.raises(AssertionError):
        expect(as_of).not_to_have_text(held, timeout=3_000)


def test_a_page_that_can_t_be_fresh_says_so(page: Page):
    page.route("**/now/live/", lambda route: route.abort())
    expect(page.get_by_role("alert").filter(has_text="The server does not respond")).to_be_visible()
    page.unroute_all()
    page.context.clear_cookies()
    expect(page.get_by_role("alert").filter(has_text="Your session has ended")).to_be_visible()
    page.get_by_role("link", name="Stop calling").click()
    expect(page.get_by_label("Password")).to_be_visible()


def test_a_double_click_does_it_once(page: Page):
    page.goto("/admin/do-not-call/")
    page.get_by_label("Numbers, in any spelling").fill("98700 00099")
    page.get_by_role("button", name="Add").dblclick()
    expect(page.get_by_text(re.compile("^(1 number added|0 numbers added)"))).to_be_visible()


def test_the_keyboard_alone_gets_past_the_menu(page: Page):
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to main content")
    expect(skip).to_be_focused()
    skip.press("Enter")
    expect(page.locator("#content-start")).to_be_focused()


def test_a_new_campaign_takes_eight_clicks(page: Page, look):
    hand, numbers = Hand(page), f"98700 0008{1 if look[0] == DESK else 2}; 98700-00083, 12"
    hand.menu("New campaign")
    page.get_by_label("Numbers, with anything between them").fill(numbers)
    page.get_by_label("Text that is read aloud").fill("There is no class tomorrow.")
    expect(page.get_by_text("line 1: 12")).to_be_visible()
    hand.click(page.get_by_label("Go on without it"))
    expect(page.get_by_text("2 people, about")).to_be_visible()
    assert judged(page) == []
    hand.click(page.get_by_role("button", name="Call 2 people"))
    expect(page.get_by_text("is there.")).to_be_visible()
    assert hand.clicks <= 8


def test_the_preview_follows_and_tells_at_the_field(page: Page):
    page.goto("/admin/new-campaign/console/")
    page.get_by_label("Numbers, with anything between them").fill("98700 00083")
    page.get_by_label("Text that is read aloud").fill("Dear @@Name")
    expect(page.locator("#told-text")).to_contain_text("can't be filled")
    expect(page.get_by_role("button", name="Call 1 person")).to_have_count(0)
    page.get_by_label("Text that is read aloud").fill("Hello")
    expect(page.locator("#told-text")).to_be_empty()
    expect(page.get_by_role("button", name="Call 1 person")).to_be_visible()


def test_what_is_pressed_while_the_preview_is_fetched_is_clicked(page: Page):
    page.goto("/admin/new-campaign/console/")
    page.get_by_label("Numbers, with anything between them").fill("98700 00083, 98700 00084, 12")
    go_on = page.get_by_label("Go on without it")
    go_on.scroll_into_view_if_needed()
    waiting: list[Route] = []
    page.route("**/preview/", lambda route: route.continue_() if waiting else waiting.append(route))
    page.get_by_label("Text that is read aloud").fill("Hello")
    go_on.hover()
    page.mouse.down()
    while not waiting:
        page.wait_for_timeout(10)
    waiting[0].fulfill(response=waiting[0].fetch())
    page.wait_for_timeout(200)  # in which a script that does replace it has done so
    page.mouse.up()
    expect(go_on).to_be_checked()
    expect(page.get_by_text("2 people, about")).to_be_visible()


def test_a_file_is_uploaded_loaded_and_can_be_called(page: Page):
    page.goto("/admin/new-campaign/console/")
    page.get_by_label("Text that is read aloud").fill("Hello")
    page.get_by_text("A file: CSV or .xlsx").click()
    file: FilePayload = {"name": "parents.csv", "mimeType": "text/csv", "buffer": b"number\n98700 00084\n12\n"}
    page.get_by_label("File", exact=True).set_input_files(files=[file])
    page.get_by_role("button", name="Upload").click()
    expect(page.get_by_role("button", name="Call 1 person")).to_be_visible(timeout=60_000)
    expect(page.get_by_text("line 3: 12")).to_be_visible()
    expect(page.get_by_label("Text that is read aloud")).to_have_value("Hello")


def test_a_flow_is_drawn_while_it_is_written(page: Page):
    hand = Hand(page)
    hand.menu("Set up")
    hand.click(page.get_by_role("link", name="Write a flow"))
    document = page.get_by_label("What an answered call does, as JSON")
    document.fill('{"steps": [{"say": "Hello"}, {"gather": {"branches": {"x": []}}}]}')
    expect(page.locator("#told-document")).to_contain_text("flow.steps[1].gather.branches")
    document.fill('{"steps": [{"say": "Good morning"}]}')
    expect(page.locator("svg.flow")).to_contain_text("Say: Good morning")
    assert judged(page) == []


def test_what_is_typed_before_the_script_is_there_is_drawn_too(page: Page):
    waiting: list[Route] = []
    page.route("**/preview*.js", lambda route: waiting.append(route))
    page.goto("/admin/set-up/console/flow/", wait_until="commit")
    page.get_by_label("What an answered call does, as JSON").fill('{"steps": [{"say": "Good morning"}]}')
    while not waiting:
        page.wait_for_timeout(10)
    waiting[0].continue_()
    expect(page.locator("svg.flow")).to_contain_text("Say: Good morning")
