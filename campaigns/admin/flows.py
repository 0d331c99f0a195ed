"""The admin page of flows, where their documents are edited."""

import json
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.db import models
from django.forms import Textarea
from django.http import HttpRequest

from accounts.admin_kit import PageAdmin
from campaigns import carrier_fit, flows
from campaigns.models import Flow
from core.admin_kit import DeletedWhenUnused

if TYPE_CHECKING:
    _ModelForm = forms.ModelForm[Flow]
else:
    _ModelForm = forms.ModelForm


class PrettyJSONField(forms.JSONField):
    """JSON that a person can edit: indented."""

    def prepare_value(self, value: Any) -> Any:
        plain = super().prepare_value(value)
        return plain if value is None or plain is value else json.dumps(value, indent=2, ensure_ascii=False)


class FlowForm(_ModelForm):
    def _post_clean(self) -> None:
        """Refuse what the carriers of open campaigns can't run, once it is known to be a flow."""
        super()._post_clean()  # type: ignore[misc]  # of Django, which its stubs leave out
        if not self.errors and (obstacle := carrier_fit.obstacle_to(self.instance)):
            self.add_error("document", f"{obstacle[0].upper()}{obstacle[1:]}.")


@admin.register(Flow)
class FlowAdmin(DeletedWhenUnused, PageAdmin):
    account_path = "account"
    form = FlowForm
    list_display = ("flow_id", "account")
    list_select_related = ("account",)
    search_fields = ("flow_id", "account__sid")
    ordering = ("account__sid", "flow_id")
    autocomplete_fields = ("account",)
    fields = ("account", "flow_id", "document")
    formfield_overrides = {
        models.JSONField: {
            "form_class": PrettyJSONField,
            "widget": Textarea(attrs={"rows": 24, "cols": 100, "class": "json", "spellcheck": "false"}),
        }
    }

    def save_model(self, request: HttpRequest, obj: Flow, form: Any, change: bool) -> None:
        """Store it, and warn where rules hold for numbers that it connects to."""
        super().save_model(request, obj, form, change)
        if warning := flows.connects_to_people(obj.account, obj.document):
            messages.warning(request, f"{warning[0].upper()}{warning[1:]}.")

    def get_readonly_fields(self, request: HttpRequest, obj: Flow | None = None) -> Any:
        """Let only the document of an existing flow change: the flow addresses of campaigns end in its ID."""
        return [*super().get_readonly_fields(request, obj), *(("account", "flow_id") if obj else ())]
