"""The page where an invited person chooses a password."""

from django.contrib.auth.views import PasswordResetConfirmView


class ChoosePassword(PasswordResetConfirmView):
    """The link holds for PASSWORD_RESET_TIMEOUT, and until the first sign-in or change of the password."""

    success_url = "/admin/login/"
    title = "Choose a password"
