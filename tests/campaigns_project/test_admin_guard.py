"""The admin's policy of what a page may load, and an address of its own."""

import re
import socket

import pytest

INLINE = re.compile(
    r"""<script(?![^>]*(?:src=|type="application/json"))|<style|\sstyle=|\son\w+=|javascript:""", re.IGNORECASE
)


@pytest.mark.django_db
@pytest.mark.parametrize("address", ["/admin/", "/admin/login/", "/admin/accounts/account/add/", "/admin/nowhere/"])
def test_pages_of_the_admin_run_nothing_of_their_own(admin_client, address):
    page = admin_client.get(address, follow=True)
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert not INLINE.search(page.content.decode())


@pytest.mark.django_db
def test_the_address_of_the_admin_serves_it_and_no_other_does(client, settings):
    settings.ADMIN_ADDRESS = ("127.0.0.1", 8001)
    for path, elsewhere, there in (("/admin/login/", 404, 200), ("/admin", 404, 404), ("/metrics", 404, 200)):
        assert client.get(path).status_code == elsewhere, path
        assert client.get(path, headers={"host": "127.0.0.1:8001"}).status_code == elsewhere, "a header proves nothing"
        assert client.get(path, SERVER_PORT="8001").status_code == there, path
    assert client.get("/healthz").status_code == 200


@pytest.mark.django_db
def test_the_socket_counts_where_gunicorn_tells_it(client, settings):
    with socket.create_server(("127.0.0.1", 0)) as own, socket.create_server(("127.0.0.1", 0)) as other:
        settings.ADMIN_ADDRESS = ("127.0.0.1", own.getsockname()[1])
        assert client.get("/admin/login/", **{"gunicorn.socket": own}).status_code == 200
        assert client.get("/admin/login/", **{"gunicorn.socket": other}).status_code == 404
    with socket.socket(socket.AF_UNIX) as unix:
        port = str(settings.ADMIN_ADDRESS[1])
        assert client.get("/admin/login/", SERVER_PORT=port, **{"gunicorn.socket": unix}).status_code == 404
