"""The admin page of people who sign in to the admin."""

from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.contrib.auth import get_user_model
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import Group
from django.contrib.auth.password_validation import validate_password
from django.contrib.auth.tokens import default_token_generator
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.encoding import force_bytes
from django.utils.html import format_html
from django.utils.http import urlsafe_base64_encode

from accounts import audit, second_factors
from accounts.admin_kit import AccountPage, AccountRows
from accounts.audit import Verb
from accounts.audited_pages import actor
from accounts.models import Account, Membership, Role

# Django's admin classes are generic for the type checker only.
if TYPE_CHECKING:
    _ModelForm = forms.ModelForm[Any]
    _UserAdmin = UserAdmin[Any]
    _TabularInline = admin.TabularInline[Any, Any]
else:
    _ModelForm = forms.ModelForm
    _UserAdmin = UserAdmin
    _TabularInline = admin.TabularInline

User = get_user_model()


class NewPersonForm(_ModelForm):
    """Four fields make a person: the name, a password or none, the account, the role in it."""

    password = forms.CharField(
        required=False,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text="Empty: you get a link to hand on, where the person chooses one.",
    )
    account = forms.ModelChoiceField(
        Account.objects.order_by("sid"),
        required=False,
        empty_label="all accounts",
        help_text="The only account whose rows the person sees.",
    )
    role = forms.ChoiceField(choices=Role.choices)

    class Meta:
        model = User
        fields = ("username",)

    def clean_password(self) -> str:
        password = str(self.cleaned_data["password"])
        if password:
            validate_password(password, self.instance)
        return password

    def save(self, commit: bool = True) -> Any:
        person = super().save(commit=False)
        person.set_password(self.cleaned_data["password"] or None)
        person.is_staff = True
        if commit:
            person.save()
        return person


class MembershipInline(AccountRows, _TabularInline):
    """The accounts of a person, one row for each."""

    model = Membership
    extra = 0
    fields = ("account", "role")
    autocomplete_fields = ("account",)
    verbose_name_plural = "accounts and roles"


admin.site.unregister((User, Group))


@admin.register(User)
class PersonAdmin(AccountPage, _UserAdmin):
    """People are made inactive, never deleted: the log of changes names them."""

    add_form = NewPersonForm
    add_form_template = None
    add_fieldsets: Any = ((None, {"fields": ("username", "password", "account", "role")}),)
    fieldsets: ClassVar[Any] = ((None, {"fields": ("username", "is_active", "last_login", "date_joined")}),)
    readonly_fields = ("last_login", "date_joined")
    list_display = ("username", "roles_in", "is_active", "is_superuser", "last_login")
    list_filter = ("is_active",)
    search_fields = ("username",)
    filter_horizontal = ()
    told_values = frozenset({"username", "is_active", "role"})
    inlines = (MembershipInline,)
    actions = ("invite", "reset_second_factor")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Leave superusers to superusers: whoever sets another's password can sign in as that person."""
        people = super().get_queryset(request).prefetch_related("memberships__account")
        return people if getattr(request.user, "is_superuser", False) else people.filter(is_superuser=False)

    def get_inlines(self, request: HttpRequest, obj: Any) -> Any:
        return self.inlines if obj else ()

    def has_delete_permission(self, *_: Any) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        with transaction.atomic():
            super().save_model(request, obj, form, change)
            if not change:
                membership = Membership.objects.create(
                    user=obj, account=form.cleaned_data["account"], role=form.cleaned_data["role"]
                )
                audit.record(actor(request), Verb.CREATED, membership)
        if not obj.has_usable_password():
            self._show_link(request, obj)

    @admin.display(description="accounts and roles")
    def roles_in(self, person: Any) -> str:
        if person.is_superuser:
            return "superuser"
        return ", ".join(f"{row.account or 'all accounts'}: {row.role}" for row in person.memberships.all()) or "none"

    @admin.action(description="Make links to choose a password", permissions=["change"])
    def invite(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for person in queryset:
            self._show_link(request, person)

    @admin.action(description="Reset the second factor, for a lost phone", permissions=["change"])
    def reset_second_factor(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Let the password alone sign in, until the person sets up another second factor."""
        for person in queryset:
            if second_factors.remove(person, actor=actor(request)):
                self.message_user(request, f"Reset: {person} signs in with the password alone until the next set-up.")
            else:
                self.message_user(request, f"{person} has no second factor.", messages.WARNING)

    def _show_link(self, request: HttpRequest, person: Any) -> None:
        audit.record(actor(request), Verb.INVITED, person)
        parts = urlsafe_base64_encode(force_bytes(person.pk)), default_token_generator.make_token(person)
        address = request.build_absolute_uri(reverse("choose_password", args=parts))
        text = "Give this link to {}, who chooses a password there within three days: <code>{}</code>"
        self.message_user(request, format_html(text, person, address), messages.WARNING)
