"""A real Chromium for the tests of pages: one for all of them, somebody signed in, clicks counted, pages judged."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, Locator, Page, StorageState, ViewportSize, expect, sync_playwright

CHROMIUM = shutil.which("chromium")
NEEDS_CHROMIUM = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium: apt-get install chromium")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
# Without these the browser asks its vendor's servers for updates.
OFFLINE = ["--disable-background-networking", "--disable-component-update", "--disable-sync"]

DESK: ViewportSize = {"width": 1280, "height": 800}
PHONE: ViewportSize = {"width": 390, "height": 844}
Scheme = Literal["light", "dark"]
# Beside other tests a page may take long, and a green test waits for none of it.
PATIENCE_MS = 60_000
PASSWORD = "a long enough password"
# Milliseconds for which a page is waited for: five seconds, as Playwright has it, are few beside other tests.
expect.set_options(timeout=60_000)

_PERSON = """
from django.contrib.auth import get_user_model
from accounts.models import Account, Membership
user = get_user_model().objects.create_user({name!r}, password={password!r}, is_staff=True)
account = Account.objects.get(sid={sid!r}) if {sid!r} else None
Membership.objects.create(user=user, account=account, role={role!r})
"""

_sessions: dict[tuple[str, str], StorageState] = {}

# axe reads the color of each element as text, a few hundred times the same one, in a quarter of the time that it takes.
_COLORS_READ_ONCE = """(() => {
    const color = axe.commons.color.Color.prototype, read = color.parseString, known = new Map();
    color.parseString = function (text) {
        if (!known.has(text)) {
            read.call(this, text);
            known.set(text, [this.r, this.g, this.b, this.alpha]);
        }
        [this.r, this.g, this.b, this.alpha] = known.get(text);
        return this;
    };
})()"""
COLOR_RULES = ("color-contrast", "link-in-text-block")
_VIOLATIONS = """async (options) => (await axe.run(options)).violations
    .map(one => [one.id, one.nodes.slice(0, 5).map(node => node.html.slice(0, 160))])"""
# Colors change slowly, and axe would judge those between. What is replaced while axe looks at it can't be judged.
_AT_ONCE = "document.styleSheets[0].insertRule('* { transition: none !important; }')"
_HOLD_STILL = """() => {
    const pace = document.getElementById("pace");
    if (pace && document.getElementById("live")) {
        pace.value = "";
        pace.dispatchEvent(new Event("change"));
    }
}"""
_SCROLLS = """() => document.documentElement.scrollWidth <= window.innerWidth ? []
    : [...document.body.querySelectorAll("*")]
    .filter(each => each.getBoundingClientRect().right > window.innerWidth + 0.5 && !each.closest(".results, .wide"))
    .slice(0, 4).map(each => `${Math.round(each.getBoundingClientRect().right)} px: ${each.outerHTML.slice(0, 100)}`)"""
_WIDE = """() => [...document.querySelectorAll(".results, .wide, table")]
    .filter(each => each.scrollWidth > each.clientWidth + 1 && each.clientWidth)
    .map(each => `${each.tagName}.${each.className}: ${each.scrollWidth} in ${each.clientWidth}`)"""
# Links within text and in cells of tables are no targets of their own; what is not seen can't be touched.
_SMALL = """() => [...document.querySelectorAll(
        "button, summary, select, input:not([type=hidden]), textarea, nav a, .object-tools a, a.button, a.stop, "
        + "label:has(> input)")]
    .filter(each => each.checkVisibility({checkOpacity: true, checkVisibilityCSS: true})
        && !each.matches(".select2-hidden-accessible")
        && !each.closest(".selector, .inline-related, .breadcrumbs, .select2-container")
        && !each.matches("label > input, td > input, th input")
        && !["checkbox", "radio", "image"].includes(each.type))
    .filter(each => { const box = each.getBoundingClientRect(); return box.height && box.height < 43.5; })
    .map(each => `${Math.round(each.getBoundingClientRect().height)} px: ${each.outerHTML.slice(0, 160)}`)"""


expect.set_options(timeout=PATIENCE_MS)


@contextmanager
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET + OFFLINE)
        yield browser
        browser.close()


def make_person(stack: Any, name: str, role: str, sid: str = "") -> None:
    """Make a person with a role in an account, or in all."""
    stack.manage("shell", "-v", "0", "-c", _PERSON.format(name=name, password=PASSWORD, role=role, sid=sid))


def sign_in(browser: Browser, stack: Any, name: str, size: ViewportSize = DESK, scheme: Scheme = "light") -> Page:
    """Return a page of somebody who has signed in, which stands at the first page.

    Only once by the form: the server hashes the password for a third of a second, and both pages are drawn. Afterwards
    the person has the same session in another browser.
    """
    begun = _sessions.get((stack.url, name))
    page = browser.new_context(viewport=size, color_scheme=scheme, base_url=stack.url, storage_state=begun).new_page()
    page.set_default_timeout(PATIENCE_MS)
    if begun:
        page.goto("/admin/now/")
    else:
        page.goto("/admin/")
        page.get_by_label("Username").fill(name)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/admin/now/")
    if not begun:
        _sessions[stack.url, name] = page.context.storage_state()
    return page


class Hand:
    """Clicks, and counts them. On a phone the menu is opened first."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.clicks = 0

    def click(self, target: Locator) -> None:
        target.click()
        self.clicks += 1

    def choose(self, target: Locator, choice: str) -> None:
        target.select_option(choice)
        self.clicks += 1

    def menu(self, entry: str) -> None:
        menu = self.page.get_by_role("navigation", name="Console")
        if self.page.viewport_size == PHONE:
            self.click(menu.locator("summary"))
        self.click(menu.get_by_role("link", name=entry, exact=True))


def faults(page: Page, address: str) -> list[str]:
    """Open a page once, and return what is wrong with it on a desk and on a phone, in light and in dark.

    Every rule of axe is asked at each width and in each scheme. Only rules about colors are asked in all four: the
    schemes differ in nothing else.
    """
    page.set_viewport_size(DESK)
    page.emulate_media(color_scheme="light")
    page.goto(address)
    _prepare(page)
    found = _judged(page, "desk, light")
    found += [f"scrolls sideways on a desk: {told}" for told in page.evaluate(_SCROLLS)]
    found += [f"a table scrolls sideways on a desk: {told}" for told in page.evaluate(_WIDE)]
    page.emulate_media(color_scheme="dark")
    found += _judged(page, "desk, dark", COLOR_RULES)
    page.set_viewport_size(PHONE)
    found += _judged(page, "phone, dark")
    found += [f"scrolls sideways on a phone: {told}" for told in page.evaluate(_SCROLLS)]
    found += [f"too small to touch: {told}" for told in page.evaluate(_SMALL)]
    page.emulate_media(color_scheme="light")
    found += _judged(page, "phone, light", COLOR_RULES)
    return [f"{address}: {told}" for told in found]


def _prepare(page: Page) -> None:
    page.evaluate(_AT_ONCE)
    page.evaluate(_HOLD_STILL)
    page.evaluate(AXE_SCRIPT)
    page.evaluate(_COLORS_READ_ONCE)


def _judged(page: Page, where: str, rules: Sequence[str] = ()) -> list[str]:
    """Ask axe, which `_prepare` has put into the page, about these rules, or about all that it has."""
    # Without a preload: axe would fetch style sheets again, in a way that the page's policy refuses.
    options: dict[str, Any] = {"resultTypes": ["violations"], "preload": False, "selectors": False, "iframes": False}
    if rules:
        options["runOnly"] = {"type": "rule", "values": list(rules)}
    return [f"{where}: {rule}: {nodes}" for rule, nodes in page.evaluate(_VIOLATIONS, options)]


def watched(page: Page, own: str) -> list[str]:
    """Return a list that fills with errors of scripts, refusals of the policy, and requests to other hosts."""
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda told: errors.append(told.text) if told.type == "error" else None)
    page.on("request", lambda sent: None if sent.url.startswith((own, "data:")) else errors.append(sent.url))
    return errors


def judged(page: Page) -> list[str]:
    """Return what is wrong with a page as it stands, after what somebody has done on it."""
    _prepare(page)
    found = _judged(page, "as it stands")
    if page.evaluate(_SCROLLS):
        found.append("scrolls sideways")
    if page.viewport_size == PHONE:
        found += [f"too small to touch: {told}" for told in page.evaluate(_SMALL)]
    return found
