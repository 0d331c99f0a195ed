"""The admin's form to sign in, with limits on wrong passwords."""

from functools import cache
from hashlib import sha256
from typing import Any

from django.conf import settings
from django.contrib.admin.forms import AdminAuthenticationForm
from django.core.exceptions import ValidationError

from api.http.rate_limits import Meter, Reading
from api.http.sign_in_limit import client_network

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
            minutes = -(-self.retry_after // 60)
            raise ValidationError(f"Too many wrong passwords: try again in {minutes} minutes.", code="too-many")
        try:
            cleaned: dict[str, Any] = super().clean()
        except ValidationError:
            windows.count_failure()
            raise
        windows.remember()
        return cleaned


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

    def count_failure(self) -> None:
        meter = wrong_passwords()
        meter.admit(self.of_both, PER_NAME_AND_NETWORK)
        meter.admit(self.of_name, PER_NAME)
        meter.admit(self.of_network, PER_NETWORK)

    def remember(self) -> None:
        _sign_ins().admit(self.of_both, 1)

    def _is_known(self) -> bool:
        seen = _sign_ins().look(self.of_both, 1)
        return seen is not None and not seen.admitted


def _wait(reading: Reading | None) -> int:
    return 0 if reading is None or reading.admitted else reading.retry_after
