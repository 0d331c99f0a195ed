"""A small campaign beside a large one of the same account."""

from tools.bench.figures import FEWEST_PAIRS, Row, at_most, paired
from tools.bench.run import Run
from tools.bench.system import System, system
from tools.stack import Client

NAME = "fair-share"
CHANNELS = 60
SMALL, LARGE = 100, 100_000
# One second of ringing, 1 to 3 s of talk.
SCRIPT = {
    "seed": 1,
    "default": [{"outcome": "completed", "ring": 1, "talk": seconds, "weight": 1} for seconds in (1, 2, 3)],
}
PATIENCE_SECONDS = 300
LARGE_FIRST = 500_000


def measure(run: Run) -> list[Row]:
    """Measure how long a campaign of 100 calls takes beside one of 100,000 that has all 60 channels of their account.

    The limit is the time that it takes while the large one is paused. Both over HTTP to the sandbox, with the same
    calls.
    """
    large = run.count(LARGE, least=2_000)
    with system(run, "fair-share") as whole:
        client = whole.account("bench", channels=CHANNELS)
        other = whole.campaign(client, large, first=LARGE_FIRST)
        whole.start(other)
        run.say(f"{FEWEST_PAIRS} times a campaign of {SMALL} calls alone, and beside one of {large:,}")
        pairs = [_pair(whole, client, other) for _ in range(FEWEST_PAIRS)]
    figure = f"campaign of {SMALL} calls beside one of {large:,}, {CHANNELS} channels: beside its time alone"
    return [paired(figure, pairs, "s", NAME, target=at_most(2.2))]


def _pair(whole: System, client: Client, other: str) -> tuple[float, float]:
    """Return the seconds together and alone. The other campaign is in progress before and after."""
    up = "SELECT count(*) FROM dialer_callattempt WHERE campaign_id = %s AND ended_at IS NULL"
    full, none = f"SELECT ({up}) >= %s", f"SELECT ({up}) = 0"
    whole.wait_for(full, other, CHANNELS, seconds=60, what="the large campaign has not filled the channels")
    together = _seconds(whole, client)
    client.act(other, "pause")
    whole.wait_for(none, other, seconds=60, what="calls of the large campaign are still up")
    alone = _seconds(whole, client)
    client.act(other, "resume")
    return together, alone


def _seconds(whole: System, client: Client) -> float:
    whole.stack.script(SCRIPT)  # starts the script again, so that the numbers get the same outcomes
    campaign = whole.campaign(client, SMALL)
    whole.start(campaign)
    whole.wait_until_ended(campaign, PATIENCE_SECONDS)
    took = "SELECT extract(epoch FROM ended_at - send_at)::float8 FROM campaigns_campaign WHERE id = %s"
    return float(whole.value(took, campaign))
