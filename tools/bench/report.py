"""The CSV report of a large campaign, beside PostgreSQL's own COPY of the same query."""

import time
from collections.abc import Sequence

import requests

from tools.bench import statement_log
from tools.bench.figures import FEWEST_PAIRS, Row, at_least, at_most, paired, row
from tools.bench.run import Run, watched
from tools.bench.system import System, clone, number_sql, system

NAME = "report"
ROWS = 500_000
PIECE = 1024 * 1024
PATIENCE_SECONDS = 120


def measure(run: Run) -> list[Row]:
    """Measure rows a second of a download over HTTP, and the memory of the web processes after a first report.

    The limit is the very statement that the server sends for it, read by a client that discards the rows, which are
    copies of one call, completed at its first attempt.
    """
    rows = run.count(ROWS, least=1_000)
    run.say(f"a report of {rows:,} rows")
    with system(run, "report") as whole:
        url = _campaign(whole, rows)
        with statement_log.listening(whole) as asked:
            _download(url, rows)
        with watched(whole.processes("gunicorn")) as memory:
            _download(url, rows)
        statements = [text for text in asked.statements if "COPY" in text.upper()]
        pairs = [(rows / _download(url, rows), rows / _copy(whole, statements)) for _ in range(FEWEST_PAIRS)]
    on = f"report of {rows:,} rows over HTTP"
    beside = "beside a bare COPY of the same query"
    return [
        paired(f"{on}: {beside}", pairs, "rows/s", NAME, target=at_least(0.8)),
        row(f"{on}, peak memory of the web processes above idle", memory.above_idle, "MB", NAME, target=at_most(60)),
    ]


def _campaign(whole: System, rows: int) -> str:
    """Make a campaign that has completed so many calls; returns the address of its report."""
    client = whole.account("bench", channels=60, trunk="simulated")
    campaign = whole.campaign(client, 1)
    whole.start(campaign)
    whole.wait_until_ended(campaign, PATIENCE_SECONDS)
    _add_completed(whole, campaign, rows - 1)
    return str(client.campaign(campaign)["report_url"])


def _add_completed(whole: System, campaign: str, more: int) -> None:
    """Add so many calls, each with one attempt, as copies of the campaign's first, which has completed."""
    call = whole.value("SELECT id FROM campaigns_call WHERE campaign_id = %s", campaign)
    attempt = whole.value("SELECT id FROM dialer_callattempt WHERE campaign_id = %s", campaign)
    clone(whole.db, "campaigns_call", call, more, number=number_sql(1))
    # The new calls' ids follow the first one without a gap, as nothing else adds calls.
    columns = {"id": "uuidv7()", "call_id": f"{call} + n", "carrier_ref": "'bench-' || n", "callee": number_sql(1)}
    clone(whole.db, "dialer_callattempt", attempt, more, **columns)
    whole.db.execute("ANALYZE campaigns_call, dialer_callattempt")


def _download(url: str, rows: int) -> float:
    """Return the seconds that the report of so many rows takes."""
    began, lines = time.perf_counter(), 0
    with requests.get(url, stream=True, timeout=PATIENCE_SECONDS) as response:
        response.raise_for_status()
        for piece in response.iter_content(PIECE):
            lines += piece.count(b"\n")
    if lines != rows + 1:
        raise ValueError(f"the report has {lines:,} lines, not {rows + 1:,}")
    return time.perf_counter() - began


def _copy(whole: System, statements: Sequence[str]) -> float:
    """Return the seconds that the statements of one report take."""
    if not statements:
        raise LookupError("the report was made without COPY: there is nothing to compare it with")
    began = time.perf_counter()
    with whole.db.cursor() as cursor:
        for statement in statements:
            with cursor.copy(statement.encode()) as copy:
                for _ in copy:
                    pass
    return time.perf_counter() - began
