"""Delivery: signed, at least once, in order, with retries, and over real HTTP on loopback."""

import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta

import pytest
from django.db import connections
from django.utils import timezone
from standardwebhooks import WebhookVerificationError

from accounts.webhook_secrets import new_secret
from tests.at_once import during
from tests.conftest import NUMBERS
from tests.factories import ACTOR, CampaignFactory, WebhookDeliveryFactory
from webhooks import claims, delivery, outbox, sender, tries
from webhooks.models import WebhookDelivery, WebhookTry, stream_of
from webhooks.tries import WAITS, Result

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("private_allowed")]


def queue_up(receiver, *paths, campaign=None, **columns):
    """Make a campaign's webhooks, oldest first, one for each path of the receiver."""
    campaign = campaign or CampaignFactory(running=True)
    return [WebhookDeliveryFactory(campaign=campaign, url=receiver.url(path), **columns) for path in paths]


def failing():
    return Result(timezone.now(), 0.1, 500, "answered 500")


def test_a_webhook_is_json_with_a_signature_that_the_standard_library_verifies(receiver, deliver):
    [row] = queue_up(receiver, "/campaign?key=k", payload={"status": "in-progress", "name": "नमस्ते"})
    deliver()
    [got] = receiver.received
    assert got.path == "/campaign?key=k"
    assert got.headers["Content-Type"] == "application/json"
    assert got.headers["webhook-id"] == row.webhook_id.hex
    assert got.verified(row.account.webhook_secret.reveal()) == row.payload
    with pytest.raises(WebhookVerificationError):
        got.verified(new_secret())
    got.body += b" "
    with pytest.raises(WebhookVerificationError):
        got.verified(row.account.webhook_secret.reveal())


def test_the_result_of_a_try_is_stored(receiver, deliver):
    [row] = queue_up(receiver, "/")
    deliver()
    row.refresh_from_db()
    assert (row.state, row.tries, row.last_status, row.last_error) == ("delivered", 1, 200, "")
    [tried] = row.log.all()
    assert (tried.http_status, tried.error, tried.response) == (200, "", "hello")


def test_the_webhooks_of_a_number_are_sent_in_their_order(receiver, deliver):
    campaign = CampaignFactory(running=True)
    rows = queue_up(receiver, *["/one"] * 20, campaign=campaign, number=NUMBERS[0])
    deliver()
    assert [request.headers["webhook-id"] for request in receiver.received] == [row.webhook_id.hex for row in rows]


def test_one_that_fails_holds_up_its_own_queue_and_no_other(receiver, deliver):
    campaign = CampaignFactory(running=True)
    first, second = queue_up(receiver, "/one", "/one", campaign=campaign, number=NUMBERS[0])
    receiver.responses = [500]
    deliver()
    assert receiver.paths == ["/one"]
    queue_up(receiver, "/one?number", campaign=campaign, number=NUMBERS[1])
    queue_up(receiver, "/another address", campaign=campaign, number=NUMBERS[0])
    queue_up(receiver, "/another campaign", number=NUMBERS[0])
    deliver()
    assert sorted(receiver.paths) == ["/another%20address", "/another%20campaign", "/one", "/one?number"]
    WebhookDelivery.objects.filter(pk=first.pk).update(next_try_at=timezone.now())
    deliver()
    ids = [request.headers["webhook-id"] for request in receiver.received[-2:]]
    assert ids == [first.webhook_id.hex, second.webhook_id.hex]


def test_two_workers_at_once_send_each_webhook_once_and_in_order(receiver, deliver):
    campaigns = CampaignFactory.create_batch(5, running=True)
    rows = {
        f"/{campaign.pk.hex}": [
            row.webhook_id.hex for row in queue_up(receiver, *[f"/{campaign.pk.hex}"] * 8, campaign=campaign)
        ]
        for campaign in campaigns
    }

    def worker(_):
        try:
            return deliver()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(3) as threads:
        list(threads.map(worker, range(3)))
    for path, ids in rows.items():
        assert [request.headers["webhook-id"] for request in receiver.received if request.path == path] == ids


def test_what_a_worker_is_claiming_is_claimed_by_no_other(receiver):
    queue_up(receiver, "/")
    claimed = []

    def claim():
        claimed.append(claims.claim(10, timezone.now()))

    assert during(claim, claim), "or both would give away a receiver's last place"
    assert [len(rows) for rows in claimed] == [1, 0]


def test_a_worker_that_dies_after_the_post_costs_a_repeat_and_never_a_loss(receiver, deliver, monkeypatch):
    first, second = queue_up(receiver, "/", "/")
    record = tries.record

    def killed(*_):
        raise SystemExit

    monkeypatch.setattr(tries, "record", killed)
    with pytest.raises(SystemExit):
        deliver()
    monkeypatch.setattr(tries, "record", record)
    deliver()
    assert len(receiver.received) == 1, "it counts as on its way"
    first.refresh_from_db()
    assert timedelta(seconds=20) < first.next_try_at - timezone.now() <= timedelta(seconds=30)
    WebhookDelivery.objects.filter(pk=first.pk).update(next_try_at=timezone.now())
    deliver()
    ids = [request.headers["webhook-id"] for request in receiver.received]
    assert ids == [first.webhook_id.hex, first.webhook_id.hex, second.webhook_id.hex]


def test_waits_grow_to_an_hour_and_after_a_day_it_is_given_up(clock):
    row = WebhookDeliveryFactory(created_at=timezone.now())
    waits, began = [], timezone.now()
    while True:
        [claimed] = claims.claim(10, timezone.now())
        tries.record(claimed, failing(), timezone.now())
        row.refresh_from_db()
        if row.next_try_at is None:
            break
        waits.append((row.next_try_at - timezone.now()).total_seconds())
        clock.move_to(row.next_try_at, tick=False)
        assert row.state == "pending"
    plain = [*WAITS, *[WAITS[-1]] * (len(waits) - len(WAITS))]
    assert all(wait <= waited <= 1.2 * wait + 1 for waited, wait in zip(waits, plain, strict=True)), waits
    assert 20 < len(waits) < 30
    assert timedelta(hours=22) < timezone.now() - began <= timedelta(days=1)
    assert (row.state, row.last_status, row.last_error) == ("given-up", 500, "answered 500")
    assert row.log.count() == row.tries == len(waits) + 1


def test_the_next_of_the_queue_is_sent_after_one_is_given_up(receiver, deliver, settings):
    settings.WEBHOOK_GIVE_UP_SECONDS = 60
    first, second = queue_up(receiver, "/", "/", created_at=timezone.now() - timedelta(seconds=61))
    receiver.responses = [500]
    deliver()
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.state, second.state) == ("given-up", "delivered")


def test_a_failure_that_is_recorded_late_changes_nothing(clock):
    row = WebhookDeliveryFactory(created_at=timezone.now())
    [stale] = claims.claim(1, timezone.now())
    clock.shift(60)
    [claimed] = claims.claim(1, timezone.now())
    tries.record(stale, failing(), timezone.now())
    row.refresh_from_db()
    assert row.next_try_at == claimed.next_try_at
    tries.record(claimed, Result(timezone.now(), 0.1, 200), timezone.now())
    tries.record(stale, failing(), timezone.now())
    row.refresh_from_db()
    assert row.state == "delivered"


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(receiver, deliver, status):
    [row] = queue_up(receiver, "/")
    receiver.responses = [status]
    deliver()
    row.refresh_from_db()
    assert receiver.paths == ["/"]
    assert (row.state, row.last_error) == ("given-up", f"answered {status}; redirects are not followed")


@pytest.mark.parametrize(
    ("status", "state"),
    [(201, "delivered"), (204, "delivered")]
    + [(status, "given-up") for status in (300, 304, 308, 400, 401, 403, 404, 405, 410, 413, 422, 451, 499)]
    + [(status, "pending") for status in (408, 425, 429, 500, 501, 502, 503, 504, 599)],
)
def test_2xx_is_delivered_a_refusal_is_final_and_not_now_is_tried_again(receiver, deliver, status, state):
    [row] = queue_up(receiver, "/")
    receiver.responses = [status]
    deliver()
    row.refresh_from_db()
    assert (row.state, row.last_status) == (state, status)


def test_a_slow_receiver_is_cut_off_and_holds_up_nobody(receiver, deliver, settings):
    assert settings.WEBHOOK_TIMEOUT_SECONDS == 15
    settings.WEBHOOK_TIMEOUT_SECONDS = 10
    over, ended = threading.Event(), []
    [slow], [quick] = queue_up(receiver, "/slow"), queue_up(receiver, "/quick")

    def dribble(handler):
        """Send a byte now and then: no single wait is long."""
        handler.send_response(200)
        handler.end_headers()
        while not over.wait(0.1):
            with suppress(OSError):  # when nobody reads them any more
                handler.wfile.write(b".")
                handler.wfile.flush()

    def respond(handler):
        if handler.path == "/slow":
            over.wait(60)
        else:
            dribble(handler)
        ended.append(handler.path)

    receiver.responses = [respond] * 2
    try:
        deliver()
        assert ended == [], "nobody waited for their end"
    finally:
        over.set()
    slow.refresh_from_db()
    quick.refresh_from_db()
    assert (slow.state, slow.last_status, slow.last_error) == ("pending", None, "no answer within 10 s")
    assert quick.state == "delivered", "the status is known; of the body only the beginning is read"


def test_the_beginning_of_a_long_response_is_stored(receiver, deliver):
    [row] = queue_up(receiver, "/")

    def talk(handler):
        handler.send_response(500)
        handler.end_headers()
        handler.wfile.write(b"\0\xff" + b"x" * 100_000)

    receiver.responses = [talk]
    deliver()
    [tried] = row.log.all()
    assert tried.response.startswith("\ufffdxxx")
    assert len(tried.response) <= sender.RESPONSE_BYTES


def test_nobody_listening_is_an_error_like_any_other(deliver):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        url = f"http://127.0.0.1:{probe.getsockname()[1]}/"
    row = WebhookDeliveryFactory(url=url)
    deliver()
    row.refresh_from_db()
    assert row.state == "pending"
    assert row.last_error.startswith("can't connect: ")


@pytest.mark.parametrize("url", ["http://", "http://[::1", "http://a b/", "ftp://client.example/", "http://x:99999/"])
def test_an_address_that_can_not_be_used_fails_by_itself(receiver, deliver, url):
    row = WebhookDeliveryFactory(url=url)
    [other] = queue_up(receiver, "/")
    deliver()
    row.refresh_from_db()
    other.refresh_from_db()
    assert (row.state, other.state) == ("pending", "delivered")
    assert row.last_error


def test_an_error_is_stored_and_logged_without_the_address(receiver, deliver, caplog):
    """The address may hold the receiver's key."""
    [row] = queue_up(receiver, "/?key=secret")
    receiver.responses = [lambda handler: handler.wfile.write(b"no HTTP at all")]
    deliver()
    row.refresh_from_db()
    assert row.last_error == "no answer: Bad status line:"
    assert "webhook_try_failed" in caplog.text
    assert "secret" not in caplog.text


def test_a_secret_that_can_not_be_read_is_reported(receiver, deliver, settings):
    [row] = queue_up(receiver, "/")
    settings.SECRET_KEY = "another"
    deliver()
    row.refresh_from_db()
    assert receiver.received == []
    assert "SECRET_KEY has changed" in row.last_error


class TestRedelivery:
    def test_it_has_the_same_id_and_body_and_its_log_goes_on(self, receiver, deliver):
        [row] = queue_up(receiver, "/")
        deliver()
        outbox.redeliver([row], timezone.now(), actor=ACTOR)
        deliver()
        first, second = receiver.received
        assert first.headers["webhook-id"] == second.headers["webhook-id"]
        assert first.body == second.body
        assert row.log.count() == 2
        row.refresh_from_db()
        assert row.state == "delivered"

    def test_one_that_was_given_up_has_another_day_and_holds_up_no_other(self, receiver, deliver):
        campaign = CampaignFactory(running=True)
        old = timezone.now() - timedelta(days=3)
        [row] = queue_up(receiver, "/", campaign=campaign, given_up=True, created_at=old)
        outbox.redeliver([row], timezone.now(), actor=ACTOR)
        receiver.responses = [500]
        deliver()
        [news] = queue_up(receiver, "/", campaign=campaign)
        deliver()
        row.refresh_from_db()
        news.refresh_from_db()
        assert (row.state, news.state) == ("pending", "delivered")
        assert timedelta(seconds=3) < row.next_try_at - timezone.now() <= timedelta(seconds=6)

    def test_one_that_waits_is_tried_at_once_and_keeps_its_place(self, receiver, deliver):
        first, second = queue_up(receiver, "/", "/")
        receiver.responses = [500]
        deliver()
        outbox.redeliver([second, first], timezone.now(), actor=ACTOR)
        deliver()
        ids = [request.headers["webhook-id"] for request in receiver.received]
        assert ids == [first.webhook_id.hex, first.webhook_id.hex, second.webhook_id.hex]
        first.refresh_from_db()
        assert first.queue == first.stream == stream_of(first.campaign_id, first.url)


def test_finished_webhooks_are_deleted_after_a_month_and_pending_ones_never():
    long_ago = timezone.now() - timedelta(days=31)
    for columns in ({"delivered": True}, {"given_up": True}, {}):
        WebhookDeliveryFactory(created_at=long_ago, **columns)
    recent = WebhookDeliveryFactory(delivered=True)
    assert outbox.purge(timezone.now()) == 2
    assert {row.state.value for row in WebhookDelivery.objects.all()} == {"pending", recent.state.value}
    assert WebhookTry.objects.count() == 0


def test_a_campaigns_events_reach_the_receiver_in_order(rig, receiver, private_allowed):
    """From the change of a state to the POST, with every address the same: the start, each number's own, the end."""
    rig.carrier.script = {NUMBERS[1]: ["busy"]}
    names = ("call_status_callback", "call_schedule_callback", "status_callback")
    rig.campaign(2, **dict.fromkeys(names, receiver.url("/all")))
    rig.tick()
    delivery.deliver_due()
    secret = rig.account.webhook_secret.reveal()
    told = [request.verified(secret) for request in receiver.received]
    written = [row.payload for row in WebhookDelivery.objects.order_by("id")]
    assert sorted(map(str, told)) == sorted(map(str, written))
    assert [told[0], told[-1]] == [written[0], written[-1]]
    for number in NUMBERS[:2]:
        own = [payload for payload in told if number in {payload.get("number"), payload.get("to")}]
        assert [set(payload) & {"call_sid", "call_sids"} for payload in own] == [{"call_sid"}, {"call_sids"}]
    assert (told[0]["status"], told[-1]["status"]) == ("in-progress", "completed")


NOW = 1000.0  # by the monotonic clock


class TestAReceiverThatHasBeenSilent:
    """It has less time for the first try of each further webhook, and all of it for later tries."""

    @pytest.fixture(autouse=True)
    def _forget(self, monkeypatch):
        monkeypatch.setattr(sender, "_silent_at", {})

    @pytest.fixture
    def row(self):
        return WebhookDeliveryFactory(tries=1)

    def limit(self, row, later: float = 0.0) -> float:
        return sender._time_limit(row, NOW + later)

    def test_before_it_has_all_of_the_time(self, row):
        assert self.limit(row) == 15

    def test_then_little_for_first_tries_for_a_minute(self, row):
        sender._silent_at[row.receiver] = NOW
        assert (self.limit(row), self.limit(row, later=59)) == (3, 3)
        assert self.limit(row, later=61) == 15

    def test_and_all_of_it_for_later_tries(self, row):
        sender._silent_at[row.receiver] = NOW
        row.tries = 2
        assert self.limit(row) == 15

    def test_a_silence_and_a_response_are_remembered(self, receiver, deliver, settings):
        settings.WEBHOOK_TIMEOUT_SECONDS = 0.05
        let_go = threading.Event()
        [row] = queue_up(receiver, "/")
        receiver.responses = [lambda _: let_go.wait(60)]
        deliver()
        let_go.set()
        assert row.receiver in sender._silent_at
        receiver.responses = []  # a busy machine has not even sent it
        settings.WEBHOOK_TIMEOUT_SECONDS = 15
        WebhookDelivery.objects.update(next_try_at=timezone.now())
        deliver()
        assert not sender._silent_at
