"""Creating a campaign of 5,000 numbers over the API, beside the bare loop over its numbers."""

import time
from datetime import UTC, datetime, timedelta

from tools.bench import bare_loop
from tools.bench.figures import Row, at_most, paired
from tools.bench.run import Run
from tools.bench.system import campaign_body, number, system

NAME = "creating"
NUMBERS = 5_000
ROUNDS = 11


def measure(run: Run) -> list[Row]:
    """Measure the median of the whole request over HTTP beside that of the loop, taking turns on the idle system.

    The campaigns start in 300 days, so nothing is dialled meanwhile.
    """
    count = run.count(NUMBERS, least=100)
    run.say(f"{ROUNDS} campaigns of {count:,} numbers")
    numbers = [number(position) for position in range(count)]
    send_at = (datetime.now(UTC) + timedelta(days=300)).isoformat(timespec="seconds")
    pairs = []
    with system(run, "creating") as whole:
        client = whole.account("bench", channels=60)
        body = campaign_body(client, numbers) | {"schedule": {"send_at": send_at}}
        client.post_campaign(body)  # the first request also imports and connects
        for _ in range(ROUNDS):
            began = time.perf_counter()
            client.post_campaign(body)
            request = (time.perf_counter() - began) * 1000
            pairs.append((request, bare_loop.seconds(numbers) * 1000))
    figure = f"create with {count:,} numbers over HTTP, idle system: beside a bare phonenumbers loop over them"
    return [paired(figure, pairs, "ms", NAME, target=at_most(1.3))]
