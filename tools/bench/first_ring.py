"""The first ring of an account beside ten thousand that may not dial at this hour, beside its time alone."""

import random
import time
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

from tools.bench.arithmetic import median
from tools.bench.attempts import SHORT
from tools.bench.dispatch_cost import ACCOUNTS
from tools.bench.figures import FEWEST_PAIRS, Row, at_most, paired
from tools.bench.run import Run
from tools.bench.starting import PAUSES
from tools.bench.system import POLL_SECONDS, System, campaign_body, clone, number, system
from tools.stack import Client

NAME = "first-ring"
# Of each half of each pair.
SAMPLES = 15
PATIENCE_SECONDS = 60
HAS_STARTED = "SELECT started_at IS NOT NULL FROM campaigns_campaign WHERE id = %s"


def measure(run: Run) -> list[Row]:
    """Measure from a request with one call to its ring in the sandbox's log, by turns on two systems.

    One of them has the accounts, each with a campaign in progress and a call that is due, and none of them open.
    """
    accounts, samples = run.count(ACCOUNTS, least=100), run.count(SAMPLES, least=3)
    with ExitStack() as stack:
        among, alone = (stack.enter_context(system(run, NAME)) for _ in range(2))
        run.say(f"{accounts:,} accounts outside their calling hours")
        _add_shut(among, accounts)
        run.say(f"{FEWEST_PAIRS} pairs of {samples} calls")
        pairs = _pairs([among, alone], samples)
    figure = f"API request to first ring, {accounts:,} accounts outside their hours beside it: beside its time alone"
    return [paired(figure, pairs, "ms", NAME, target=at_most(1.2))]


def _add_shut(whole: System, accounts: int) -> None:
    """Add so many accounts that are shut for the next hours, each with a campaign of one due call in progress."""
    client = whole.account("shut", channels=1, trunk="simulated")
    opens = (datetime.now(UTC) + timedelta(hours=12)).replace(minute=0)
    hours = "UPDATE accounts_account SET time_zone = 'UTC', opens_at = %s, closes_at = %s WHERE sid = 'shut'"
    whole.db.execute(hours, [f"{opens:%H:%M}", f"{opens:%H}:30"])
    campaign = whole.campaign(client, 1)
    whole.start(campaign)
    whole.wait_for(HAS_STARTED, campaign, seconds=PATIENCE_SECONDS, what="the campaign has not started")
    account = whole.value("SELECT id FROM accounts_account WHERE sid = 'shut'")
    clone(whole.db, "accounts_account", account, accounts - 1, sid="'shut' || n")
    own = "(SELECT id FROM accounts_account WHERE sid = 'shut' || n)"
    clone(whole.db, "campaigns_campaign", campaign, accounts - 1, id="gen_random_uuid()", account_id=own)
    call = whole.value("SELECT id FROM campaigns_call WHERE campaign_id = %s", campaign)
    of_campaign = f"(SELECT id FROM campaigns_campaign WHERE account_id = {own})"  # noqa: S608 -- texts of ours
    clone(whole.db, "campaigns_call", call, accounts - 1, campaign_id=of_campaign)
    whole.db.execute("VACUUM ANALYZE")


def _pairs(systems: Sequence[System], samples: int) -> list[tuple[float, float]]:
    """Return the median wait in each of the two systems, for each pair, in milliseconds."""
    clients = []
    for whole in systems:
        whole.stack.script(SHORT)
        clients.append(whole.account("neighbour", channels=60))
    sent: list[dict[str, float]] = [{} for _ in systems]
    chance = random.Random(1)
    for position in range(FEWEST_PAIRS * samples):
        for client, moments in zip(clients, sent, strict=True):
            _send(client, position, moments)
            time.sleep(chance.uniform(*PAUSES))
    waits = [_waits(whole, moments) for whole, moments in zip(systems, sent, strict=True)]
    halves = [[median(found[first : first + samples]) for found in waits] for first in range(0, len(waits[0]), samples)]
    return [(among, alone) for among, alone in halves]


def _send(client: Client, position: int, moments: dict[str, float]) -> None:
    called = number(position)
    moments[called] = time.time()
    client.post_campaign(campaign_body(client, [called]))


def _waits(whole: System, sent: dict[str, float]) -> list[float]:
    """Return the milliseconds from each request to its ring, in the order of the requests."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        rings = {ring["number"]: ring["start"] for ring in whole.stack.rings()["rings"]}
        if len(rings) >= len(sent):
            return [(rings[called] - moment) * 1000 for called, moment in sent.items()]
        if time.monotonic() > deadline:
            raise TimeoutError(f"only {len(rings)} of {len(sent)} calls have rung")
        time.sleep(POLL_SECONDS)
