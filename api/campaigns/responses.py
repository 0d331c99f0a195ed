"""Campaigns as responses show them."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from django.conf import settings
from rest_framework import serializers

from api.campaigns.related import Related
from api.http import spelling
from api.http.envelope import Item, PageEnvelope, WrittenEnvelope
from api.http.responses import Count, Moment, ResponseSerializer, Text, WireId
from campaigns.models import Campaign
from core.ids import wire_id
from reports import links, stats

RETRY_STATUSES = ["busy", "no-answer", "failed"]


class State(serializers.ChoiceField):
    """The state of a campaign, as the wire spells it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(choices=[spelling.state(status) for status in Campaign.Status.values], **options)

    def to_representation(self, value: str) -> str:
        return spelling.state(value)


class RetriesSerializer(ResponseSerializer):
    number_of_retries = Count("Attempts beyond the first.")
    interval_mins = Count("Minutes.", required=False)
    mechanism = serializers.ChoiceField(["Linear", "Exponential"], required=False)
    on_status = serializers.ListField(child=serializers.ChoiceField(RETRY_STATUSES), required=False)

    def get_interval_mins(self, campaign: Campaign) -> int | None:
        return campaign.retry_interval_mins if campaign.number_of_retries else None

    def get_mechanism(self, campaign: Campaign) -> str | None:
        return campaign.retry_mechanism.capitalize() if campaign.number_of_retries else None

    def get_on_status(self, campaign: Campaign) -> list[str] | None:
        return campaign.retry_on_status if campaign.number_of_retries else None


class ScheduleSerializer(ResponseSerializer):
    send_at = Moment()
    end_at = Moment("No attempt starts from then on.", source="expires_at")


class StatsSerializer(ResponseSerializer):
    # What reports.stats.stats counts is shown as it is.
    def get_fields(self) -> dict[str, Any]:
        return {key: Count("Numbers.") for key in stats.KEYS}

    def to_representation(self, instance: dict[str, int]) -> dict[str, int]:
        return instance


class CampaignSerializer(ResponseSerializer):
    # context: zone; related, with every campaign that is shown. Their accounts and custom fields are loaded.
    id = WireId("32 hexadecimal digits.", source="pk")
    account_sid = Text(source="account.sid")
    name = Text()
    type = Text()
    campaign_type = Text(source="type")
    caller_id = Text("As given.", source="caller_id_given")
    call_duplicate_numbers = serializers.BooleanField()
    retries = RetriesSerializer(source="*")
    schedule = ScheduleSerializer(source="*")
    mode = Text()
    status = State()
    stats = StatsSerializer()
    date_created = Moment(source="created_at")
    date_updated = Moment(source="updated_at")
    date_started = Moment("Null until it has started.", source="started_at", allow_null=True)
    report_url = Text("Null until it has ended; a fresh link each time.", allow_null=True)
    uri = Text()
    from_ = serializers.ListField(
        child=serializers.CharField(), required=False, help_text="E.164; only of a single campaign."
    )
    lists = serializers.ListField(child=WireId(), required=False, help_text="The sids of its lists, as given.")
    url = Text("As given.", source="flow_url", required=False)
    flow_type = Text("With read_via_text.", required=False)
    read_via_text = Text("Instead of url.", source="text", required=False)
    repeat_menu_attempts = Count("As given.", required=False)
    throttle = Count("Calls a minute.", required=False)
    machine_detection = Text("Where it is not off. Not of Exotel's API.", required=False)
    answered_by_machine = Count("Attempts, where machines are told from people. Not of Exotel's API.", required=False)
    ring_timeout = Count("Seconds, as given. Not of Exotel's API.", required=False)
    custom_field = Text(required=False)
    rules = serializers.ListField(
        child=serializers.CharField(), required=False, help_text="Its own rule sets, beside those of the account."
    )
    http_status = Count("Of a failed campaign: why.", source="failure_http_status", required=False)
    parent_sid = WireId(
        "Of a campaign that calls people of another one again: that one.", source="parent_id", required=False
    )
    children = serializers.ListField(
        child=WireId(), required=False, help_text="The sids of those that call some of its people again."
    )
    call_status_callback = Text(required=False)
    call_schedule_callback = Text(required=False)
    status_callback = Text(required=False)

    def get_type(self, campaign: Campaign) -> str:
        return "trans"

    def get_stats(self, campaign: Campaign) -> dict[str, int]:
        return stats.stats(campaign, _related(self).progress[campaign.pk])

    def get_report_url(self, campaign: Campaign) -> str | None:
        return None if campaign.is_open or campaign.is_ending else links.report_url(campaign.pk)

    def get_uri(self, campaign: Campaign) -> str:
        return f"{settings.SCRIPT_NAME}/v2/accounts/{campaign.account.sid}/campaigns/{wire_id(campaign.pk)}"

    def get_from(self, campaign: Campaign) -> Sequence[str] | None:
        return _related(self).numbers.get(campaign.pk)

    def get_machine_detection(self, campaign: Campaign) -> str | None:
        return campaign.machine_detection if _detects(campaign) else None

    def get_answered_by_machine(self, campaign: Campaign) -> int | None:
        return _related(self).by_machine.get(campaign.pk, 0) if _detects(campaign) else None

    def get_lists(self, campaign: Campaign) -> list[Any] | None:
        return campaign.list_ids or None

    def get_rules(self, campaign: Campaign) -> list[str] | None:
        return campaign.rules or None

    def get_children(self, campaign: Campaign) -> Sequence[Any] | None:
        return _related(self).children.get(campaign.pk)

    def get_custom_field(self, campaign: Campaign) -> str | None:
        custom_field = getattr(campaign, "custom_field", None)
        return custom_field.value if custom_field else None


class SummarySerializer(ResponseSerializer):
    # context: zone; related, with every campaign that is shown.
    campaign_sid = WireId(source="campaign.pk")
    call_scheduled = Count("Numbers.")
    call_initialized = Count("Attempts that were started.")
    call_completed = Count("Numbers.")
    call_failed = Count("Numbers.")
    call_inprogress = Count("Numbers.")
    DateCreated = Moment(source="campaign.created_at")

    def to_representation(self, instance: Campaign) -> dict[str, Any]:
        related = _related(self)
        counts = stats.summary(related.progress[instance.pk], related.at_the_carrier.get(instance.pk, 0))
        return super().to_representation(SimpleNamespace(campaign=instance, **counts))


def _detects(campaign: Campaign) -> bool:
    return campaign.machine_detection != Campaign.MachineDetection.OFF


def _related(serializer: ResponseSerializer) -> Related:
    related: Related = serializer.context["related"]
    return related


class CampaignItem(Item):
    data_ = CampaignSerializer(source="*")
    summary = SummarySerializer(source="*")


class CampaignsWritten(WrittenEnvelope):
    response = CampaignItem(many=True, source="rows")


class CampaignsPage(PageEnvelope):
    response = CampaignItem(many=True, source="rows")
