"""The gate for numbers: may these people be rung at this moment, where the gate of their campaigns is open?

Asked for a batch at a time, when calls are claimed and again just before each is placed, for whatever rings a phone:
attempts, and calls to other numbers that a flow connects its callee to (legs, `dialer.transfers`). A constant number of
statements, however many numbers there are; where accounts ask nothing of numbers, none.
"""

from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Generic, NamedTuple, Protocol, TypeVar
from uuid import UUID

from accounts import calling_rules
from accounts.calling_rules import NO_RULES, Rules
from accounts.calling_rules.caps import time_text
from accounts.models import Account, CallerId
from campaigns import removal
from campaigns.call_states import DO_NOT_CALL
from contacts import callees, destinations, do_not_call, zones
from contacts.callees import UNKNOWN, Callee
from contacts.zones import Place
from dialer import past_calls, under_way
from dialer.gate import Never, NotBefore
from dialer.past_calls import Counts, Limit, Question

# The rules that hold calls, as the diagnosis and the rows of calls name them.
HOURS, CAP, QUIET, GAP = "outside-recipients-hours", "number-cap", "quiet-time", "number-gap"
BUSY = "number-busy"
# Those that end them, beside `call_states.DO_NOT_CALL` and those of `removal`.
NOT_CALLED, NO_CONSENT, NO_COMMON_HOURS = "not-called", "no-consent", "no-common-hours"
# When a number is asked about again that must not be dialed until something changes.
ASKED_AGAIN = timedelta(minutes=10)
# When a number is asked about again that a flow has connected somebody to: nobody knows for how long they talk.
BUSY_ASKED_AGAIN = timedelta(seconds=15)
# No campaign waits for so long: a quiet time without an end.
FOR_EVER = timedelta(days=3650)
# How many openings are looked at for a moment that is inside the hours of the account and of the recipient.
OPENINGS = 50

Key = TypeVar("Key", bound=Hashable)


class Judged(Protocol):
    """What is read of a campaign: a model instance, or a row of dispatch."""

    @property
    def pk(self) -> UUID: ...
    @property
    def account(self) -> Account: ...
    @property
    def caller_id(self) -> CallerId: ...
    @property
    def rules(self) -> Sequence[str]: ...
    @property
    def waived_rules(self) -> Sequence[str]: ...


class Listed(Judged, Protocol):
    """A campaign that knows what its account has at all.

    Attributes:
        has_list: any number on the do-not-call list, its own or that of all accounts.
        has_legs: a call to a person that a flow has connected somebody to (`under_way.HAS_LEGS`).
    """

    @property
    def has_list(self) -> bool: ...
    @property
    def has_legs(self) -> bool: ...


class Ring(NamedTuple, Generic[Key]):
    """A phone that is about to ring.

    Attributes:
        key: of the caller's, by which the verdict is found.
        row_zone: the time zone in the row of the list that the call is from, or "".
        ended_by: the rule that took the call out of its campaign since it was claimed, or "".
        may_be_listed: whether the number may be on the do-not-call list of its account or of all accounts.
        was_called_lately: whether a call may count for a limit of its rules (`past_calls.called_lately`).
        may_be_connected: whether a leg may be under way to the number.
        callee: what its contact says; None: nobody has looked.
        leg_id: of the leg that rings it; None: an attempt does.
        is_agent: the leg rings one of the account's own people (`Account.agent_numbers`), at any hour, however often.
    """

    key: Key
    campaign: Judged
    number: str
    row_zone: str = ""
    ended_by: str = ""
    may_be_listed: bool = True
    was_called_lately: bool = True
    may_be_connected: bool = True
    callee: Callee | None = None
    leg_id: UUID | None = None
    is_agent: bool = False


Shut = NotBefore | Never


def check(rings: Sequence[Ring[Key]], now: datetime, until: datetime | None = None) -> dict[Key, Shut]:
    """Return why some of these phones must not ring now, by their keys. The others may.

    Args:
        until: when they ring at the latest, where that is later: hours that end before it count as over.
    """
    shut: dict[Key, Shut] = {}
    for judge in (_taken_out, _not_called, _listed):
        if found := judge(rings):
            shut |= found
            rings = [ring for ring in rings if ring.key not in found]
    people = [ring for ring in rings if not ring.is_agent]
    if busy := _busy(people, now):
        people = [ring for ring in people if ring.key not in busy]
    return shut | busy | _by_rules(people, now, until or now)


def _by_account(rings: Iterable[Ring[Key]]) -> dict[Account, list[Ring[Key]]]:
    of_campaign: dict[int, list[Ring[Key]]] = defaultdict(list)
    for ring in rings:
        of_campaign[id(ring.campaign)].append(ring)
    of_account: dict[Account, list[Ring[Key]]] = defaultdict(list)
    for of_one in of_campaign.values():
        of_account[of_one[0].campaign.account] += of_one
    return of_account


class Asked(NamedTuple):
    """What is asked of numbers at all: whether they are listed, how far back their past, their contacts, and legs.

    past: as of `past_calls.called_lately`; empty: nothing.
    """

    lists: bool
    past: tuple[tuple[str, timedelta], ...]
    contacts: bool
    legs: bool


def asked_of(campaigns: Collection[Listed]) -> Asked:
    """Return what is asked of the numbers of these campaigns, so that one statement looks it all up."""
    rules = {calling_rules.rules_of(campaign.account, campaign) for campaign in campaigns}
    windows: dict[str, timedelta] = {}
    for start, window in (found for one in rules for found in _windows(one)):
        windows[start] = max(window, windows.get(start, window))
    return Asked(
        lists=any(campaign.has_list for campaign in campaigns),
        past=tuple(sorted(windows.items())),
        contacts=any(one.rules for one in rules),
        legs=any(campaign.has_legs for campaign in campaigns),
    )


@lru_cache
def looked_up(asked: Asked) -> tuple[str, str]:
    """Return the columns, and the join, by which a statement tells what is asked of the numbers of its rows `due`.

    The columns are those of a Ring from `may_be_listed` on, the last one as three (`callees.of`). Three statements more
    would cost more than the look-ups. Where the past is asked for, the statement takes the parameter `now`.
    """
    listed = do_not_call.IS_LISTED if asked.lists else "false"
    lately = past_calls.called_lately(asked.past, legs=asked.legs) if asked.past else "false"
    connected = under_way.IS_CONNECTED if asked.legs else "false"
    contact = "callee.time_zone, callee.consent_date, callee.consent_scope" if asked.contacts else "NULL, NULL, NULL"
    return f"{listed}, {lately}, {connected}, {contact}", callees.JOINED if asked.contacts else ""


# Never -------------------------------------------------------------------------------------------------------------


def _taken_out(rings: Sequence[Ring[Key]]) -> dict[Key, Shut]:
    """Judge by what has ended calls while they were under way: no phone of theirs rings after it."""
    return {ring.key: Never(ring.ended_by, removal.REASONS[ring.ended_by]) for ring in rings if ring.ended_by}


def _not_called(rings: Sequence[Ring[Key]]) -> dict[Key, Shut]:
    """Judge by where the accounts call: their settings may have changed since the numbers came in.

    Makes a query only where a number is not of the countries that the campaigns themselves tell.
    """
    found: dict[Key, Shut] = {}
    for account, of_one in _by_account(rings).items():
        known = destinations.of(account, {ring.campaign.caller_id.number for ring in of_one})
        doubtful = [ring for ring in of_one if known.why_not(ring.number)]
        called = destinations.of_account(account) if doubtful else known
        for ring in doubtful:
            # A line of a company is rung by a leg for the callee alone.
            if why := (called.with_companies if ring.leg_id else called).why_not(ring.number):
                found[ring.key] = Never(NOT_CALLED, why)
    return found


def _listed(rings: Sequence[Ring[Key]]) -> dict[Key, Shut]:
    """Judge by the do-not-call lists: in one query, where there are any."""
    asked = {ring.key: (ring.campaign.account.pk, ring.number) for ring in rings if ring.may_be_listed}
    entries = do_not_call.listed_of(set(asked.values()))
    return {key: Never(DO_NOT_CALL, entries[pair].reason) for key, pair in asked.items() if pair in entries}


def _busy(rings: Sequence[Ring[Key]], now: datetime) -> dict[Key, Shut]:
    """Judge by what is under way to the numbers: for an attempt a leg, for a leg an attempt or another leg.

    Two attempts to a number are the index's matter. Two legs don't wait for each other where neither the account nor
    their campaigns have rules: then most lead to lines that take many calls, and nobody has said which.
    """
    legs = [ring for ring in rings if ring.leg_id]
    connected = under_way.legs_to(
        {_wanted_leg(ring) for ring in rings if ring.may_be_connected}, [ring.leg_id for ring in legs]
    )
    called = under_way.attempts_to({_pair(ring) for ring in legs})
    if not (connected or called):
        return {}
    at, found = now + BUSY_ASKED_AGAIN, dict[Key, Shut]()
    for ring in rings:
        is_connected = _wanted_leg(ring) in connected
        if ring.leg_id and (is_connected or _pair(ring) in called):
            found[ring.key] = NotBefore(at, BUSY, "another call of the account to this number is under way")
        elif not ring.leg_id and is_connected:
            found[ring.key] = NotBefore(at, BUSY, "a call that a flow has made to this number is under way")
    return found


def _pair(ring: Ring[Any]) -> tuple[int, str]:
    return ring.campaign.account.pk, ring.number


def _wanted_leg(ring: Ring[Any]) -> under_way.WantedLeg:
    """Return what keeps this phone from ringing. Waived rules count: the person who picks up has not waived them."""
    is_ruled = calling_rules.has_any(ring.campaign.account, ring.campaign)
    return under_way.WantedLeg(*_pair(ring), of_ruled=ring.leg_id is not None and not is_ruled)


# What is counted for the quiet time after it.
QUIET_AFTER: Mapping[str, Counts] = {
    "conversation": "conversations",
    "refusal": "refusals",
    "opt-out": "opt-outs",
}


# By the rules of the account and the campaign ------------------------------------------------------------------------


@dataclass(eq=False)
class _Group(Generic[Key]):
    """Rings of an account to numbers at one place, of which the same rules ask the same. A batch has few of them."""

    account: Account
    rules: Rules
    place: Place
    rings: list[Ring[Key]] = field(default_factory=list)

    @property
    def limits(self) -> Mapping[Limit, tuple[str, str]]:
        """Return what the rules say of the past, each with code and words."""
        return _limits(self.rules)


def _by_rules(rings: Sequence[Ring[Key]], now: datetime, until: datetime) -> dict[Key, Shut]:
    groups, shut = _grouped(rings, now)
    limited = past_calls.held(
        [Question(group.account.pk, tuple(group.limits), _called_lately(group)) for group in groups if group.limits],
        now,
    )
    for group in groups:
        closed = _closed(group, now, until)
        for ring in group.rings if limited or closed else ():
            if held := limited.get(ring.key):
                shut[ring.key] = _not_before(group, held.until, *group.limits[held.limit], now)
            elif closed:
                shut[ring.key] = closed
    return shut


def _called_lately(group: _Group[Key]) -> dict[Key, str]:
    """Return those numbers of the group for which a call may count, by their keys.

    A leg that was under way when the number was looked up may have ended since: then the number is not busy any more.
    """
    return {ring.key: ring.number for ring in group.rings if ring.was_called_lately or ring.may_be_connected}


def _grouped(rings: Sequence[Ring[Key]], now: datetime) -> tuple[list[_Group[Key]], dict[Key, Shut]]:
    """Group the rings that rules ask something of. One query, where any are by the place of the number.

    Returns:
        The groups, and the rings that are missing in them for want of consent.
    """
    # By identity: the hash of a UUID is computed in Python.
    campaigns = {id(ring.campaign): ring.campaign for ring in rings}
    asked = {key: _of_campaign(campaign) for key, campaign in campaigns.items()}
    if all(rules is NO_RULES for rules, _, _ in asked.values()):
        return [], {}
    known = _known(rings, asked)
    groups: dict[Hashable, _Group[Key]] = {}
    without_consent: dict[Key, Shut] = {}
    for ring in rings:
        rules, account, account_id = asked[id(ring.campaign)]
        if rules is NO_RULES:
            continue
        callee = ring.callee or known.get((account_id, ring.number), UNKNOWN)
        place = zones.place(ring.number, account.time_zone, callee.time_zone, (ring.row_zone,))
        # Each of them is kept while the rules and the place are the same: identity says so.
        of_group = (account_id, id(rules), id(place))
        group = groups.get(of_group)
        if group is None:
            group = groups[of_group] = _Group(account, rules.to(place, now), place)
        if scope := group.rules.needs_consent:
            today = now.astimezone(account.zone).date()
            if not callee.consents_to(scope, today):
                without_consent[ring.key] = Never(NO_CONSENT, f"no consent to {scope} calls is recorded")
                continue
        group.rings.append(ring)
    return [group for group in groups.values() if group.rules and group.rings], without_consent


def _of_campaign(campaign: Judged) -> tuple[Rules, Account, int]:
    account = campaign.account
    return calling_rules.rules_of(account, campaign), account, account.pk


def _known(
    rings: Sequence[Ring[Key]], asked: Mapping[int, tuple[Rules, Account, int]]
) -> Mapping[tuple[int, str], Callee]:
    """Look up the contacts of numbers of which nobody has, where presets hold for them."""
    unknown = set()
    for ring in rings:
        if ring.callee is None:
            rules, _, account_id = asked[id(ring.campaign)]
            if rules.rules:
                unknown.add((account_id, ring.number))
    return callees.known(unknown)


@lru_cache(maxsize=4096)
def _limits(rules: Rules) -> Mapping[Limit, tuple[str, str]]:
    found: dict[Limit, tuple[str, str]] = {}
    for cap in rules.caps:
        found[Limit(cap.most, cap.within, cap.counts)] = CAP, f"the number has had {cap}"
    for what, time in rules.quiet_after.items():
        found[Limit(1, time, QUIET_AFTER[what])] = QUIET, f"no call for {time_text(time)} after a {what}"
    if rules.gap:
        found[Limit(1, rules.gap, "ends")] = GAP, f"two calls to a number are {rules.gap} apart"
    return found


@lru_cache(maxsize=1024)
def _windows(rules: Rules) -> Sequence[tuple[str, timedelta]]:
    """Return how far back limits look, by the beginning of the numbers that they hold for; "" for all numbers."""
    parts = [("", Rules(own_caps=rules.own_caps, gap=rules.gap))]
    for rule in rules.rules:
        parts += [(start, Rules((rule,))) for start in zones.starts_of(rule.countries)]
    longest = [(start, max((limit.within for limit in _limits(part)), default=None)) for start, part in parts]
    return [(start, window) for start, window in longest if window]


def _closed(group: _Group[Any], now: datetime, until: datetime) -> Shut | None:
    """Return until when nobody of a group is called, where the recipients' hours are shut; None where they are open.

    The hours of the account are the campaign's gate's.
    """
    is_open = group.rules.is_open(group.place, now)
    if is_open and (until == now or group.rules.is_open(group.place, until)):
        return None
    return _not_before(group, until if is_open else now, HOURS, "", now)


def _not_before(group: _Group[Any], earliest: datetime, code: str, because: str, now: datetime) -> Shut:
    """Return until when a number must not be rung: not only the limit's end, but open hours after it."""
    if earliest > now + FOR_EVER:
        return Never(code, because)
    moment = _both_open(group, earliest)
    hours, account = group.rules.hours_text(group.place), group.account
    if moment is None:
        meet = f"the recipient's hours {hours}, {group.place.provenance}, never meet {account.calling_hours}"
        return Never(NO_COMMON_HOURS, meet)
    because = because or f"outside the recipient's hours {hours}, {group.place.provenance}"
    return NotBefore(moment, code, f"{because}: not before {moment.astimezone(account.zone):%Y-%m-%d %H:%M %Z}")


def _both_open(group: _Group[Any], at: datetime) -> datetime | None:
    """Return the first moment from `at` on inside the hours of the recipient and of the account, where there is one."""
    hours = group.account.calling_hours
    for _ in range(OPENINGS):
        moment = group.rules.next_open(group.place, at)
        if moment is None or (hours.is_open(moment)):
            return moment
        at = hours.next_open(moment)
    return None
