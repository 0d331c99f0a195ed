"""The page that calls people of a campaign again: choose whom, see how many they are, confirm."""

import re
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path
from django.utils import timezone

from accounts.audited_pages import actor
from campaigns import again, progress
from campaigns.called_again import UNTRIED, Selection
from campaigns.models import Campaign, Outcome
from core import clocks
from core.errors import InvalidRequest

# Django's admin classes are generic for the type checker only.
if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Campaign]
else:
    _ModelAdmin = admin.ModelAdmin

WHO = (
    (Outcome.NO_ANSWER.value, "did not answer"),
    (Outcome.BUSY.value, "were busy"),
    (Outcome.FAILED.value, "could not be reached"),
    (UNTRIED, "were never tried"),
)
# Calls of a campaign whose people are counted one by one: a second. Of a larger one it is said how many they may be.
MOST_COUNTED = 100_000
_KEYS = re.compile(r"[0-9*#]{1,32}")


class AgainForm(forms.Form):
    who = forms.MultipleChoiceField(
        choices=WHO, required=False, widget=forms.CheckboxSelectMultiple, label="Those who, at last,"
    )
    pressed = forms.CharField(
        required=False, max_length=255, label="Those who pressed", help_text="Exactly these keys, such as 2, 12."
    )
    name = forms.CharField(required=False, max_length=255, help_text="Of the new campaign.")
    send_at = forms.DateTimeField(
        required=False,
        label="Start",
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}),
        help_text="By the account's clock. Empty: at once.",
    )

    def clean_pressed(self) -> tuple[str, ...]:
        keys = self.cleaned_data["pressed"].replace(",", " ").split()
        if wrong := [word for word in keys if not _KEYS.fullmatch(word)]:
            raise ValidationError(f"{wrong[0]} is not a row of keys: give such as 2, or several with commas between")
        return tuple(dict.fromkeys(keys))

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if not self.errors and not cleaned["who"] and not cleaned["pressed"]:
            raise ValidationError("Say whom to call again: tick at least one, or give keys.")
        return cleaned

    @property
    def selection(self) -> Selection:
        return Selection(tuple(self.cleaned_data["who"]), self.cleaned_data["pressed"])

    @property
    def changes(self) -> dict[str, Any]:
        """Return the columns that are not the parent's."""
        return {name: self.cleaned_data[name] for name in ("name", "send_at") if self.cleaned_data[name]}


class AgainPage(_ModelAdmin):
    """Lets people with the change permission call people of a campaign again that has ended."""

    def get_urls(self) -> Any:
        page = path(
            "<path:object_id>/again/",
            self.admin_site.admin_view(self.again_view),
            name="campaigns_campaign_again",
        )
        return [page, *super().get_urls()]

    def may_call_again(self, request: HttpRequest, campaign: Campaign | None) -> bool:
        has_ended = campaign is not None and not campaign.is_open and campaign.started_at is not None
        return has_ended and self.has_change_permission(request, campaign)

    def again_view(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        """Show the form; count those whom it chooses; call them, once that is confirmed."""
        campaign = self.get_object(request, unquote(object_id))
        if campaign is None:
            raise Http404
        if not self.has_change_permission(request, campaign):
            raise PermissionDenied
        form = AgainForm(request.POST or None, initial={"name": again.name_of_child(campaign)})
        calls, found, problem = 0, "", again.refusal(campaign)
        with timezone.override(campaign.account.zone):
            is_chosen = not problem and form.is_bound and form.is_valid()
        try:
            if is_chosen and request.POST.get("confirmed") == "again":
                return self._call_again(request, campaign, form)
            if is_chosen:
                calls, found = _counted(campaign, form.selection)
        except InvalidRequest as refused:
            problem = str(refused)
        context = {
            **self.admin_site.each_context(request),
            "title": f"Call people of “{campaign.name}” again",
            "opts": self.opts,
            "original": campaign,
            "form": form,
            "calls": calls,
            "found": found,
            "problem": problem,
        }
        return TemplateResponse(request, "admin/campaigns/campaign/again.html", context)

    def _call_again(self, request: HttpRequest, campaign: Campaign, form: AgainForm) -> HttpResponseBase:
        child = again.create(campaign, form.selection, actor=actor(request), now=clocks.now(), **form.changes)
        told = f"“{child.name}” was created: it calls people of “{campaign.name}” again."
        self.message_user(request, told, messages.SUCCESS)
        return redirect("admin:campaigns_campaign_change", child.pk)


def _counted(campaign: Campaign, selection: Selection) -> tuple[int, str]:
    """Return how many would be called, and say it, and who not."""
    counted = progress.of([campaign.pk])[campaign.pk]
    if counted.total > MOST_COUNTED:
        most = selection.at_most(counted)
        return most, f"at most {most:,} to call"
    found = again.find(campaign, selection)
    return found.calls, str(found)
