"""The limits of wrong credentials from one address in any minute, and the audit entries that tell of them.

Many clients may share an address, so that wrong credentials of one must not lock out the others. The credentials are
looked at first: a token is 256 random bits, its digest a microsecond of SHA-256, and the look-up one index. Beyond the
limit of an address only wrong ones are refused. Guesses at one user name are bounded before they are looked at, because
an operator may have chosen a weak token.
"""

from dataclasses import dataclass
from hashlib import sha256
from ipaddress import IPv6Address, ip_address, ip_network

from django.conf import settings
from django.db.models import Q
from django.http import HttpRequest

from accounts import audit
from accounts.audit import Verb
from accounts.models import Account
from api.http.rate_limits import Reading, TooManyRequests, meter
from core.client_address import client_address

# Providers give a customer of IPv6 a network of this size: a client with one of its addresses has all of them.
IPV6_PREFIX = 64


# So many times the limit of an address are the guesses at one user name from there that are looked at.
GUESSES_AT_ONE_USER = 10


@dataclass(frozen=True)
class Tries:
    """The wrong credentials that a network has sent, in all and for one user name: a key, or the SID of an account."""

    network: str
    user: str

    def check(self) -> None:
        """Raise TooManyRequests, before the database is asked, after too many guesses at this user from here."""
        _refuse_if_full(meter().look(self._of_user, self._most_guesses))

    def count_failure(self) -> None:
        """Count wrong credentials. Raises TooManyRequests if the network has sent too many."""
        at_user = meter().admit(self._of_user, self._most_guesses)
        guesses = at_user.limit - at_user.remaining if at_user else 0
        if guesses in {1, settings.FAILED_SIGN_INS_PER_MINUTE + 1}:
            self._record(Verb.SIGN_IN_FAILED if guesses == 1 else Verb.SIGN_IN_LIMITED)
        _refuse_if_full(meter().admit(f"sign-in/{self.network}", settings.FAILED_SIGN_INS_PER_MINUTE))

    def _record(self, verb: Verb) -> None:
        """Record guesses at a user that exists, once a minute and once more when they are too many."""
        account = Account.objects.filter(Q(sid=self.user) | Q(api_keys__key=self.user)).first()
        if account is not None:
            audit.record(audit.UNKNOWN, verb, account, what="wrong credentials for the API")

    @property
    def _of_user(self) -> str:
        return f"sign-in/{self.network}/{sha256(self.user.encode()).hexdigest()[:32]}"

    @property
    def _most_guesses(self) -> int:
        return GUESSES_AT_ONE_USER * int(settings.FAILED_SIGN_INS_PER_MINUTE)


def client_network(request: HttpRequest) -> str:
    """Return the network that wrong credentials are counted by: the client's address, or its IPv6 /64."""
    return _network(client_address(request))


def _network(address: str) -> str:
    try:
        ip = ip_address(address)
    except ValueError:  # a Unix socket has no address, and some proxies add a port
        return address[:64]
    if not isinstance(ip, IPv6Address):
        return str(ip)
    return str(ip.ipv4_mapped or ip_network((ip, IPV6_PREFIX), strict=False))


def _refuse_if_full(reading: Reading | None) -> None:
    if reading is not None and not reading.admitted:
        wait = reading.retry_after
        raise TooManyRequests(f"too many wrong credentials from this address: try again in {wait} s", wait)
