"""Flow: many at once for each receiver, a slow one starves nobody, and a claim costs the same however many wait."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.db import connection, connections, transaction
from django.utils import timezone

from tests.conftest import NUMBERS
from tests.factories import CampaignFactory, WebhookDeliveryFactory
from tests.webhook_receiver import Receiver
from webhooks import claims, delivery
from webhooks.models import WebhookDelivery, receiver_of, stream_of

# Seconds. The tests below wait for each other's steps, never for a time: a busy machine only makes them later.
PATIENCE = 60

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("private_allowed")]


@contextmanager
def workers(count: int) -> Iterator[None]:
    """Deliver in so many threads, as a webhooks worker does, until the end of the block."""
    stop = threading.Event()

    def work() -> None:
        try:
            while not stop.wait(0.2):
                delivery.deliver_due()
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def wait_until(condition):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def response_after(wait):
    """Return a response that comes when `wait` returns."""

    def respond(handler):
        wait()
        handler.send_response(204)
        handler.end_headers()

    return respond


def add(campaign, url, count):
    """Add webhooks of so many calls, two for each."""
    now = timezone.now()
    with transaction.atomic():
        for _ in range(count):
            number = f"+9198{next(_NUMBERS):08d}"
            for _ in range(2):
                WebhookDeliveryFactory(campaign=campaign, url=url, number=number, created_at=now)


_NUMBERS = iter(range(10**8))


def waiting(**of):
    return WebhookDelivery.objects.filter(**of, delivered_at=None).exists()


def test_a_receiver_that_takes_a_second_is_sent_the_forty_at_once_that_twenty_calls_a_second_need(receiver, settings):
    """Forty webhooks a second that take a second each: forty must be on their way, and others follow at once.

    The receiver responds when forty are there, twice. The second forty includes those that were sent beside the first.
    """
    settings.WEBHOOK_TIMEOUT_SECONDS = PATIENCE
    forty = threading.Barrier(40, timeout=PATIENCE / 2)
    receiver.responses = [response_after(forty.wait)] * 80
    campaign = CampaignFactory(running=True)
    add(campaign, receiver.url("/hook"), 100)
    with workers(3):
        wait_until(lambda: forty.broken or not waiting(campaign=campaign))
    assert not forty.broken, "there were never forty at once"
    assert len(receiver.received) == 200


def test_a_receiver_that_never_responds_does_not_slow_down_another_accounts(receiver, settings):
    settings.WEBHOOK_TIMEOUT_SECONDS = PATIENCE
    over, tarpit = threading.Event(), Receiver()
    tarpit.responses = [response_after(over.wait)] * 1000
    stuck, quick = CampaignFactory(running=True), CampaignFactory(running=True)
    add(stuck, tarpit.url(), 200)
    with workers(1):
        try:
            wait_until(lambda: len(tarpit.received) > 40)
            for number in range(1, 11):
                add(quick, receiver.url(), 1)
                wait_until(lambda number=number: len(receiver.received) == 2 * number)
            wait_until(lambda: not waiting(campaign=quick))
            assert len(tarpit.received) <= 60
            WebhookDelivery.objects.filter(campaign=stuck, sending_until=None).delete()
        finally:
            over.set()
    tarpit.close()


class TestPlaces:
    def test_a_receiver_has_so_many_and_an_account_so_many(self, settings, clock):
        settings.WEBHOOKS_AT_ONCE_PER_RECEIVER, settings.WEBHOOKS_AT_ONCE_PER_ACCOUNT = 3, 5
        one, other = CampaignFactory(running=True), CampaignFactory(running=True)
        for number in NUMBERS[:10]:
            for host in "abc":
                WebhookDeliveryFactory(campaign=one, url=f"https://{host}.example/{number}", number=number)
            WebhookDeliveryFactory(campaign=other, url="https://a.example/", number=number)
        rows = claims.claim(100, timezone.now())
        of_one = [row.receiver for row in rows if row.campaign_id == one.pk]
        assert len(of_one) == 5
        assert max(of_one.count(receiver) for receiver in of_one) <= 3
        assert len(rows) == 5 + 3, "the same host has places for each account"
        assert claims.claim(100, timezone.now()) == []
        assert claims.claim(100, timezone.now(), [row.receiver for row in rows]) == []

    def test_those_with_the_fewest_on_their_way_come_first(self, clock):
        busy, idle = CampaignFactory(running=True), CampaignFactory(running=True)
        for number in NUMBERS[:20]:
            WebhookDeliveryFactory(campaign=busy, url="https://busy.example/", number=number)
        assert len(claims.claim(10, timezone.now())) == 10
        for number in NUMBERS[:3]:
            WebhookDeliveryFactory(campaign=idle, url="https://idle.example/", number=number)
        assert {row.campaign_id for row in claims.claim(3, timezone.now())} == {idle.pk}

    def test_two_receivers_share_what_there_is(self, clock):
        campaigns = CampaignFactory.create_batch(2, running=True)
        for number in NUMBERS[:10]:
            for campaign in campaigns:
                WebhookDeliveryFactory(campaign=campaign, number=number)
        rows = [row.campaign_id for row in claims.claim(8, timezone.now())]
        assert {rows.count(campaign.pk) for campaign in campaigns} == {4}

    def test_with_more_receivers_than_a_look_visits_each_has_its_turn(self, clock, monkeypatch):
        monkeypatch.setattr(claims, "RECEIVERS_OF_A_LOOK", 3)
        campaign = CampaignFactory(running=True)
        for host in range(30):
            WebhookDeliveryFactory(campaign=campaign, url=f"https://host{host}.example/", number=NUMBERS[0])
        # Chance chooses where a look begins, and receivers lie unevenly: 200 looks may miss one of 30.
        claimed = 0
        for _ in range(5_000):
            claimed += len(claims.claim(50, timezone.now()))
            if claimed == 30:
                break
        assert claimed == 30


def pile_up(campaign, *, receivers=1, queues, rows, next_try="0 s", sending="NULL", failed=False):
    """Insert so many pending rows at once, spread over so many receivers and queues."""
    url = "https://dead.example/"
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            INSERT INTO webhooks_webhookdelivery (webhook_id, account_id, campaign_id, kind, url, payload, receiver,
                stream, queue, created_at, queued_at, next_try_at, sending_until, has_failed, tries, last_error)
            SELECT gen_random_uuid(), %(account)s, %(campaign)s, 'call-status', %(url)s, '{{}}',
                md5('receiver' || number %% %(receivers)s)::uuid, %(stream)s, md5('q' || number %% %(queues)s)::uuid,
                %(now)s, %(now)s, %(now)s::timestamptz + interval '{next_try}', {sending}, {failed}, 0, ''
            FROM generate_series(1, %(rows)s) AS number
            """,
            {
                "account": campaign.account_id,
                "campaign": campaign.pk,
                "url": url,
                "stream": stream_of(campaign.pk, url),
                "receivers": receivers,
                "queues": queues,
                "rows": rows,
                "now": timezone.now() - timedelta(minutes=1),
            },
        )
        cursor.execute("ANALYZE webhooks_webhookdelivery")


def blocks_of_a_claim(limit=100):
    """Return the database blocks that the looks of a claim read. Each is made once more, explained, before its own."""
    blocks = 0

    def explain(execute, sql, params, many, context):
        nonlocal blocks
        if "put_off" in sql:
            execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql}", params, many, context)
            [[[explained]]] = context["cursor"].fetchall()
            blocks += explained["Plan"]["Shared Hit Blocks"] + explained["Plan"]["Shared Read Blocks"]
        return execute(sql, params, many, context)

    with connection.execute_wrapper(explain):
        claims.claim(limit, timezone.now())
    return blocks


@pytest.fixture
def piles_are_cut(transactional_db):
    """Remove the rows with their pages: a hundred thousand deleted ones stay in the way of the tests that follow."""
    yield
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE webhooks_webhookdelivery CASCADE")


PILES = {
    "a dead receiver, each its own number": {"queues": 100_000, "rows": 100_000},
    "a dead receiver, all of them failing": {"queues": 100_000, "rows": 100_000, "next_try": "1 h", "failed": True},
    "a hundred numbers with a thousand each": {"queues": 100, "rows": 100_000},
    "a thousand receivers": {"receivers": 1000, "queues": 100_000, "rows": 100_000},
}


@pytest.mark.usefixtures("piles_are_cut")
@pytest.mark.parametrize("pile", PILES.values(), ids=PILES.keys())
def test_a_claim_costs_the_same_however_many_wait(pile):
    pile_up(CampaignFactory(running=True), **pile)
    # At most 120,000, for the thousand receivers. To judge every row that waits takes 600,000 and more.
    assert blocks_of_a_claim() < 200_000


@pytest.mark.usefixtures("piles_are_cut")
def test_a_quick_receiver_is_found_behind_a_hundred_thousand_of_a_dead_one():
    pile_up(CampaignFactory(running=True), queues=100_000, rows=100_000)
    claims.claim(100, timezone.now())
    row = WebhookDeliveryFactory(url="https://quick.example/", number=NUMBERS[0])
    assert claims.claim(10, timezone.now()) == [row]


def test_receivers_are_told_apart_by_account_host_and_port():
    same = receiver_of(1, "https://user:x@Client.example/one?a")
    assert same == receiver_of(1, "http://client.example/two")
    others = {receiver_of(2, "https://client.example/"), receiver_of(1, "https://client.example:444/")}
    assert len({same, receiver_of(1, "https://b.example/"), receiver_of(1, "http://[::1"), *others}) == 5
