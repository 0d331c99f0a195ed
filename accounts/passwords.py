"""The page where an invited person chooses a password."""

from typing import Any

from django.contrib.auth.views import PasswordResetConfirmView
from django.db import transaction
from django.http import HttpResponse
from django.urls import reverse_lazy

from accounts import audit
from accounts.audit import Verb


class ChoosePassword(PasswordResetConfirmView):
    """The link holds for PASSWORD_RESET_TIMEOUT, and until the first sign-in or change of the password."""

    success_url = reverse_lazy("admin:login")
    title = "Choose a password"

    def form_valid(self, form: Any) -> HttpResponse:
        """Store the password, and that it was chosen."""
        with transaction.atomic():
            audit.record(audit.of_user(form.user), Verb.CHANGED, form.user, what="password, by the link")
            return super().form_valid(form)
