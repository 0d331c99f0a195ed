"""Carriers' requests pass less middleware than others, and are refused, handled and logged like them."""

from uuid import uuid4

import pytest
import structlog
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.db import OperationalError
from django.test import RequestFactory
from django.urls import get_resolver
from structlog.testing import capture_logs

from campaigns_project.middleware import RequestLog
from dialer import inbox, links, urls
from dialer.models import CarrierEvent
from tests.factories import CallFactory

pytestmark = pytest.mark.django_db


def path(url: str) -> str:
    return "/" + url.partition("//")[2].partition("/")[2]


@pytest.fixture
def address():
    return path(links.events_url("exotel", uuid4()))


def test_carriers_pass_no_middleware_that_is_meant_for_people(client, redis, address, monkeypatch):
    def fail(*_):
        raise AssertionError("a carrier has no session")

    for middleware in (SessionMiddleware, AuthenticationMiddleware):
        monkeypatch.setattr(middleware, "process_request", fail)
    assert client.post(address, {"Status": "busy"}).status_code == 204
    call = CallFactory()
    assert client.get(path(links.flow_url(call.campaign, call.pk))).status_code == 200
    with pytest.raises(AssertionError):
        client.get("/openapi.json")


def test_no_other_address_begins_as_carriers_do():
    others = [entry for entry in get_resolver().url_patterns if getattr(entry, "urlconf_module", None) is not urls]
    assert len(others) < len(get_resolver().url_patterns)
    flat = [
        str(entry.pattern) + str(inner.pattern) for entry in others for inner in getattr(entry, "url_patterns", [entry])
    ]
    assert urls.CARRIERS_PATHS == (
        "/carrier-events/",
        "/twiml/",
        "/passthru/",
        "/flows/",
        "/campaign-texts/",
        "/call-texts/",
    )
    assert [address for address in flat if f"/{address}".startswith(urls.CARRIERS_PATHS)] == []


def test_an_address_that_only_begins_as_carriers_do_is_not_found(client):
    for wrong in ("/flows/", "/flows/x", "/carrier-events/exotel/1", "/call-texts/1/2"):
        assert client.get(wrong).status_code == 404


def test_an_event_for_another_host_is_refused(client, address):
    assert client.post(address, {"Status": "busy"}, headers={"host": "elsewhere.example"}).status_code == 400


def test_an_event_over_plain_http_is_refused_where_everything_is_behind_tls(client, address, settings):
    settings.SECURE_SSL_REDIRECT = True  # read when the client makes its handler, at its first request
    assert client.post(address, {"Status": "busy"}).status_code == 301
    assert not CarrierEvent.objects.exists()


def test_an_event_that_cannot_be_stored_gets_5xx_and_is_logged_once(client, address, monkeypatch):
    def away(*_):
        raise OperationalError("the database is away")

    monkeypatch.setattr(inbox, "store", away)
    client.raise_request_exception = False
    with capture_logs() as logged:
        assert client.post(address, {"Status": "busy"}).status_code == 500
    (failed,) = [event for event in logged if event["event"] == "request_failed"]
    assert failed["request"] == f"POST {address.partition('?')[0]}"


def test_an_event_is_logged_as_any_request(client, redis, address):
    with capture_logs([structlog.contextvars.merge_contextvars]) as logged:
        client.post(address, {"Status": "busy"})
    started, finished = [event for event in logged if event["event"].startswith("request_")]
    assert started["request"] == finished["request"] == f"POST {address.partition('?')[0]}"
    assert started["request_id"] == finished["request_id"]
    assert (finished["code"], finished["ip"]) == (204, "127.0.0.1")


@pytest.mark.parametrize(("behind_proxy", "ip"), [(True, "198.51.100.9"), (False, "127.0.0.1")])
def test_the_log_trusts_our_own_proxy_and_no_client(settings, behind_proxy, ip):
    settings.BEHIND_TLS_PROXY = behind_proxy
    request = RequestFactory().get("/", headers={"X-Forwarded-For": "203.0.113.1, 198.51.100.9"})
    with structlog.contextvars.bound_contextvars():
        RequestLog.bind_ip(request)
        assert structlog.contextvars.get_contextvars()["ip"] == ip
