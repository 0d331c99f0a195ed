"""What a person may do to a campaign: create it, change it, and use one of the verbs in `VERBS`.

The API and the admin both call these functions. Each one takes the actor, checks and changes under the campaign's lock,
all or nothing, with the audit entry that says who did it, and raises InvalidRequest with a sentence for a person.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar

from django.db import transaction

from accounts import audit
from accounts.audit import Actor
from accounts.models import Account
from campaigns import (
    audience,
    called_again,
    campaign_lock,
    campaign_states,
    carrier_fit,
    ending,
    filled_texts,
    signals,
    spoken_text,
)
from campaigns.loading import START_DUE
from campaigns.models import Campaign, CustomField
from contacts import deletion_lock
from contacts.models import ContactList
from core import clocks, failpoints
from core.errors import InvalidRequest, WrongState
from core.task_queue import enqueue

Status = Campaign.Status

# The longest life of a campaign without an end. Exotel's Campaigns API, too, cancels paused campaigns after 30 days.
LONGEST = timedelta(days=30)

_GONE = "the campaign ended long ago, and has just been deleted: there is nothing left to change"


def create(
    account: Account,
    *,
    actor: Actor,
    numbers: Sequence[str] = (),
    custom_field: str = "",
    now: datetime,
    allowance: audience.Allowance | None = None,
    **columns: Any,
) -> Campaign:
    """Create a campaign with its calls, or leave those to the loader where they are many.

    Args:
        account: owns the campaign.
        actor: who creates it.
        numbers: whom to call, in E.164; ignored where `columns` has list_ids.
        custom_field: a text for the flow and the report.
        now: the start, unless `columns` has send_at.
        allowance: of the request, where it creates several.
        columns: of the new row.

    Raises:
        InvalidRequest: the carrier can't make such calls, a list can't be used, the text can't be read with the values
            of everybody in it, or the account has too many calls that have not ended.
    """
    with transaction.atomic():
        campaign = draft(account, now=now, **columns)
        require_possible(campaign, custom_field)
        campaign.save(force_insert=True)
        _add_custom_field(campaign, custom_field)
        audience.add_calls(campaign, numbers, allowance or audience.Allowance.of(account))
        if not campaign.is_loading:
            filled_texts.require_readable(campaign)
        audit.record(actor, audit.Verb.CREATED, campaign, what=_audience(campaign, numbers), at=now)
        # The commit may be that of a larger transaction, which also stores the response of an idempotent request.
        transaction.on_commit(lambda: failpoints.reached("campaign-after-commit"))
        transaction.on_commit(_enqueue_start)
        failpoints.reached("campaign-before-commit")
    return campaign


def draft(account: Account, *, now: datetime, **columns: Any) -> Campaign:
    """Return the campaign that `create` would store, without calls."""
    columns.setdefault("send_at", now)
    columns.setdefault("name", f"{account.sid} {now.astimezone(account.zone):%Y-%m-%d %H:%M:%S}")
    campaign = Campaign(account=account, **columns)
    _set_end(campaign, now)
    return campaign


def require_possible(campaign: Campaign, custom_field: str) -> None:
    """Raise InvalidRequest where such calls can't be made, whoever they are to: see `create`."""
    _check_text(campaign)
    _check_message(campaign)
    carrier_fit.require(campaign, custom_field)


def change(
    campaign: Campaign,
    *,
    actor: Actor,
    now: datetime,
    numbers: Sequence[str] | None = None,
    custom_field: str | None = None,
    **columns: Any,
) -> Campaign:
    """Change any part of a campaign that has not started. Returns the campaign as it is now.

    Args as for `create`; what is None or not named stays as it is.
    """
    with transaction.atomic():
        if columns.get("list_ids"):
            deletion_lock.hold_shared(campaign.account_id)  # before the campaign, as a deletion does
        campaign = _locked_one(campaign)
        if not has_not_started(campaign):
            raise WrongState(
                f"the campaign has started and is {campaign.status}: only action, status_callback, call_status_callback"
                " and call_schedule_callback can be changed now"
            )
        if refusal := _why_ending(campaign):
            raise WrongState(f"can't change this campaign: {refusal}")
        if campaign.again is not None:
            _require_same_people(campaign, columns, numbers)
        what = _assign(campaign, columns)
        _set_end(campaign, now)
        _check_text(campaign)
        _check_message(campaign)
        campaign.save()
        if custom_field is not None:
            _set_custom_field(campaign, custom_field)
        carrier_fit.require(campaign, _custom_field(campaign) if custom_field is None else custom_field)
        if numbers is not None or "list_ids" in columns:
            audience.require_replaceable(campaign)
            audience.remove_calls(campaign)
            audience.add_calls(campaign, numbers or (), audience.Allowance.of(campaign.account))
        elif "call_duplicate_numbers" in columns:
            raise InvalidRequest("call_duplicate_numbers can only be changed together with from or lists")
        if not campaign.is_loading:
            filled_texts.require_readable(campaign)
        what += ["custom_field"] * (custom_field is not None) + ["numbers"] * (numbers is not None)
        audit.record(actor, audit.Verb.CHANGED, campaign, what=_names(what), at=now)
        transaction.on_commit(_enqueue_start)
    return campaign


def change_callbacks(campaign: Campaign, *, actor: Actor, **callbacks: str) -> Campaign:
    """Change the addresses that webhooks about a campaign that has not ended are sent to."""
    with transaction.atomic():
        campaign = _locked_one(campaign)
        if not campaign.is_open:
            raise WrongState(f"the campaign is {campaign.status}: nothing can be changed any more")
        what = _assign(campaign, callbacks)
        campaign.save(update_fields=[*callbacks, "updated_at"])
        audit.record(actor, audit.Verb.CHANGED, campaign, what=_names(what))
    return campaign


def lock_open(campaign: Campaign) -> Campaign:
    """Lock a campaign to change its calls, and load it as it is now.

    Raises:
        WrongState: it has ended, is ending, or its calls are still being made.
    """
    campaign = _locked_one(campaign)
    if not campaign.is_open:
        others = "other campaigns may, unless a number is on the do-not-call list"
        raise WrongState(f"the campaign is {campaign.status}: it calls nobody any more; {others}")
    if refusal := _why_ending(campaign):
        raise WrongState(f"can't change this campaign: {refusal}")
    if campaign.is_loading:
        raise WrongState("the campaign's calls are still being made from its lists: try again in a minute")
    return campaign


def has_not_started(campaign: Campaign) -> bool:
    """Return whether the campaign waits for its start, so that all of it can still be changed."""
    return campaign.started_at is None and campaign.status in {Status.CREATED, Status.PAUSED}


# Verbs ---------------------------------------------------------------------------------------------------------------


def _no_obstacle(_campaign: Campaign, _now: datetime) -> str:
    return ""


@dataclass(frozen=True)
class Outcome:
    """What became of a verb over many campaigns: those that it was done to, and why not to the others."""

    done: list[Campaign]
    refusals: list[tuple[Campaign, str]]


@dataclass(frozen=True)
class Verb:
    """Something that a person does to campaigns; call it with one to do it, or `apply` it to many.

    Attributes:
        name: the word in a button, and in `action` of the API.
        past: the same verb after the fact.
        allowed_from: the states in which it may be used.
        step: make the change to all of the campaigns, inside the transaction. Takes them, now, and the reason.
        obstacle: why it may not be used now although the state allows it; "" where it may.
        consequence: what a person must confirm first, because there is no way back; "" where there is one.
        is_action: whether it is an `action` of the API.
    """

    name: str
    past: str
    allowed_from: frozenset[Campaign.Status]
    step: Callable[[Sequence[Campaign], datetime, str], None]
    obstacle: Callable[[Campaign, datetime], str] = _no_obstacle
    consequence: str = ""
    is_action: bool = True

    # Django's templates call whatever is callable.
    do_not_call_in_templates: ClassVar = True

    def __call__(self, campaign: Campaign, *, actor: Actor, now: datetime | None = None) -> Campaign:
        """Do it, under the campaign's lock. Returns the campaign as it is now.

        Raises:
            WrongState: the campaign's state does not allow it.
        """
        with transaction.atomic():
            outcome = self.apply([campaign], actor=actor, now=now)
            for _, refusal in outcome.refusals:
                raise WrongState(refusal)
            if not outcome.done:
                raise WrongState(_GONE)
            [campaign] = outcome.done
            campaign.refresh_from_db()
        return campaign

    def apply(self, campaigns: Sequence[Campaign], *, actor: Actor, now: datetime | None = None) -> Outcome:
        """Do it to those of the campaigns whose state allows it, in one transaction and as many statements as for one.

        Each campaign is a lock: a thousand of them are a sixth of those that PostgreSQL has.
        """
        now = now or clocks.now()
        with transaction.atomic():
            rows = _locked(campaigns)
            reasons = {row.pk: self.refusal(row, now) for row in rows}
            willing = [row for row in rows if not reasons[row.pk]]
            if willing:
                self.step(willing, now, f"{self.past} by {actor}")
                audit.record(actor, audit.Verb(self.past), *willing, at=now)
        refused = [(row, f"can't {self.name} this campaign: {reasons[row.pk]}") for row in rows if reasons[row.pk]]
        return Outcome(willing, refused)

    def refusal(self, campaign: Campaign, now: datetime) -> str:
        """Return why the verb may not be used on this campaign now; "" where it may."""
        if campaign.status not in self.allowed_from:
            allowed = " or ".join(sorted(self.allowed_from))
            return f"it is {campaign.status}, and must be {allowed} for that"
        return _why_ending(campaign) or self.obstacle(campaign, now)


def _pause(campaigns: Sequence[Campaign], now: datetime, reason: str) -> None:
    """Call no more numbers; calls that are up finish."""
    campaign_states.move(campaigns, Status.PAUSED, at=now, reason=reason)


def _resume(campaigns: Sequence[Campaign], now: datetime, reason: str) -> None:
    """Call the numbers that are left; a campaign that was paused before its start waits for it again."""
    unstarted = [campaign for campaign in campaigns if campaign.started_at is None]
    started = [campaign for campaign in campaigns if campaign.started_at]
    waiting = [campaign for campaign in unstarted if campaign.send_at > now or campaign.is_loading]
    due = [campaign for campaign in unstarted if not (campaign.send_at > now or campaign.is_loading)]
    campaign_states.move(waiting, Status.CREATED, at=now, reason=f"{reason}, before the start")
    columns = {"started_at": now, "idle_until": None}
    campaign_states.move(due, Status.IN_PROGRESS, at=now, reason=reason, **columns)
    campaign_states.move(started, Status.IN_PROGRESS, at=now, reason=reason, idle_until=None)
    if accounts := sorted({campaign.account_id for campaign in [*due, *started]}):
        transaction.on_commit(lambda: signals.work_due.send(Campaign, account_ids=accounts))


def _why_not_resumed(campaign: Campaign, now: datetime) -> str:
    if campaign.expires_at <= now:
        return "its end has come while it was paused"
    custom_field = getattr(campaign, "custom_field", None)
    routes = campaign.caller_id.routes.all()  # loaded for all that are resumed
    misfit = carrier_fit.misfit(campaign, custom_field.value if custom_field else "", routes)
    return f"{misfit.field}: {misfit.reason}" if misfit else ""


def _complete(campaigns: Sequence[Campaign], now: datetime, reason: str) -> None:
    """End the campaigns: the calls that are left fail, calls that are up finish."""
    ending.begin(campaigns, Status.COMPLETED, at=now, reason=reason)


def _why_not_completed(campaign: Campaign, _now: datetime) -> str:
    if campaign.is_loading:
        return "its calls are still being made from its lists. Try again in a minute, or delete it"
    return ""


def _archive(campaigns: Sequence[Campaign], now: datetime, reason: str) -> None:
    campaign_states.move(campaigns, Status.ARCHIVED, at=now, reason=reason)


def _delete(campaigns: Sequence[Campaign], now: datetime, reason: str) -> None:
    """Call nobody. The rows stay, with the state deleted."""
    ending.begin(campaigns, Status.DELETED, at=now, reason=reason)


def _why_not_deleted(campaign: Campaign, _now: datetime) -> str:
    return "" if has_not_started(campaign) else "it has started. Pause it, then complete it to end it early"


pause = Verb("pause", "paused", frozenset({Status.CREATED, Status.IN_PROGRESS}), _pause)
resume = Verb("resume", "resumed", frozenset({Status.PAUSED}), _resume, _why_not_resumed)
complete = Verb(
    "complete",
    "completed",
    frozenset({Status.PAUSED}),
    _complete,
    _why_not_completed,
    consequence="The calls that are left fail, and there is no way to resume.",
)
archive = Verb(
    "archive",
    "archived",
    frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELED}),
    _archive,
    consequence="Nothing is taken out of the archive again.",
)
delete = Verb(
    "delete",
    "deleted",
    frozenset({Status.CREATED, Status.PAUSED}),
    _delete,
    _why_not_deleted,
    consequence="None of the numbers will be called.",
    is_action=False,  # the API has the HTTP method for it
)

VERBS = {verb.name: verb for verb in (pause, resume, complete, archive, delete)}
ACTIONS = {name: verb for name, verb in VERBS.items() if verb.is_action}


def _why_ending(campaign: Campaign) -> str:
    """Return why nobody can change a campaign whose calls are being ended; "" for any other."""
    if not campaign.is_ending:
        return ""
    if campaign.is_open:
        return "its end has come, and it ends as soon as the calls that are up have finished"
    return "its calls are still being ended. Try again in a minute"


# Parts of the above --------------------------------------------------------------------------------------------------


def _locked(campaigns: Sequence[Campaign]) -> list[Campaign]:
    """Lock the campaigns and load them as they are now, but for those that are deleted for their age."""
    ids = [campaign.pk for campaign in campaigns]
    campaign_lock.hold(ids)
    # Lock the rows as well, in case two requests change different fields. `no_key`, so that inserting attempts, whose
    # foreign keys point to them, does not wait.
    rows = Campaign.objects.select_for_update(of=("self",), no_key=True)
    rows = rows.select_related("account", "caller_id__trunk", "custom_field", "flow")
    rows = rows.prefetch_related("caller_id__routes__trunk")
    return list(rows.filter(pk__in=ids, is_purging=False).order_by("pk"))


def _locked_one(campaign: Campaign) -> Campaign:
    """Lock the campaign and load it as it is now. Raises WrongState where it has just been deleted for its age."""
    for locked in _locked([campaign]):
        return locked
    raise WrongState(_GONE)


def _audience(campaign: Campaign, numbers: Sequence[str]) -> str:
    """Tell how many are called, for the audit: numbers stand in no entry."""
    if campaign.parent:
        return f"again of {campaign.parent.name}: {called_again.Selection.of(campaign)}"
    return f"lists: {len(campaign.list_ids)}" if campaign.list_ids else f"numbers: {len(numbers):,}"


def _assign(campaign: Campaign, columns: Mapping[str, Any]) -> list[str]:
    """Give the campaign its new values. Returns the names of those that differ."""
    changed = [name for name, value in columns.items() if getattr(campaign, name) != value]
    for name, value in columns.items():
        setattr(campaign, name, value)
    return changed


def _names(names: Sequence[str]) -> str:
    return ", ".join(names) or "nothing differs"


def _set_end(campaign: Campaign, now: datetime) -> None:
    campaign.expires_at = campaign.end_at or campaign.send_at + LONGEST
    if campaign.expires_at <= max(campaign.send_at, now):
        raise InvalidRequest("schedule.end_at must be after schedule.send_at and after now")


def _custom_field(campaign: Campaign) -> str:
    value: str | None = CustomField.objects.filter(campaign=campaign).values_list("value", flat=True).first()
    return value or ""


def _require_same_people(campaign: Campaign, columns: Mapping[str, Any], numbers: Sequence[str] | None) -> None:
    """Refuse to give a campaign that calls people again other people, or other words than their values fit."""
    fixed = {"list_ids": "lists", "type": "campaign_type"}
    if campaign.type == Campaign.Type.DYNAMIC:
        fixed |= {"text": "read_via_text"}
    locked = ["from"] * (numbers is not None) + [fixed[name] for name in fixed if name in columns]
    if locked:
        raise WrongState(f"'{locked[0]}' can't be changed: the campaign calls people of another one again")


def _set_custom_field(campaign: Campaign, value: str) -> None:
    CustomField.objects.filter(campaign=campaign).delete()
    _add_custom_field(campaign, value)


def _add_custom_field(campaign: Campaign, value: str) -> None:
    """Store the text of a campaign that has none. Without a text, the instance knows that there is none to load."""
    if value:
        CustomField.objects.create(campaign=campaign, value=value)
    else:
        Campaign._meta.get_field("custom_field").set_cached_value(campaign, None)


def _check_message(campaign: Campaign) -> None:
    """Refuse to leave a message that the flow does not have."""
    leaves = campaign.machine_detection == Campaign.MachineDetection.LEAVE_MESSAGE
    if leaves and campaign.flow and "machine" not in campaign.flow.document:
        raise InvalidRequest(
            "'machine_detection': the flow has nothing for machines: add machine to its document, or give hang-up"
        )


def _check_text(campaign: Campaign) -> None:
    """Refuse a variable that has no value in the list. A static text has no variables at all."""
    columns: list[str] = []
    if campaign.type == Campaign.Type.DYNAMIC:
        if campaign.again is not None:
            return  # the parent's, whose list may be gone
        columns = ContactList.objects.get(pk=campaign.list_ids[0]).columns
    try:
        spoken_text.check(campaign.text, columns)
    except spoken_text.UnknownColumn as unknown:
        name = f"'read_via_text': {spoken_text.MARK}{unknown.name}"
        if campaign.type == Campaign.Type.STATIC:
            raise InvalidRequest(f"{name} can't be filled: only the text of a dynamic campaign has variables") from None
        known = ", ".join(columns) or "none"
        message = f"{name} names no column of the list; these can be named: {known}"
        if unknown.longer_than:
            message += f"; put a space after {spoken_text.MARK}{unknown.longer_than}, if that is meant"
        raise InvalidRequest(message) from None


def _enqueue_start() -> None:
    enqueue(START_DUE)
