"""Secrets that webhooks are signed with, one for each account, in the form of Standard Webhooks."""

import base64
import secrets

PREFIX = "whsec_"
# Standard Webhooks asks for 24 to 64 bytes.
BYTES = 32


def new_secret() -> str:
    """Return `whsec_` and random bytes in base64, as the libraries of Standard Webhooks read them."""
    return PREFIX + base64.b64encode(secrets.token_bytes(BYTES)).decode()
