"""A whole Trunkline of real processes to measure: set up through its commands and its API, large data through SQL."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psutil
import psycopg
import redis

from core import services_file
from tools.bench.arithmetic import Span
from tools.bench.run import Run
from tools.bench.weights import Weights
from tools.stack import Client, Stack, running

# So high that neither the pace nor the request limit is measured.
NO_PACE = 10_000_000
FLOW_ID, CALLER_ID = "1", "08012345678"
FLOW = {"steps": [{"say": "There is no class tomorrow."}, {"hangup": True}]}
APPLICATION_NAME = "bench"  # of our own connections to PostgreSQL, so that they can be told from the system's
_FAR_AWAY = timedelta(days=300)
POLL_SECONDS = 0.1
# The longest of ours adds a million rows.
STATEMENT_SECONDS = 600

Connection = psycopg.Connection[tuple[Any, ...]]


@dataclass(frozen=True)
class System:
    """A stack, a connection to its database in autocommit, and the addresses of its servers."""

    stack: Stack
    db: Connection
    database_url: str
    redis_url: str

    def account(
        self,
        sid: str,
        *,
        channels: int,
        trunk: str = "sandbox",
        caller_ids: Sequence[str] = (),
        starts_per_minute: int = NO_PACE,
    ) -> Client:
        """Create an account that is always open, with a flow, over the sandbox or the simulated carrier."""
        if trunk != "sandbox":
            self.stack.manage("create_trunk", trunk, "--carrier", trunk)
        numbers = [CALLER_ID, *caller_ids]
        limits = ["--channels", str(channels), "--starts-per-minute", str(starts_per_minute)]
        limits += ["--requests-per-minute", str(NO_PACE)]
        hours = ["--calling-hours", "00:00-24:00"]
        client = self.stack.create_account(sid, *limits, *hours, "--trunk", trunk, "--caller-id", *numbers)
        self.stack.create_flow(sid, FLOW_ID, FLOW)
        return client

    def campaign(
        self,
        client: Client,
        calls: int,
        *,
        first: int = 0,
        caller_id: str = CALLER_ID,
        fields: Mapping[str, object] | None = None,
    ) -> str:
        """Create a campaign that waits for `start`; returns its id. The API makes it for one number, SQL fills it up.

        It looks as if it was made from a list, as no request holds so many numbers.

        Args:
            first: position of its first number, so that campaigns have different numbers.
            fields: more of the request.
        """
        send_at = datetime.now(UTC) + _FAR_AWAY
        schedule = {"send_at": send_at.isoformat(timespec="seconds")}
        body = campaign_body(client, [number(first)], caller_id=caller_id) | {"schedule": schedule} | dict(fields or {})
        made = str(client.post_campaign(body)["id"])
        self.db.execute("UPDATE campaigns_campaign SET list_ids = ARRAY[gen_random_uuid()] WHERE id = %s", [made])
        template = self.value("SELECT id FROM campaigns_call WHERE campaign_id = %s", made)
        clone(self.db, "campaigns_call", template, calls - 1, number=number_sql(first + 1))
        self.db.execute("ANALYZE campaigns_call")
        return made

    def start(self, *campaigns: str) -> None:
        """Move their start to this moment; the system's own tick then starts them."""
        self.db.execute(
            "UPDATE campaigns_campaign SET send_at = now(), expires_at = now() + interval '30 days'"
            " WHERE id = ANY(%s::uuid[])",
            [list(campaigns)],
        )

    def value(self, sql: str, *parameters: object) -> Any:
        """Return the first column of the query's first row; None if there is no row."""
        found = self.db.execute(sql.encode(), list(parameters)).fetchone()
        return found[0] if found else None

    def wait_for(self, sql: str, *parameters: object, seconds: float, what: str) -> None:
        """Return when the query returns true. Raises TimeoutError."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.value(sql, *parameters):
                return
            time.sleep(POLL_SECONDS)
        raise TimeoutError(f"{what}: not within {seconds:.0f} s\n{self.stack.tail(5)}")

    def wait_until_ended(self, campaign: str, seconds: float) -> None:
        ended = "SELECT ended_at IS NOT NULL FROM campaigns_campaign WHERE id = %s"
        self.wait_for(ended, campaign, seconds=seconds, what="the campaign has not ended")

    def spans(self, **filters: str) -> list[Span]:
        """Return when each call was up, by the carrier's ring log. Calls that are still up are left out."""
        rings = self.stack.rings(**filters)["rings"]
        return [(ring["start"], ring["end"]) for ring in rings if ring["end"] is not None]

    def processes(self, *names: str) -> list[psutil.Process]:
        """Return the processes whose command contains one of the names, without the children that they have started."""
        found = {process.pid: process for process in self._family() if any(name in _command(process) for name in names)}
        if not found:
            raise LookupError(f"no process of the stack is called {' or '.join(names)}")
        return [process for process in found.values() if process.ppid() not in found]

    def parts(self) -> dict[str, list[psutil.Process]]:
        """Return the processes that share the machine's cores, by part of the system."""
        with redis.Redis.from_url(self.redis_url) as client:
            redis_pid = client.info("server")["process_id"]
        postmaster = psutil.Process(self.value("SELECT pg_backend_pid()")).parent()
        assert postmaster is not None
        return {
            "PostgreSQL": [postmaster],
            "Redis": [psutil.Process(redis_pid)],
            "control workers": self.processes("control@", "dispatch@"),
            "dialer": self.processes("dial@"),
            "web": self.processes("gunicorn"),
            "events": self.processes("serve_events"),
            "sandbox": self.processes("-m sandbox"),
            "Flower": self.processes("campaigns_project.flower"),
        }

    def kill(self) -> None:
        """Kill every process at once, servers included, the oldest first: it would start the others again."""
        family = sorted(self._family(), key=lambda process: process.create_time())
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(family, timeout=60)

    def _family(self) -> Iterator[psutil.Process]:
        for process in psutil.process_iter(["environ"]):
            if (process.info["environ"] or {}).get("DATA_DIR") == str(self.stack.data_dir):
                yield process


class _WeightedStack(Stack):
    up_options = ("--weights",)


@contextmanager
def system(run: Run, name: str, settings: Mapping[str, str] | None = None) -> Iterator[System]:
    """Run a system with data of its own for the length of a `with` block."""
    data_dir = run.own_folder(name)
    variables = {"LOG_LEVEL": "WARNING", "SIMULATED_CARRIER": "True"} | dict(settings or {})
    run.systems.append(run.weights)
    with running(data_dir, variables, _WeightedStack if run.weights == Weights.OF_UNITS else Stack) as stack:
        urls = services_file.running_services(data_dir)
        with connect(urls["DATABASE_URL"]) as db:
            yield System(stack, db, urls["DATABASE_URL"], urls["REDIS_URL"])


def connect(url: str) -> Connection:
    patience = f"-c statement_timeout={STATEMENT_SECONDS}s"
    return psycopg.connect(url, autocommit=True, application_name=APPLICATION_NAME, options=patience)


def campaign_body(client: Client, numbers: Sequence[str], *, caller_id: str = CALLER_ID) -> dict[str, Any]:
    """Return what the client posts, with the flow of its account."""
    flow = f"http://my.exotel.com/{client.sid}/exoml/start_voice/{FLOW_ID}"
    return {"caller_id": caller_id, "url": flow, "from": numbers}


def number(position: int) -> str:
    """Return a valid Indian mobile number, a different one for each position below two million."""
    return f"+91{9_810_000_000 + position}"


def number_sql(first: int) -> str:
    """Return the same in SQL, for the rows n = 1, 2, … of `clone`."""
    return f"'+91' || ({9_810_000_000 + first - 1} + n)"


def clone(db: Connection, table: str, template: object, rows: int, **columns: str) -> None:
    """Add rows like one that the system has made, except for these columns (SQL, of the row's number n).

    So a column that is added to the table later is filled as the system fills it.
    """
    names = db.execute(
        "SELECT column_name FROM information_schema.columns"
        " WHERE table_name = %s AND is_identity = 'NO' AND is_generated = 'NEVER' ORDER BY ordinal_position",
        [table],
    ).fetchall()
    values = {name: columns.get(name, f"template.{name}") for (name,) in names}
    db.execute(
        f"INSERT INTO {table} ({', '.join(values)}) SELECT {', '.join(values.values())}"  # noqa: S608 -- names of ours
        f" FROM {table} AS template CROSS JOIN generate_series(1, %s) AS n WHERE template.id = %s ORDER BY n".encode(),
        [rows, template],
    )


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
