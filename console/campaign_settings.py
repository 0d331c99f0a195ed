"""A campaign's settings as a person reads them; what is empty is left out."""

from collections.abc import Iterator
from datetime import datetime

from campaigns.models import Campaign
from console import zones
from contacts.models import ContactList
from core.ids import wire_id

Setting = tuple[str, str]


def of_campaign(campaign: Campaign) -> list[Setting]:
    """Return names and values. The account, the caller ID, the flow and the custom field must be loaded."""
    found = (*_who(campaign), *_what(campaign), *_when(campaign), *_rules(campaign), *_callbacks(campaign))
    return [(name, value) for name, value in found if value]


def _who(campaign: Campaign) -> Iterator[Setting]:
    yield "Campaign ID", wire_id(campaign.pk)
    yield "Account", campaign.account.sid
    names = dict(ContactList.objects.filter(pk__in=campaign.list_ids).values_list("pk", "name"))
    yield "Lists", ", ".join(names.get(key, f"{wire_id(key)} (deleted)") for key in campaign.list_ids)
    yield "Numbers that occur twice", "are called twice" if campaign.call_duplicate_numbers else ""


def _what(campaign: Campaign) -> Iterator[Setting]:
    custom_field = getattr(campaign, "custom_field", None)
    yield "Flow", campaign.flow.flow_id if campaign.flow else ""
    yield "Text", campaign.text
    yield "Kind of text", campaign.get_flow_type_display() if campaign.flow_type else ""
    yield "The menu is repeated", f"{campaign.repeat_menu_attempts} times" if campaign.repeat_menu_attempts else ""
    yield "Custom field", custom_field.value if custom_field else ""
    is_default = campaign.machine_detection == Campaign.MachineDetection.OFF
    yield "Answering machines", "" if is_default else campaign.get_machine_detection_display()


def _when(campaign: Campaign) -> Iterator[Setting]:
    yield "Caller ID", campaign.caller_id_given
    for name, moment in (
        ("Start planned", campaign.send_at),
        ("Started", campaign.started_at),
        ("Ends by", campaign.expires_at if campaign.is_open else None),
        ("Ended", campaign.ended_at),
    ):
        yield name, _wall(moment, campaign)
    yield "Retries", _retries(campaign)
    yield "Pace", f"at most {campaign.throttle} starts a minute" if campaign.throttle else ""
    yield "A phone rings for", f"{campaign.ring_timeout} s" if campaign.ring_timeout else ""


def _rules(campaign: Campaign) -> Iterator[Setting]:
    yield "Rules", ", ".join(campaign.rules)
    yield "Rules waived", ", ".join(campaign.waived_rules)
    yield "Waived because", campaign.waived_because


def _callbacks(campaign: Campaign) -> Iterator[Setting]:
    yield "Webhook for each attempt", campaign.call_status_callback
    yield "Webhook for each number", campaign.call_schedule_callback
    yield "Webhook for the campaign", campaign.status_callback


def _retries(campaign: Campaign) -> str:
    if not campaign.number_of_retries:
        return ""
    after = ", ".join(campaign.retry_on_status) or "nothing"
    apart = f"{campaign.retry_interval_mins} minutes apart ({campaign.retry_mechanism})"
    return f"up to {campaign.number_of_retries}, {apart}, after {after}"


def _wall(moment: datetime | None, campaign: Campaign) -> str:
    return zones.wall(moment, campaign.account.zone) if moment else ""
