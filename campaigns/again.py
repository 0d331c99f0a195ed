"""Call some people of a campaign again, by a child campaign: the same words, caller ID and retries, unless changed."""

from datetime import datetime
from typing import Any

from accounts.audit import Actor
from campaigns import audience, called_again, lifecycle
from campaigns.called_again import Found, Selection
from campaigns.models import Campaign, CustomField
from core.errors import InvalidRequest, WrongState

# What a child has of its parent. A rule that was waived for the parent holds for the child.
COPIED = (
    *("caller_id", "caller_id_given", "type", "list_ids", "flow", "flow_url", "flow_type", "text"),
    *("repeat_menu_attempts", "call_duplicate_numbers", "number_of_retries", "retry_interval_mins", "retry_mechanism"),
    *("retry_on_status", "mode", "throttle", "call_status_callback", "call_schedule_callback", "status_callback"),
    *("ring_timeout", "rules", "machine_detection"),
)
_LONGEST_NAME = 255
_AGAIN = " (again)"


def refusal(parent: Campaign) -> str:
    """Return why nobody of a campaign can be called again at this moment; "" where somebody can."""
    if parent.is_loading or (parent.is_ending and not parent.is_open):
        return "the campaign's calls are still being made or ended: try again in a minute"
    return ""


def name_of_child(parent: Campaign) -> str:
    """Return the name of a campaign that calls people of this one again, unless another is given."""
    return f"{parent.name[: _LONGEST_NAME - len(_AGAIN)]}{_AGAIN}"


def find(parent: Campaign, selection: Selection) -> Found:
    """Count whom `create` would call, and whom it would skip. Nothing is stored.

    Raises:
        WrongState: the calls of the parent are still being made or ended.
    """
    if because := refusal(parent):
        raise WrongState(because)
    return called_again.find(parent, selection)


def create(parent: Campaign, selection: Selection, *, actor: Actor, now: datetime, **changes: Any) -> Campaign:
    """Create a campaign of those people of another one. Its calls that have ended count; it may go on.

    Args:
        changes: columns that are not its parent's, and `custom_field`, as for `lifecycle.create`.

    Raises:
        InvalidRequest: nobody is left to call, or what `lifecycle.create` raises.
        WrongState: the calls of the parent are still being made or ended.
    """
    if because := refusal(parent):
        raise WrongState(because)
    columns: dict[str, Any] = {name: getattr(parent, name) for name in COPIED}
    custom_field: CustomField | None = getattr(parent, "custom_field", None)
    columns["custom_field"] = custom_field.value if custom_field else ""
    columns["name"] = name_of_child(parent)
    columns |= changes
    if not columns["caller_id"].is_active:
        raise InvalidRequest(f"'caller_id': {columns['caller_id'].number} is not active any more: give another one")
    return lifecycle.create(
        parent.account,
        actor=actor,
        now=now,
        allowance=audience.Allowance.of(parent.account),
        parent=parent,
        again=selection.as_json(),
        **columns,
    )
