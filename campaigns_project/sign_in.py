"""The admin's form to sign in, with limits on wrong passwords and an entry for each try."""

from functools import cache
from hashlib import sha256
from typing import Any

from django.conf import settings
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError

from accounts import audit
from accounts.audit import Subject, Verb
from accounts.memberships import only_account_of
from api.http.rate_limits import Meter, Reading
from api.http.sign_in_limit import client_network

User = get_user_model()

WINDOW_SECONDS = 15 * 60
# Wrong passwords in a window: a person who mistypes needs a few.
PER_NAME_AND_NETWORK = 10
# For guesses at one name from many networks. It bars no network where that name has signed in lately, or anybody could
# lock a person out.
PER_NAME = 50
# For guesses at many names. It bars only names that have failed there before, so that one person's wrong passwords do
# not lock out the colleagues in the same office.
PER_NETWORK = 50
KNOWN_SECONDS = 30 * 24 * 3600


@cache
def wrong_passwords() -> Meter:
    return Meter(settings.REDIS_URL, WINDOW_SECONDS)


@cache
def _sign_ins() -> Meter:
    """Where each name has signed in: one event for each name and network is enough."""
    return Meter(settings.REDIS_URL, KNOWN_SECONDS)


class LimitedSignIn(AdminAuthenticationForm):
    """Refuses before the password is looked at, so that a guess beyond the limit learns nothing.

    Attributes:
        retry_after: whole seconds until the next try; 0 where it was not refused for this.
    """

    retry_after = 0

    def clean(self) -> dict[str, Any]:
        name = str(self.cleaned_data.get("username", "")).casefold()
        network = client_network(self.request) if self.request else ""
        windows = _Windows(sha256(name.encode()).hexdigest()[:32], network)
        self.retry_after = windows.wait()
        if self.retry_after:
            if windows.is_first_refusal():
                self._record(Verb.SIGN_IN_LIMITED)
            minutes = -(-self.retry_after // 60)
            raise ValidationError(f"Too many wrong passwords: try again in {minutes} minutes.", code="too-many")
        try:
            cleaned: dict[str, Any] = super().clean()
        except ValidationError:
            if windows.count_failure():
                self._record(Verb.SIGN_IN_FAILED)
            raise
        if self.user_cache is None:  # a field was left empty: no password was looked at
            return cleaned
        windows.remember()
        self._record(Verb.SIGNED_IN)
        return cleaned

    def _record(self, verb: Verb) -> None:
        """Record the try. What was typed is not told where nobody has that name: it may be a password."""
        person = self.user_cache
        if person is None:
            person = User.objects.filter(username=self.cleaned_data.get("username", "")).first()
        if person is None:
            audit.record(audit.UNKNOWN, verb, Subject(User, "a name that nobody has"))
            return
        who = audit.of_user(person) if verb == Verb.SIGNED_IN else audit.UNKNOWN
        audit.record(who, verb, Subject(User, person.get_username(), only_account_of(person), str(person.pk)))


class _Windows:
    def __init__(self, name: str, network: str) -> None:
        self.of_both = f"admin/both/{name}/{network}"
        self.of_name = f"admin/name/{name}"
        self.of_network = f"admin/network/{network}"

    def wait(self) -> int:
        """Return the seconds until this name may be tried from this network; 0 for now. Without Redis it is now."""
        meter = wrong_passwords()
        both = meter.look(self.of_both, PER_NAME_AND_NETWORK)
        has_failed_here = both is not None and both.remaining < both.limit
        waits = [
            _wait(both),
            0 if self._is_known() else _wait(meter.look(self.of_name, PER_NAME)),
            _wait(meter.look(self.of_network, PER_NETWORK)) if has_failed_here else 0,
        ]
        return max(waits)

    def count_failure(self) -> bool:
        """Count a wrong password. Returns whether to record it: a network's guesses beyond its limit are not."""
        meter = wrong_passwords()
        meter.admit(self.of_both, PER_NAME_AND_NETWORK)
        meter.admit(self.of_name, PER_NAME)
        of_network = meter.admit(self.of_network, PER_NETWORK)
        return of_network is None or of_network.admitted

    def is_first_refusal(self) -> bool:
        """Tell whether the name was refused here for the first time in the window."""
        refused = wrong_passwords().admit(f"{self.of_both}/refused", 1)
        return refused is None or refused.admitted

    def remember(self) -> None:
        _sign_ins().admit(self.of_both, 1)

    def _is_known(self) -> bool:
        seen = _sign_ins().look(self.of_both, 1)
        return seen is not None and not seen.admitted


def _wait(reading: Reading | None) -> int:
    return 0 if reading is None or reading.admitted else reading.retry_after
