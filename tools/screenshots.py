"""`make screenshots`: the console's pages as the documentation shows them, from a running system (docs/images).

    python -m tools.screenshots [--folder FOLDER]

Starts a whole Trunkline with its sandbox carrier, lets a school call parents, and photographs the console in Chromium.
Names and numbers are invented; nobody is rung.
"""

import argparse
import io
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Page, ViewportSize, sync_playwright

from tools.local.project import PROJECT
from tools.local.signals import interrupt_on_stop_signals
from tools.stack import Client, Stack, running

FOLDER = PROJECT / "docs/images"
SIZE: ViewportSize = {"width": 1280, "height": 800}
# Few colors are enough for pages, and keep each picture below 100 kB.
COLORS = 64
PASSWORD = "shown in no picture"  # noqa: S105 -- of a system that lives for a minute
CALLER_ID = "08012345678"
PATIENCE_SECONDS = 90

FLOW = {
    "steps": [
        {
            "gather": {
                "prompt": [{"say": "This is Greenfield School. Press 1 if you have heard this, 2 for the office."}],
                "branches": {"1": [{"say": "Thank you."}], "2": [{"say": "The office calls you back."}]},
                "otherwise": [{"say": "Goodbye."}],
            }
        },
        {"hangup": True},
    ]
}
SCRIPT = {
    "seed": 7,
    "default": [
        {"outcome": "completed", "ring": 1, "talk": 4, "weight": 6},
        {"outcome": "no-answer", "ring": 3, "weight": 3},
        {"outcome": "busy", "ring": 1, "weight": 1},
    ],
}
_PERSON = """
from django.contrib.auth import get_user_model
from accounts.models import Membership
user = get_user_model().objects.create_user("meera", password={password!r}, is_staff=True)
Membership.objects.create(user=user, account=None, role="administrator")
"""


def main() -> int:
    parser = argparse.ArgumentParser(prog="make screenshots", description="Photograph the console.")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where to (default: docs/images)")
    folder = parser.parse_args().folder
    chromium = shutil.which("chromium")
    if chromium is None:
        print("there is no chromium: apt-get install chromium", file=sys.stderr)
        return 1
    interrupt_on_stop_signals()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="trunkline-screenshots-") as data, running(Path(data) / "data") as stack:
        ended = _let_a_school_call(stack)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            page = browser.new_page(viewport=SIZE, base_url=stack.url)
            _photograph(page, folder, ended)
            browser.close()
    return 0


def _let_a_school_call(stack: Stack) -> dict[str, Any]:
    """Make a campaign that has ended, one that runs, one that waits and one that is paused. Returns the first."""
    stack.manage("shell", "-v", "0", "-c", _PERSON.format(password=PASSWORD))
    hours = ("--calling-hours", "00:00-24:00", "--channels", "40", "--starts-per-minute", "900")
    client = stack.create_account("greenfield", "--caller-id", CALLER_ID, *hours)
    stack.create_flow("greenfield", "heard", FLOW)
    stack.script(SCRIPT)
    ended = _campaign(client, "Fees are due on Friday", 0, 60)
    _wait("a campaign that has ended", lambda: bool(client.campaign(ended["id"])["report_url"]))
    _campaign(client, "No class tomorrow", 1_000, 900)
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat(timespec="seconds")
    _campaign(client, "Exam results", 3_000, 400, schedule={"send_at": tomorrow})
    paused = _campaign(client, "Sports day", 5_000, 300)
    client.act(paused["id"], "pause")
    time.sleep(15)  # until "Now" has minutes to draw
    return ended


def _campaign(client: Client, name: str, first: int, people: int, **more: Any) -> dict[str, Any]:
    return client.post_campaign(
        {
            "name": name,
            "caller_id": CALLER_ID,
            "url": "http://my.exotel.com/greenfield/exoml/start_voice/heard",
            "from": [f"+9198{number:08d}" for number in range(10_000_000 + first, 10_000_000 + first + people)],
            **more,
        }
    )


def _photograph(page: Page, folder: Path, ended: dict[str, Any]) -> None:
    page.goto("/admin/")
    page.get_by_label("Username").fill("meera")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/admin/now/")
    menu = page.get_by_role("navigation", name="Console")
    _take(page, folder, "now")
    menu.get_by_role("link", name="Campaigns", exact=True).click()
    _take(page, folder, "campaigns")
    page.get_by_role("link", name="Ended").first.click()
    page.get_by_role("link", name=ended["name"]).first.click()
    _take(page, folder, "campaign")
    menu.get_by_role("link", name="New campaign", exact=True).click()
    page.locator("textarea[name=numbers]").fill("098100 12345\n+91 98100-12346, 9810012347\n12345\n09810012345")
    page.locator("textarea[name=text]").fill("This is Greenfield School. There is no class tomorrow.")
    page.wait_for_timeout(1_500)
    _take(page, folder, "new-campaign")
    page.goto("/admin/number/?q=098100+00000")
    _take(page, folder, "number")


def _take(page: Page, folder: Path, name: str) -> None:
    page.wait_for_load_state("networkidle")
    picture = Image.open(io.BytesIO(page.screenshot()))
    few = picture.convert("RGB").quantize(COLORS)
    few.save(folder / f"{name}.png", optimize=True)
    print(f"{folder / name}.png: {(folder / f'{name}.png').stat().st_size / 1000:.0f} kB")


def _wait(what: str, is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        if time.monotonic() > deadline:
            raise TimeoutError(f"there was not {what} within {PATIENCE_SECONDS} s")
        time.sleep(0.5)


if __name__ == "__main__":
    sys.exit(main())
