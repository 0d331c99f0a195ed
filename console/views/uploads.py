"""Files of contacts from the console's pages. Each becomes a list, or extends one, as a file sent to the API does."""

from pathlib import PurePath
from typing import Any

from django.contrib import messages
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_POST

from accounts.audit import Actor
from accounts.audited_pages import actor
from accounts.models import Account, Role
from api.csv_uploads import upload_form
from api.csv_uploads.upload_form import ToDisk
from console import file_forms
from console.new_campaign import draft as drafts
from console.new_campaign import form as forms
from console.new_campaign.form import Form
from console.views.new_campaign import NewCampaignPages
from console.views.pages import Pages, account_of
from contacts.csv_uploads import intake
from contacts.csv_uploads.columns import ColumnChoice
from contacts.models import ContactList, CsvUpload
from core import clocks
from core.errors import InvalidRequest

DYNAMIC = ContactList.Type.DYNAMIC.value


class UploadPages(Pages):
    """Addresses that take large bodies. `BodyLimit` lets them by, so nothing is read before the person is known."""

    @property
    def urls(self) -> list[URLPattern]:
        view = self.site.admin_view
        # The token stands in the body, which is read once the person is known, and not beyond the limit of files.
        return [
            path("upload/<str:sid>/", view(csrf_exempt(require_POST(self.to_list))), name="upload_list"),
            path(
                "upload/<str:sid>/campaign/",
                view(csrf_exempt(require_POST(self.for_campaign))),
                name="upload_for_campaign",
            ),
        ]

    def to_list(self, request: HttpRequest, sid: str) -> HttpResponseBase:
        """Extend a list, or make one."""
        account, handler = account_of(request, sid, Role.OPERATOR), file_forms.limited(request)

        def take(request: HttpRequest) -> HttpResponseBase:
            form = forms.posted(request.POST)
            try:
                upload = _receive(account, request, form, handler, form.text("list_name"))
            except InvalidRequest as refused:
                messages.error(request, f"Nothing was stored: {forms.said(str(refused))}.")
            else:
                messages.success(
                    request, f"The file {upload.file_name} is being loaded into {upload.filled_list.name}."
                )
            return redirect(f"{reverse('admin:set_up_account', args=[account.sid])}#lists")

        return csrf_protect(take)(request)

    def for_campaign(self, request: HttpRequest, sid: str) -> HttpResponseBase:
        """Make a list of the file, and show the page of the new campaign with it."""
        account, handler = account_of(request, sid, Role.OPERATOR), file_forms.limited(request)

        def take(request: HttpRequest) -> HttpResponseBase:
            form, now = forms.posted(request.POST), clocks.now()
            pages = NewCampaignPages(self.site)
            try:
                upload = _receive(account, request, form, handler, _new_name(account, request, form))
            except InvalidRequest as refused:
                draft = drafts.of(account, form, now)
                draft.errors = {"file": forms.said(str(refused))}
                return pages.shown(request, account, form, draft)
            chosen = [*form.get("lists"), upload.filled_list.pk.hex]
            form = Form({**form.texts, "list_name": ""}, {**form.several, "lists": chosen})
            return pages.shown(request, account, form, drafts.of(account, form, now))

        return csrf_protect(take)(request)


def _receive(account: Account, request: HttpRequest, form: Form, handler: ToDisk, name: str) -> CsvUpload:
    file_forms.require_whole(request, handler)
    file = _file(request)
    if file is None:
        raise InvalidRequest("choose a file first")
    list_name = upload_form.list_name(upload_form.Form({"list_name": name}, file))
    is_dynamic = form.text("list_kind") == DYNAMIC
    choice = ColumnChoice(is_dynamic, ignores_others=not is_dynamic)
    who: Actor = actor(request)
    return intake.receive(account, file, actor=who, list_name=list_name, choice=choice, file_name=file.name or "")


def _file(request: HttpRequest) -> "UploadedFile[Any] | None":
    return request.FILES.get("file")


def _new_name(account: Account, request: HttpRequest, form: Form) -> str:
    """Return a name that no list has: a file that extended an old list would call that list's people, too.

    Raises:
        InvalidRequest: there is a list of the name that was given.
    """
    if name := form.text("list_name"):
        if ContactList.objects.filter(account=account, name=name).exists():
            raise InvalidRequest("there is a list of this name: choose another name, or tick that list")
        return name
    file = _file(request)
    stem = PurePath(file.name).stem if file and file.name else "file"
    return f"{stem[:200]} {clocks.now().astimezone(account.zone):%Y-%m-%d %H:%M:%S}"
