"""What clients say of campaigns: validated, and turned into the arguments of the campaign's lifecycle."""

from datetime import datetime, timedelta
from typing import Any

from django.db.models import BigIntegerField, QuerySet
from rest_framework import serializers

from accounts import caller_ids, calling_rules
from accounts.models import LONGEST_RING, SHORTEST_RING, Account, CallerId
from api.campaigns.fields import NumbersField, callback_field
from api.campaigns.responses import RETRY_STATUSES, RetriesSerializer
from api.http.fields import CountField, MomentField, ObjectSerializer, SwitchField, TextField, WordField
from api.http.parsers import printable
from campaigns import flows, spoken_text
from campaigns.models import MAX_INTERVAL_MINS, MAX_REPEATS, MAX_RETRIES, MAX_STATIC_LISTS, Campaign, Flow
from contacts.models import ContactList
from core import clocks, ids
from core.composed_once import ComposedOnce, Given
from core.errors import InvalidRequest
from core.ids import wire_id

# A start this far in the past is taken as now, because a client's clock may be late. An earlier one is a mistake.
CLOCK_SKEW = timedelta(minutes=5)
FURTHEST = timedelta(days=365)
CALLBACKS = ("call_status_callback", "call_schedule_callback", "status_callback")
# Fields that Exotel's API does not have.
OUR_OWN = ("ring_timeout", "machine_detection", "rules")
CONTENT = ("url", "flow_type", "read_via_text", "repeat_menu_attempts")


class RetriesRequestSerializer(ObjectSerializer):
    # context: campaign, if one is being changed; what is not given stays as it is.

    number_of_retries = CountField(min_value=0, max_value=MAX_RETRIES, required=False)
    interval_mins = CountField(min_value=1, max_value=MAX_INTERVAL_MINS, required=False)
    mechanism = WordField(["Linear", "Exponential"], required=False)
    on_status = serializers.ListField(
        child=WordField(RETRY_STATUSES),
        allow_empty=False,
        required=False,
        error_messages={"not_a_list": f"must be an array of {', '.join(RETRY_STATUSES)}"},
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        campaign: Campaign | None = self.context.get("campaign")
        retries = RetriesSerializer(campaign).data | attrs if campaign else attrs
        if "number_of_retries" not in retries:
            raise serializers.ValidationError({"number_of_retries": f"say how often to try again, 0 to {MAX_RETRIES}"})
        if retries["number_of_retries"] and not retries.get("interval_mins"):
            raise serializers.ValidationError({"interval_mins": "say how many minutes to wait before a retry"})
        return {
            "number_of_retries": retries["number_of_retries"],
            "retry_interval_mins": retries.get("interval_mins"),
            "retry_mechanism": retries.get("mechanism", "Linear").lower(),
            "retry_on_status": sorted(set(retries.get("on_status", RETRY_STATUSES)), key=RETRY_STATUSES.index),
        }


class ScheduleRequestSerializer(ObjectSerializer):
    # context: campaign, if one is being changed; what is not given stays as it is.

    send_at = MomentField(required=False)
    end_at = MomentField(required=False)

    @property
    def changed(self) -> Campaign | None:
        """The campaign whose schedule is changed, if any."""
        changed: Campaign | None = self.context.get("campaign")
        return changed

    def to_internal_value(self, data: Any) -> Any:
        """Let null take the end away in a change, as no other value could; elsewhere null is "not given"."""
        attrs = super().to_internal_value(data)
        if self.changed and data.get("end_at", "") is None:
            attrs["end_at"] = None
        return attrs

    def validate_send_at(self, send_at: datetime) -> datetime:
        now = clocks.now()
        if send_at < now - CLOCK_SKEW:
            raise serializers.ValidationError("this moment has passed: leave send_at out to start at once")
        if send_at > now + FURTHEST:
            raise serializers.ValidationError("this is more than a year ahead")
        return max(send_at, now)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        campaign = self.changed
        now = clocks.now()
        send_at = attrs.get("send_at") or (campaign.send_at if campaign else now)
        end_at = attrs.get("end_at", campaign.end_at if campaign else None)
        if end_at and end_at <= max(send_at, now):
            raise serializers.ValidationError({"end_at": "must be after send_at, and after now"})
        if end_at and end_at > send_at + FURTHEST:
            raise serializers.ValidationError({"end_at": "is more than a year after send_at"})
        return attrs


class CampaignRequestSerializer(ObjectSerializer):
    # Validated data are the arguments of lifecycle.create and lifecycle.change.
    # context: account; look_ups, for the names in addresses; campaign, if one is being changed.

    name = TextField(min_length=3, max_length=255, required=False)
    type = WordField(["trans"], required=False)
    caller_id = TextField(max_length=32)
    campaign_type = WordField([Campaign.Type.STATIC.value, Campaign.Type.DYNAMIC.value], required=False)
    lists = serializers.ListField(
        child=TextField(), required=False, error_messages={"not_a_list": "must be an array of the sids of lists"}
    )
    url = TextField(max_length=2048, required=False)
    flow_type = WordField([Campaign.FlowType.IVR.value, Campaign.FlowType.GREETING.value], required=False)
    read_via_text = TextField(max_length=spoken_text.LONGEST, required=False)
    repeat_menu_attempts = CountField(min_value=0, max_value=MAX_REPEATS, required=False)
    call_duplicate_numbers = SwitchField(required=False)
    retries = RetriesRequestSerializer(required=False)
    schedule = ScheduleRequestSerializer(required=False)
    rules = serializers.ListField(
        child=TextField(max_length=64),
        required=False,
        error_messages={"not_a_list": "must be an array of the names of rule sets"},
        help_text="Rule sets for the people who are called, beside those of the account. Ours.",
    )
    call_status_callback = callback_field()
    call_schedule_callback = callback_field()
    status_callback = callback_field()
    mode = WordField([Campaign.Mode.AUTO.value, Campaign.Mode.CUSTOM.value], required=False)
    throttle = CountField(required=False)
    machine_detection = WordField(
        Campaign.MachineDetection.values,
        required=False,
        help_text="Whether the carrier tells machines from people, and what a machine gets. Not of Exotel's API.",
    )
    ring_timeout = CountField(
        min_value=SHORTEST_RING,
        max_value=LONGEST_RING,
        required=False,
        help_text="Seconds for which a phone rings. Not of Exotel's API.",
    )
    custom_field = TextField(max_length=10_000, allow_blank=True, trim_whitespace=False, required=False)

    def get_fields(self) -> dict[str, Any]:
        # Last, because it costs the most; not a class attribute, because `from` is a keyword.
        return super().get_fields() | {"from": NumbersField(required=False)}

    def validate_rules(self, names: list[str]) -> list[str]:
        """Return each name once. Raises ValidationError for the first unknown one, with those that there are."""
        for name in names:
            if name not in calling_rules.presets():
                known = ", ".join(calling_rules.presets())
                raise serializers.ValidationError(f"there is no rule set {printable(name)}; there are {known}")
        return list(dict.fromkeys(names))

    def validate_lists(self, sids: list[str]) -> list[ContactList]:
        """Return the account's lists of these sids, each once. Raises ValidationError for the first unknown one."""
        known = ContactList.objects.filter(account=self.context["account"]).in_bulk(
            [list_id for sid in sids if (list_id := ids.parse(sid))]
        )
        found = [known.get(ids.parse_or_nil(sid)) for sid in sids]
        if None in found:
            unknown = printable(sids[found.index(None)])
            raise serializers.ValidationError(f"there is no list {unknown} in this account")
        return list(dict.fromkeys(contact_list for contact_list in found if contact_list))

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        columns = {
            name: attrs[name]
            for name in ("name", "call_duplicate_numbers", "custom_field", *OUR_OWN, *CALLBACKS)
            if name in attrs
        }
        columns |= attrs.get("retries", {}) | attrs.get("schedule", {}) | self._throttle(attrs)
        columns |= self._audience(attrs) | self._content(attrs)
        if "caller_id" in attrs:
            columns |= {"caller_id": self._caller_id(attrs["caller_id"]), "caller_id_given": attrs["caller_id"]}
        return columns

    def _audience(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Return the columns for who is called: numbers, up to five static lists, or one dynamic list."""
        campaign: Campaign | None = self.context.get("campaign")
        lists: list[ContactList] = attrs.get("lists", [])
        if lists and "from" in attrs:
            raise serializers.ValidationError({"lists": "can't be given together with from: give one of them"})
        if not lists and "from" not in attrs:
            if campaign is None:
                raise serializers.ValidationError({"from": "is required where no lists are given"})
            if attrs.get("campaign_type", campaign.type) != campaign.type:
                raise serializers.ValidationError({"campaign_type": "can only be changed together with from or lists"})
            return {}
        current = campaign.type if campaign and lists else Campaign.Type.STATIC
        kind = attrs.get("campaign_type", current)
        _check_lists(kind, lists)
        columns: dict[str, Any] = {"type": kind, "list_ids": [contact_list.pk for contact_list in lists]}
        return columns | ({"numbers": attrs["from"]} if "from" in attrs else {})

    def _content(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Return the columns for what they hear: a flow, or a text that is read. One replaces the other."""
        campaign: Campaign | None = self.context.get("campaign")
        if campaign and not attrs.keys() & set(CONTENT):
            return {}
        if "url" in attrs and "read_via_text" in attrs:
            raise serializers.ValidationError({"read_via_text": "can't be given together with url: give one of them"})
        text = attrs.get("read_via_text", campaign.text if campaign and "url" not in attrs else "")
        if text:
            return {"flow": None, "flow_url": "", "text": text, **self._menu(attrs)}
        if "flow_type" in attrs:
            says = (
                "goes with read_via_text, not with a flow in url" if "url" in attrs else "needs a text in read_via_text"
            )
            raise serializers.ValidationError({"flow_type": says})
        if attrs.get("repeat_menu_attempts"):
            raise serializers.ValidationError({"repeat_menu_attempts": "goes with flow_type ivr, not with a flow"})
        if "url" not in attrs:
            if campaign is None:
                raise serializers.ValidationError({"url": "is required where no read_via_text is given"})
            return {}
        flow = self._flow(attrs["url"])
        return {"flow": flow, "flow_url": attrs["url"], "text": "", "flow_type": "", "repeat_menu_attempts": None}

    def _menu(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Return the columns for a menu: whether to wait for a key, and how often to repeat the text until then."""
        campaign: Campaign | None = self.context.get("campaign")
        flow_type = attrs.get("flow_type", campaign.flow_type if campaign else "")
        if not flow_type:
            raise serializers.ValidationError({"flow_type": "is required with read_via_text: ivr or greeting"})
        repeats = attrs.get("repeat_menu_attempts")
        if flow_type == Campaign.FlowType.GREETING:
            if repeats:
                raise serializers.ValidationError({"repeat_menu_attempts": "goes with flow_type ivr only"})
            return {"flow_type": flow_type, "repeat_menu_attempts": None}
        if repeats is None and campaign:
            repeats = campaign.repeat_menu_attempts
        return {"flow_type": flow_type, "repeat_menu_attempts": repeats}

    def _caller_id(self, given: str) -> CallerId:
        account: Account = self.context["account"]
        found = _CALLER_IDS.of([caller_ids.canonical(given, account.region)], account=account.pk)
        if not found:
            raise serializers.ValidationError(
                {"caller_id": f"{given} is not a caller ID of this account: give one of its numbers"}
            )
        return found[0]

    def _flow(self, url: str) -> Flow:
        try:
            return flows.find_flow(self.context["account"], url)
        except InvalidRequest as error:
            raise serializers.ValidationError({"url": f"{printable(url[:200])} {error}"}) from error

    def _throttle(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Return the columns for the pace. throttle is ignored with mode auto, because some clients send both."""
        if not attrs.keys() & {"mode", "throttle"}:
            return {}
        campaign: Campaign | None = self.context.get("campaign")
        mode = attrs.get("mode", campaign.mode if campaign else Campaign.Mode.AUTO)
        if mode == Campaign.Mode.AUTO:
            return {"mode": mode, "throttle": None}
        throttle = attrs.get("throttle", campaign.throttle if campaign else None)
        most = max(self.context["account"].starts_per_minute - 1, 1)
        if throttle is None or not 1 <= throttle <= most:
            raise serializers.ValidationError({"throttle": f"with mode custom, give 1 to {most} calls a minute"})
        return {"mode": mode, "throttle": throttle}


def _usable() -> "QuerySet[CallerId]":
    known = CallerId.objects.select_related("trunk").defer("trunk__api_token")
    return known.filter(account_id=Given("account", BigIntegerField()), is_active=True)


_CALLER_IDS = ComposedOnce(_usable, by="number")


def _check_lists(kind: str, lists: list[ContactList]) -> None:
    """Raise ValidationError if this type of campaign can't be made from these lists."""
    dynamic = [contact_list for contact_list in lists if contact_list.type == ContactList.Type.DYNAMIC]
    if kind == Campaign.Type.DYNAMIC and (len(lists) != 1 or not dynamic):
        raise serializers.ValidationError(
            {"lists": "a dynamic campaign takes exactly one list, uploaded as CSV with type=dynamic, and no from"}
        )
    if kind == Campaign.Type.STATIC and dynamic:
        raise serializers.ValidationError(
            {"lists": f"the list {wire_id(dynamic[0].pk)} is dynamic: give campaign_type dynamic, or other lists"}
        )
    if len(lists) > MAX_STATIC_LISTS:
        raise serializers.ValidationError({"lists": f"{len(lists)} lists are more than {MAX_STATIC_LISTS}"})


class ScheduleChangeSerializer(ScheduleRequestSerializer):
    end_at = MomentField(required=False, allow_null=True, help_text="null takes the end away.")


class CampaignChangeSerializer(CampaignRequestSerializer):
    """A campaign's fields to change: all of them optional."""

    schedule = ScheduleChangeSerializer(allow_null=True, help_text="null takes the end away and keeps the start.")

    def get_fields(self) -> dict[str, Any]:
        fields = super().get_fields()
        for field in fields.values():
            field.required = False
        return fields
