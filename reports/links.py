"""Links to reports. A link works for REPORT_LINK_SECONDS and needs no other credentials."""

from uuid import UUID

from django.conf import settings

from core import signed_addresses

_PURPOSE = "reports"


def report_url(campaign_id: UUID) -> str:
    signature = signed_addresses.dated_token(_PURPOSE, campaign_id.hex)
    return f"{settings.PUBLIC_URL}/reports/{campaign_id.hex}.csv?signature={signature}"


def is_signed(campaign_id: UUID, signature: str) -> bool:
    return signed_addresses.is_dated_token(signature, _PURPOSE, campaign_id.hex, max_age=settings.REPORT_LINK_SECONDS)
