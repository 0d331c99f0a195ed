"""What a browser gets where a page of the admin is not the person's, or is not there; programs get an envelope."""

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.response import TemplateResponse
from django.urls import reverse

from api.http import envelope, errors

NOT_FOUND = "There is no such page, or what it shows is not of your accounts. It may also have been deleted."
FORBIDDEN = "Your role does not allow this. An administrator of the account, or of the server, can give you another."


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _page(request, 404, "Not found", NOT_FOUND) or errors.not_found(request, exception)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    failed = envelope.failed(request.method, 403, "this is not allowed")
    return _page(request, 403, "Not allowed", FORBIDDEN) or JsonResponse(failed, status=403)


def _page(request: HttpRequest, status: int, title: str, sentence: str) -> HttpResponse | None:
    """Return the page for a person who has signed in to the admin; None for anyone else, and for other addresses."""
    user = getattr(request, "user", None)
    if not (request.path.startswith(reverse("admin:index")) and user and user.is_staff):
        return None
    context = {**admin.site.each_context(request), "title": title, "sentence": sentence}
    return TemplateResponse(request, "admin/refused.html", context, status=status).render()
