"""Set up: one guided page for each account, and its flows beside a drawing of them."""

from typing import Any
from uuid import UUID, uuid4

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.views.decorators.http import require_POST, require_safe
from rest_framework.exceptions import APIException
from rest_framework.response import Response

from accounts.admin_kit import reach
from accounts.audited_pages import actor
from accounts.models import Account, CallerId, Role
from api.http.idempotency import once
from campaigns import flows
from campaigns.models import Flow
from console import flow_drawing, flow_editing, set_up
from console.flow_editing import CantBeRun, Written
from console.new_campaign import form as forms
from console.new_campaign import trial, words
from console.stops import of_accounts
from console.views.pages import Pages, account_of, accounts_of, has_role
from core import clocks
from core.errors import InvalidRequest

MOST_OFFERED = 200


class SetUpPages(Pages):
    @property
    def urls(self) -> list[URLPattern]:
        view = self.site.admin_view
        return [
            path("set-up/", view(require_safe(self.choose)), name="set_up"),
            path("set-up/<str:sid>/", view(require_safe(self.account)), name="set_up_account"),
            path("set-up/<str:sid>/flow/", view(self.new_flow), name="set_up_new_flow"),
            path("set-up/<str:sid>/flow-preview/", view(require_POST(self.flow_preview)), name="set_up_flow_preview"),
            path("set-up/<str:sid>/flow/<str:flow_id>/", view(self.flow), name="set_up_flow"),
            path("set-up/<str:sid>/flow/<str:flow_id>/ring/", view(require_POST(self.ring)), name="set_up_ring_flow"),
        ]

    def choose(self, request: HttpRequest) -> HttpResponseBase:
        """Let the person choose an account; somebody with one has the page at once."""
        seen = of_accounts(Account.objects.all(), accounts_of(request, Role.VIEWER), "pk").order_by("sid")
        accounts = list(seen[: MOST_OFFERED + 1])
        if len(accounts) == 1:
            return self.account(request, accounts[0].sid)
        context = {"accounts": accounts[:MOST_OFFERED], "is_cut": len(accounts) > MOST_OFFERED}
        return self.page(request, "console/choose_account.html", "Set up", page="set_up_account", **context)

    def account(self, request: HttpRequest, sid: str) -> HttpResponse:
        account = account_of(request, sid, Role.VIEWER)
        context = {
            "account": account,
            "found": set_up.look(account, clocks.now()),
            "may_run": has_role(request, account, Role.OPERATOR),
            "may_change": has_role(request, account, Role.ADMINISTRATOR),
            "is_server": reach(request).is_over_the_server,
        }
        return self.page(request, "console/set_up.html", f"Set up {account.sid}", **context)

    # Flows -----------------------------------------------------------------------------------------------------------

    def new_flow(self, request: HttpRequest, sid: str) -> HttpResponseBase:
        account = account_of(request, sid, Role.ADMINISTRATOR)
        if request.method != "POST":
            return self._editor(request, account, None, flow_editing.read(flow_editing.pretty(flow_editing.EXAMPLE)))
        return self._saved(request, account, None)

    def flow(self, request: HttpRequest, sid: str, flow_id: str) -> HttpResponseBase:
        """Show a flow to everybody who sees the account, and store it for its administrators."""
        account = account_of(request, sid, Role.ADMINISTRATOR if request.method == "POST" else Role.VIEWER)
        flow = get_object_or_404(Flow.objects.filter(account=account), flow_id=flow_id)
        if request.method != "POST":
            written = Written(flow_editing.pretty(flow.document), flow.document)
            return self._editor(request, account, flow, written)
        return self._saved(request, account, flow)

    def flow_preview(self, request: HttpRequest, sid: str) -> HttpResponse:
        account_of(request, sid, Role.ADMINISTRATOR)
        written = flow_editing.read(request.POST.get("document", ""))
        return TemplateResponse(request, "console/flow_preview.html", _drawn(written))

    def _saved(self, request: HttpRequest, account: Account, flow: Flow | None) -> HttpResponseBase:
        written = flow_editing.read(request.POST.get("document", "").replace("\0", ""))
        flow_id = flow.flow_id if flow else request.POST.get("flow_id", "").strip()
        if written.error or request.POST.get("do") != "save":
            return self._editor(request, account, flow, written, flow_id)
        try:
            stored = flow_editing.store(account, flow_id, written.document, is_new=flow is None, actor=actor(request))
        except InvalidRequest as refused:
            return self._editor(request, account, flow, written, flow_id, {"flow_id": forms.said(str(refused))})
        except CantBeRun as refused:
            return self._editor(request, account, flow, written, flow_id, {"document": forms.said(str(refused))})
        messages.success(request, f"The flow {stored.flow_id} is stored.")
        if warning := flows.connects_to_people(account, stored.document):
            messages.warning(request, f"{warning[0].upper()}{warning[1:]}.")
        return redirect("admin:set_up_flow", account.sid, stored.flow_id)

    def _editor(
        self,
        request: HttpRequest,
        account: Account,
        flow: Flow | None,
        written: Written,
        flow_id: str = "",
        errors: dict[str, str] | None = None,
    ) -> HttpResponse:
        drawn = _drawn(written)
        context = {
            "account": account,
            "flow": flow,
            "flow_id": flow_id,
            "written": written,
            "used": flow_editing.open_campaigns(flow) if flow else 0,
            "may_change": has_role(request, account, Role.ADMINISTRATOR),
            "sandboxes": _sandboxes(account) if flow and has_role(request, account, Role.OPERATOR) else [],
            "key": uuid4().hex,
            **drawn,
        }
        context["errors"] = {**drawn["errors"], **(errors or {})}
        title = f"Flow {flow.flow_id} of {account.sid}" if flow else f"New flow of {account.sid}"
        page = self.page(request, "console/flow.html", title, **context)
        page.status_code = 400 if context["errors"] and request.method == "POST" else 200
        return page

    def ring(self, request: HttpRequest, sid: str, flow_id: str) -> HttpResponseBase:
        """Let a phone of the sandbox ring, and run the stored flow."""
        account = account_of(request, sid, Role.OPERATOR)
        flow = get_object_or_404(Flow.objects.filter(account=account), flow_id=flow_id)
        caller_id = next(iter(_sandboxes(account)), None)
        if caller_id is None:
            raise Http404
        columns = {
            "caller_id": caller_id,
            "caller_id_given": caller_id.number,
            "flow": flow,
            "flow_url": words.address(account, flow.flow_id),
        }

        def work() -> Response:
            number, now = request.POST.get("number", "")[:64], clocks.now()
            made = trial.ring(account, columns, number, actor=actor(request), now=now)
            return Response({"campaign": made.pk.hex})

        try:
            made = once(account.pk, f"console-{request.POST.get('key', '')[:64]}", flow.flow_id, work)
        except InvalidRequest as refused:
            messages.error(request, f"{forms.said(str(refused))}.")
        except APIException as refused:
            messages.error(request, str(refused.detail))
        else:
            address = reverse("admin:campaign", args=[UUID(hex=made.data["campaign"])])
            messages.success(request, format_html('It rings: <a href="{}">what becomes of the call</a>.', address))
        return redirect("admin:set_up_flow", account.sid, flow.flow_id)


def _drawn(written: Written) -> dict[str, Any]:
    drawing = flow_drawing.draw(written.document) if written.document else ""
    return {"drawing": drawing, "errors": {"document": written.error} if written.error else {}}


def _sandboxes(account: Account) -> list[CallerId]:
    """Return the caller IDs whose calls go to the sandbox, and ring nobody."""
    rows = CallerId.objects.filter(account=account, is_active=True, trunk__carrier=set_up.SANDBOX)
    return list(rows.select_related("trunk").defer("trunk__api_token", "trunk__signing_key").order_by("number")[:1])
