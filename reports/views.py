from uuid import UUID

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.views.decorators.http import require_GET

from accounts import audit
from accounts.audit import Actor
from campaigns.models import Campaign
from core import places
from reports import csv_report, links


@require_GET
def report(request: HttpRequest, campaign_id: UUID) -> HttpResponseBase:
    """Stream the campaign's CSV file to the holder of a link, and record where it went."""
    if not links.is_signed(campaign_id, request.GET.get("signature", "")):
        message = "this link is not valid, or no longer: get the campaign again for a new report_url\n"
        return HttpResponse(message, status=403, content_type="text/plain")
    name = request.GET.get("format", "csv")
    if name not in csv_report.FORMATS:
        return _unknown_format()
    campaigns = Campaign.objects.select_related("account", "caller_id", "custom_field")
    campaign = campaigns.filter(pk=campaign_id, account__is_active=True, is_purging=False).first()
    if campaign is None:
        message = "there is no such campaign any more: ask the operator of this server for its report\n"
        return HttpResponse(message, status=404, content_type="text/plain")
    return download(campaign, name, audit.UNKNOWN)


def download(campaign: Campaign, name: str, actor: Actor) -> HttpResponseBase:
    """Stream the CSV file to somebody who may have it, and record who that was.

    Args:
        campaign: as `csv_report.stream` takes it.
        name: of csv_report.FORMATS.
    """
    if name not in csv_report.FORMATS:
        return _unknown_format()
    place = places.take(f"reports/{campaign.account_id}", settings.REPORTS_AT_ONCE_PER_ACCOUNT)
    if place is None:
        message = (
            f"{settings.REPORTS_AT_ONCE_PER_ACCOUNT} reports are being read: come back when one of them is there\n"
        )
        return HttpResponse(message, status=429, content_type="text/plain", headers={"Retry-After": "5"})
    audit.record(actor, audit.Verb.DOWNLOADED, campaign, what=f"report as {name}")
    parts = place.leave_after(csv_report.stream(campaign, csv_report.FORMATS[name]))
    response = StreamingHttpResponse(parts, content_type="text/csv; charset=utf-8")
    response["Cache-Control"] = "private, no-store"  # numbers of people
    response["Content-Disposition"] = f'attachment; filename="{csv_report.file_name(campaign.pk)}"'
    return response


def _unknown_format() -> HttpResponse:
    message = f"'format' must be one of {', '.join(csv_report.FORMATS)}: leave it out for csv\n"
    return HttpResponse(message, status=400, content_type="text/plain")
