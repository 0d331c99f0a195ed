"""What a rehearsal begins with: the account, its campaigns that dial, and the people who are left to call.

Nothing is stored and nothing is locked. A large audience is thinned out: every tenth person, over a tenth of the
channels and of the pace, takes as long as all of them.
"""

import copy
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import count
from typing import NamedTuple

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Mod

from accounts.calling_rules import NO_RULES, rules_of
from accounts.models import Account, CallerId
from campaigns import progress
from campaigns.models import Call, Campaign
from contacts import lists, zones
from contacts.models import ListEntry
from contacts.zones import Place
from dialer import daily_limits, holds, number_gate, past_calls
from dialer.gate import Never
from dialer.number_gate import Ring
from dialer.past_calls import PastCall
from dialer.rehearsal.phones import Lane, Person, Phone
from dialer.rehearsal.simulation import BEYOND, Staged

BATCH = 5_000
# Other campaigns that are rehearsed beside it: each costs with every call.
MOST_OTHERS = 50


class Waiting(NamedTuple):
    """Somebody who is left to call. due: when a retry is due. row_zone: what a list says."""

    number: str
    attempts: int = 0
    due: datetime | None = None
    row_zone: str = ""


@dataclass(eq=False)
class Setting:
    """What a rehearsal begins with.

    Attributes:
        account: a copy, to be counted with.
        campaign: the one that is rehearsed.
        waiting: who is left to call.
        others: how many calls are left in the account's other campaigns that dial.
        every: of how many people one is taken. total: how many there are; None: the counted ones, so many times.
    """

    account: Account
    campaign: Campaign
    waiting: Sequence[Waiting]
    now: datetime
    others: Mapping[Campaign, int] = field(default_factory=dict)
    every: int = 1
    total: int | None = None

    @property
    def people(self) -> int:
        """Return how many people are left to call."""
        return len(self.waiting) * self.every if self.total is None else self.total

    def thinned(self, most: int) -> "Setting":
        """Return it with one of so many people that about `most` are left."""
        every = _every(len(self.waiting), most) if self.every == 1 else 1
        if every == 1:
            return self
        return replace(self, waiting=self.waiting[::every], every=every, total=self.people)

    def staged(self) -> tuple[Account, list[Staged], "Counter[str]", dict[str, list[str]]]:
        """Return the account and the campaigns to rehearse with, and who is never called, by the rule."""
        account = copy.copy(self.account)
        holds.keep(account, None)  # rehearsed as if the server were released now
        campaign = _staged(self.campaign, account)
        lanes, never, shown = _lanes(campaign, self.waiting, self.now)
        staged = [Staged(campaign, self.campaign.expires_at, lanes)]
        for other, left in self.others.items():
            people = [Person(Phone("")) for _ in range(-(-left // self.every))]
            staged.append(Staged(_staged(other, account), other.expires_at, [Lane(_home(account), NO_RULES, people)]))
        return account, staged, never, shown


def of_campaign(campaign: Campaign, now: datetime, *, most: int | None = None) -> Setting:
    """Return the setting of a campaign that has not ended. A paused one is rehearsed as if it were resumed now.

    Args:
        most: people to load; of more, one of so many.
    """
    campaign = _loaded().get(pk=campaign.pk)
    calls = campaign.calls.filter(status__in=_LEFT)
    left = sum(progress.of([campaign.pk])[campaign.pk].count(status) for status in _LEFT)
    every = _every(left, most)
    if every > 1:
        calls = calls.annotate(turn=Mod(F("id"), every)).filter(turn=0)
    daily_limits.load([campaign.account], now)
    waiting = _waiting(calls)
    return Setting(campaign.account, campaign, waiting, now, _others(campaign), every, left if every > 1 else None)


def of_numbers(draft: Campaign, numbers: Iterable[str], now: datetime) -> Setting:
    """Return the setting of a campaign that is not stored, which would call these numbers."""
    return _of_draft(draft, [Waiting(number) for number in numbers], now)


def of_lists(draft: Campaign, now: datetime, *, most: int) -> Setting:
    """Return the setting of a campaign that is not stored, which would call its lists. most: as for `of_campaign`."""
    size = sum(lists.sizes(draft.list_ids).values())
    every = _every(size, most)
    entries = ListEntry.objects.filter(contact_list__in=draft.list_ids, contact_list__account=draft.account)
    if every > 1:
        entries = entries.annotate(turn=Mod(F("id"), every)).filter(turn=0)
    zone = KeyTextTransform(zones.COLUMN, "values")
    rows = entries.order_by("id").values_list("contact__number", zone)
    with transaction.atomic():  # a cursor that outlives its transaction would be lost behind a connection pooler
        read = rows.iterator(chunk_size=BATCH)
        found = [Waiting(number, row_zone=row_zone or "") for number, row_zone in read]
    called = found if draft.call_duplicate_numbers else list({one.number: one for one in found}.values())
    total = round(size * len(called) / len(found)) if every > 1 and found else None
    return _of_draft(draft, called, now, every, total)


def _of_draft(
    draft: Campaign, waiting: Sequence[Waiting], now: datetime, every: int = 1, total: int | None = None
) -> Setting:
    draft.caller_id = CallerId.objects.select_related("trunk__health", "health").get(pk=draft.caller_id_id)
    daily_limits.load([draft.account], now)
    return Setting(draft.account, draft, waiting, now, _others(draft), every, total)


def _every(people: int, most: int | None) -> int:
    """Return of how many people one is taken, so that `most` are left."""
    return -(-people // most) if most and people > most else 1


_LEFT = (Call.Status.CREATED, Call.Status.RETRYING)


def _loaded() -> "QuerySet[Campaign]":
    return Campaign.objects.select_related("account", "caller_id__trunk__health", "caller_id__health")


def _waiting(calls: "QuerySet[Call]") -> list[Waiting]:
    zone = KeyTextTransform(zones.COLUMN, "variables")
    rows = calls.order_by("id").values_list("number", "attempts_made", "next_attempt_at", zone)
    with transaction.atomic():  # as above
        read = rows.iterator(chunk_size=BATCH)
        return [Waiting(number, attempts, due, row_zone or "") for number, attempts, due, row_zone in read]


def _others(campaign: Campaign) -> dict[Campaign, int]:
    """Return the largest campaigns of the account that take channels meanwhile, with the calls left in each."""
    is_running = Q(status=Campaign.Status.IN_PROGRESS)
    starts_meanwhile = Q(status=Campaign.Status.CREATED, send_at__lt=campaign.expires_at)
    rows = list(_loaded().filter(is_running | starts_meanwhile, account=campaign.account).exclude(pk=campaign.pk))
    come = progress.of([row.pk for row in rows]) if rows else {}
    left = {row: sum(come[row.pk].count(status) for status in _LEFT) for row in rows}
    largest = sorted(left, key=left.__getitem__, reverse=True)[:MOST_OTHERS]
    return {row: left[row] for row in largest if left[row]}


def _staged(campaign: Campaign, account: Account) -> Campaign:
    """Return a copy that goes on after its end, so that it shows how long it would have needed."""
    staged = copy.copy(campaign)
    staged.account = account
    staged.expires_at = campaign.expires_at + BEYOND
    if campaign.status == Campaign.Status.PAUSED:
        staged.status = Campaign.Status.IN_PROGRESS if campaign.started_at else Campaign.Status.CREATED
    return staged


def _lanes(
    campaign: Campaign, waiting: Sequence[Waiting], now: datetime
) -> tuple[list[Lane], "Counter[str]", dict[str, list[str]]]:
    """Return the people by where they are, and those whom the gate for numbers never lets through, by its code."""
    rules, order = rules_of(campaign.account, campaign), count()
    lanes: dict[Place, Lane] = {}
    never: Counter[str] = Counter()
    shown: dict[str, list[str]] = {}
    phones: dict[str, Phone] = {}
    longest = max(rules.remembered, default=timedelta())
    home = _home(campaign.account)
    for begin in range(0, len(waiting), BATCH):
        batch = waiting[begin : begin + BATCH]
        rings = [Ring(at, campaign, one.number, one.row_zone, may_be_connected=False) for at, one in enumerate(batch)]
        shut = number_gate.check(rings, now)
        places = _places(campaign, batch) if rules.rules else {}
        past = _past(campaign, [one.number for one in batch], now - longest) if longest else {}
        for at, one in enumerate(batch):
            verdict = shut.get(at)
            if isinstance(verdict, Never):
                never[verdict.code] += 1
                shown.setdefault(verdict.code, [])[20:] = []
                shown[verdict.code].append(one.number)
                continue
            place = places.get(one.number, home)
            lane = lanes.get(place)
            if lane is None:
                lane = lanes[place] = Lane(place, rules.to(place, now), [])
            if one.number not in phones:
                phones[one.number] = Phone.after(one.number, past.get(one.number, ()))
            person = Person(phones[one.number], attempts=one.attempts)
            held = verdict.at.timestamp() if verdict and verdict.at else 0.0
            person.not_before = held
            if one.due and one.due.timestamp() > 0:
                lane.later.append((one.due.timestamp(), next(order), person))
            else:
                lane.fresh.append(person)
    for lane in lanes.values():
        lane.fresh.reverse()
        lane.later.sort()
    return list(lanes.values()), never, shown


def _past(campaign: Campaign, numbers: Sequence[str], since: datetime) -> Mapping[str, Sequence[PastCall]]:
    return past_calls.lately(campaign.account_id, numbers, since - past_calls.LONGEST_CALL)


def _places(campaign: Campaign, batch: Sequence[Waiting]) -> Mapping[str, Place]:
    of_rows = {one.number: (one.row_zone,) for one in batch if one.row_zone}
    return zones.places_of(campaign.account, [one.number for one in batch], of_rows)


def _home(account: Account) -> Place:
    return zones.Place((account.time_zone,), "", "", (zones.ACCOUNT,))
