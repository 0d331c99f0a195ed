"""The admin page of the do-not-call list: look a number up in any spelling, add many, remove some with a reason."""

from datetime import UTC, tzinfo
from typing import TYPE_CHECKING, Any, ClassVar, cast

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse

from accounts.admin_kit import PageAdmin, reach
from accounts.audited_pages import actor
from accounts.models import Account, Role
from contacts import do_not_call, numbers, pasted_numbers
from contacts.models import DoNotCall
from core.admin_kit import CappedPaginator

# Django's forms are generic for the type checker only.
if TYPE_CHECKING:
    _ModelForm = forms.ModelForm[DoNotCall]
else:
    _ModelForm = forms.ModelForm

# Numbers of one form: more come in a file.
MOST = 5_000
# Numbers that one action removes: nobody can judge more of them than these.
MOST_REMOVED = 500
# Numbers that a message about mistakes names.
MOST_NAMED = 10
# Where several accounts have several regions, a number for all of them needs its country code.
_NO_REGION = "ZZ"


class NumbersForm(_ModelForm):
    """The numbers to add, pasted, and whose list they come on."""

    numbers = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 12, "cols": 40}),
        help_text=f"Up to {MOST:,}, in any spelling, separated by commas, semicolons, lines or blanks.",
    )

    class Meta:
        model = DoNotCall
        fields = ("account", "note")

    # Whether the person may add numbers for all accounts. The page sets it.
    is_over_the_server = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        account = cast(Any, self.fields["account"])
        account.required = not self.is_over_the_server
        account.empty_label = "all accounts" if self.is_over_the_server else "---------"

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if "account" in cleaned and "numbers" in cleaned:
            account = cleaned["account"]
            region = account.region if account else _region_of_all()
            pasted = pasted_numbers.read(cleaned["numbers"], region)
            found, wrong = pasted.numbers, [refused.text for refused in pasted.refused]
            if wrong:
                named = ", ".join(wrong[:MOST_NAMED]) + (" and more" if len(wrong) > MOST_NAMED else "")
                self.add_error(
                    "numbers", f"Nothing was added. {len(wrong):,} are not valid numbers: {named}. Mend or remove them."
                )
            elif len(found) > MOST:
                self.add_error("numbers", f"{len(found):,} numbers are more than {MOST:,}: send them as a file.")
            cleaned["numbers"] = found
        return cleaned

    def _post_clean(self) -> None:
        """Build no row: `do_not_call.add` makes them."""


def _region_of_all() -> str:
    regions = set(Account.objects.values_list("region", flat=True).distinct())
    return regions.pop() if len(regions) == 1 else _NO_REGION


class RemovalForm(forms.Form):
    reason = forms.CharField(max_length=255, help_text="Why these numbers may be called again.")


@admin.register(DoNotCall)
class DoNotCallAdmin(PageAdmin):
    """Operators add numbers, administrators remove them. Those for all accounts are the server's administrators'."""

    account_path = "account"
    roles: ClassVar = {"view": Role.VIEWER, "add": Role.OPERATOR, "remove": Role.ADMINISTRATOR}
    paginator = CappedPaginator
    show_facets = admin.ShowFacets.NEVER
    ordering = ("-pk",)
    sortable_by = ()
    list_display = ("number", "whose", "source", "registry", "registry_date", "note", "added_by", "added_at")
    list_display_links = ("number",)
    list_filter = ("account",)
    list_select_related = ("account",)
    search_fields = ("number",)
    search_help_text = "The whole number, in any spelling."
    actions = ("remove_numbers",)

    def zone_of(self, row: DoNotCall) -> tzinfo:
        return row.account.zone if row.account else UTC

    # Permissions -------------------------------------------------------------------------------------------------

    def has_change_permission(self, *_: Any) -> bool:
        return False

    def has_delete_permission(self, *_: Any) -> bool:
        """Forbid Django's delete, which asks for no reason."""
        return False

    def has_remove_permission(self, request: HttpRequest) -> bool:
        return self.may(request, "remove")

    # Looking up --------------------------------------------------------------------------------------------------

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[DoNotCall], search_term: str
    ) -> tuple[QuerySet[DoNotCall], bool]:
        if not search_term:
            return queryset, False
        accounts = Account.objects.all()
        if (mine := self.accounts_for(request, "view")) is not None:
            accounts = accounts.filter(pk__in=mine)
        regions = {*accounts.values_list("region", flat=True).distinct(), _NO_REGION}
        readings = {numbers.to_e164(search_term, region) for region in regions} - {None}
        return queryset.filter(number__in=readings), False

    @admin.display(description="list of")
    def whose(self, entry: DoNotCall) -> str:
        return entry.account.sid if entry.account else "all accounts"

    # Adding ------------------------------------------------------------------------------------------------------

    def get_fieldsets(self, request: HttpRequest, obj: DoNotCall | None = None) -> Any:
        shown = ("number", "whose", "source", "registry", "registry_date", "note", "added_by", "added_at")
        return [(None, {"fields": shown if obj else ("account", "numbers", "note")})]

    def get_form(self, request: HttpRequest, obj: DoNotCall | None = None, change: bool = False, **options: Any) -> Any:
        if obj is not None:
            return super().get_form(request, obj, change, **options)
        form: Any = super().get_form(request, obj, change, form=NumbersForm, fields=("account", "note"))
        form.is_over_the_server = reach(request).is_over_the_server
        return form

    def save_form(self, request: HttpRequest, form: Any, change: bool) -> Any:
        """Return a row that stands for all of the form, for the pages of Django."""
        return DoNotCall(account=form.cleaned_data["account"])

    def save_model(self, request: HttpRequest, obj: DoNotCall, form: Any, change: bool) -> None:
        given = form.cleaned_data
        notes = dict.fromkeys(given["numbers"], given["note"])
        added = do_not_call.add(
            given["account"], given["numbers"], source=DoNotCall.Source.ADMIN, actor=actor(request), notes=notes
        )
        obj.pk = added[0].entry.pk
        new = sum(addition.is_new for addition in added)
        self.message_user(
            request, f"{_numbers(new)} added to the do-not-call list; {len(added) - new:,} were on it already."
        )

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Do nothing: nothing hangs on these rows."""

    def log_addition(self, request: HttpRequest, obj: DoNotCall, message: Any) -> Any:
        """Leave the entry to `do_not_call.add`."""

    def response_add(self, request: HttpRequest, obj: DoNotCall, post_url_continue: Any = None) -> Any:
        return redirect("admin:contacts_donotcall_changelist")

    # Removing ----------------------------------------------------------------------------------------------------

    @admin.action(description="Remove the selected numbers from the list", permissions=["remove"])
    def remove_numbers(self, request: HttpRequest, queryset: QuerySet[DoNotCall]) -> HttpResponseBase | None:
        """Ask for the reason first, on a page that names the numbers."""
        entries = list(queryset.select_related("account")[: MOST_REMOVED + 1])
        if len(entries) > MOST_REMOVED:
            self.message_user(request, f"Nothing was done: select at most {MOST_REMOVED:,} numbers.", messages.ERROR)
            return None
        is_confirmed = request.POST.get("confirmed") == "remove_numbers"
        form = RemovalForm(request.POST if is_confirmed else None)
        if not (is_confirmed and form.is_valid()):
            context = {
                **self.admin_site.each_context(request),
                "title": f"Remove {_numbers(len(entries))}?",
                "opts": self.opts,
                "entries": entries,
                "form": form,
                "action": "remove_numbers",
            }
            return TemplateResponse(request, "admin/contacts/donotcall/confirm_removal.html", context)
        do_not_call.remove(entries, reason=form.cleaned_data["reason"], actor=actor(request))
        self.message_user(request, f"{_numbers(len(entries))} removed from the do-not-call list.")
        return None


def _numbers(count: int) -> str:
    return f"{count:,} {'number' if count == 1 else 'numbers'}"
