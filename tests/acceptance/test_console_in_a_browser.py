"""The console in a real browser: each task within its number of clicks, on a desk and on a phone, light and dark.

Needs Debian's `chromium` (`.ci/run` installs it); skipped where it is absent.
"""

import json
from itertools import product
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, ViewportSize, expect, sync_playwright

from tests.acceptance.test_admin_in_a_browser import CHROMIUM, OFFLINE, QUIET

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium: apt-get install chromium")

SIZES: dict[str, ViewportSize] = {
    "desk": {"width": 1280, "height": 800},
    "phone": {"width": 390, "height": 844},
}
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
NUMBER = "+919870000077"
PAGES = ("now/", "now/stop/", "number/", "number/?q=98700+00077", "number/?q=nothing")
TARGETS = ".console button, .console a.stop, .console-pages a, .console-pages button"
SMALL = f"""() => [...document.querySelectorAll("{TARGETS}")]
    .filter(each => each.getBoundingClientRect().height < 44).map(each => each.outerHTML)"""


@pytest.fixture(scope="module")
def supervisor(stack, tmp_path_factory):
    """Have a supervisor of an account, whose campaign has a call up and one that waits."""
    flow = tmp_path_factory.mktemp("flow") / "flow.json"
    flow.write_text(json.dumps({"steps": [{"say": "Hello"}]}))
    client = stack.create_account("console", "--caller-id", "08012340077", "--calling-hours", "00:00-24:00")
    stack.manage("create_flow", "console", "1", "--file", str(flow))
    stack.script({"default": [{"outcome": "completed", "ring": 0.1, "talk": 120}]})
    url = "http://my.exotel.com/console/exoml/start_voice/1"
    client.post_campaign({"name": "Fees", "caller_id": "08012340077", "url": url, "from": [NUMBER]})
    stack.environment["DJANGO_SUPERUSER_PASSWORD"] = "a long enough password"
    stack.manage("createsuperuser", "--noinput", "--username", "supervisor", "--email", "s@example.org")
    return client


@pytest.fixture(params=SIZES)
def page(request, stack, supervisor):
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET + OFFLINE)
        page = browser.new_page(viewport=SIZES[request.param])
        page.goto(f"{stack.url}/admin/login/?next=/admin/now/")
        page.get_by_label("Username").fill("supervisor")
        page.get_by_label("Password").fill("a long enough password")
        page.get_by_role("button", name="Log in").click()
        yield page
        browser.close()


def test_all_calling_is_stopped_with_two_clicks_and_resumed_with_one(page: Page, supervisor):
    expect(page.locator(".running")).to_contain_text("Fees")
    page.get_by_role("link", name="Stop calling").click()
    expect(page.get_by_text("This pauses 1 running campaign")).to_be_visible()
    page.get_by_role("button", name="Stop calling").click()
    expect(page.get_by_text("1 campaign paused.")).to_be_visible()
    page.get_by_role("button", name="Resume the campaign").click()
    expect(page.get_by_text("1 campaign resumed.")).to_be_visible()


def test_a_complaint_is_found_with_one_click(page: Page):
    page.get_by_role("searchbox", name="Number").fill("98700 00077")
    page.get_by_role("button", name="Find").click()
    expect(page.get_by_text("1 call in 1 campaign")).to_be_visible()
    expect(page.get_by_role("button", name="Never call again")).to_be_visible()


def test_now_follows_what_happens_and_holds_still_when_asked(page: Page):
    as_of = page.locator(".as-of")
    first = as_of.inner_text()
    expect(as_of).not_to_have_text(first)
    page.get_by_label("Hold still").check()
    held = as_of.inner_text()
    with pytest.raises(AssertionError):
        expect(as_of).not_to_have_text(held, timeout=3_000)


def test_every_page_can_be_read_by_everybody(page: Page, stack):
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda told: errors.append(told.text) if told.type == "error" else None)
    page.on("request", lambda sent: None if sent.url.startswith(stack.url) else errors.append(sent.url))
    page.route("**/favicon.ico", lambda route: route.abort())
    # Before the page is loaded: the admin's links change their color slowly.
    for scheme, address in product(SCHEMES, PAGES):
        page.emulate_media(color_scheme=scheme)
        page.goto(f"{stack.url}/admin/{address}")
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), f"{address} scrolls sideways"
        if page.viewport_size == SIZES["phone"]:
            assert page.evaluate(SMALL) == [], address
        found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa"]})
        problems = [(one["id"], [node["html"] for node in one["nodes"]]) for one in found.response["violations"]]
        assert problems == [], f"{address}, {scheme}"
    assert errors == []
