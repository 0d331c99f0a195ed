"""Links to reports: signed, so that who was given one needs no credentials, and good for REPORT_LINK_SECONDS."""

from uuid import UUID

from django.conf import settings
from django.core import signing

_SALT = "reports.links"


def report_url(campaign_id: UUID) -> str:
    signature = signing.dumps(campaign_id.hex, salt=_SALT)
    return f"{settings.PUBLIC_URL}/reports/{campaign_id.hex}.csv?signature={signature}"


def is_signed(campaign_id: UUID, signature: str) -> bool:
    try:
        signed = signing.loads(signature, salt=_SALT, max_age=settings.REPORT_LINK_SECONDS)
    except signing.BadSignature:
        return False
    return bool(signed == campaign_id.hex)
