"""The address at which carriers that speak TwiML ask what an answered call does: documents a second, and how soon."""

import base64
import hashlib
import hmac
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import requests

from tools.bench.arithmetic import percentile
from tools.bench.figures import Row, at_most, row
from tools.bench.run import Run
from tools.bench.system import CALLER_ID, FLOW_ID, NO_PACE, System, campaign_body, system

NAME = "twiml"
REQUESTS = 3_000
AT_ONCE = 16
SID = TRUNK = "bench-twiml"
# What `Stack.create_trunk` gives the trunk, which signs with it.
TOKEN = "token of the sandbox"  # noqa: S105 -- it opens nothing
MENU = {"steps": [{"gather": {"prompt": [{"say": "Press one"}], "branches": {"1": [{"say": "Thank you"}]}}}]}
FORM = {"CallSid": "CA" + "0" * 32, "CallStatus": "in-progress"}
PATIENCE_SECONDS = 120
# The address that the carrier was given for the first document of the only attempt.
ADDRESS = "from dialer import links, models; print(links.twiml_url(models.CallAttempt.objects.get().pk))"


def measure(run: Run) -> list[Row]:
    """Measure the first document of a call, signed, by clients that each wait for the reply before they ask again."""
    asked = run.count(REQUESTS, least=200)
    run.say(f"{asked:,} documents, by {AT_ONCE} clients at once")
    with system(run, "twiml") as whole:
        url = _address(whole)
        ask = partial(_seconds_of_one, url, _signature(url))
        ask(0)  # the first one imports
        began = time.monotonic()
        with ThreadPoolExecutor(AT_ONCE) as pool:
            times = list(pool.map(ask, range(asked)))
        rate = asked / (time.monotonic() - began)
    on = f"{asked:,} signed requests by {AT_ONCE} clients"
    return [
        row(f"TwiML documents a second, {on}", rate, "requests/s", NAME),
        row(f"time to a TwiML document, p99, {on}", percentile(times, 0.99) * 1000, "ms", NAME, target=at_most(1000)),
    ]


def _address(whole: System) -> str:
    """Make one call over the sandbox's Twilio API. Returns the address of its first document."""
    stack = whole.stack
    stack.create_trunk(TRUNK, "twilio")
    limits = ["--channels", "5", "--starts-per-minute", str(NO_PACE), "--requests-per-minute", str(NO_PACE)]
    hours = ["--calling-hours", "00:00-24:00"]
    client = stack.create_account(SID, *limits, *hours, "--trunk", TRUNK, "--caller-id", CALLER_ID)
    stack.create_flow(SID, FLOW_ID, MENU)
    campaign = client.post_campaign(campaign_body(client, ["+919810000000"]))["id"]
    whole.wait_until_ended(str(campaign), PATIENCE_SECONDS)
    return stack.manage("shell", "--no-imports", "-c", ADDRESS).strip().splitlines()[-1]


def _signature(url: str) -> str:
    signed = url + "".join(name + FORM[name] for name in sorted(FORM))
    return base64.b64encode(hmac.new(TOKEN.encode(), signed.encode(), hashlib.sha1).digest()).decode()


def _seconds_of_one(url: str, signature: str, _: int) -> float:
    began = time.monotonic()
    response = requests.post(url, data=FORM, headers={"X-Twilio-Signature": signature}, timeout=30)
    response.raise_for_status()
    return time.monotonic() - began
