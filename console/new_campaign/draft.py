"""The campaign that the page describes: judged by the code of the API's create, and created by it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from accounts.audit import Actor
from accounts.models import Account
from api.campaigns.people import AgainRequestSerializer
from api.campaigns.requests import CONTENT, CampaignRequestSerializer
from api.http.errors import first_sentence
from campaigns import again, called_again, lifecycle, progress
from campaigns.models import Campaign
from console.new_campaign import form as forms
from console.new_campaign import pasted, people, trial, words
from console.new_campaign.form import FIELDS, Form, UnreadableTime
from console.new_campaign.people import People
from contacts import destinations
from contacts.models import ContactList
from core import ids
from core.errors import InvalidRequest
from webhooks.addresses import LookUps

# What the page says of the whole, not of a field.
WHOLE = "form"
# Where the page has a place for a sentence. What is wrong elsewhere is told of the whole.
PLACES = frozenset(
    {"numbers", "lists", "parent", "who", "without_bad", "text", "repeats", "answers", "flow", "caller_id", "name"}
    | {"start", "end", "retries", "interval", "mechanism", "on_status", "pace", "rules", "ring_timeout"}
    | {"machine_detection", "custom_field", "trial_number", "file", *forms.CALLBACKS}
)
_NAMED = re.compile(r"'([\w.]+)(?:\[\d+\])*': (.*)", re.DOTALL)
# Columns that say what is heard, and from which number.
_HEARD = (
    *("caller_id", "caller_id_given", "flow", "flow_url", "text", "flow_type", "repeat_menu_attempts"),
    *("ring_timeout", "rules", "machine_detection"),
)


class OtherWordsSerializer(AgainRequestSerializer):
    """Whom to call again, and what they hear this time."""

    def get_fields(self) -> dict[str, Any]:
        every = CampaignRequestSerializer.get_fields(self)
        return super().get_fields() | {name: every[name] for name in CONTENT}


@dataclass
class Draft:
    """A campaign that may be created.

    Attributes:
        errors: by the field of the page; a field that is wrong in two ways has the first.
        columns: the arguments of `lifecycle.create` or, with `parent`, of `again.create`; empty where fields are wrong.
        document: the flow of a text with answers to keys, which is made with the campaign.
        campaign: as it would be stored, without calls; None where fields are wrong.
    """

    account: Account
    form: Form
    people: People = field(default_factory=People)
    errors: dict[str, str] = field(default_factory=dict)
    columns: dict[str, Any] = field(default_factory=dict)
    parent: Campaign | None = None
    document: dict[str, Any] | None = None
    campaign: Campaign | None = None

    def refuse(self, field: str, sentence: str) -> None:
        self.errors.setdefault(field if field in PLACES else WHOLE, forms.said(sentence))

    @property
    def words_are_the_parents(self) -> bool:
        """Tell whether the text has values of each person in it, so that only those of the parent fit."""
        return self.parent is not None and self.parent.type == Campaign.Type.DYNAMIC

    def create(self, *, actor: Actor, now: datetime) -> Campaign:
        """Create it, in the caller's transaction. Raises InvalidRequest, and then nothing is stored."""
        columns = {**self.columns, **self._flow_columns(actor)}
        if self.parent:
            return again.create(self.parent, columns.pop("selection"), actor=actor, now=now, **columns)
        return lifecycle.create(self.account, actor=actor, now=now, **columns)

    def trial_columns(self, actor: Actor) -> dict[str, Any]:
        """Return the arguments of `lifecycle.create` for one number that hears the same."""
        assert self.campaign
        columns = {name: getattr(self.campaign, name) for name in _HEARD}
        if self.campaign.type == Campaign.Type.DYNAMIC:
            columns["text"] = trial.filled(self.campaign)
        return columns | {"custom_field": self.custom_field} | self._flow_columns(actor)

    @property
    def custom_field(self) -> str:
        kept = getattr(getattr(self.parent, "custom_field", None), "value", "")
        return str(self.columns.get("custom_field", kept))

    def _flow_columns(self, actor: Actor) -> dict[str, Any]:
        if self.document is None:
            return {}
        flow = words.store(self.account, self.document, actor)
        url = words.address(self.account, flow.flow_id)
        return {"flow": flow, "flow_url": url, "text": "", "flow_type": "", "repeat_menu_attempts": None}


def of(account: Account, form: Form, now: datetime) -> Draft:
    """Judge what the page describes, everything at once. Stores nothing."""
    draft = Draft(account, form)
    chosen = _audience(draft, now)
    try:
        draft.document = forms.document_of(form)
    except InvalidRequest as wrong:
        draft.refuse("answers", str(wrong))
    if form.answers and not form.text("text"):
        draft.refuse("answers", "answers go with a text that says which keys there are")
    if draft.people.bad and draft.people.numbers is not None and not form.is_on("without_bad"):
        draft.refuse("without_bad", "some of this can't be called: correct it, or go on without it")
    if draft.people.loading:
        draft.refuse("lists", "the file is still being loaded: wait until all of it is there")
    _validate(draft, chosen)
    if not draft.errors:
        _stage(draft, now)
    return draft


# Who -----------------------------------------------------------------------------------------------------------------


def _audience(draft: Draft, now: datetime) -> list[ContactList]:
    """Find out who is called. Returns the lists that were chosen."""
    form, account = draft.form, draft.account
    given = [name for name in ("numbers", "lists", "parent") if form.text(name) or form.several.get(name)]
    if len(given) > 1:
        draft.refuse(given[1], "give numbers, lists or a campaign, only one of them: clear the others")
        return []
    if not given:
        draft.refuse("numbers", "say who is called: paste numbers, upload a file, or choose lists or a campaign")
    elif given == ["numbers"]:
        _read_numbers(draft, now)
    elif given == ["parent"]:
        _find_parent(draft)
    else:
        wanted = [ids.parse_or_nil(sid) for sid in form.get("lists")]
        chosen = list(ContactList.objects.filter(account=account, pk__in=wanted))
        draft.people = people.of_lists(account, chosen, now)
        return chosen
    return []


def _read_numbers(draft: Draft, now: datetime) -> None:
    account, form = draft.account, draft.form
    called = destinations.of_account(account)
    found = pasted.read(form.text("numbers"), account.region, called, forms.MOST_NUMBERS)
    draft.people = people.of_pasted(account, found, now, without_today=form.is_on("without_today"))
    if found.is_cut:
        draft.refuse("numbers", f"more than {forms.MOST_NUMBERS:,} numbers can't be pasted: upload them as a file")
    elif not found.numbers:
        draft.refuse("numbers", "there is no number to call in this")
    elif not draft.people.count:
        draft.refuse("numbers", "nobody is left to call: all of them are on the do-not-call list or left out")


def _find_parent(draft: Draft) -> None:
    parents = Campaign.objects.filter(account=draft.account, is_purging=False)
    parents = parents.select_related("account", "custom_field", "caller_id__trunk", "flow")
    draft.parent = parents.filter(pk=ids.parse_or_nil(draft.form.text("parent"))).first()
    if draft.parent is None:
        draft.refuse("parent", "there is no such campaign in this account")
        return
    selection = draft.form.selection
    if not selection.who:
        draft.refuse("who", "say whom to call again")
        return
    if because := again.refusal(draft.parent):
        draft.refuse("parent", because)
        return
    counted = progress.of([draft.parent.pk])[draft.parent.pk]
    if counted.total > people.MOST_LOOKED_UP:
        most = selection.at_most(counted)
        draft.people = People(count=most, given=most, listed=None, today=None, at_most=True, again=selection)
        return
    numbers = called_again.numbers(draft.parent, selection)
    draft.people = People(
        count=len(numbers), given=len(numbers), listed=None, today=None, again=selection, called_again=numbers
    )
    if not numbers:
        draft.refuse("who", "nobody of them is left to call: they were reached, are listed or called already")


# What and when -------------------------------------------------------------------------------------------------------


def _validate(draft: Draft, chosen: Sequence[ContactList]) -> None:
    """Let the API's own fields judge the rest, and tell each error at the field of the page."""
    is_dynamic = [row.type for row in chosen] == [ContactList.Type.DYNAMIC]
    try:
        numbers = draft.people.numbers
        body = forms.body(draft.form, draft.account, numbers, is_dynamic=is_dynamic)
    except UnreadableTime as unreadable:
        draft.refuse(*unreadable.args)
        return
    if draft.form.text("text") and draft.form.text("flow"):
        draft.refuse("text", "give a text or a flow, only one of them: clear the other")
    if not (draft.form.text("text") or draft.form.text("flow") or draft.words_are_the_parents):
        draft.refuse("text", "say what people hear: write a text, or choose a flow")
    if not draft.form.text("caller_id"):
        draft.refuse("caller_id", "choose the number that people see")
    context: dict[str, Any] = {"account": draft.account, "look_ups": LookUps()}
    serializer = _again(draft, body, context) if draft.parent else CampaignRequestSerializer(data=body, context=context)
    if serializer.is_valid():
        draft.columns = dict(serializer.validated_data)
        return
    for place, sentence in _flat(serializer.errors):
        name = FIELDS.get(place, FIELDS.get(place.partition("[")[0], place.partition(".")[0]))
        draft.refuse(name if name != "non_field_errors" else WHOLE, sentence)
    if "text" in draft.errors:
        draft.errors.pop("flow", None)


def _again(draft: Draft, body: dict[str, Any], context: dict[str, Any]) -> CampaignRequestSerializer:
    assert draft.parent
    body |= {"who": list(draft.form.selection.who), "schedule": {"end_at": None} | body.get("schedule", {})}
    if draft.words_are_the_parents:
        body = {name: value for name, value in body.items() if name not in CONTENT}
        draft.document = None
    for name in ("from", "lists", "campaign_type", "call_duplicate_numbers"):
        body.pop(name, None)
    return OtherWordsSerializer(data=body, context=context | {"campaign": draft.parent}, partial=True)


def _flat(errors: Mapping[str, Any], place: str = "") -> Iterator[tuple[str, str]]:
    """Yield the first error of each field with its place, such as `retries.interval_mins`."""
    for name, inner in errors.items():
        here = f"{place}.{name}" if place else str(name)
        if isinstance(inner, Mapping):
            yield from _flat(inner, here)
        else:
            yield here, first_sentence(inner)


def _stage(draft: Draft, now: datetime) -> None:
    """Make the campaign as it would be stored, and ask whether its calls are possible at all."""
    columns = {name: value for name, value in draft.columns.items() if name not in {"numbers", "selection"}}
    columns.pop("custom_field", None)
    if draft.parent:
        kept = {name: getattr(draft.parent, name) for name in again.COPIED}
        columns = kept | columns | {"parent": draft.parent, "again": draft.form.selection.as_json()}
    try:
        draft.campaign = lifecycle.draft(draft.account, now=now, **columns)
        lifecycle.require_possible(draft.campaign, draft.custom_field)
    except InvalidRequest as refused:
        draft.campaign = None
        tell(draft, refused)


def tell(draft: Draft, refused: InvalidRequest) -> None:
    """Put a refusal of the campaign's own rules to its field."""
    named = _NAMED.fullmatch(str(refused))
    place, sentence = named.groups() if named else (WHOLE, str(refused))
    draft.refuse(FIELDS.get(place, place), sentence)
