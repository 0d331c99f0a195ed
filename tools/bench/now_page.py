"""The live part of "Now" in the console, which every supervisor's browser asks for every two seconds."""

import re
import time
from datetime import UTC, datetime, timedelta

import requests

from tools.bench.arithmetic import percentile
from tools.bench.attempts import CHANNELS, PATIENCE_SECONDS
from tools.bench.figures import Row, at_most, row
from tools.bench.run import Run
from tools.bench.system import System, campaign_body, clone, number, number_sql, system
from tools.stack import Client

NAME = "now-page"
CAMPAIGNS, RUNNING, CALLS = 1_000, 50, 1_000_000
CAMPAIGNS_OF_A_REQUEST = 100
# Attempts that are dialed first: more than the page reads.
ATTEMPTS = 6_000
SAMPLES = 100
PASSWORD = "a long enough password"  # noqa: S105 -- of a system that lives for a minute


def measure(run: Run) -> list[Row]:
    """Measure p50 and p95 over HTTP on one connection, for an administrator of all accounts.

    Some of the calls were really dialed in the last minutes, over the simulated carrier; then the caller ID was
    switched off, and the others wait.
    """
    campaigns, running = run.count(CAMPAIGNS, least=20), run.count(RUNNING, least=5)
    calls = max(1, run.count(CALLS, least=2_000) // campaigns)
    run.say(f"{campaigns:,} campaigns of {calls:,} calls, of which {running} run")
    with system(run, "now-page") as whole:
        client = whole.account("bench", channels=CHANNELS, trunk="simulated")
        made = _campaigns(whole, client, campaigns, calls)
        whole.start(*made[:running])
        _dial(whole, min(ATTEMPTS, running * calls // 2))
        session = _signed_in(whole)
        times = []
        for _ in range(SAMPLES):
            began = time.perf_counter()
            page = session.get(f"{whole.stack.url}/admin/now/live/", timeout=60)
            times.append((time.perf_counter() - began) * 1000)
            page.raise_for_status()
        if page.text.count("<tr>") != running + 1:
            raise AssertionError(f"the page does not show {running} campaigns")
    on = f'"Now" of {campaigns:,} campaigns, {running} running, {campaigns * calls:,} calls, {SAMPLES} samples'
    return [
        row(f"{on}, p95", percentile(times, 0.95), "ms", NAME, target=at_most(100)),
        row(f"{on}, p50", percentile(times, 0.5), "ms", NAME),
    ]


def _campaigns(whole: System, client: Client, campaigns: int, calls: int) -> list[str]:
    """Create the campaigns over the API with a call each, for a later time, and fill them up in SQL."""
    schedule = {"send_at": (datetime.now(UTC) + timedelta(days=1)).isoformat(timespec="seconds")}
    bodies = [
        campaign_body(client, [number(position * calls)]) | {"schedule": schedule} for position in range(campaigns)
    ]
    made: list[str] = []
    for first in range(0, campaigns, CAMPAIGNS_OF_A_REQUEST):
        some = {"campaigns": bodies[first : first + CAMPAIGNS_OF_A_REQUEST]}
        response = client.session.post(f"{client.base}/campaigns", json=some, timeout=60)
        response.raise_for_status()
        made += [str(item["data"]["id"]) for item in response.json()["response"]]
    templates = whole.db.execute("SELECT campaign_id::text, id FROM campaigns_call").fetchall()
    by_campaign = {campaign.replace("-", ""): template for campaign, template in templates}
    for position, campaign in enumerate(made):
        template = by_campaign[campaign.replace("-", "")]
        clone(whole.db, "campaigns_call", template, calls - 1, number=number_sql(position * calls + 1))
    whole.db.execute("ANALYZE campaigns_call")
    return made


def _dial(whole: System, attempts: int) -> None:
    ended = "SELECT count(*) >= %s FROM (SELECT 1 FROM dialer_callattempt WHERE ended_at IS NOT NULL LIMIT %s) AS found"
    none_up = "SELECT NOT EXISTS (SELECT 1 FROM dialer_callattempt WHERE ended_at IS NULL)"
    whole.wait_for(ended, attempts, attempts, seconds=PATIENCE_SECONDS, what="the calls were not dialed")
    whole.db.execute("UPDATE accounts_callerid SET is_active = false")
    whole.wait_for(none_up, seconds=60, what="calls are still up")


def _signed_in(whole: System) -> requests.Session:
    whole.stack.environment["DJANGO_SUPERUSER_PASSWORD"] = PASSWORD
    whole.stack.manage("createsuperuser", "--noinput", "--username", "supervisor", "--email", "s@example.org")
    session = requests.Session()
    address = f"{whole.stack.url}/admin/login/"
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', session.get(address, timeout=30).text)
    assert token is not None
    form = {"csrfmiddlewaretoken": token[1], "username": "supervisor", "password": PASSWORD, "next": "/admin/now/"}
    session.post(address, data=form, headers={"Referer": address}, timeout=60).raise_for_status()
    return session
