"""Every page of the console and of the admin in a real browser: axe finds nothing, nothing scrolls sideways, everything
can be touched, no other host is asked, no script fails. The walk goes by the links of the engine room and of the lists.
"""

import json
import re

import pytest
from playwright.sync_api import Page

from tests.acceptance.browser import NEEDS_CHROMIUM, faults, make_person, sign_in, watched

pytestmark = NEEDS_CHROMIUM

NUMBER = "+919870000066"
CONSOLE = ("now/", "now/stop/", "number/", "number/?q=98700+00066", "number/?q=nothing", "do-not-call/", "reports/")
SET_UP = ("new-campaign/", "new-campaign/walked/", "set-up/", "set-up/walked/", "set-up/walked/flow/1/")
MORE = ("people/", "system/", "engine-room/", "password_change/", "second-factor/set-up/", "nonsense/")
# All pages in one test would take a slow machine as long as a test may take.
PARTS = 6


@pytest.fixture(scope="module")
def page(browser, stack, tmp_path_factory):
    """Have a page of an administrator of the server, where every table that a small campaign fills has rows."""
    flow = tmp_path_factory.mktemp("flow") / "flow.json"
    flow.write_text(json.dumps({"steps": [{"say": "Hello"}]}))
    client = stack.create_account("walked", "--caller-id", "08012340066", "--calling-hours", "00:00-24:00")
    stack.manage("create_flow", "walked", "1", "--file", str(flow))
    stack.script({"default": [{"outcome": "completed", "ring": 0.1, "talk": 3600}]})
    url = "http://my.exotel.com/walked/exoml/start_voice/1"
    client.post_campaign({"name": "Walked", "caller_id": "08012340066", "url": url, "from": [NUMBER]})
    client.session.post(f"{client.base}/contacts", json={"contacts": [{"number": NUMBER}]}, timeout=60)
    client.session.post(f"{client.base}/do-not-call", json={"do_not_call": [{"number": "+919870000067"}]}, timeout=60)
    client.session.post(f"{client.base}/lists", json={"lists": [{"name": "Parents"}]}, timeout=60)
    make_person(stack, "walker", "administrator")
    page = sign_in(browser, stack, "walker")
    yield page
    page.context.close()


def _links(page: Page, address: str, pattern: str) -> list[str]:
    """Return the first link of each kind of a page, without a browser's work."""
    found = re.findall(rf'href="({pattern})"', page.request.get(address).text())
    return list(dict.fromkeys(found))


def _addresses(page: Page) -> list[str]:
    """Return every list of the admin, its form for a new row, and the page of its first row."""
    lists = _links(page, "/admin/engine-room/", r"/admin/\w+/\w+/")
    addresses = [f"/admin/{name}" for name in (*CONSOLE, *SET_UP, *MORE)]
    addresses += [
        "/admin/console/campaigns/",
        *_links(page, "/admin/console/campaigns/", '/admin/console/campaign/[^"?]+'),
    ]
    addresses += _tabs(page)  # of a campaign every tab, of which each stands on the others
    for one in lists:
        addresses += [one, *_links(page, one, rf"{one}add/")[:1], *_links(page, one, rf"{one}[^/]+/change/[^\"]*")[:1]]
    return list(dict.fromkeys(addresses))


def _tabs(page: Page) -> list[str]:
    [campaign] = _links(page, "/admin/console/campaigns/", r"/admin/console/campaign/[^/\"]+/")[:1]
    return [campaign, *(tab for tab in _links(page, campaign, rf"{campaign}\w+/") if "act" not in tab)]


@pytest.mark.parametrize("part", range(PARTS))
def test_every_page_is_for_everybody(page: Page, stack, part):
    errors = watched(page, stack.url)
    addresses = _addresses(page)
    assert len(addresses) > 60
    wrong = [fault for address in addresses[part::PARTS] for fault in faults(page, address)]
    assert wrong == [], "\n".join(wrong)
    # The page that is not there is one of those walked.
    assert [error for error in errors if "404" not in error] == []


def test_flower_is_read_behind_the_sign_in(page: Page, stack):
    errors = watched(page, stack.url)
    page.goto("/admin/flower/workers")
    page.locator("td", has_text="dial@").first.wait_for()
    page.goto("/admin/flower/tasks")
    page.locator("td", has_text="campaigns.end_due").first.wait_for()
    assert errors == []
