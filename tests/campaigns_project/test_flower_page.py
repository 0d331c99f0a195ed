"""Flower behind the admin's sign-in."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Membership
from campaigns_project.admin_guard import POLICY
from tests.factories import AccountFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def flower(settings):
    """Stand in for Flower. Yields the requests that came."""
    seen: list[tuple[str, str, str, dict[str, str]]] = []

    class Handler(BaseHTTPRequestHandler):
        def _respond(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            seen.append((self.command, self.path, body, dict(self.headers)))
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Set-Cookie", "_xsrf=1")
            self.end_headers()
            self.wfile.write(b"tasks")

        do_GET = do_POST = _respond  # noqa: N815 -- names of http.server

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    settings.FLOWER_PORT = server.server_port
    yield seen
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_page_is_passed_on_without_credentials(admin_client, flower):
    response = admin_client.get("/admin/flower/task/a%20b?x=1&y=%2F", headers={"authorization": "Basic eA=="})
    assert (response.status_code, response.content) == (200, b"tasks")
    [(method, path, body, headers)] = flower
    assert (method, path, body) == ("GET", "/admin/flower/task/a%20b?x=1&y=%2F", "")
    assert "Cookie" not in headers
    assert "Authorization" not in headers
    assert headers["Host"] == "testserver"
    assert "Set-Cookie" not in response.headers
    assert "sessionid" not in response.cookies
    policy = response.headers["Content-Security-Policy"]
    assert policy != POLICY
    assert "script-src 'self' 'sha256-" in policy
    assert "'unsafe-inline'" not in policy.partition("style-src")[0]


def test_the_list_of_tasks_is_read_by_post_and_nothing_else(flower, admin_user):
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin_user)
    assert client.post("/admin/flower/tasks/datatable", {"draw": "1"}).status_code == 200
    for rest in ("api/worker/shutdown/x", "api/task/revoke/x", "", "tasks/datatable/"):
        assert client.post(f"/admin/flower/{rest}").status_code == 405
    assert client.delete("/admin/flower/tasks/datatable").status_code == 405
    assert [path for _, path, _, _ in flower] == ["/admin/flower/tasks/datatable"]


def test_it_is_for_the_administrators_of_the_server(flower, django_user_model, client):
    for account, role in ((AccountFactory(), "administrator"), (None, "operator")):
        user = django_user_model.objects.create_user(f"{role}", is_staff=True)
        Membership.objects.create(user=user, account=account, role=role)
        client.force_login(user)
        assert client.get(reverse("admin:flower")).status_code == 403
    assert Client().get(reverse("admin:flower")).status_code == 302
    assert flower == []


def test_it_says_so_where_flower_is_away(admin_client, settings):
    settings.FLOWER_PORT = 1
    response = admin_client.get(reverse("admin:flower"))
    assert response.status_code == 502
    assert "Flower does not respond at http://127.0.0.1:1/admin/flower/" in response.content.decode()
