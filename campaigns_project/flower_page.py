"""Flower behind the admin's sign-in, for the server's administrators, to look only.

Flower has no login of its own and listens on loopback, with this address as its prefix. What it is
asked for changes nothing; nothing else is passed on.
"""

import hashlib
from base64 import b64encode
from urllib.parse import quote

import requests
from django.conf import settings
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.decorators.csrf import csrf_exempt

from accounts.admin_kit import reach

PATIENCE = 10.0  # seconds
# What its pages ask for by POST, though it is only read: the list of tasks.
READ_BY_POST = "tasks/datatable"
# The only script within its pages, of workers.html.
_SCRIPT = b"\nvar autorefresh = 1;\n"
_HASH = b64encode(hashlib.sha256(_SCRIPT).digest()).decode()
# As the admin's, but for that script and for styles within the page.
POLICY = (
    f"default-src 'none'; script-src 'self' 'sha256-{_HASH}'; style-src 'self' 'unsafe-inline'; img-src 'self' data:"
    "; font-src 'self' data:; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
_DOWN = (
    "Flower does not respond at {}. The process `flower` of the Procfile must run on the machine of this web process."
)


@csrf_exempt
def flower(request: HttpRequest, rest: str = "") -> HttpResponseBase:
    """Pass a page on, or what it loads. Neither cookies nor credentials go along."""
    if not reach(request).is_over_the_server:
        raise PermissionDenied
    if request.method not in {"GET", "HEAD"} and not (request.method == "POST" and rest == READ_BY_POST):
        return HttpResponseNotAllowed(["GET", "HEAD"])
    address = f"http://127.0.0.1:{settings.FLOWER_PORT}{reverse('admin:flower')}{quote(rest)}"
    headers = {"Host": request.get_host(), "Accept": request.headers.get("Accept", "*/*")}
    if request.method == "POST":
        headers["Content-Type"] = request.headers.get("Content-Type", "")
    try:
        got = requests.request(
            str(request.method),
            address,
            params=request.META["QUERY_STRING"],
            data=request.body,
            headers=headers,
            timeout=PATIENCE,
            allow_redirects=False,
        )
    except requests.RequestException:
        context = {**admin.site.each_context(request), "title": "Flower is away", "sentence": _DOWN.format(address)}
        return TemplateResponse(request, "admin/refused.html", context, status=502)
    response = HttpResponse(got.content, status=got.status_code)
    response.headers["Content-Type"] = got.headers.get("Content-Type", "text/plain")
    response.headers["Content-Security-Policy"] = POLICY
    return response
