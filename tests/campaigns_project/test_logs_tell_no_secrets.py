"""Everything that is logged while a campaign runs and many things go wrong, as it would appear in the log.

The texts of exceptions and carriers have whole numbers, tokens and addresses in them, as the real ones do.
"""

import asyncio
import io
import logging
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
import structlog
from celery import current_app
from django.db import IntegrityError
from django.utils import timezone
from kombu.exceptions import OperationalError
from yarl import URL

from accounts.credentials import create_key
from campaigns import lifecycle
from campaigns.models import Call
from core import signed_addresses, task_queue
from dialer import inbox, links, outcomes
from dialer.carriers.base import CallRequest, Refused, Unavailable
from dialer.carriers.exotel import ExotelCarrier
from dialer.models import CallAttempt
from reports.links import report_url
from tests.api.client import Api
from tests.conftest import NUMBERS
from tests.factories import ACTOR
from tests.webhook_receiver import Receiver
from webhooks import delivery, sender
from webhooks.models import WebhookDelivery

OURS = (
    "accounts",
    "api",
    "campaigns",
    "campaigns_project",
    "contacts",
    "core",
    "dialer",
    "reports",
    "retention",
    "webhooks",
    "django_structlog",
    "django.request",
)
A, B, C, D, E = NUMBERS[:5]
TRUNK_TOKEN, PASSWORD = "the-trunks-own-token", "hunter2"
# The country code and ten digits, or a national number, with any separators.
A_NUMBER = re.compile(r"(?:91|0)\W{0,3}98(?:\W?\d){8}")


@pytest.fixture
def logged(settings: Any) -> Iterator[io.StringIO]:
    """Collect all events of our loggers, rendered as in production."""
    formatters = [handler.formatter for handler in logging.root.handlers]
    (formatter,) = [entry for entry in formatters if isinstance(entry, structlog.stdlib.ProcessorFormatter)]
    handler = logging.StreamHandler(io.StringIO())
    handler.setFormatter(formatter)
    before = {name: logging.getLogger(name).level for name in OURS}
    for name in OURS:
        logging.getLogger(name).setLevel(logging.DEBUG)
    logging.root.addHandler(handler)
    yield handler.stream
    logging.root.removeHandler(handler)
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)


@pytest.fixture
def api(rig: Any) -> Api:
    made = create_key(rig.account, actor=ACTOR)
    return Api(rig.account, made.key, made.token)


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    settings.WEBHOOK_ALLOW_PRIVATE_ADDRESSES = True
    made = Receiver()
    yield made
    made.close()


def aiohttp_error(url: str, authorization: str) -> aiohttp.ClientResponseError:
    """Make an error as it comes from a carrier: its text holds the address, its repr the headers too."""
    headers: Any = {"Authorization": authorization}
    about = aiohttp.RequestInfo(URL(url), "GET", headers, URL(url))
    return aiohttp.ClientResponseError(about, (), status=200, message=f"unexpected mimetype at {url} {headers}")


def run_a_campaign_in_which_much_goes_wrong(rig, api, receiver, monkeypatch):
    def place(request, entry, _reply=rig.carrier._reply):
        if entry == "refused":
            return Refused(
                f"Call from {request.caller_id} to {request.number} refused, see {request.callback_url}", 403
            )
        if entry == "unavailable":
            return Unavailable(f"no channel for 0{request.number[3:]} with Basic {TRUNK_TOKEN}", 503)
        return _reply(request, entry)

    monkeypatch.setattr(rig.carrier, "_reply", place)
    rig.carrier.script = {
        A: ["completed"],
        B: ["refused"],
        C: ["unavailable", "busy"],
        D: ["silent"],
        E: ["lost-after-ring"],
    }
    receiver.responses = [500, 500]
    made = api.post(
        "/campaigns",
        {
            "from": [A, f"0{B[3:]}", C, D, E],
            "caller_id": rig.caller_id.number,
            "url": f"http://my.exotel.com/{rig.account.sid}/exoml/start_voice/{rig.flow.flow_id}",
            "call_status_callback": receiver.url(f"/told?key={PASSWORD}"),
        },
    )
    assert made.status == 200, made.envelope
    rig.tick()
    rig.later(seconds=2)
    look_up = rig.carrier.look_up
    carriers = f"https://key:{TRUNK_TOKEN}@carrier.example/v1/Calls.json?From=%2B{D[1:]}&token={PASSWORD}"

    def break_down(_placed):
        raise aiohttp_error(carriers, f"Basic {TRUNK_TOKEN}")

    monkeypatch.setattr(rig.carrier, "look_up", break_down)
    rig.clock.shift(61)
    rig.recover()
    monkeypatch.setattr(rig.carrier, "look_up", look_up)
    delivery.deliver_due()


def send_what_is_refused(rig, api, attempt):
    wrong = Api(rig.account, "key", "a-wrong-token-of-somebody")
    assert wrong.get("/campaigns").status == 401
    assert api.post("/campaigns", {"from": ["+9198100123"], "caller_id": "x", "url": "y"}).status == 400
    assert (
        api.http.get(f"/v2_beta/Accounts/{rig.account.sid}/IncomingPhoneNumbers/{A}", headers=api.headers).status_code
        == 404
    )
    for url in (links.events_url("simulated", attempt.pk), report_url(attempt.campaign_id)):
        _, _, path = url.partition("//")[2].partition("/")
        assert api.http.get(f"/{path}x").status_code in {403, 405}


def break_everything(rig, api, monkeypatch, attempt, secrets):
    """Cause, one by one, the faults that our code catches and logs."""
    inbox.append("simulated", [(attempt.pk, {"status": f"{A} is busy; token={secrets['event']}"})])
    rig.settle()
    with monkeypatch.context() as patch:
        patch.setattr(outcomes, "settle", refused_by_the_database)
        inbox.append("simulated", [(uuid4(), {"status": "busy"})])
        rig.settle()
    with monkeypatch.context() as patch:

        async def ask(*_: Any, **options: Any) -> Any:
            raise ValueError(f"{options} {carrier._headers} to {A}")

        carrier = ExotelCarrier("https://carrier.example", "operator1", "key", TRUNK_TOKEN)
        patch.setattr(carrier, "ask", ask)
        soon = timezone.now() + timedelta(days=10_000)
        request = CallRequest(attempt.pk, A, B, "1", "u", "", links.events_url("exotel", attempt.pk), 45, 60, soon)
        asyncio.run(carrier._place_one(request))
    with monkeypatch.context() as patch:

        async def post(delivery: Any, *_: Any) -> Any:
            raise ValueError(f"{delivery.url} {delivery.payload} {delivery.account.webhook_secret.reveal()}")

        patch.setattr(sender, "_post", post)
        WebhookDelivery.objects.filter(delivered_at=None).update(next_try_at=timezone.now(), given_up_at=None)
        delivery.deliver_due()
    with monkeypatch.context() as patch:

        def no_broker(*_: Any, **__: Any) -> None:
            raise OperationalError(f"Error 111 connecting to redis://:{PASSWORD}@cache.example:6379/0")

        patch.setattr(current_app, "send_task", no_broker)
        task_queue.enqueue("dialer.settle")
    with monkeypatch.context() as patch:

        def fault(*_: Any, **columns: Any) -> None:
            raise RuntimeError(f"{columns['numbers']} {api.headers} {secrets['api']} {secrets['report']}")

        patch.setattr(lifecycle, "create", fault)
        assert (
            api.create(
                caller_id=rig.caller_id.number,
                url=f"http://my.exotel.com/{rig.account.sid}/exoml/start_voice/{rig.flow.flow_id}",
            ).status
            == 500
        )
    logging.getLogger("kombu").warning("can't deliver %s to %r", {"number": A}, f"amqp://user:{PASSWORD}@broker:5672//")


def refused_by_the_database(*_: Any) -> None:
    """Raise an IntegrityError with the row in its DETAIL."""
    call = Call.objects.first()
    assert call is not None
    with pytest.raises(IntegrityError) as caught:
        Call.objects.bulk_create([Call(campaign_id=call.campaign_id, number=A, status="failed")])
    assert A in str(caught.value)
    raise caught.value


def test_no_number_and_no_secret_is_logged_whatever_goes_wrong(rig, api, receiver, monkeypatch, logged):
    run_a_campaign_in_which_much_goes_wrong(rig, api, receiver, monkeypatch)
    attempt = CallAttempt.objects.latest("id")
    secrets = {
        "api": api.headers["authorization"].split()[1],
        "event": signed_addresses.token("events", f"simulated/{attempt.pk.hex}"),
        "webhook": rig.account.webhook_secret.reveal(),
        "trunk": TRUNK_TOKEN,
        "report": report_url(attempt.campaign_id).partition("signature=")[2],
        "password": PASSWORD,
        "wrong": "a-wrong-token-of-somebody",
    }
    send_what_is_refused(rig, api, attempt)
    break_everything(rig, api, monkeypatch, attempt, secrets)
    text = logged.getvalue()
    events = set(re.findall(r'"event": "(\w+)"', text))
    assert events >= {
        *("calls_claimed", "call_attempt_ended", "trunk_down", "calls_not_taken", "look_up_failed", "event_unreadable"),
        *("batch_failed", "batch_item_failed", "carrier_reply_not_understood", "webhook_try_failed"),
        *("webhook_not_sent", "task_not_enqueued", "request_finished", "request_failed"),
    }, "what is silent tells no secrets, but this test wants to hear it"
    assert "Internal Server Error" in text
    assert A_NUMBER.findall(text) == []
    assert [name for name, secret in secrets.items() if secret in text] == []
