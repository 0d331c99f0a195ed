"""The fields of the page as texts, and the body of the API's request that they stand for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

from django.http import QueryDict

from accounts.models import Account
from campaigns.called_again import Selection
from campaigns.models import Campaign
from console.new_campaign import words
from console.new_campaign.words import MOST_ANSWERS, Answer
from core.ids import wire_id

WALL_TIME = "%Y-%m-%dT%H:%M"
MOST_NUMBERS = 5000
CALLBACKS = ("call_status_callback", "call_schedule_callback", "status_callback")
RETRY_STATUSES = ("busy", "no-answer", "failed")
SEVERAL = ("lists", "who", "on_status", "rules")
# A field of the API's request, and that of the page where it is told what is wrong with it.
FIELDS = {
    "from": "numbers",
    "campaign_type": "lists",
    "url": "flow",
    "read_via_text": "text",
    "flow_type": "text",
    "repeat_menu_attempts": "repeats",
    "retries.number_of_retries": "retries",
    "retries.interval_mins": "interval",
    "retries.mechanism": "mechanism",
    "retries.on_status": "on_status",
    "schedule.send_at": "start",
    "schedule.end_at": "end",
    "mode": "pace",
    "throttle": "pace",
    "pressed": "who",
}
# The same in sentences.
_NAMES = {
    "schedule.send_at": "the start",
    "schedule.end_at": "the end",
    "send_at": "the start",
    "end_at": "the end",
    "read_via_text": "a text",
    "flow_type ivr": "“wait for a key”",
    "with mode custom, give": "give",
}


class UnreadableTime(ValueError):
    """The text of a field is not a moment on the account's clocks."""


@dataclass(frozen=True)
class Form:
    """What the fields hold.

    Attributes:
        texts: of each field; "" where it is empty.
        several: of fields that have several values.
    """

    texts: Mapping[str, str] = field(default_factory=dict)
    several: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def get(self, name: str) -> Any:
        """Return the value of a field: a text, or several."""
        return self.several.get(name, ()) if name in SEVERAL else self.texts.get(name, "")

    def text(self, name: str) -> str:
        return self.texts.get(name, "").strip()

    def is_on(self, name: str) -> bool:
        return bool(self.text(name))

    def changed(self, **texts: str) -> "Form":
        return replace(self, texts={**self.texts, **texts})

    @property
    def answers(self) -> list[Answer]:
        """Return the answers to keys that are filled in."""
        given = [
            Answer(self.text(f"key_{row}"), self.text(f"answer_{row}"), self.is_on(f"stop_{row}"))
            for row in range(1, MOST_ANSWERS + 1)
        ]
        return [answer for answer in given if answer != Answer("", "", stops=False)]

    @property
    def answer_rows(self) -> list[tuple[int, Answer]]:
        """Return all rows for answers, also the empty ones."""
        return [
            (row, Answer(self.text(f"key_{row}"), self.text(f"answer_{row}"), self.is_on(f"stop_{row}")))
            for row in range(1, MOST_ANSWERS + 1)
        ]

    @property
    def selection(self) -> Selection:
        return Selection(tuple(dict.fromkeys(self.get("who"))))


def posted(post: QueryDict) -> Form:
    """Return what was sent. NUL can't be stored, and is no text that a browser sends."""
    texts = {name: str(post[name]).replace("\0", "") for name in post if name not in SEVERAL}
    return Form(texts, {name: post.getlist(name) for name in SEVERAL})


def fresh() -> Form:
    """Return the fields of a page that nobody has touched. Its keys let each button do its work once."""
    texts = {"retries": "0", "interval": "30", "mechanism": "Linear", "key": uuid4().hex, "trial_key": uuid4().hex}
    return Form(texts, {"who": ["no-answer"], "on_status": list(RETRY_STATUSES)})


def cloned(campaign: Campaign, numbers: Sequence[str]) -> Form:
    """Return the fields filled as an existing campaign was, but for its moments. numbers: those it has from no list."""
    form = fresh()
    texts = {
        "name": campaign.name,
        "numbers": "\n".join(numbers),
        "parent": wire_id(campaign.parent_id) if campaign.parent_id else "",
        "text": campaign.text,
        "wait_key": "on" if campaign.flow_type == Campaign.FlowType.IVR else "",
        "repeats": _text(campaign.repeat_menu_attempts),
        "flow": campaign.flow.flow_id if campaign.flow else "",
        "caller_id": campaign.caller_id.number,
        "retries": str(campaign.number_of_retries),
        "interval": _text(campaign.retry_interval_mins) or form.text("interval"),
        "mechanism": campaign.retry_mechanism.capitalize(),
        "pace": _text(campaign.throttle) if campaign.mode == Campaign.Mode.CUSTOM else "",
        "ring_timeout": _text(campaign.ring_timeout),
        "machine_detection": campaign.machine_detection,
        "custom_field": getattr(getattr(campaign, "custom_field", None), "value", ""),
        "duplicates": "on" if campaign.call_duplicate_numbers else "",
    } | {name: getattr(campaign, name) for name in CALLBACKS}
    several = {
        "lists": [] if campaign.parent_id else [wire_id(list_id) for list_id in campaign.list_ids],
        "who": list(Selection.of(campaign).who) or list(form.get("who")),
        "on_status": campaign.retry_on_status or list(RETRY_STATUSES),
        "rules": campaign.rules,
    }
    return Form({**form.texts, **texts}, several)


def _text(value: int | None) -> str:
    return "" if value is None else str(value)


def body(form: Form, account: Account, numbers: Sequence[str] | None, *, is_dynamic: bool) -> dict[str, Any]:
    """Return the API's request. Empty fields are not in it: the API knows what is left out.

    Args:
        numbers: to call; None where lists or another campaign say it.
        is_dynamic: whether the chosen list is.

    Raises:
        UnreadableTime: with the field as its argument, and what to do.
    """
    wanted: dict[str, Any] = {
        name: form.text(name)
        for name in ("name", "caller_id", *CALLBACKS, "ring_timeout", "machine_detection", "custom_field")
        if form.text(name)
    }
    if numbers is not None:
        wanted["from"] = list(numbers)
    if form.get("lists"):
        wanted |= {"lists": list(form.get("lists")), "campaign_type": "dynamic" if is_dynamic else "static"}
    if form.get("rules"):
        wanted["rules"] = list(form.get("rules"))
    if form.is_on("duplicates"):
        wanted["call_duplicate_numbers"] = True
    return wanted | _content(form, account) | _times(form, account.zone) | _retries(form) | _pace(form)


def _content(form: Form, account: Account) -> dict[str, Any]:
    wanted: dict[str, Any] = {}
    if flow_id := form.text("flow"):
        wanted["url"] = words.address(account, flow_id)
    if text := form.text("text"):
        waits = form.is_on("wait_key") or bool(form.answers)
        wanted |= {"read_via_text": text, "flow_type": "ivr" if waits else "greeting"}
        if waits and form.text("repeats"):
            wanted["repeat_menu_attempts"] = form.text("repeats")
    return wanted


def _times(form: Form, zone: ZoneInfo) -> dict[str, Any]:
    schedule = {name: _moment(form, field, zone) for name, field in (("send_at", "start"), ("end_at", "end"))}
    given = {name: moment for name, moment in schedule.items() if moment}
    return {"schedule": given} if given else {}


def _moment(form: Form, field: str, zone: ZoneInfo) -> str | None:
    """Return the moment that a field names on the clocks of the zone, as the API reads it."""
    if not (text := form.text(field)):
        return None
    try:
        wall = datetime.strptime(text[:16], WALL_TIME).replace(tzinfo=zone)
        back = wall.astimezone(UTC).astimezone(zone)
    except (ValueError, OverflowError) as error:
        raise UnreadableTime(field, "give the date and the time") from error
    if back.replace(tzinfo=None) != wall.replace(tzinfo=None):
        raise UnreadableTime(field, "the clocks skip this time on that day: give another one")
    return wall.isoformat()


def _retries(form: Form) -> dict[str, Any]:
    number = form.text("retries") or "0"
    retries: dict[str, Any] = {"number_of_retries": number}
    if number != "0":
        retries |= {"mechanism": form.text("mechanism") or "Linear", "on_status": list(form.get("on_status"))}
        if form.text("interval"):
            retries["interval_mins"] = form.text("interval")
    return {"retries": retries}


def _pace(form: Form) -> dict[str, Any]:
    return {"mode": "custom", "throttle": form.text("pace")} if form.text("pace") else {}


def said(sentence: str) -> str:
    """Return an error of the API in the words of the page."""
    for name, shown in _NAMES.items():
        sentence = sentence.replace(f"{name}", shown)
    return sentence[:1].upper() + sentence[1:]


def document_of(form: Form) -> dict[str, Any] | None:
    """Return the flow of a text with answers to keys; None where there are no answers. Raises InvalidRequest."""
    if not form.answers or not form.text("text"):
        return None
    repeats = form.text("repeats")
    return words.document(form.text("text"), form.answers, int(repeats) if repeats in set("0123456789") else 0)
