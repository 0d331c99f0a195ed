"""Look for an account's calls to dial: a window of its running campaigns at a time, by turn.

However many campaigns an account has, a look reads about as many as there are places to give out. Where more are due
than it has read, the next look begins after the last campaign that got a place, so everybody's turn comes.
"""

import random
import time
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID

from django.db import connection

from accounts.models import Account, CallerId
from campaigns.models import Campaign
from core.composed_once import ComposedOnce
from core.redis_client import prefixed, redis_client
from dialer import calls_up, channels, gate, rests
from dialer.channels import NO_CAP, Bucket, Pace, Scope
from dialer.claiming import DUE, NUMBER_IS_FREE
from dialer.models import Health
from dialer.turns import Ready, take_turns

# The fewest campaigns that are read at once, and how many for each place: some turn out to be held back.
SMALLEST_WINDOW, FOR_EACH_PLACE = 16, 2
# The most: each is counted, loaded and judged.
LARGEST_WINDOW = 500
# How long a look may take, in seconds. Other accounts wait for their dispatches meanwhile.
BUDGET_SECONDS = 0.1
# How long it is remembered whose turn it is.
TURN_KEPT_SECONDS = 3600

_CALLER_IDS = ComposedOnce(lambda: CallerId.objects.select_related("trunk__health", "health").defer("trunk__api_token"))

FIRST = UUID(int=0)
LAST = UUID(int=2**128 - 1)

# What is stored and must be so for the gate to open, as conditions on the rows `campaign`, `caller_id`, and the healths
# `own` (of the caller ID) and `shared` (of the trunk). No calendar, no arithmetic: columns, compared with %(now)s. It
# saves looking at campaigns that the gate would refuse; what passes is judged by the gate (decision 0034).
NOT_SURELY_SHUT = """
    campaign.status = 'in-progress' AND campaign.expires_at > %(now)s
    AND coalesce(campaign.idle_until <= %(now)s, true) AND caller_id.is_active
    AND coalesce(own.resting_until <= %(now)s, true) AND coalesce(shared.resting_until <= %(now)s, true)
    AND NOT coalesce(own.failures > 0 AND own.next_try_at > %(now)s, false)
    AND NOT coalesce(shared.failures > 0 AND shared.next_try_at > %(now)s, false)"""

# The tables that it speaks of.
CAMPAIGNS = """campaigns_campaign AS campaign
    JOIN accounts_callerid AS caller_id ON caller_id.id = campaign.caller_id_id
    LEFT JOIN dialer_calleridhealth AS own ON own.caller_id_id = caller_id.id
    LEFT JOIN dialer_trunkhealth AS shared ON shared.trunk_id = caller_id.trunk_id"""


@dataclass(slots=True, eq=False)
class DueCampaign:
    """A running campaign of a window: what the gate reads of it, what limits it, and what is due.

    No model instance, because an account may have thousands.

    Attributes:
        most: up to how many calls were counted.
        due: how many of its calls can be dialed now, as far as they were counted.
        is_refused: what the gate says of it, once it was asked.
    """

    pk: UUID
    caller_id: CallerId
    send_at: datetime
    expires_at: datetime
    rules: Sequence[str]
    waived_rules: Sequence[str]
    own_bucket: tuple[Bucket, ...]
    most: int
    due: int
    account: Account
    is_refused: bool | None = None

    # What the query selects.
    status: ClassVar = Campaign.Status.IN_PROGRESS
    is_open: ClassVar = True
    is_loading: ClassVar = False

    @property
    def account_id(self) -> int:
        return self.account.pk

    @property
    def has_list(self) -> bool:
        return self.account.has_list  # type: ignore[attr-defined, no-any-return]

    @property
    def has_legs(self) -> bool:
        return self.account.has_legs  # type: ignore[attr-defined, no-any-return]


@dataclass
class Found:
    """What a look has found.

    Attributes:
        plan: the campaigns that get a place, once for each.
        waits: seconds until the pace of a campaign allows another start, where it held one back.
        idle: campaigns that have no call to dial.
        paced: until when its own pace holds a campaign back.
        has_more: whether there may be calls to dial that this look has not come to.
        is_crowded: whether there are more campaigns than were read.
        turn: the last campaign that got a place.
    """

    plan: list[DueCampaign] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    idle: list[UUID] = field(default_factory=list)
    paced: dict[UUID, datetime] = field(default_factory=dict)
    has_more: bool = False
    is_crowded: bool = False
    turn: UUID = FIRST


def look(account: Account, places: int, turn: UUID, now: datetime) -> Found:
    """Choose the campaigns of the account that get these places. Takes none of its channels.

    Args:
        turn: where to begin: the campaigns after this one come first.
    """
    looking, until = _Look(account, places, now), time.monotonic() + BUDGET_SECONDS
    found = looking.found
    for window, is_all in looking.windows(turn):
        looking.give_places(window, is_all=is_all)
        is_over = time.monotonic() > until
        if len(found.plan) >= places or is_over:
            found.is_crowded = found.is_crowded or not is_all
            found.has_more = found.has_more or (is_over and not is_all)
            break
    return found


class _Look:
    """A look at one account: what it has found, and what it knows by now of room elsewhere."""

    def __init__(self, account: Account, places: int, now: datetime) -> None:
        self.account, self.places, self.now = account, places, now
        self.found = Found()
        self.caller_ids: dict[int, CallerId] = {}
        # Of each caller ID: its scopes that have a cap, and what has failed lately.
        self.caps: dict[int, list[Scope]] = {}
        self.trials: dict[int, list[_Trial]] = {}
        # Places by what limits them: caller IDs and trunks with a cap, campaigns with a pace, trials of what failed.
        self.room: dict[Hashable, int] = {}
        # What the gate has said, by the kind of campaign.
        self.refused: dict[Hashable, bool] = {}

    def windows(self, turn: UUID) -> Iterator[tuple[list[DueCampaign], bool]]:
        """Yield the campaigns from the one whose turn it is on, then those before it; with each whether it is all."""
        size = min(max(SMALLEST_WINDOW, FOR_EACH_PLACE * self.places), LARGEST_WINDOW)
        for after, until in ((turn, LAST), (FIRST, turn)):
            while after < until:
                window = self._read(after, until, size)
                is_full = len(window) == size
                self.found.is_crowded = self.found.is_crowded or is_full
                yield window, not is_full and turn in {FIRST, until}
                if not is_full:
                    break
                after = window[-1].pk

    def give_places(self, window: Sequence[DueCampaign], *, is_all: bool) -> None:
        """Plan calls of the window's campaigns for the places that are left. is_all: there are no other campaigns."""
        self.found.idle += [campaign.pk for campaign in window if not campaign.due]
        due = [campaign for campaign in window if campaign.due]
        paces = self._ask_for_room(due)
        up = calls_up.of(self.account.pk, [campaign.pk for campaign in due]) if len(due) > 1 else Counter[UUID]()
        ready = [Ready(campaign, campaign.due, up[campaign.pk], self._limits(campaign)) for campaign in due]
        if is_all:
            # Nobody's turn is kept then, so chance decides between campaigns with equally many calls up.
            random.shuffle(ready)
        planned = [campaign for campaign in self._take_turns(ready) if self._may_try(campaign.caller_id)]
        self.found.plan += planned
        if window:
            self.found.turn = max((campaign.pk for campaign in planned), default=window[-1].pk)
        self._note_paces(paces, due, Counter(campaign.pk for campaign in planned) if paces else Counter())
        if len(self.found.plan) < self.places:
            self.found.has_more = self.found.has_more or any(
                campaign.due >= campaign.most and self._has_room(campaign) for campaign in due
            )

    def _take_turns(self, ready: list[Ready[DueCampaign]]) -> list[DueCampaign]:
        """Return the campaigns that get a place, once for each.

        The gate is asked for those alone, and again for others in the place of those that it refuses. SQL has filtered
        out what it would refuse, all but what needs a calendar.
        """
        while True:
            room = dict(self.room)
            taken = list(take_turns(ready, self.places - len(self.found.plan), room))
            for campaign in taken:
                if campaign.is_refused is None:
                    campaign.is_refused = self._is_refused(campaign)
            if not any(campaign.is_refused for campaign in taken):
                self.room = room
                return taken
            ready = [row for row in ready if not row.campaign.is_refused]

    def _is_refused(self, campaign: DueCampaign) -> bool:
        """Tell whether the gate refuses it. Campaigns are of a few kinds, and each kind is judged once."""
        kind = gate.kind(campaign, self.now)
        if kind not in self.refused:
            self.refused[kind] = not isinstance(gate.check(campaign, self.now), gate.Open)
        return self.refused[kind]

    def _may_try(self, caller_id: CallerId) -> bool:
        """Tell whether a call may try this caller ID and its trunk, if one of them has failed lately."""
        return all(trial.may_begin(self.now) for trial in self.trials[caller_id.pk])

    def _read(self, after: UUID, until: UUID, size: int) -> list[DueCampaign]:
        full = [pk for pk, caps in self.caps.items() if any(self.room.get(cap, 1) <= 0 for cap in caps)]
        values: dict[str, Any] = {"account": self.account.pk, "now": self.now, "after": after, "until": until}
        with connection.cursor() as cursor:
            cursor.execute(_WINDOW, values | {"full": full, "size": size, "places": self.places})
            rows = cursor.fetchall()
        self._load_caller_ids({row[1] for row in rows} - self.caller_ids.keys())
        return [
            DueCampaign(
                pk,
                self.caller_ids[caller_id],
                send_at,
                expires_at,
                rules,
                waived_rules,
                channels.own_bucket(pk, mode, throttle),
                most,
                due,
                self.account,
            )
            for pk, caller_id, send_at, expires_at, rules, waived_rules, mode, throttle, most, due in rows
        ]

    def _load_caller_ids(self, missing: Set[int]) -> None:
        if not missing:
            return
        loaded = _CALLER_IDS.by_key(missing)
        self.caller_ids |= loaded
        for pk, caller_id in loaded.items():
            self.caps[pk] = [scope for scope in channels.scopes_of_caller_id(caller_id) if scope.cap < NO_CAP]
            self.trials[pk] = _trials(caller_id)
            # A single call tries what has failed.
            self.room.update(dict.fromkeys(self.trials[pk], 1))

    def _ask_for_room(self, window: Sequence[DueCampaign]) -> Mapping[Bucket, Pace]:
        """Ask for the room of what limits these campaigns, where it has a limit and is not known yet."""
        scopes = {cap for caps in self.caps.values() for cap in caps} - self.room.keys()
        room = channels.room(scopes, [bucket for campaign in window for bucket in campaign.own_bucket])
        for scope, free in room.free.items():
            self.room[scope] = free
        for bucket, pace in room.paces.items():
            self.room[bucket] = pace.starts
        return room.paces

    def _limits(self, campaign: DueCampaign) -> tuple[Hashable, ...]:
        pk = campaign.caller_id.pk
        return (*self.caps[pk], *campaign.own_bucket, *self.trials[pk])

    def _has_room(self, campaign: DueCampaign) -> bool:
        return all(self.room.get(limit, 1) > 0 for limit in self._limits(campaign))

    def _note_paces(self, paces: Mapping[Bucket, Pace], window: Sequence[DueCampaign], planned: Counter[UUID]) -> None:
        """Note when campaigns with a pace of their own may go on, where it holds them back."""
        for campaign in window if paces else ():
            for bucket in campaign.own_bucket:
                if campaign.due > planned[campaign.pk] >= paces[bucket].starts:
                    wait = paces[bucket].wait_after(planned[campaign.pk])
                    self.found.waits.append(wait)
                    self.found.paced[campaign.pk] = self.now + timedelta(seconds=wait)


@dataclass(frozen=True)
class _Trial:
    """The one call that may try a caller ID or a trunk that has failed lately."""

    health: type[Health]
    pk: int

    def may_begin(self, now: datetime) -> bool:
        return rests.may_try(self.health._default_manager.filter(pk=self.pk), now)


def _trials(caller_id: CallerId) -> list[_Trial]:
    healths = (gate.health_of(caller_id), gate.health_of(caller_id.trunk))
    return [_Trial(type(health), health.pk) for health in healths if health and health.failures]


# Of each kind up to `most` calls of a row `chosen` that are due.
_KINDS = " UNION ALL ".join(
    f"""(SELECT call.number FROM campaigns_call AS call WHERE call.campaign_id = chosen.id AND {is_due}
        AND {NUMBER_IS_FREE} LIMIT (SELECT most FROM share))"""  # noqa: S608 -- made of constants
    for is_due in DUE
)

# Numbers are counted where calls share them: only one of those can be dialed now, and a lease for another would be
# wasted. To count what is distinct anyway would cost as much again. Elsewhere the count ends at `most`, so that most
# campaigns are not looked at for calls of the other kinds. One query counts both: two take longer to plan than to run.
_COUNTED = f"""(
    SELECT CASE WHEN chosen.call_duplicate_numbers
        THEN count(DISTINCT CASE WHEN chosen.call_duplicate_numbers THEN number END) ELSE count(*) END
    FROM ({_KINDS} LIMIT CASE WHEN NOT chosen.call_duplicate_numbers THEN (SELECT most FROM share) END) AS due
)"""  # noqa: S608 -- made of constants

# Due calls are counted up to `most`, twice the fair share of the places, so that a million waiting calls cost no more.
_WINDOW = f"""
    WITH chosen AS MATERIALIZED (
        SELECT campaign.id, campaign.caller_id_id, campaign.send_at, campaign.expires_at, campaign.rules,
            campaign.waived_rules, campaign.mode, campaign.throttle, campaign.call_duplicate_numbers
        FROM {CAMPAIGNS}
        WHERE campaign.account_id = %(account)s AND campaign.id > %(after)s AND campaign.id <= %(until)s
            AND campaign.caller_id_id <> ALL(%(full)s::bigint[]) AND {NOT_SURELY_SHUT}
        ORDER BY campaign.id LIMIT %(size)s
    ), share AS MATERIALIZED (
        SELECT least(%(places)s, ceil(2.0 * %(places)s / greatest(count(*), 1)))::int AS most FROM chosen
    )
    SELECT id, caller_id_id, send_at, expires_at, rules, waived_rules, mode, throttle, (SELECT most FROM share),
        {_COUNTED}
    FROM chosen ORDER BY id
"""  # noqa: S608 -- made of constants, and every value is a parameter


def keep_turn(account_id: int, before: UUID, found: Found) -> None:
    """Keep where the next look begins: after the last campaign that got a place, where not all of them were read."""
    turn = found.turn if found.is_crowded else FIRST
    if turn != FIRST:
        redis_client().set(turn_key(account_id), turn.hex, ex=TURN_KEPT_SECONDS)
    elif before != FIRST:
        redis_client().delete(turn_key(account_id))


def turn_of(account_id: int) -> UUID:
    """Return where the next look begins. Any place is right where Redis has forgotten it."""
    kept = redis_client().get(turn_key(account_id))
    return UUID(str(kept)) if kept else FIRST


def turn_key(account_id: int) -> str:
    return prefixed(f"dispatch:turn:{account_id}")
