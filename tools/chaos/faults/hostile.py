"""Faults 16: an account, or somebody without one, does harm by what it asks for. A neighbour is the judge.

Each row measures the neighbour alone, then beside the attack, in the same run. Load and time are bounded, and nothing
leaves this machine.
"""

import io
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import requests
from django.db import IntegrityError, OperationalError, connection

from accounts import audit
from accounts.models import Account, CallerId
from campaigns import lifecycle
from campaigns.models import Campaign
from contacts.models import ContactList
from tools.bench.arithmetic import percentile
from tools.chaos.clock.hanging_names import HANGING
from tools.chaos.faults.table import Table
from tools.chaos.run import Run
from tools.stack import Client

TARPIT_CAMPAIGNS = 1_000
LARGE_FILES, LARGE_ROWS = 6, 40_000
AUDIENCE, AUDIENCES = 20_000, 50
# The neighbour's reads are over sooner on a quiet machine, beside some thirty searches.
ADDRESS_BOOK, READERS, FEWEST_SEARCHES = 100_000, 8, 15
NAMES = 200
HALVES = 24
MULTIPART_BYTES = 300 * 1024 * 1024

# How often the neighbour is measured: alone, and beside the attack. A p99 needs a hundred: of fewer it is the slowest
# one, which any other program of the machine decides. Of three hundred it is the fourth slowest. Where the attack can
# be let go and taken up, the two take turns.
SAMPLES, READS, SLOW_SAMPLES = 120, 300, 5
TURNS = 3
# Seconds that say nothing about anybody: a request on a busy machine, and a turn of a loader or a tick of beat.
NOISE_SECONDS, TURN_SECONDS = 0.1, 2.5

table = Table()

Measure = Callable[[], float]


@table.row("16a", f"webhooks of {TARPIT_CAMPAIGNS:,} campaigns to a receiver that never responds")
def tarpit(run: Run) -> Iterator[None]:
    hostile, caller_id, _ = run.sign_up()
    neighbour = _Neighbour(run)
    yield
    with _tarpit() as address:
        alone = _sample(neighbour.webhook, SLOW_SAMPLES)
        _campaigns(hostile, caller_id, TARPIT_CAMPAIGNS, status_callback=address)
        run.strike(lambda: time.sleep(2))
        beside = _sample(neighbour.webhook, SLOW_SAMPLES)
        Account.objects.filter(pk=hostile.pk).update(is_active=False)
        _forget_webhooks(run, hostile)
    _compare(run, "webhook", 0.5, alone, beside, noise=TURN_SECONDS)


@table.row("16b", f"{LARGE_FILES} files of {LARGE_ROWS:,} rows at once")
def large_files(run: Run) -> Iterator[None]:
    _, _, hostile = run.sign_up()
    neighbour = _Neighbour(run)
    yield
    alone = _sample(neighbour.file, SLOW_SAMPLES)
    for n in range(LARGE_FILES):
        rows = "\n".join(f"+9197{n}{row:07d},Asha" for row in range(LARGE_ROWS))
        _upload(hostile, f"number,first_name\n{rows}\n")
    run.strike(lambda: None)
    beside = _sample(neighbour.file, SLOW_SAMPLES)
    _compare(run, "file of one row", 0.5, alone, beside, noise=TURN_SECONDS)


@table.row("16c", f"one request for {AUDIENCES} campaigns over a list of {AUDIENCE:,}")
def large_audiences(run: Run) -> Iterator[None]:
    account, caller_id, hostile = run.sign_up()
    list_id = _list_of(account, AUDIENCE)
    neighbour = _Neighbour(run)
    yield
    alone = _sample(neighbour.create, SAMPLES)
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat(timespec="seconds")
    body = {"caller_id": caller_id.number, "lists": [list_id], "schedule": {"send_at": tomorrow}, **_GREETING}

    def ask() -> None:
        started = time.monotonic()
        answer = hostile.session.post(f"{hostile.base}/campaigns", json={"campaigns": [body] * AUDIENCES}, timeout=60)
        print(f"the request took {time.monotonic() - started:.1f} s", file=sys.stderr, flush=True)
        if answer.status_code != 200:
            run.notes.append(f"the campaigns over a large list were refused: {answer.status_code} {answer.text[:200]}")

    with _at_work([ask]):
        run.strike(lambda: None)
        beside = _sample(neighbour.create, SAMPLES)
    loading = Campaign.objects.filter(account=account, is_loading=True)
    if not loading.exists():
        run.notes.append("nothing was tried: no campaign was left to the loader")
    # The rest of them is not made.
    for campaign in loading:
        lifecycle.delete(campaign, actor=audit.SYSTEM)
    _compare(run, "request", 0.9, alone, beside)


@table.row("16d", f"{READERS} readers at once that search {ADDRESS_BOOK:,} contacts")
def expensive_reads(run: Run) -> Iterator[None]:
    account, _, hostile = run.sign_up()
    _list_of(account, ADDRESS_BOOK)
    neighbour = _Neighbour(run)
    yield
    alone: list[float] = []
    beside: list[float] = []
    found: list[float] = []
    run.strike(lambda: None)
    for _ in range(TURNS):
        alone += _sample(neighbour.read, READS // TURNS)
        over = threading.Event()
        with _at_work([lambda: _search(hostile, over, found)] * READERS, over):  # noqa: B023 -- the block waits for them
            beside += _sample(neighbour.read, READS // TURNS)
    if len(found) < FEWEST_SEARCHES:
        run.notes.append(f"only {len(found)} searches were done beside the neighbour")
    _compare(run, "read", 0.99, alone, beside)


@table.row("16e", f"callbacks to {NAMES} names that never resolve")
def silent_names(run: Run) -> Iterator[None]:
    account, caller_id, _ = run.sign_up()
    neighbour = _Neighbour(run)
    yield
    alone = _sample(neighbour.webhook, SLOW_SAMPLES)
    for n in range(NAMES):
        _campaigns(account, caller_id, 1, first=n, status_callback=f"http://name{n}{HANGING}/")
    run.strike(lambda: time.sleep(2))
    beside = _sample(neighbour.webhook, SLOW_SAMPLES)
    Account.objects.filter(pk=account.pk).update(is_active=False)
    _forget_webhooks(run, account)
    _compare(run, "webhook", 0.5, alone, beside, noise=TURN_SECONDS)


def _forget_webhooks(run: Run, account: Account) -> None:
    """Delete the account's webhooks. The sender may record a try meanwhile, or hold rows: then the next go succeeds."""

    def delete() -> bool:
        with suppress(IntegrityError, OperationalError):
            account.webhook_deliveries.all().delete()
            return True
        return False

    if not run.wait_for(delete, run.patience):
        run.notes.append("the hostile account's webhooks could not be deleted")


@table.row("16f", f"{HALVES} half-sent bodies")
def half_sent(run: Run) -> Iterator[None]:
    neighbour = _Neighbour(run)
    yield
    alone = _sample(neighbour.health, SAMPLES)
    with ExitStack() as held:
        run.strike(lambda: _send_halves(run, held))
        beside = _sample(neighbour.health, SAMPLES)
    _compare(run, "health check", 0.99, alone, beside)


@table.row("16g", f"a multipart form of {MULTIPART_BYTES // 1024 // 1024} MB without credentials")
def large_form(run: Run) -> Iterator[None]:
    neighbour = _Neighbour(run)
    yield
    alone = _sample(neighbour.health, SAMPLES)
    sent: list[int] = []
    with _at_work([lambda: sent.append(_send_form(run))]):
        run.strike(lambda: None)
        beside = _sample(neighbour.health, SAMPLES)
    if sent[0] >= MULTIPART_BYTES // 2:
        run.notes.append(f"{sent[0]:,} bytes of a form that is too large were read")
    _compare(run, "health check", 0.99, alone, beside)


# The neighbour -------------------------------------------------------------------------------------------------------

_GREETING: dict[str, Any] = {"read_via_text": "There is no class tomorrow.", "flow_type": "greeting"}


class _Neighbour:
    """An account that does one small thing after another. Each method returns the seconds that it took."""

    def __init__(self, run: Run) -> None:
        self.run = run
        _, self.caller_id, self.client = run.sign_up()
        self.next = 400_000_000

    def create(self, **more: Any) -> float:
        self.next += 1
        body = {"caller_id": self.caller_id.number, "from": [f"+919{self.next:09d}"], **_GREETING, **more}
        started = time.monotonic()
        self.client.post_campaign(body)
        return time.monotonic() - started

    def webhook(self) -> float:
        """From the request to the webhook about the campaign's start."""
        path = f"/{uuid4().hex}"
        started = time.monotonic()
        self.create(status_callback=self.run.receiver.url(path))
        if not self.run.wait_for(lambda: path in self.run.receiver.paths, self.run.patience):
            raise TimeoutError("a neighbour's webhook never came")
        return time.monotonic() - started

    def file(self) -> float:
        self.next += 1
        started = time.monotonic()
        status = _upload(self.client, f"number\n+919{self.next:09d}\n")

        def is_loaded() -> bool:
            upload = self.client.session.get(status, timeout=30).json()["response"]["data"]
            return bool(upload["status"] == "completed")

        if not self.run.wait_for(is_loaded, self.run.patience):
            raise TimeoutError("a neighbour's file was never loaded")
        return time.monotonic() - started

    def read(self) -> float:
        return self._got(f"{self.client.base}/campaigns?limit=1")

    def health(self) -> float:
        return self._got(f"{self.run.system.url}/healthz")

    def _got(self, address: str) -> float:
        started = time.monotonic()
        requests.get(address, auth=self.client.session.auth, timeout=60).raise_for_status()
        return time.monotonic() - started


def _sample(measure: Measure, times: int) -> list[float]:
    return [measure() for _ in range(times)]


def _compare(
    run: Run, name: str, share: float, alone: list[float], beside: list[float], *, noise: float = NOISE_SECONDS
) -> None:
    """Note a violation where the neighbour's share of its times, such as the median, is more than twice that alone."""
    before, after = percentile(alone, share), percentile(beside, share)
    told = f"the neighbour's {name}, {share:.0%}: {before * 1000:.0f} ms alone, {after * 1000:.0f} ms beside"
    print(told, file=sys.stderr, flush=True)  # into the lane's log
    if after > 2 * before and after - before > noise:
        run.notes.append(f"{told}: more than twice")


# The attacks ---------------------------------------------------------------------------------------------------------


def _campaigns(account: Account, caller_id: CallerId, count: int, *, first: int = 0, status_callback: str) -> None:
    text: dict[str, Any] = {"flow_type": "greeting", "text": "There is no class tomorrow."}
    own: dict[str, Any] = {"caller_id": caller_id, "caller_id_given": caller_id.number}
    for n in range(first, first + count):
        numbers = [f"+919{500_000_000 + n}"]
        now = datetime.now(UTC)
        lifecycle.create(
            account, actor=audit.SYSTEM, numbers=numbers, now=now, status_callback=status_callback, **own, **text
        )


@contextmanager
def _tarpit() -> Iterator[str]:
    """A server that reads a request and never responds. Yields its address."""
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            over.wait(120)

        def log_message(self, *_: Any) -> None:
            """Print nothing."""

    class Server(ThreadingHTTPServer):
        request_queue_size = 512
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            """Print nothing: the sender gave up waiting."""

    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        over.set()
        server.shutdown()
        server.server_close()


def _upload(client: Client, content: str) -> str:
    """Upload a file into a list of its own. Returns the address of its status."""
    answer = client.session.post(
        f"{client.base}/contacts/csv-upload",
        data={"list_name": uuid4().hex},
        files={"file_name": ("contacts.csv", io.BytesIO(content.encode()))},
        timeout=60,
    )
    answer.raise_for_status()
    return f"{client.base}/csv-status/{answer.json()['response']['data']['summary']['upload_id']}"


def _list_of(account: Account, size: int) -> str:
    """Make a list of so many contacts in two statements. Returns its sid."""
    made = ContactList.objects.create(account=account, name=uuid4().hex)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO contacts_contact (id, account_id, number, first_name, last_name, company_name, email, tag,"
            " created_at, updated_at) SELECT gen_random_uuid(), %s, '+9196' || (10000000 + n), 'Asha', 'Rao', '', '',"
            " '', now(), now() FROM generate_series(1, %s) AS n",
            [account.pk, size],
        )
        cursor.execute(
            "INSERT INTO contacts_listentry (contact_list_id, contact_id, values_digest)"
            " SELECT %s, id, '' FROM contacts_contact WHERE account_id = %s",
            [made.pk, account.pk],
        )
        cursor.execute("ANALYZE contacts_contact, contacts_listentry")
    return made.pk.hex


@contextmanager
def _at_work(tasks: "list[Callable[[], Any]]", over: threading.Event | None = None) -> Iterator[None]:
    """Do these things in threads beside the block; `over` is set at its end. Waits for them."""
    threads = [threading.Thread(target=task, daemon=True) for task in tasks]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        if over:
            over.set()
        for thread in threads:
            thread.join(90)


def _search(client: Client, over: threading.Event, found: list[float]) -> None:
    """Search again and again, and come back when that is asked for. Notes how long each search took."""
    while not over.is_set():
        answer = requests.get(f"{client.base}/contacts?name=nobody", auth=client.session.auth, timeout=60)
        if answer.status_code == 200:
            found.append(answer.elapsed.total_seconds())
        if answer.status_code == 429:
            over.wait(float(answer.headers["Retry-After"]))


def _connected(run: Run) -> socket.socket:
    address = urlsplit(run.system.url)
    return socket.create_connection((str(address.hostname), int(address.port or 80)), timeout=60)


def _send_halves(run: Run, held: ExitStack) -> None:
    for _ in range(HALVES):
        client = held.enter_context(_connected(run))
        client.sendall(b"POST /admin/login/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\nusername=")


def _send_form(run: Run) -> int:
    """Send a form as fast as it is taken. Returns the number of bytes until the server has closed."""
    sent, piece = 0, b"x" * 65_536
    with _connected(run) as client, suppress(OSError):
        head = "POST /admin/login/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: multipart/form-data; boundary=x\r\n"
        part = '--x\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n'
        client.sendall(f"{head}Content-Length: {MULTIPART_BYTES}\r\n\r\n{part}".encode())
        while sent < MULTIPART_BYTES:
            client.sendall(piece)
            sent += len(piece)
    return sent
