"""The tables of second factors. Whoever reads the database, or a backup, learns no key and no code from them.

The devices of django-otp's own plugins hold both as they are, so these take its base classes and its arithmetic alone:
a lock for each check, longer and longer waits after wrong codes. `accounts.second_factors` changes the rows.
"""

from base64 import b32encode
from binascii import unhexlify
from hashlib import sha256
from urllib.parse import quote, urlencode

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django_otp.models import Device, ThrottlingMixin
from django_otp.oath import TOTP

from core.encryption import SecretField

ISSUER = "Trunkline"
DIGITS = 6
# Steps of 30 s that the clock of the phone may be off by, either way.
TOLERANCE = 1


class _OwnDevice(ThrottlingMixin, Device):  # type: ignore[misc]
    """A device of which a person has one."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)

    class Meta:
        abstract = True

    def get_throttle_factor(self) -> int:
        """Return the seconds to wait after the first wrong code; each further one doubles them."""
        return 1

    def verify_token(self, token: str) -> bool:
        """Tell whether the code is right, and use it up. The caller has locked the row.

        Raises:
            UnreadableSecret
        """
        if not self.verify_is_allowed()[0]:
            return False
        if not self._takes(token):
            self.throttle_increment()
            return False
        self.throttle_reset()
        return True

    def _takes(self, token: str) -> bool:
        """Tell whether the code is right, and note in this instance that it is used."""
        raise NotImplementedError


class AuthenticatorApp(_OwnDevice):
    """Codes of an app that follow from a key and the time (TOTP). The key is encrypted with SECRET_KEY.

    Attributes:
        key: in hex.
        drift: steps by which the clock of the phone was ahead at the last right code.
        last_step: that of the last right code; only later ones are taken.
    """

    key = SecretField()
    drift = models.SmallIntegerField(default=0)
    last_step = models.BigIntegerField(default=-1)

    def _takes(self, token: str) -> bool:
        return self.shows(token)

    def shows(self, code: str) -> bool:
        """Tell whether the app shows this code now, and note in this instance that it is used."""
        clock = TOTP(self._key(), digits=DIGITS, drift=self.drift)
        if not (len(code) == DIGITS and code.isascii() and code.isdecimal()):
            return False
        if not clock.verify(int(code), TOLERANCE, self.last_step + 1):
            return False
        self.last_step, self.drift = clock.t(), clock.drift
        return True

    @property
    def secret(self) -> str:
        """The key as a person types it into an app."""
        return b32encode(self._key()).decode()

    @property
    def config_url(self) -> str:
        """What the picture says to an app."""
        query = {"secret": self.secret, "issuer": ISSUER, "algorithm": "SHA1", "digits": DIGITS, "period": 30}
        return f"otpauth://totp/{quote(f'{ISSUER}:{self.user.get_username()}')}?{urlencode(query)}"

    def _key(self) -> bytes:
        return unhexlify(self.key.reveal())


class RecoveryCodes(_OwnDevice):
    """Codes that let in once each, as digests. They don't depend on SECRET_KEY."""

    digests = ArrayField(models.CharField(max_length=64), default=list)

    def _takes(self, token: str) -> bool:
        given = digest(token)
        if given not in self.digests:
            return False
        self.digests = [kept for kept in self.digests if kept != given]
        return True


def digest(code: str) -> str:
    """Return the SHA-256 in hex. A slow hash would protect guessable codes, and these are 80 random bits."""
    return sha256(code.encode()).hexdigest()
