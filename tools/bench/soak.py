"""A million attempts on one system: what grows with their number?"""

from tools.bench.attempts import CHANNELS, PATIENCE_SECONDS
from tools.bench.figures import Row, at_most, row
from tools.bench.run import MB, Run, resident
from tools.bench.system import System, system

NAME = "soak"
CALLS = 1_000_000
INDEXES = "SELECT pg_indexes_size('dialer_callattempt')::float8 / greatest(count(*), 1) FROM dialer_callattempt"


def measure(run: Run) -> list[Row]:
    """Measure resident memory of each process, and the size of the attempts' indexes for a row, at 10 % and at the end.

    PostgreSQL's memory is left out, as its shared buffers fill up to their limit.
    """
    calls = run.count(CALLS, least=5_000)
    run.say(f"{calls:,} attempts over the simulated carrier")
    done = "SELECT count(*) >= %s FROM (SELECT FROM dialer_callattempt WHERE status = 'completed' LIMIT %s) AS found"
    with system(run, NAME) as whole:
        campaign = whole.campaign(whole.account("bench", channels=CHANNELS, trunk="simulated"), calls)
        whole.start(campaign)
        tenth = calls // 10
        whole.wait_for(done, tenth, tenth, seconds=PATIENCE_SECONDS, what="no tenth is done")
        memory, index = _memory(whole), float(whole.value(INDEXES))
        whole.wait_until_ended(campaign, PATIENCE_SECONDS)
        then, index_then = _memory(whole), float(whole.value(INDEXES))
    on = f"soak, {calls:,} attempts"
    parts = [
        row(
            f"{on}: memory of {part} beside that at 10 %",
            then[part],
            "MB",
            NAME,
            limit=used,
            target=at_most(1.1),
        )
        for part, used in memory.items()
    ]
    size = f"{on}: size of the attempts' indexes for a row beside that at 10 %"
    return [*parts, row(size, index_then, "bytes", NAME, limit=index, target=at_most(1.2))]


def _memory(whole: System) -> dict[str, float]:
    """Return megabytes of each part; its greatest process stands for it."""
    parts = whole.parts()
    del parts["PostgreSQL"]
    return {part: max(resident(processes)) / MB for part, processes in parts.items()}
