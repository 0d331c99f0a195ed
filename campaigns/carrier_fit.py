"""Whether the carriers of a caller ID's trunks can do what a campaign asks of them.

Refused when a campaign is created, changed or resumed, and when its caller ID or trunk is given another carrier: the
carrier itself would refuse each of its calls, one by one.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from django.db.models import Q, QuerySet
from django.db.models.functions import Length

from accounts import carriers
from accounts.carriers import CarrierKind, UnknownCarrier
from accounts.models import CallerId, Route, Trunk
from campaigns import flow_interpreter, flow_lengths
from campaigns.models import Campaign, CustomField, Flow
from core.composed_once import ComposedOnce
from core.errors import InvalidRequest


class Misfit(NamedTuple):
    """What the carrier can't do: the field that asks for it, why it can't, and what to do instead."""

    field: str
    reason: str
    remedy: str


def misfit(campaign: Campaign, custom_field: str, routes: Iterable[Route] | None = None) -> Misfit | None:
    """Return why one of the trunks of the campaign's caller ID can't make its calls; None where all can.

    Args:
        routes: of the caller ID, with their trunks, where they are loaded; otherwise it takes a query.
    """
    caller_id = campaign.caller_id
    routes = _ROUTES.of([caller_id.pk]) if routes is None else routes
    trunks = [caller_id.trunk, *(route.trunk for route in routes)]
    return next(filter(None, (_misfit_over(trunk, campaign, custom_field) for trunk in trunks)), None)


# Each create asks this.
_ROUTES = ComposedOnce(
    lambda: Route.objects.select_related("trunk").defer("trunk__api_token").order_by("place"), by="caller_id"
)


def _misfit_over(trunk: Trunk, campaign: Campaign, custom_field: str) -> Misfit | None:
    try:
        kind = trunk.kind
    except UnknownCarrier:
        return None  # its driver has gone: the diagnosis says so, whatever the campaign asks for
    if campaign.text and not kind.runs_our_flows:
        return Misfit(
            "read_via_text", "calls from this caller_id run flows of the carrier's own account only", "give url"
        )
    if campaign.flow and (why := _why_not_run(campaign.flow.document, kind)):
        return Misfit("url", f"its flow {why}, which this caller_id can't do", "give another flow")
    if campaign.machine_detection != Campaign.MachineDetection.OFF and not kind.detects_machines:
        reason = "a carrier of this caller_id can't tell machines from people"
        return Misfit("machine_detection", reason, "leave it out")
    if kind.longest_custom_field is not None and len(custom_field) > kind.longest_custom_field:
        takes = f"the carrier of this caller_id takes {kind.longest_custom_field}"
        return Misfit("custom_field", f"it has {len(custom_field):,} characters, and {takes}", "shorten it")
    return None


def require(campaign: Campaign, custom_field: str) -> None:
    """Raise InvalidRequest, with the field and the reason, where a trunk of the campaign's can't make its calls."""
    if found := misfit(campaign, custom_field):
        raise InvalidRequest(f"'{found.field}': {found.reason}: {found.remedy}")


def obstacle(campaigns: "QuerySet[Campaign]", kind: CarrierKind) -> str:
    """Return why the open ones of these campaigns can't be called over a carrier of this kind; "" where they can."""
    still_open = campaigns.filter(status__in=Campaign.OPEN).order_by("created_at")
    if not kind.runs_our_flows and (reads := still_open.exclude(text="").first()):
        return f"the campaign {reads} reads a text, and {kind.label} runs flows of its own account only"
    if kind.lacks or kind.longest_stretch is not None:
        for flow in Flow.objects.filter(pk__in=still_open.order_by().values("flow")):
            if why := _why_not_run(flow.document, kind):
                return f"the flow {flow} of an open campaign {why}, which {kind.label} can't do"
    detecting = still_open.exclude(machine_detection=Campaign.MachineDetection.OFF)
    if not kind.detects_machines and (detects := detecting.first()):
        return f"the campaign {detects} tells machines from people, which {kind.label} can't"
    if kind.longest_custom_field is not None:
        too_long = CustomField.objects.alias(length=Length("value")).filter(length__gt=kind.longest_custom_field)
        if passes := still_open.filter(custom_field__in=too_long).first():
            return f"the campaign {passes} has a custom field of more than {kind.longest_custom_field} characters"
    return ""


def obstacle_to(flow: Flow) -> str:
    """Return why an open campaign could not be called any more with the flow as it is now; "" where all can."""
    using = Campaign.objects.filter(flow=flow, status__in=Campaign.OPEN) if flow.pk else Campaign.objects.none()
    lines = CallerId.objects.filter(pk__in=using.order_by().values("caller_id"))
    over = Trunk.objects.filter(Q(caller_ids__in=lines) | Q(routes__caller_id__in=lines))
    for carrier in over.order_by("carrier").values_list("carrier", flat=True).distinct():
        with suppress(UnknownCarrier):
            if why := _why_not_run(flow.document, carriers.get(carrier)):
                return f"the flow {why}, which a carrier of an open campaign that uses it can't do"
    return ""


def _why_not_run(document: Mapping[str, Any], kind: CarrierKind) -> str:
    """Return what of a flow the carrier can't do, beginning with a verb; "" where it can do all."""
    if steps := kind.lacks & flow_interpreter.steps_of(document):
        return f"has the step {min(steps)}"
    if kind.longest_stretch is not None and (length := flow_lengths.longest_stretch(document)) > kind.longest_stretch:
        return f"says {length:,} bytes without a question (at most {kind.longest_stretch:,})"
    return ""
