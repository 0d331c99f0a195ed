"""Delete campaigns that ended long ago, and all below them. Their contacts and lists stay.

A campaign goes through three steps, each committed before the next. A process that dies loses the slice that it was at.

1. Its report is stored, where reports are kept. Where that fails the campaign stays.
2. `is_purging` is set: from now on the campaign does not exist for the API, the admin and links to its report. Nobody
   sees a half of it.
3. Its rows are deleted in slices (`retention.deletion`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import structlog
from django.db import models, transaction
from redis.exceptions import RedisError

from accounts import audit
from accounts.audit import Actor
from accounts.models import Account
from campaigns import campaign_lock
from campaigns.models import Campaign
from core import clocks, failpoints
from core.batches import TRANSIENT_ERRORS
from dialer import restores
from retention import campaigns_due, deletion, kept_reports, old_recordings

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Slice:
    """What a transaction has deleted: so many rows of this model; with Campaign, the last one. Or why nothing was."""

    campaign: Campaign
    model: type[models.Model] = Campaign
    rows: int = 0
    failure: str = ""


def slices(
    before: datetime | None,
    *,
    actor: Actor = audit.SYSTEM,
    account: Account | None = None,
    tries_again: bool = False,
) -> Iterator[Slice]:
    """Delete campaigns, the oldest first. Yields after each transaction, and for each campaign that must stay.

    Args:
        before: they ended before this moment. None: only those are finished that were begun.
        actor: whom the audit entry of each deleted campaign names.
        account: only its campaigns. Where it is not active, those that its rules still count, too.
        tries_again: store reports again that could not be stored a moment ago.

    Raises:
        One of TRANSIENT_ERRORS.
    """
    if not _are_all_dials_known():
        return
    begun = Campaign.objects.filter(is_purging=True)
    for campaign in campaigns_due.oldest_first(begun.filter(account=account) if account else begun):
        yield from _delete(campaign, actor)
    if before:
        due = campaigns_due.settled(campaigns_due.ended(before, account), account)
        for campaign in campaigns_due.oldest_first(due):
            try:
                has_begun = _begin(campaign, tries_again, account)
            except kept_reports.NotKept as error:
                log.error("campaign_not_purged", campaign=campaign.pk.hex, error=str(error))  # noqa: TRY400 -- no bug
                yield Slice(campaign, failure=str(error))
            else:
                if has_begun:
                    yield from _delete(campaign, actor)


def _are_all_dials_known() -> bool:
    """Compare what was dialed with the database first: what is deleted before it would seem lost in a restore."""
    try:
        return restores.may_dial(clocks.now(), at_once=True)
    except RedisError as error:
        log.warning("purge_waits_for_redis", error=str(error))
        return False


def _begin(campaign: Campaign, tries_again: bool, leaving: Account | None = None) -> bool:
    """Store the report and hide the campaign. Returns False where that is not its time, or another process does it."""
    if kept_reports.are_kept():
        if tries_again:
            kept_reports.forget_tries(campaign)
        if not kept_reports.may_try(campaign):
            return False
        file = kept_reports.keep(campaign)
        kept_reports.forget_tries(campaign)
        if not file:
            return False
        log.info("report_kept", campaign=campaign.pk.hex, file=file)
        failpoints.reached("report-kept")
    with transaction.atomic():
        if not campaign_lock.try_hold([campaign.pk]):
            return False
        settled = campaigns_due.settled(Campaign.objects.filter(pk=campaign.pk, is_purging=False), leaving)
        return bool(settled.update(is_purging=True))


def _delete(campaign: Campaign, actor: Actor) -> Iterator[Slice]:
    try:
        old_recordings.delete_of(campaign)
        for model, rows in deletion.slices(campaign, actor=actor):
            yield Slice(campaign, model, rows)
            if model is Campaign:
                log.info(
                    "campaign_purged",
                    account=campaign.account.sid,
                    campaign=campaign.pk.hex,
                    ended_at=campaign.ended_at,
                )
    except TRANSIENT_ERRORS:
        raise
    except old_recordings.NotDeleted as error:
        log.error("campaign_not_purged", campaign=campaign.pk.hex, error=str(error))  # noqa: TRY400 -- no bug
        yield Slice(campaign, failure=str(error))
    except Exception as error:
        # It must not hold up the others. Its own deletion is tried again at the next tick.
        log.exception("campaign_not_purged", campaign=campaign.pk.hex)
        yield Slice(campaign, failure=f"{type(error).__name__}: {error}")
