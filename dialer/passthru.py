"""Keys that callees press in flows that Exotel runs: its Passthru applet sends them here, with a GET of its own.

By Exotel's support pages on the applet: the request has CallSid, CallFrom, CustomField and, in double quotes, the keys
of the gather before it. An applet that waits for the response goes on at one place of the flow for 200, at another for
302.
"""

from collections.abc import Mapping

import structlog
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from accounts.models import Trunk
from contacts.numbers import to_e164
from core import signed_addresses
from dialer import carrier_events, inbox
from dialer.models import CallAttempt, CarrierEvent

log = structlog.get_logger(__name__)

KEYS = frozenset("0123456789*#")
MOST_KEYS = 255  # of one call, as many as the report shows


@require_GET
def take_keys(request: HttpRequest, trunk_pk: int) -> HttpResponse:
    """Note the keys as news of the call. Responds 200 where some were noted, else 302."""
    trunk = Trunk.objects.defer("api_token").filter(pk=trunk_pk).first()
    is_known = signed_addresses.is_token(request.GET.get("token", ""), "passthru", str(trunk_pk))
    if not is_known or trunk is None or trunk.kind.reports_keys:
        return HttpResponse(carrier_events.NO_SUCH_ADDRESS, status=403, content_type="text/plain")
    keys = "".join(key for key in request.GET.get("digits", "") if key in KEYS)
    attempt = _attempt(trunk, request.GET)
    if attempt is None:
        log.warning("passthru_without_call", trunk=trunk.name, carrier_id=request.GET.get("CallSid", "")[:64])
    if attempt is None or not keys:
        return HttpResponse(status=302)
    digits = (_pressed_before(attempt) + keys)[:MOST_KEYS]
    news = {"CallSid": request.GET.get("CallSid", "")[:64], "Status": "in-progress", "Digits": digits, "Passthru": True}
    inbox.append(trunk.carrier, [(attempt.pk, news)])
    return HttpResponse(status=200)


def _attempt(trunk: Trunk, asked: Mapping[str, str]) -> CallAttempt | None:
    """Return the attempt of the call: by its id, else by its number, and by what its campaign passes on if need be."""
    up = CallAttempt.objects.filter(carrier_account=trunk.carrier_account_id, status__in=CallAttempt.UNFINISHED)
    sid = asked.get("CallSid", "")[:64]
    if sid and (found := up.filter(carrier_ref=sid, ref_is_repeated=False).first()):
        return found
    number = to_e164(asked.get("CallFrom", ""), "IN")
    at_number = up.filter(callee=number, carrier_ref="") if number else up.none()
    matching = list(at_number[:2])
    if len(matching) > 1:  # of two accounts
        matching = list(at_number.filter(campaign__custom_field__value=asked.get("CustomField", ""))[:2])
    return matching[0] if len(matching) == 1 else None


def _pressed_before(attempt: CallAttempt) -> str:
    """Return the keys that earlier applets of the flow have sent: the settled ones may not be all."""
    earlier = CarrierEvent.objects.filter(attempt_id=attempt.pk, payload__has_key="Passthru").order_by("-pk").first()
    return str(earlier.payload["Digits"]) if earlier and earlier.payload else ""
