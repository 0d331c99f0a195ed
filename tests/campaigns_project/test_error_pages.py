"""A refusal that a browser meets is a page that says what to do; a program gets an envelope."""

import re
from io import BytesIO

import pytest
from django.contrib.messages import get_messages
from django.core.exceptions import SuspiciousOperation
from django.db import OperationalError
from django.test import Client
from django.urls import reverse
from django.utils.functional import SimpleLazyObject
from psycopg.errors import QueryCanceled

from accounts.models import Membership
from campaigns_project import error_pages
from contacts.models import DoNotCall
from tests.factories import CampaignFactory, TrunkFactory

pytestmark = pytest.mark.django_db

BROWSER = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
API = "/v2/accounts/acme/campaigns"
NOW, ADD = "/admin/now/", "/admin/do-not-call/add/"


@pytest.fixture
def viewer(django_user_model):
    user = django_user_model.objects.create_user("meera", is_staff=True)
    Membership.objects.create(user=user, account=CampaignFactory().account, role="viewer")
    client = Client()
    client.force_login(user)
    return client


def is_page(response, says: str, *, has_menu: bool) -> bool:
    """Check that a response is a page of ours that says something."""
    page = response.content.decode()
    assert response.headers["Content-Type"].startswith("text/html")
    assert ('class="frame-menu"' in page) is has_menu
    assert "Trunkline" in page
    return says in page


@pytest.mark.parametrize("address", ["/admin/nonsense/", "/admin/campaigns/campaign/nonsense/change/"])
def test_a_page_that_is_not_there_says_so_to_a_person(viewer, address):
    response = viewer.get(address)
    assert response.status_code == 404
    assert is_page(response, "not of your accounts", has_menu=True)
    assert f'href="{reverse("admin:index")}"' in response.content.decode()


def test_another_account_s_row_looks_the_same_as_one_that_is_not_there(viewer):
    theirs = reverse("admin:campaigns_campaign_change", args=[CampaignFactory().pk])
    addresses = (theirs, "/admin/campaigns/campaign/nonsense/change/")
    pages = [viewer.get(address).content.decode().replace(address, "") for address in addresses]
    bare = [re.sub(r'name="csrfmiddlewaretoken" value="\w+"', "", page) for page in pages]
    assert bare[0] == bare[1]


def test_what_a_role_does_not_allow_says_who_can_help(viewer):
    response = viewer.get(reverse("admin:accounts_trunk_change", args=[TrunkFactory().pk]))
    assert response.status_code == 403
    assert is_page(response, "Your role does not allow this.", has_menu=True)


@pytest.mark.parametrize("headers", [{}, {"accept": "application/json"}, {"accept": "*/*"}])
def test_a_program_gets_an_envelope(client, viewer, headers):
    for response in (client.get("/nonsense", headers=headers), viewer.get("/nonsense", headers=headers)):
        assert response.status_code == 404
        assert response.json()["response"][0]["error_data"]["description"] == "there is no such address"


def test_an_address_of_the_api_has_envelopes_whatever_a_browser_says(client):
    for response in (
        client.get("/v2/accounts/acme/nonsense", headers=BROWSER),
        client.get(f"{API}/nonsense", headers=BROWSER),
        client.get(API, headers=BROWSER | {"host": "elsewhere.example"}),
        client.post(API, b" " * 2_000_001, content_type="application/json", headers=BROWSER),
    ):
        assert response.headers["Content-Type"].startswith("application/json"), response.status_code


def test_a_browser_outside_the_admin_gets_a_page_that_leads_there(client, settings):
    response = client.get("/nonsense", headers=BROWSER)
    assert (response.status_code, is_page(response, "no such page", has_menu=False)) == (404, True)
    assert "Go to the start page" in response.content.decode()
    settings.ADMIN_ADDRESS = ("127.0.0.1", 8001)
    for address in ("/nonsense", NOW):
        hidden = client.get(address, headers=BROWSER)
        assert hidden.status_code == 404
        assert "Go to the start page" not in hidden.content.decode()


def test_a_wrong_host_name_is_said(client):
    response = client.get(NOW, headers={"host": "elsewhere.example"})
    assert (response.status_code, is_page(response, "ALLOWED_HOSTS", has_menu=False)) == (400, True)


def test_what_is_too_large_is_said_and_read_to_its_end(viewer, settings):
    settings.MAX_REQUEST_BYTES = 1_000
    body = BytesIO(b"numbers=" + b"1" * 2_000)
    sent = {"CONTENT_LENGTH": "2008", "CONTENT_TYPE": "application/x-www-form-urlencoded", "wsgi.input": body}
    response = viewer.generic("POST", ADD, **sent)
    assert (response.status_code, is_page(response, "larger than 0.0 MB", has_menu=False)) == (413, True)
    assert body.read() == b"", "a browser that is still sending does not see the response"


def test_a_form_of_an_older_sign_in_says_what_to_do(viewer):
    viewer.handler.enforce_csrf_checks = True
    response = viewer.post(ADD, {"numbers": "+919810077777"})
    assert (response.status_code, is_page(response, "older than your last sign-in", has_menu=True)) == (403, True)
    stranger = Client(enforce_csrf_checks=True).post(reverse("admin:login"), {"username": "meera"})
    assert (stranger.status_code, is_page(stranger, "Nothing was done", has_menu=False)) == (403, True)


def test_a_request_that_can_t_be_read_says_so(viewer, monkeypatch):
    def refuse(*_, **__):
        raise SuspiciousOperation("a forged cookie")

    monkeypatch.setattr("console.now.look", refuse)
    response = viewer.get(NOW)
    assert (response.status_code, is_page(response, "can&#x27;t be read", has_menu=True)) == (400, True)


# After the session ----------------------------------------------------------------------------------------------------


def test_a_button_after_the_session_leads_back_to_its_page(client):
    page = "/admin/do-not-call/?number=98"
    response = client.post(ADD, {"numbers": "+919810077777"}, headers={"referer": f"http://testserver{page}"})
    assert response.url == f"{reverse('admin:login')}?next={page.replace('?', '%3F').replace('=', '%3D')}"
    assert [str(told) for told in get_messages(response.wsgi_request)] == [
        "Nothing was done: your session has ended. Sign in, and do it again."
    ]
    assert "your session has ended" in client.get(response.url).content.decode()
    assert not DoNotCall.objects.exists()


@pytest.mark.parametrize("referer", ["", "http://evil.example/admin/now/", "http://testserver/docs/", "::"])
def test_nobody_is_led_to_another_site(client, referer):
    response = client.post(ADD, {}, headers={"referer": referer})
    assert response.url == f"{reverse('admin:login')}?next={reverse('admin:index')}"


def test_signing_out_twice_is_no_fault(client):
    assert client.post(reverse("admin:logout")).url == reverse("admin:index")


def test_the_address_of_a_button_says_that_nothing_was_done(viewer):
    response = viewer.get(ADD)
    assert (response.status_code, response.headers["Allow"]) == (405, "POST")
    assert is_page(response, "press it once more", has_menu=True)


# Faults ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def failing(viewer, monkeypatch):
    """Return a function that lets the page "Now" raise an exception, and fetches it."""
    viewer.raise_request_exception = False

    def fetch(error: Exception):
        def fail(*_, **__):
            raise error

        monkeypatch.setattr("console.now.look", fail)
        return viewer.get(NOW)

    return fetch


def test_a_fault_names_the_number_that_its_log_has(failing):
    response = failing(ZeroDivisionError())
    assert (response.status_code, is_page(response, "a fault of the server", has_menu=False)) == (500, True)
    assert re.search(r"<code>[0-9a-f]{32}</code>", response.content.decode())


def test_the_page_of_a_fault_asks_nobody_who_it_is_for(rf, django_assert_num_queries):
    request = rf.get(NOW)
    request.user = SimpleLazyObject(lambda: pytest.fail("the database was asked"))
    with django_assert_num_queries(0):
        response = error_pages.server_error(request)
    assert is_page(response, "a fault of the server", has_menu=False)


@pytest.mark.parametrize(("cause", "says"), [(None, "does not respond"), (QueryCanceled(), "took too long")])
def test_what_the_database_could_not_do_may_be_tried_again(failing, cause, says):
    error = OperationalError("server closed the connection")
    error.__cause__ = cause
    response = failing(error)
    assert (response.status_code, is_page(response, says, has_menu=False)) == (503, True)
    assert response.headers["Retry-After"] == "10"


def test_a_fault_is_an_envelope_for_a_program(client, monkeypatch):
    client.raise_request_exception = False
    monkeypatch.setattr("api.openapi_page._rendered", lambda: 1 / 0)
    program, browser = client.get("/openapi.json"), client.get("/openapi.json", headers=BROWSER)
    assert (program.status_code, browser.status_code) == (500, 500)
    assert program.json()["response"][0]["error_data"]["description"].startswith("this is a fault of the server")
    assert is_page(browser, "a fault of the server", has_menu=False)
