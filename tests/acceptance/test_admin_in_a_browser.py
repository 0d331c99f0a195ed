"""The admin in a real browser: an operator signs in, finds a campaign, pauses it and looks at a call.

Needs Debian's `chromium` (`.ci/run` installs it); skipped where it is absent.
"""

import json
import shutil

import pytest
from playwright.sync_api import Page, expect, sync_playwright

CHROMIUM = shutil.which("chromium")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
# Without these the browser asks its vendor's servers for updates.
OFFLINE = ["--disable-background-networking", "--disable-component-update", "--disable-sync"]

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium: apt-get install chromium")


@pytest.fixture(scope="module")
def operator(stack):
    stack.environment["DJANGO_SUPERUSER_PASSWORD"] = "a long enough password"
    stack.manage("createsuperuser", "--noinput", "--username", "operator", "--email", "o@example.org")


@pytest.fixture
def page(operator):
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET + OFFLINE)
        yield browser.new_page()
        browser.close()


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
    return lambda: client.campaign(created["id"])


def sign_in(page: Page, stack) -> None:
    page.goto(f"{stack.url}/admin/")
    page.get_by_label("Username").fill("operator")
    page.get_by_label("Password").fill("a long enough password")
    page.get_by_role("button", name="Log in").click()


def test_an_operator_pauses_and_resumes_a_campaign(page, stack, campaign):
    sign_in(page, stack)
    page.get_by_role("link", name="Campaigns", exact=True).last.click()
    row = page.get_by_role("row").filter(has_text="In the browser")
    expect(row).to_contain_text("0 of 1")
    row.get_by_role("link", name="In the browser").click()
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("button", name="Resume")).to_be_visible()
    assert campaign()["status"] == "Paused"
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    assert campaign()["status"] == "InProgress"


def test_an_operator_finds_a_call_by_its_number(page, stack, campaign):
    sign_in(page, stack)
    page.goto(f"{stack.url}/admin/campaigns/call/?q=%2B919870000001")
    expect(page.get_by_role("row").filter(has_text="+919870000001").first).to_contain_text("In the browser")


def test_every_page_loads_its_styles_and_scripts_without_an_error(page, stack, campaign):
    errors: list[str] = []
    page.on("response", lambda response: errors.append(response.url) if response.status >= 400 else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    # What the page's policy refuses is an error of the console.
    page.on("console", lambda told: errors.append(told.text) if told.type == "error" else None)
    page.route("**/favicon.ico", lambda route: route.abort())
    sign_in(page, stack)
    lists = ("", "campaigns/campaign/", "campaigns/call/", "dialer/callattempt/", "accounts/account/", "auth/user/add/")
    forms = ("accounts/apikey/add/", "campaigns/flow/add/", "django_celery_beat/periodictask/1/change/")
    for address in (*lists, *forms, "second-factor/set-up/"):
        page.goto(f"{stack.url}/admin/{address}")
    page.goto(f"{stack.url}/admin/accounts/apikey/add/")
    page.locator(".select2-selection").first.click()
    expect(page.locator(".select2-results__option").first).to_be_visible()
    assert errors == []
