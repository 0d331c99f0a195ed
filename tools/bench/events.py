"""What carriers' events cost in their two forms: one multipart form at the end, or two JSON ones."""

from tools.bench import bare_http
from tools.bench.figures import FEWEST_PAIRS, Row, paired
from tools.bench.run import Run

NAME = "events"
CALLS = 4_000


def measure(run: Run) -> list[Row]:
    """Measure calls a second whose events the events process stores, where nothing dials and nothing settles."""
    calls = run.count(CALLS, least=500)
    run.say(f"{FEWEST_PAIRS} pairs of {calls:,} calls, with one multipart event each, and with two of JSON")
    with bare_http.storing(run) as rates:
        pairs = [(rates["form"](calls), rates["json"](calls)) for _ in range(FEWEST_PAIRS)]
    figure = f"events of {calls:,} calls stored, one multipart form at the end: beside two JSON ones"
    return [paired(figure, pairs, "calls/s", NAME)]
