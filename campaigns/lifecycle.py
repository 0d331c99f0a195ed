"""What a person may do to a campaign: create, change, pause, resume, complete, archive, delete.

The API and the admin both come here. Each function checks and moves under a lock on the campaign's row, all or nothing,
and raises InvalidRequest with a sentence for a person.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from accounts.models import Account
from campaigns import audience, call_states, campaign_lock, campaign_states, signals, spoken_text
from campaigns.ended_calls import EndedCalls
from campaigns.models import Call, Campaign, CustomField
from contacts.models import ContactList
from core import failpoints
from core.errors import InvalidRequest, WrongState
from core.task_queue import enqueue

S = Campaign.Status

START_DUE = "campaigns.start_due"  # the task that starts what is due

# A campaign without an end ends so long after its start (the seed: paused campaigns expire after 30 days).
LONGEST = timedelta(days=30)


def create(
    account: Account, *, numbers: Sequence[str] = (), custom_field: str = "", now: datetime, **columns: Any
) -> Campaign:
    """A new campaign with one call for each of `numbers` (E.164), or for each entry of the lists in `list_ids`.

    Duplicates are one call unless it says otherwise. Raises InvalidRequest for a list that can't be used, and for a
    text with a variable that its list does not have.
    """
    columns.setdefault("send_at", now)
    columns.setdefault("name", f"{account.sid} {now.astimezone(account.zone):%Y-%m-%d %H:%M:%S}")
    with transaction.atomic():
        campaign = Campaign(account=account, **columns)
        _set_end(campaign, now)
        _check_text(campaign)
        campaign.save(force_insert=True)
        _set_custom_field(campaign, custom_field)
        audience.add_calls(campaign, numbers)
        # The commit may be that of a larger transaction, which remembers the answer of an idempotent request.
        transaction.on_commit(lambda: failpoints.reached("campaign-after-commit"))
        transaction.on_commit(_enqueue_start)
        failpoints.reached("campaign-before-commit")
    return campaign


def change(
    campaign: Campaign,
    *,
    now: datetime,
    numbers: Sequence[str] | None = None,
    custom_field: str | None = None,
    **columns: Any,
) -> Campaign:
    """Changes a campaign that has not started, in any part; answers it as it now is."""
    with transaction.atomic():
        campaign = _locked(campaign)
        if not has_not_started(campaign):
            raise WrongState(
                f"the campaign has started and is {campaign.status}: only action, status_callback, call_status_callback"
                " and call_schedule_callback can be changed now"
            )
        for name, value in columns.items():
            setattr(campaign, name, value)
        _set_end(campaign, now)
        _check_text(campaign)
        campaign.save()
        if custom_field is not None:
            _set_custom_field(campaign, custom_field)
        if numbers is not None or "list_ids" in columns:
            audience.remove_calls(campaign)
            audience.add_calls(campaign, numbers or ())
        elif "call_duplicate_numbers" in columns:
            raise InvalidRequest("call_duplicate_numbers can only be changed together with from or lists")
        transaction.on_commit(_enqueue_start)
    return campaign


def change_callbacks(campaign: Campaign, **callbacks: str) -> Campaign:
    """Changes the addresses that are told of the campaign's progress; possible until it has ended."""
    with transaction.atomic():
        campaign = _locked(campaign)
        if not campaign.is_open:
            raise WrongState(f"the campaign is {campaign.status}: nothing can be changed any more")
        for name, value in callbacks.items():
            setattr(campaign, name, value)
        campaign.save(update_fields=[*callbacks, "updated_at"])
    return campaign


def has_not_started(campaign: Campaign) -> bool:
    return campaign.started_at is None and campaign.status in {S.CREATED, S.PAUSED}


def pause(campaign: Campaign, *, now: datetime | None = None) -> Campaign:
    """No more numbers are called; calls that are up finish."""
    return _act(campaign, "pause", {S.CREATED, S.IN_PROGRESS}, _pause, now)


def resume(campaign: Campaign, *, now: datetime | None = None) -> Campaign:
    """The numbers that are left are called; a campaign paused before its start goes back to waiting for it."""
    return _act(campaign, "resume", {S.PAUSED}, _resume, now)


def complete(campaign: Campaign, *, now: datetime | None = None) -> Campaign:
    """Ends a paused campaign: what is left becomes failed, calls that are up finish."""
    return _act(campaign, "complete", {S.PAUSED}, _complete, now)


def archive(campaign: Campaign, *, now: datetime | None = None) -> Campaign:
    """Files a completed campaign away."""
    return _act(campaign, "archive", {S.COMPLETED}, _archive, now)


def delete(campaign: Campaign, *, now: datetime | None = None) -> Campaign:
    """Deletes a campaign that has not started. Its row stays, with the state deleted; nobody is called."""
    return _act(campaign, "delete", {S.CREATED, S.PAUSED}, _delete, now)


ACTIONS: dict[str, Callable[..., Campaign]] = {
    "pause": pause,
    "resume": resume,
    "complete": complete,
    "archive": archive,
}


def _act(
    campaign: Campaign,
    verb: str,
    allowed_from: set[Campaign.Status],
    step: Callable[[Campaign, datetime], None],
    now: datetime | None,
) -> Campaign:
    with transaction.atomic():
        campaign = _locked(campaign)
        if campaign.status not in allowed_from:
            allowed = " or ".join(sorted(state.value for state in allowed_from))
            raise WrongState(f"can't {verb} this campaign: it is {campaign.status}, and must be {allowed} for that")
        step(campaign, now or timezone.now())
        campaign.refresh_from_db()
    return campaign


def _pause(campaign: Campaign, now: datetime) -> None:
    campaign_states.move([campaign], S.PAUSED, at=now, reason="paused on request")


def _resume(campaign: Campaign, now: datetime) -> None:
    if campaign.expires_at <= now:
        raise WrongState("can't resume this campaign: its end has come while it was paused")
    if campaign.started_at is None and campaign.send_at > now:
        campaign_states.move([campaign], S.CREATED, at=now, reason="resumed before the start")
        return
    started_at = campaign.started_at or now
    campaign_states.move([campaign], S.IN_PROGRESS, at=now, reason="resumed on request", started_at=started_at)
    transaction.on_commit(lambda: signals.work_due.send(Campaign, account_ids=[campaign.account_id]))


def _complete(campaign: Campaign, now: datetime) -> None:
    reason = "the campaign was completed on request"
    # The calls first: who is told of both is told of the campaign's end last.
    end_waiting_calls(campaign, now, reason=reason)
    campaign_states.move([campaign], S.COMPLETED, at=now, reason=reason, ended_at=now)


def _archive(campaign: Campaign, now: datetime) -> None:
    campaign_states.move([campaign], S.ARCHIVED, at=now, reason="archived on request")


def _delete(campaign: Campaign, now: datetime) -> None:
    if not has_not_started(campaign):
        raise WrongState("can't delete this campaign: it has started. Pause it, then complete it to end it early")
    campaign_states.move([campaign], S.DELETED, at=now, reason="deleted on request", ended_at=now)
    end_waiting_calls(campaign, now, reason="the campaign was deleted")


def end_waiting_calls(campaign: Campaign, now: datetime, *, reason: str, untried: str = Call.Status.FAILED) -> None:
    """Ends every call that is not up: those never tried become `untried`, those waiting for a retry fail.

    Within the caller's transaction.
    """
    ended: set[int] = set()
    for waiting, end in ((Call.Status.CREATED, untried), (Call.Status.RETRYING, Call.Status.FAILED)):
        ended |= call_states.end_all(
            campaign.calls.filter(status=waiting), end, before=[waiting], at=now, reason=reason
        )
    if ended:
        signals.calls_ended.send(Campaign, campaigns=[campaign], calls=EndedCalls(campaign, ended))


def _locked(campaign: Campaign) -> Campaign:
    campaign_lock.hold(campaign.pk)
    # The row too: whoever changes two things at once. no_key: adding attempts, whose key points here, needs not wait.
    return Campaign.objects.select_for_update(of=("self",), no_key=True).select_related("account").get(pk=campaign.pk)


def _set_end(campaign: Campaign, now: datetime) -> None:
    campaign.expires_at = campaign.end_at or campaign.send_at + LONGEST
    if campaign.expires_at <= max(campaign.send_at, now):
        raise InvalidRequest("schedule.end_at must be after schedule.send_at and after now")


def _set_custom_field(campaign: Campaign, value: str) -> None:
    CustomField.objects.filter(campaign=campaign).delete()
    if value:
        CustomField.objects.create(campaign=campaign, value=value)


def _check_text(campaign: Campaign) -> None:
    """Refuses a variable that nobody could fill. A static text has none."""
    columns: list[str] = []
    if campaign.type == Campaign.Type.DYNAMIC:
        columns = ContactList.objects.get(pk=campaign.list_ids[0]).columns
    try:
        spoken_text.check(campaign.text, columns)
    except spoken_text.UnknownColumn as unknown:
        name = f"'read_via_text': {spoken_text.MARK}{unknown}"
        if campaign.type == Campaign.Type.STATIC:
            raise InvalidRequest(f"{name} can't be filled: only the text of a dynamic campaign has variables") from None
        known = ", ".join(columns) or "none"
        raise InvalidRequest(f"{name} names no column of the list; these can be named: {known}") from None


def _enqueue_start() -> None:
    enqueue(START_DUE)
