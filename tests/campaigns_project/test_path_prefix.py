"""A server below a path: pages, static files, links and callbacks lead there, even where the proxy removes the path."""

import io
import json
import re
from collections.abc import Iterator
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4
from wsgiref.util import setup_testing_defaults

import pytest
from django.core.handlers.wsgi import WSGIHandler
from django.test import Client
from django.urls import clear_script_prefix, reverse, set_script_prefix

from api.campaigns import responses as campaign_responses
from campaigns_project import path_prefix
from console import navigation
from dialer import links as carrier_links
from dialer.models import CarrierEvent
from dialer.views import received
from reports.links import report_url
from tests import judged_settings
from tests.dialer.events_server import Served, path_of
from tests.factories import CallAttemptFactory, CampaignFactory

PREFIX = "/calls"


class Server:
    """The WSGI application, asked as gunicorn asks it."""

    def __init__(self) -> None:
        self._application = path_prefix.below(WSGIHandler(), PREFIX)
        self.cookies = ""

    def ask(self, path: str, method: str = "GET", body: bytes = b"", **environ: str) -> tuple[int, dict[str, str], str]:
        path, _, query = path.partition("?")
        asked: dict[str, Any] = {"PATH_INFO": path, "QUERY_STRING": query, "REQUEST_METHOD": method}
        asked |= {
            "HTTP_HOST": "testserver",
            "SERVER_PORT": "80",
            "REMOTE_ADDR": "127.0.0.1",
            "wsgi.input": io.BytesIO(body),
        }
        asked |= {"CONTENT_LENGTH": str(len(body)), "HTTP_COOKIE": self.cookies} | environ
        setup_testing_defaults(asked)
        told: list[Any] = []
        response: Any = self._application(asked, lambda *status: told.extend(status))
        content = b"".join(response)
        response.close()
        return int(told[0].split()[0]), dict(told[1]), content.decode()


@pytest.fixture
def server(settings, transactional_db, redis) -> Iterator[Server]:
    wanted = judged_settings.read(PUBLIC_URL=f"http://testserver{PREFIX}/")
    names = ("PUBLIC_URL", "EVENTS_URL", "SCRIPT_NAME", "FORCE_SCRIPT_NAME", "STATIC_URL", "CSRF_TRUSTED_ORIGINS")
    for name in (*names, "SESSION_COOKIE_PATH", "CSRF_COOKIE_PATH"):
        setattr(settings, name, wanted[name])
    set_script_prefix(f"{PREFIX}/")  # as `django.setup` does for commands and workers
    yield Server()
    clear_script_prefix()


def signed_in(server: Server, admin_client: Client) -> Server:
    server.cookies = "; ".join(f"{name}={cookie.value}" for name, cookie in admin_client.cookies.items())
    return server


def test_the_path_of_the_public_address_is_the_prefix(server, settings):
    assert (f"http://testserver{PREFIX}", PREFIX) == (settings.PUBLIC_URL, settings.SCRIPT_NAME)
    assert settings.CSRF_TRUSTED_ORIGINS == ["http://testserver"]
    assert settings.EVENTS_URL == settings.PUBLIC_URL


@pytest.mark.parametrize("given", ["", PREFIX])
def test_pages_and_probes_are_found_with_and_without_the_prefix(server, given):
    assert server.ask(f"{given}/healthz")[0] == 200
    status, headers, page = server.ask(f"{given}/admin/login/")
    assert status == 200
    assert f'href="{PREFIX}/static/' in page
    assert not re.search(r'(?:href|src|action)="/(?!calls[/"])', page)
    [cookie] = SimpleCookie(headers["Set-Cookie"]).values()
    assert cookie["path"] == f"{PREFIX}/"


def test_a_path_that_only_begins_like_it_is_another(server):
    assert server.ask("/callsx/healthz")[0] == 404
    assert server.ask("/calls/calls/healthz")[0] == 404


def test_every_link_of_the_admin_and_the_console_leads_below_it(server, admin_client):
    signed_in(server, admin_client)
    campaign = CampaignFactory(running=True)
    status, headers, _ = server.ask(f"{PREFIX}/admin/")
    assert (status, headers["Location"].startswith(f"{PREFIX}/admin/")) == (302, True)
    pages = [reverse(f"admin:{entry.page}") for entry in navigation.ENTRIES]
    pages.append(reverse("admin:campaigns_campaign_change", args=[campaign.pk]))
    for path in pages:
        status, _, page = server.ask(path)
        assert status == 200, path
        assert path.startswith(f"{PREFIX}/admin/")
        assert f'"{PREFIX}/admin/' in page
        assert not re.search(r'(?:href|src|action|data-\w+)="/(?!calls[/"])', page), path


def test_a_stranger_is_sent_to_the_sign_in_below_it(server):
    status, headers, _ = server.ask("/admin/campaigns/campaign/")
    assert (status, headers["Location"]) == (302, f"{PREFIX}/admin/login/?next={PREFIX}/admin/campaigns/campaign/")


def test_static_files_are_below_it(server, settings, tmp_path: Path):
    (tmp_path / "a.css").write_text("body {}")
    settings.STATIC_ROOT = tmp_path
    for path in (f"{PREFIX}/static/a.css", "/static/a.css"):
        assert Server().ask(path)[::2] == (200, "body {}")


def test_links_that_are_handed_out_lead_below_it(server, settings):
    campaign = CampaignFactory()
    attempt = CallAttemptFactory(campaign=campaign)
    urls = [
        report_url(campaign.pk),
        carrier_links.events_url("exotel", attempt.pk),
        carrier_links.twiml_url(attempt.pk),
        carrier_links.flow_url(campaign, attempt.call_id),
    ]
    assert all(url.startswith(f"http://testserver{PREFIX}/") for url in urls)
    uri = campaign_responses.CampaignSerializer.get_uri(campaign_responses.CampaignSerializer(), campaign)
    assert uri.startswith(f"{PREFIX}/v2/accounts/")
    status, _, report = server.ask(urls[0].removeprefix("http://testserver"))
    assert status == 200, report
    flow = urlsplit(urls[3])
    assert server.ask(f"{flow.path}?{flow.query}")[0] == 200


@pytest.mark.parametrize("removed_by_the_proxy", [True, False])
def test_a_carriers_event_is_taken_by_web_and_by_the_events_process(server, removed_by_the_proxy):
    given = "" if removed_by_the_proxy else PREFIX
    path = path_of(uuid4()).removeprefix(PREFIX)
    body = json.dumps({"Status": "busy"}).encode()
    assert server.ask(f"{given}{path}", "POST", body, CONTENT_TYPE="application/json")[0] == 204
    served = Served()
    try:
        assert served.post(f"{given}{path}", body, Host="testserver").status == 204
    finally:
        served.stop()
    assert CarrierEvent.objects.count() == 2


def test_a_carrier_has_signed_the_address_that_it_was_given(server, rf, settings):
    request = rf.post("/carrier-events/twilio/1?token=x")
    assert request.path == f"{PREFIX}/carrier-events/twilio/1"
    assert received(request).url == f"{settings.EVENTS_URL}/carrier-events/twilio/1?token=x"


def test_no_header_sets_it(server):
    _, _, page = server.ask("/admin/login/", HTTP_SCRIPT_NAME="/evil", HTTP_X_SCRIPT_NAME="/evil", SCRIPT_NAME="/evil")
    assert "/evil" not in page
