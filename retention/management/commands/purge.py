"""`manage.py purge [--dry-run] [--before DATE] [--account SID]`: delete what the settings no longer keep, at once."""

from argparse import ArgumentTypeError
from collections import Counter
from datetime import UTC, date, datetime, time
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.management.command_kit import actor, find_account
from accounts.models import Account
from campaigns import progress
from campaigns.models import Call, Campaign
from core import clocks
from core.batches import TRANSIENT_ERRORS
from core.ids import wire_id
from core.times import rfc3339
from dialer import old_events
from dialer.models import CallAttempt
from retention import campaigns_due, kept_reports, purge
from webhooks.models import WebhookDelivery

# Campaigns whose calls are counted in one query.
PAGE = 100


class Command(BaseCommand):
    help = (
        "Removes old payloads of carriers' events and deletes campaigns that ended long ago, as the periodic tasks do,"
        " until nothing is left. Ends with status 1 where a campaign could not be deleted."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="say what would be deleted, and delete nothing")
        parser.add_argument(
            "--before",
            type=_date,
            metavar="DATE",
            help="delete campaigns that ended before this day (UTC), as in 2030-01-31, whatever CAMPAIGNS_KEPT_DAYS is",
        )
        parser.add_argument("--account", metavar="SID", help="campaigns of this account only")

    def handle(self, *_: Any, **options: Any) -> None:
        now = clocks.now()
        account = find_account(options["account"]) if options["account"] else None
        before = _before(options["before"], now)
        if options["dry_run"]:
            self._show_events(now)
            self._show_campaigns(before, account)
            return
        try:
            self._purge_events(now)
            self._purge_campaigns(before, account)
        except TRANSIENT_ERRORS as error:
            raise CommandError(f"PostgreSQL or Redis failed: {error}. Run the command again: it goes on") from error

    # What would be deleted ---------------------------------------------------------------------------------------

    def _show_events(self, now: datetime) -> None:
        kept_since = old_events.payloads_kept_since(now)
        payloads = _some(old_events.estimate_payloads(kept_since), "payload")
        self.stdout.write(f"carriers' events: about {payloads}, of events handled before {_moment(kept_since)}")

    def _show_campaigns(self, before: datetime | None, account: Account | None) -> None:
        if before is None:
            self.stdout.write("campaigns: none, as CAMPAIGNS_KEPT_DAYS is not set. --before DATE asks for a day")
            return
        ended = campaigns_due.ended(before, account)
        total: Counter[str] = Counter()
        page: list[Campaign] = []
        for campaign in campaigns_due.oldest_first(campaigns_due.settled(ended, account)):
            page.append(campaign)
            if len(page) == PAGE:
                total += self._show_page(page)
                page = []
        total += self._show_page(page)
        self.stdout.write(
            f"would delete {_some(total['campaigns'], 'campaign')} that ended before {_moment(before)}:"
            f" {_some(total['calls'], 'call')}, {_some(total['attempts'], 'attempt')} or more"
        )
        if waiting := ended.count() - total["campaigns"]:
            why = "with calls or webhooks under way, or which a rule still counts"
            self.stdout.write(f"not yet: {_some(waiting, 'campaign')} {why}")
        kept = "are stored first" if kept_reports.are_kept() else "are deleted too, as REPORTS_STORAGE is not set"
        self.stdout.write(f"their reports {kept}")

    def _show_page(self, campaigns: list[Campaign]) -> Counter[str]:
        total: Counter[str] = Counter(campaigns=len(campaigns))
        counted = progress.of(campaign.pk for campaign in campaigns)
        for campaign in campaigns:
            calls, attempts = counted[campaign.pk].total, counted[campaign.pk].attempts
            total += Counter(calls=calls, attempts=attempts)
            self.stdout.write(f"{_name(campaign)}: {_some(calls, 'call')}, {_some(attempts, 'attempt')}")
        return total

    # Deleting ----------------------------------------------------------------------------------------------------

    def _purge_events(self, now: datetime) -> None:
        payloads = sum(old_events.remove_payloads(now))
        rows = sum(old_events.delete_rows(now))
        self.stdout.write(f"carriers' events: {_some(payloads, 'payload')} removed, {_some(rows, 'row')} deleted")

    def _purge_campaigns(self, before: datetime | None, account: Account | None) -> None:
        if before is None:
            self.stdout.write(
                "campaigns: none deleted, as CAMPAIGNS_KEPT_DAYS is not set. --before DATE asks for a day"
            )
        deleted: dict[UUID, Counter[Any]] = {}
        campaigns = 0
        stayed: set[UUID] = set()
        for done in purge.slices(before, actor=actor(), account=account, tries_again=True):
            pk = done.campaign.pk
            if done.failure:
                stayed.add(pk)
                self.stderr.write(f"{_name(done.campaign)}: not deleted: {done.failure}")
                continue
            rows = deleted.setdefault(pk, Counter())
            rows[done.model] += done.rows
            if done.model is Campaign:
                campaigns += 1
                del deleted[pk]
                below = [
                    _some(rows[model], noun)
                    for model, noun in ((Call, "call"), (CallAttempt, "attempt"), (WebhookDelivery, "webhook"))
                ]
                self.stdout.write(f"{_name(done.campaign)}: deleted {', '.join(below)}")
        self.stdout.write(f"{_some(campaigns, 'campaign')} deleted")
        if unfinished := deleted.keys() - stayed:
            self.stderr.write(f"{len(unfinished):,} more are deleted in part, and go on with the next turn")
        if stayed or unfinished:
            raise CommandError(f"{_some(len(stayed | unfinished), 'campaign')} could not be deleted")


def _date(text: str) -> datetime:
    try:
        return datetime.combine(date.fromisoformat(text), time(), tzinfo=UTC)
    except ValueError:
        raise ArgumentTypeError(f"must be a day, as in 2030-01-31, not {text!r}") from None


def _before(asked: datetime | None, now: datetime) -> datetime | None:
    if asked is None:
        return campaigns_due.end_before(now)
    latest = now - campaigns_due.SHORTEST
    if asked > latest:
        raise CommandError(
            f"--before must be a day that began a day ago or earlier, such as {latest:%Y-%m-%d}: news of calls may come"
            " for hours after a campaign's end"
        )
    return asked


def _name(campaign: Campaign) -> str:
    assert campaign.ended_at is not None
    ended = f"ended {_moment(campaign.ended_at)}"
    return f"{campaign.account.sid} {wire_id(campaign.pk)} ({campaign.name[:60]}), {ended}"


def _some(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _moment(moment: datetime) -> str:
    return rfc3339(moment, UTC)
