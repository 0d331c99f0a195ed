"""Channels against a dictionary of sets: whatever is leased, released, leaked, forgotten and rebuilt, in any order."""

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import transaction
from django.utils import timezone
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from campaigns.models import Call, Campaign
from dialer import attempt_states, channels, reconciliation
from dialer.attempt_states import Claim
from dialer.channels import LeaseRequest, LeasesLost, Scope
from dialer.models import CallAttempt
from dialer.reconciliation import Discrepancies
from tests import machines
from tests.database import delete_rows
from tests.factories import AccountFactory, CallerIdFactory, CallFactory, CampaignFactory, TrunkFactory

pytestmark = [pytest.mark.django_db(transaction=True), machines.TIME_LIMIT]

CAPS = st.integers(1, 4)
CAMPAIGNS = st.integers(0, 3)
WHICH = st.integers(0, 9)
STEPS = machines.steps(
    *2 * [("dispatch", st.lists(CAMPAIGNS, min_size=1, max_size=6), st.integers(0, 6))],
    *2 * [("attempt_ends", WHICH, st.booleans())],
    ("dispatcher_dies_before_its_commit", st.lists(CAMPAIGNS, min_size=1, max_size=3)),
    ("ended_attempt_is_released_once_more", WHICH),
    ("stranger_is_released", CAMPAIGNS),
    ("cap_is_changed", st.sampled_from(["account", "trunk", "caller_id"]), CAMPAIGNS, CAPS),
    *2 * [("rebuild",)],
    *2 * [("reconcile",)],
    *[("redis_is_flushed",), ("redis_restarts_with_its_data",)],
    *[("redis_saves_its_data",), ("redis_restarts_with_old_data",)],
)


class Channels(RuleBasedStateMachine):
    """`held` is what Redis should hold, by key; `in_flight` the attempts of the database, by id."""

    def __init__(self, redis: Any) -> None:
        super().__init__()
        delete_rows()
        redis.flushdb()
        self.redis = redis
        self.held: dict[str, set[str]] = {}
        self.in_flight: dict[UUID, Campaign] = {}
        self.ended: list[tuple[UUID, Campaign]] = []
        self.highest: dict[str, int] = {}
        self.remembers = False
        self.old: tuple[dict[str, dict[str, float]], dict[str, set[str]]] | None = None

    @initialize(account=CAPS, trunks=st.tuples(CAPS, st.none() | CAPS), caller_ids=st.tuples(CAPS, st.none(), CAPS))
    def set_up(self, account: int, trunks: tuple[int | None, ...], caller_ids: tuple[int | None, ...]) -> None:
        """Four campaigns over three caller IDs over two trunks; two of the campaigns share a caller ID."""
        owner = AccountFactory(channels=account)
        ways = [TrunkFactory(channels=cap) for cap in trunks]
        numbers = [
            CallerIdFactory(account=owner, trunk=way, channels=cap)
            for way, cap in zip([ways[0], ways[0], ways[1]], caller_ids, strict=True)
        ]
        self.campaigns = [CampaignFactory(account=owner, running=True, caller_id=numbers[n]).pk for n in (0, 0, 1, 2)]
        self.rebuild()

    @rule(step=STEPS)
    def step(self, step: tuple[Any, ...]) -> None:
        machines.take(self, step)

    def campaign(self, number: int) -> Campaign:
        return Campaign.objects.select_related("account", "caller_id__trunk").get(pk=self.campaigns[number])

    def room(self, scope: Scope) -> int:
        return scope.cap - len(self.held.get(scope.key, ()))

    def lease(self, wanted: list[int]) -> list[tuple[LeaseRequest, Campaign]]:
        """Leases for these campaigns, after a look at whether just those were granted that there was room for."""
        asked = [(LeaseRequest(uuid4(), scopes_of(campaign)), campaign) for campaign in map(self.campaign, wanted)]
        if not self.remembers:
            with pytest.raises(LeasesLost):
                channels.lease([request for request, _ in asked])
            return []
        granted = channels.lease([request for request, _ in asked]).holders
        for request, _ in asked:
            has_room = all(self.room(scope) > 0 for scope in request.scopes)
            assert (request.holder in granted) is has_room, [(scope, self.room(scope)) for scope in request.scopes]
            for scope in request.scopes if has_room else ():
                self.held.setdefault(scope.key, set()).add(request.holder.hex)
                self.highest[scope.key] = max(scope.cap, self.highest.get(scope.key, 0))
        return [(request, campaign) for request, campaign in asked if request.holder in granted]

    def release(self, holder: UUID, campaign: Campaign) -> None:
        keys = [scope.key for scope in scopes_of(campaign)]
        channels.release([(holder, keys)])
        for key in keys:
            self.held.get(key, set()).discard(holder.hex)

    def dispatch(self, wanted: list[int], claimed: int) -> None:
        """As the dispatcher does: lease, claim as many as there are calls for, give the rest back."""
        with transaction.atomic():
            channels.hold_shared()
            leased = self.lease(wanted)
            for request, campaign in leased[:claimed]:
                self.claim(request.holder, campaign)
            for request, campaign in leased[claimed:]:
                self.release(request.holder, campaign)

    def claim(self, holder: UUID, campaign: Campaign) -> None:
        call = CallFactory(campaign=campaign, status=Call.Status.IN_PROGRESS)
        trunk_id = campaign.caller_id.trunk_id
        claim = Claim(holder, call.pk, campaign.pk, campaign.account_id, call.number, trunk_id, 1)
        attempt_states.claim([claim], at=timezone.now())
        self.in_flight[holder] = campaign

    def dispatcher_dies_before_its_commit(self, wanted: list[int]) -> None:
        self.lease(wanted)

    def attempt_ends(self, which: int, releases: bool) -> None:
        """Without its release it leaves a leak: the process died in between, or Redis was away."""
        if not self.in_flight:
            return
        holder = list(self.in_flight)[which % len(self.in_flight)]
        campaign = self.in_flight.pop(holder)
        ended = CallAttempt.objects.filter(pk=holder)
        ended.update(status="canceled", ended_at=timezone.now())
        self.ended.append((holder, campaign))
        if releases:
            self.release(holder, campaign)

    def ended_attempt_is_released_once_more(self, which: int) -> None:
        if self.ended:
            self.release(*self.ended[which % len(self.ended)])

    def stranger_is_released(self, number: int) -> None:
        self.release(uuid4(), self.campaign(number))

    def cap_is_changed(self, kind: str, number: int, cap: int) -> None:
        campaign = self.campaign(number)
        row: Any = {
            "account": campaign.account,
            "trunk": campaign.caller_id.trunk,
            "caller_id": campaign.caller_id,
        }[kind]
        row.channels = cap
        row.save()

    def redis_is_flushed(self) -> None:
        self.redis.flushdb()
        self.held, self.remembers = {}, False

    def redis_restarts_with_its_data(self) -> None:
        self.redis.script_flush()
        self.remembers = False

    def redis_saves_its_data(self) -> None:
        saved = {key: dict(self.redis.zrange(key, 0, -1, withscores=True)) for key in self.redis_keys()}
        self.old = saved, {key: set(holders) for key, holders in self.held.items()}

    def redis_restarts_with_old_data(self) -> None:
        if self.old is None:
            return
        self.redis.flushdb()
        self.redis.set(channels.COMPLETE, 1)
        for key, holders in self.old[0].items():
            self.redis.zadd(key, holders)
        self.redis.script_flush()
        self.held, self.remembers = {key: set(holders) for key, holders in self.old[1].items()}, False

    def rebuild(self) -> None:
        self.compare(reconciliation.rebuild)

    def reconcile(self) -> None:
        self.compare(reconciliation.reconcile)

    def compare(self, compare: Callable[[], Discrepancies]) -> None:
        wanted: dict[str, set[str]] = {}
        for holder, campaign in self.in_flight.items():
            for scope in scopes_of(campaign):
                wanted.setdefault(scope.key, set()).add(holder.hex)
        corrected = compare()
        held, needed = pairs(self.held), pairs(wanted)
        assert corrected.leaked == len({holder for _, holder in held - needed})
        assert corrected.missing == len({holder for _, holder in needed - held})
        self.held, self.remembers = wanted, True

    def redis_keys(self) -> list[str]:
        return list(self.redis.scan_iter(match=f"{channels.PREFIX}*", count=1000))

    @invariant()
    def redis_holds_what_the_model_holds(self) -> None:
        keys = self.redis_keys()
        pipe = self.redis.pipeline(transaction=False)
        for key in keys:
            pipe.zrange(key, 0, -1)
        held = zip(keys, pipe.execute(), strict=True)
        assert {(key, holder) for key, holders in held for holder in holders} == pairs(self.held)

    @invariant()
    def attempts_in_flight_hold_their_channels_while_anybody_is_let_in(self) -> None:
        if self.remembers:
            needed = {(scope.key, h.hex) for h, campaign in self.in_flight.items() for scope in scopes_of(campaign)}
            assert needed <= pairs(self.held)

    @invariant()
    def no_scope_ever_has_more_attempts_in_flight_than_its_highest_cap(self) -> None:
        counts: dict[str, int] = {}
        for campaign in self.in_flight.values():
            for scope in scopes_of(campaign):
                counts[scope.key] = counts.get(scope.key, 0) + 1
        assert all(count <= self.highest[key] for key, count in counts.items())


def scopes_of(campaign: Campaign) -> tuple[Scope, ...]:
    return channels.scopes_of(campaign.account, campaign.caller_id)


def pairs(held: dict[str, set[str]]) -> set[tuple[str, str]]:
    return {(key, holder) for key, holders in held.items() for holder in holders}


def test_channels_are_those_of_a_dictionary_of_sets(redis, transactional_db):
    machines.run(lambda: Channels(redis), times=2)
