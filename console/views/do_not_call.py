"""Do not call: numbers that an account, or all, must not call; pasted, from a file, looked up, removed for a reason."""

from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_POST, require_safe

from accounts.admin_kit import reach
from accounts.audited_pages import actor
from accounts.models import Account, Role
from console import file_forms, listed
from console.new_campaign.form import said
from console.stops import of_accounts
from console.views.pages import Pages, accounts_of, is_key, operated
from contacts import do_not_call, pasted_numbers
from contacts.csv_uploads import intake, rejected_rows
from contacts.csv_uploads.lines import FileRefused
from contacts.models import CsvUpload, DoNotCall
from contacts.pasted_numbers import Pasted, Refused
from core.errors import InvalidRequest

# Numbers of one form: more come in a file.
MOST = 5_000
# Numbers that one form removes: nobody can judge more of them than these.
MOST_REMOVED = 500
# Accounts that are offered by name. Where there are more, the SID is typed.
MOST_OFFERED = 200
# Mistakes that are shown, each with its line.
MOST_REFUSED = 100
# What stands for the list that holds for all accounts. No SID has it.
ALL = "*"


class PastedForm(forms.Form):
    account = forms.CharField(max_length=64, error_messages={"required": "Choose whose list."})
    # Not stripped: mistakes are named by their line.
    numbers = forms.CharField(strip=False, error_messages={"required": "Paste at least one number."})
    note = forms.CharField(max_length=255, required=False)


class FileForm(forms.Form):
    account = forms.CharField(max_length=64, error_messages={"required": "Choose whose list."})
    file = forms.FileField(max_length=255, error_messages={"required": "Choose a file."})
    column = forms.CharField(max_length=255, required=False)


class RemovalForm(forms.Form):
    reason = forms.CharField(max_length=255, error_messages={"required": "Say why these numbers may be called again."})


class DoNotCallPages(Pages):
    @property
    def urls(self) -> list[URLPattern]:
        view = self.site.admin_view
        return [
            path("do-not-call/", view(require_safe(self.show)), name="do_not_call"),
            path("do-not-call/add/", view(require_POST(self.add)), name="do_not_call_add"),
            path("do-not-call/upload/", view(csrf_exempt(require_POST(self.upload))), name="do_not_call_upload"),
            path("do-not-call/remove/", view(require_POST(self.remove)), name="do_not_call_remove"),
            path("do-not-call/rejected/<uuid:pk>/", view(require_safe(self.rejected)), name="do_not_call_rejected"),
        ]

    # Showing -----------------------------------------------------------------------------------------------------

    def show(self, request: HttpRequest) -> HttpResponse:
        return self._page(request)

    def _page(self, request: HttpRequest, **context: Any) -> HttpResponse:
        accounts, looked_up = accounts_of(request, Role.VIEWER), request.GET.get("number", "").strip()
        before = request.GET.get("before", "")
        if looked_up:
            shown = listed.find(looked_up, accounts, is_over_the_server=reach(request).is_over_the_server)
        else:
            shown = listed.newest(accounts, int(before) if is_key(before) else None)
        operable = operated(request)
        given = {
            "shown": shown,
            "looked_up": looked_up,
            "uploads": listed.uploads(accounts),
            "may_add": operable is None or bool(operable),
            "choices": list(self._choices(request)[: MOST_OFFERED + 1]),
            "most_offered": MOST_OFFERED,
            "all_accounts": ALL if reach(request).is_over_the_server else "",
            "removable": removable_of(request),
            "most": MOST,
            "form": {},
        }
        return self.page(request, "console/do_not_call.html", "Do not call", **{**given, **context})

    def _choices(self, request: HttpRequest) -> QuerySet[Account]:
        return of_accounts(Account.objects.order_by("sid"), operated(request), "pk")

    def _account(self, request: HttpRequest, sid: str) -> Account | None:
        """Return the account whose list is meant; None for all. Raises Http404 where the person does not operate it."""
        accounts = accounts_of(request, Role.OPERATOR)
        if sid == ALL:
            if not reach(request).is_over_the_server:
                raise PermissionDenied
            return None
        return get_object_or_404(of_accounts(Account.objects.all(), accounts, "pk"), sid=sid)

    # Adding ------------------------------------------------------------------------------------------------------

    def add(self, request: HttpRequest) -> HttpResponseBase:
        """Add what can be read, and show the rest with line and reason."""
        accounts_of(request, Role.OPERATOR)
        form = PastedForm(request.POST)
        if not form.is_valid():
            return self._page(request, form=request.POST, errors=_errors(form))
        given = form.cleaned_data
        account = self._account(request, given["account"])
        pasted = pasted_numbers.read(given["numbers"], listed.region_for(account))
        told = ""
        if len(pasted.numbers) > MOST:
            told = f"Nothing was added: {len(pasted.numbers):,} numbers are more than {MOST:,}. Send them as a file."
        elif not pasted.numbers and not pasted.refused:
            told = "Paste at least one number."
        if told:
            return self._page(request, form=request.POST, errors=[told])
        self._add(request, account, pasted, given["note"])
        if not pasted.refused:
            return redirect("admin:do_not_call")
        left = {"account": given["account"], "note": given["note"], "numbers": _left(pasted.refused)}
        return self._page(request, form=left, refused=pasted.refused[:MOST_REFUSED], refusals=len(pasted.refused))

    def _add(self, request: HttpRequest, account: Account | None, pasted: Pasted, note: str) -> None:
        if not pasted.numbers:
            return
        notes = dict.fromkeys(pasted.numbers, note)
        source = DoNotCall.Source.ADMIN
        added = do_not_call.add(account, pasted.numbers, source=source, actor=actor(request), notes=notes)
        new = sum(addition.is_new for addition in added)
        whose = account.sid if account else "all accounts"
        known = f" {len(added) - new:,} stood there already." if new < len(added) else ""
        messages.success(request, f"{_numbers(new)} added to the do-not-call list of {whose}.{known}")

    def upload(self, request: HttpRequest) -> HttpResponseBase:
        """Take in a file as the API does. `BodyLimit` lets it by, so nothing is read before the person is known."""
        accounts_of(request, Role.OPERATOR)
        handler = file_forms.limited(request)

        def take(request: HttpRequest) -> HttpResponseBase:
            try:
                file_forms.require_whole(request, handler)
            except InvalidRequest as refused:
                return self._page(request, form=request.POST, errors=[f"{said(str(refused))}."])
            return self._take(request)

        return csrf_protect(take)(request)

    def _take(self, request: HttpRequest) -> HttpResponseBase:
        """Store the file. Each number is in force as soon as its row is loaded."""
        form = FileForm(request.POST, request.FILES)
        if not form.is_valid():
            return self._page(request, form=request.POST, errors=_errors(form))
        given = form.cleaned_data
        account, file = self._account(request, given["account"]), given["file"]
        if account is None:
            told = (
                "A file is for one account. For all accounts paste numbers, or import a registry on the command line."
            )
            return self._page(request, form=request.POST, errors=[told])
        try:
            intake.receive_do_not_call(
                account, file, actor=actor(request), number_column=given["column"], file_name=file.name or ""
            )
        except FileRefused as refused:
            return self._page(request, form=request.POST, errors=[f"{file.name}: {refused}."])
        messages.success(request, f"The file {file.name} was taken, and is being loaded for {account.sid}.")
        return redirect("admin:do_not_call")

    def rejected(self, request: HttpRequest, pk: Any) -> HttpResponseBase:
        """Return the rows of a file that were not loaded, to be mended and sent again."""
        sent = of_accounts(CsvUpload.objects.all(), accounts_of(request, Role.VIEWER), "account")
        upload = get_object_or_404(sent.filter(contact_list=None), pk=pk)
        response = StreamingHttpResponse(rejected_rows.stream(upload), content_type="text/csv; charset=utf-8")
        response["Content-Disposition"] = f'attachment; filename="rejected-rows-{upload.pk.hex}.csv"'
        response["Cache-Control"] = "private, no-store"
        return response

    # Removing ----------------------------------------------------------------------------------------------------

    def remove(self, request: HttpRequest) -> HttpResponseBase:
        """Ask for the reason, on a page that names the numbers; with one, remove them."""
        chosen = [pk for pk in request.POST.getlist("entry") if is_key(pk)]
        if not 0 < len(chosen) <= MOST_REMOVED:
            messages.error(request, f"Nothing was removed: choose up to {MOST_REMOVED} numbers.")
            return redirect("admin:do_not_call")
        entries = list(self._removable(request).filter(pk__in=chosen).select_related("account").order_by("number"))
        if len(entries) < len(set(chosen)):
            raise PermissionDenied
        is_confirmed = "reason" in request.POST
        form = RemovalForm(request.POST if is_confirmed else None)
        if not (is_confirmed and form.is_valid()):
            title = f"Remove {_numbers(len(entries))}?"
            errors = _errors(form) if is_confirmed else []
            return self.page(request, "console/do_not_call_removal.html", title, entries=entries, errors=errors)
        do_not_call.remove(entries, reason=form.cleaned_data["reason"], actor=actor(request))
        messages.success(request, f"{_numbers(len(entries))} removed. From the next dial on they may be called again.")
        return redirect("admin:do_not_call")

    def _removable(self, request: HttpRequest) -> QuerySet[DoNotCall]:
        accounts = accounts_of(request, Role.ADMINISTRATOR)
        return DoNotCall.objects.all() if accounts is None else DoNotCall.objects.filter(account__in=accounts)


def removable_of(request: HttpRequest) -> set[int] | None:
    """Return the accounts from whose lists the person may take numbers; None for all, and the list of all."""
    return reach(request).accounts_with(Role.ADMINISTRATOR)


def _left(refused: list[Refused]) -> str:
    return "\n".join(one.text for one in refused)


def _errors(form: forms.Form) -> list[str]:
    return [str(error) for errors in form.errors.values() for error in errors]


def _numbers(count: int) -> str:
    return f"{count:,} {'number' if count == 1 else 'numbers'}"
