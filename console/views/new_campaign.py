"""New campaign: one page with three steps, who, what and when, and beside them what is to be expected of it."""

import hashlib
import json
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

from accounts.audited_pages import actor
from accounts.calling_rules import presets
from accounts.models import Account, CallerId, Role
from api.http.idempotency import AnotherRequest, once
from campaigns.models import Call, Campaign, Flow
from console import flow_drawing
from console.new_campaign import draft as drafts
from console.new_campaign import form as forms
from console.new_campaign import outlook, people, trial, words
from console.new_campaign.draft import WHOLE, Draft
from console.new_campaign.form import Form
from console.stops import of_accounts
from console.views.pages import Pages, account_of, accounts_of
from contacts.models import ContactList
from core import clocks, ids
from core.errors import InvalidRequest

# Rows that the page offers to choose from: accounts, lists, flows, campaigns.
MOST_OFFERED = 200
MOST_CAMPAIGNS = 50
# What is not told of a field that nobody has filled in yet.
_ASKED_LAST = frozenset({"numbers", "text", "caller_id", "who"})


class _Refused(Exception):
    """Nothing is created: the draft says why."""


class NewCampaignPages(Pages):
    @property
    def urls(self) -> list[URLPattern]:
        view = self.site.admin_view
        return [
            path("new-campaign/", view(require_safe(self.choose)), name="new_campaign"),
            path("new-campaign/<str:sid>/", view(self.form), name="new_campaign_of"),
            path("new-campaign/<str:sid>/preview/", view(require_POST(self.preview)), name="new_campaign_preview"),
        ]

    def choose(self, request: HttpRequest) -> HttpResponseBase:
        """Let the person choose an account; somebody with one has the page at once."""
        operated = of_accounts(Account.objects.filter(is_active=True), accounts_of(request, Role.OPERATOR), "pk")
        accounts = list(operated.order_by("sid")[: MOST_OFFERED + 1])
        if len(accounts) == 1:
            return self.form(request, accounts[0].sid)
        context = {"accounts": accounts[:MOST_OFFERED], "is_cut": len(accounts) > MOST_OFFERED}
        return self.page(request, "console/choose_account.html", "New campaign", page="new_campaign_of", **context)

    def form(self, request: HttpRequest, sid: str) -> HttpResponseBase:
        account = account_of(request, sid, Role.OPERATOR)
        if request.method != "POST":
            form = self._cloned(request, account) if "clone" in request.GET else forms.fresh()
            lists = request.GET.getlist("list")
            return self.shown(request, account, Form(form.texts, {**form.several, "lists": lists}) if lists else form)
        form = forms.posted(request.POST)
        if form.text("do") == "create":
            return self._create(request, account, form)
        if form.text("do") == "trial":
            return self._try(request, account, form)
        return self.shown(request, account, form, drafts.of(account, form, clocks.now()))

    def preview(self, request: HttpRequest, sid: str) -> HttpResponse:
        """Return the part of the page that follows from the fields, with what is wrong with them."""
        account = account_of(request, sid, Role.OPERATOR)
        draft = drafts.of(account, forms.posted(request.POST), clocks.now())
        is_new = not draft.people.given and not draft.people.bad
        told = {
            name: sentence
            for name, sentence in draft.errors.items()
            if name not in _ASKED_LAST or draft.form.text(name) or (name == "who" and not is_new)
        }
        return TemplateResponse(request, "console/new_campaign_preview.html", _preview(draft) | {"errors": told})

    def shown(self, request: HttpRequest, account: Account, form: Form, draft: Draft | None = None) -> HttpResponse:
        """Draw the whole page."""
        found = draft or Draft(account, form)
        is_touched = draft is not None or bool(form.text("numbers") or form.get("lists") or form.text("parent"))
        if draft is None and is_touched:
            found = drafts.of(account, form, clocks.now())
        looked = _preview(found) if is_touched else {"account": account, "form": form, "errors": {}}
        context = _offered(account, found) | looked
        page = self.page(request, "console/new_campaign.html", "New campaign", **context)
        page.status_code = 400 if draft and draft.errors and form.text("do") in {"create", "trial"} else 200
        return page

    def _cloned(self, request: HttpRequest, account: Account) -> Form:
        campaigns = Campaign.objects.filter(account=account, is_purging=False)
        wanted = ids.parse(request.GET["clone"])
        if wanted is None:
            raise Http404
        campaign = get_object_or_404(campaigns.select_related("custom_field", "caller_id", "flow"), pk=wanted)
        is_of_numbers = not campaign.list_ids and not campaign.parent_id
        calls = Call.objects.filter(campaign=campaign).order_by("pk").values_list("number", flat=True)
        return forms.cloned(campaign, list(calls[: forms.MOST_NUMBERS]) if is_of_numbers else [])

    # Buttons ---------------------------------------------------------------------------------------------------------

    def _create(self, request: HttpRequest, account: Account, form: Form) -> HttpResponseBase:
        now = clocks.now()
        judged: list[Draft] = []

        def work() -> Response:
            draft = drafts.of(account, form, now)
            judged.append(draft)
            count = str(draft.people.count)
            if not draft.errors and form.text("count") != count:
                draft.refuse(WHOLE, f"{_people(draft)} would be called now: look again, then press the button below")
            if draft.errors:
                raise _Refused
            try:
                campaign = draft.create(actor=actor(request), now=now)
            except InvalidRequest as refused:
                drafts.tell(draft, refused)
                raise _Refused from refused
            return Response({"campaign": campaign.pk.hex})

        try:
            response = once(account.pk, _key(form, "key"), _digest(form), work)
        except _Refused:
            return self.shown(request, account, form, judged[0])
        except APIException as refused:
            return self.shown(request, account, *_used_before(account, form, refused, "key"))
        campaign = get_object_or_404(Campaign.objects.filter(account=account), pk=response.data["campaign"])
        messages.success(request, f"The campaign {campaign.name} is there.")
        return redirect("admin:campaign", campaign.pk)

    def _try(self, request: HttpRequest, account: Account, form: Form) -> HttpResponseBase:
        """Call the person's own number first."""
        now = clocks.now()
        draft = drafts.of(account, form, now)
        try:
            number = trial.read(account, form.text("trial_number"))
        except InvalidRequest as refused:
            draft.errors = {"trial_number": forms.said(str(refused))}
            return self.shown(request, account, form, draft)
        heard = draft if draft.campaign else drafts.of(account, _to_one(form, number), now)
        if heard.campaign is None:
            draft.errors = {"trial_number" if name == "numbers" else name: said for name, said in heard.errors.items()}
            return self.shown(request, account, form, draft)

        def work() -> Response:
            columns = heard.trial_columns(actor(request))
            campaign = trial.ring(account, columns, number, actor=actor(request), now=now)
            return Response({"campaign": campaign.pk.hex})

        try:
            made = once(account.pk, _key(form, "trial_key"), _digest(form), work)
        except InvalidRequest as refused:
            draft.errors = {"trial_number": forms.said(str(refused))}
            return self.shown(request, account, form, draft)
        except APIException as refused:
            return self.shown(request, account, *_used_before(account, form, refused, "trial_key"))
        address = reverse("admin:campaign", args=[UUID(hex=made.data["campaign"])])
        told = 'Your phone rings in a moment: <a href="{}">what becomes of the call</a>.'
        messages.success(request, format_html(told, address))
        draft.errors = {}
        fresh = form.changed(trial_key=uuid4().hex, do="")
        draft.form = fresh
        return self.shown(request, account, fresh, draft)


def _to_one(form: Form, number: str) -> Form:
    """Return the form with the person's own number as the only one."""
    return Form(
        {**form.texts, "numbers": number, "parent": "", "without_bad": "", "name": ""},
        {**form.several, "lists": []},
    )


def _used_before(account: Account, form: Form, refused: APIException, key: str) -> tuple[Form, Draft]:
    """Return the form with another key, and why nothing was done."""
    draft = drafts.of(account, form, clocks.now())
    if isinstance(refused, AnotherRequest):
        form = form.changed(**{key: uuid4().hex})
        draft.form = form
        draft.errors = {WHOLE: "This page has done its work once already. Press again to do it once more."}
    else:
        draft.errors = {WHOLE: "The first press of this button is still at work: look again in a few seconds."}
    return form, draft


def _key(form: Form, name: str) -> str:
    """Return the key by which a button works once. Without one from the page, what was sent is the key."""
    return f"console-{form.text(name)[:64] or _digest(form)}"


def _digest(form: Form) -> str:
    texts = {name: text for name, text in form.texts.items() if name != "csrfmiddlewaretoken"}
    several = {name: list(values) for name, values in form.several.items()}
    return hashlib.sha256(json.dumps([texts, several], sort_keys=True).encode()).hexdigest()


def _people(draft: Draft) -> str:
    count = draft.people.count
    return f"{count:,} {'person' if count == 1 else 'people'}"


def _preview(draft: Draft) -> dict[str, Any]:
    """Return what the preview shows."""
    campaign, now = draft.campaign, clocks.now()
    document = draft.document or _document(draft)
    return {
        "account": draft.account,
        "form": draft.form,
        "people": draft.people,
        "called": _people(draft),
        "campaign": campaign,
        "outlook": outlook.of(campaign, draft.people, now) if campaign else None,
        "retries": words.retries(campaign) if campaign else "",
        "drawing": flow_drawing.draw(document) if document else "",
        "errors": draft.errors,
    }


def _document(draft: Draft) -> Any:
    """Return the stored flow that was chosen."""
    flows = Flow.objects.filter(account=draft.account, flow_id=draft.form.text("flow"))
    return flows.values_list("document", flat=True).first() if draft.form.text("flow") else None


def _offered(account: Account, draft: Draft) -> dict[str, Any]:
    """Return what there is to choose from."""
    chosen = [ids.parse_or_nil(sid) for sid in draft.form.get("lists")]
    own = ContactList.objects.filter(account=account)
    lists = list(own.order_by("-created_at", "pk")[:MOST_OFFERED])
    lists += own.filter(pk__in=chosen).exclude(pk__in=[row.pk for row in lists])
    return {
        "caller_ids": CallerId.objects.filter(account=account, is_active=True).order_by("number")[:MOST_OFFERED],
        "flows": Flow.objects.filter(account=account).order_by("flow_id").values_list("flow_id", flat=True),
        "lists": [(row, row.pk.hex, row.pk.hex in draft.form.get("lists")) for row in lists],
        "campaigns": people.lately_called(account, clocks.now(), MOST_CAMPAIGNS),
        "rule_sets": [preset for preset in presets().values() if preset.name not in account.rules],
        "detections": Campaign.MachineDetection.choices,
        "zone": f"{clocks.now().astimezone(account.zone):%Z}",
    }
