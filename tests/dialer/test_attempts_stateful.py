"""The whole dialer against what must hold after every step, whatever happens in whatever order.

Two campaigns of one account dial over two trunks of the simulated carrier, which is scripted to answer, ring out, be
busy, refuse, lose its replies and fall silent. Meanwhile workers die, callbacks are lost, repeated, forged and late,
Redis forgets, trunks go down, people pause, complete and are taken out, and hours pass. At the end all is well again,
and everything must come to its end.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, time, timedelta
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.db.models import QuerySet
from django.utils import timezone
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from campaigns import lifecycle, schedule
from campaigns.models import Call, Campaign
from campaigns.taking_out import Wanted, take_out
from core.errors import WrongState
from dialer import attempt_states, channels, dialing, inbox, reconciliation
from dialer.carriers import connect
from dialer.carriers.base import Accepted, CallRequest, Reply
from dialer.models import CallAttempt, CarrierEvent
from tests import machines
from tests.conftest import NUMBERS, START, Rig
from tests.database import delete_rows
from tests.factories import ACTOR, CallerIdFactory

pytestmark = [pytest.mark.django_db(transaction=True), machines.TIME_LIMIT]

OUTCOMES = tuple(sorted(attempt_states.OUTCOMES))
SCRIPT = (
    *OUTCOMES,
    "busy",
    "no-answer",
    "failed",
    "refused",
    "unavailable",
    "lost-before-ring",
    "lost-after-ring",
    "silent",
)
SCRIPTS = st.lists(st.lists(st.sampled_from(SCRIPT), min_size=1, max_size=4), min_size=12, max_size=12)
# Seconds: within a ring, past each of the waits of dispatch and recovery, past a retry, a call, and a night.
WHILES = st.sampled_from([1, 6, 11, 16, 31, 61, 301, 601, 1201, 3600, 4 * 3600, 12 * 3600])
WORDS = st.sampled_from([*OUTCOMES, "in-progress", "canceled", "nonsense"])
CHANNELS, TRUNK_CHANNELS = 4, 2
NUMBER, VERBS = st.integers(0, 1), st.sampled_from(["pause", "resume", "resume", "complete", "delete"])
STEPS = machines.steps(
    *4 * [("processes_work", st.sampled_from(["tick", "dispatch", "dial", "settle", "recover"]))],
    ("all_goes_well_for_a_while", st.sampled_from([1, 11, 21]), st.integers(2, 4)),
    ("clock_ticks",),
    *2 * [("dispatch_comes_first_after", WHILES)],
    *2 * [("somebody_acts_between_claim_and_dial", NUMBER, VERBS)],
    ("dial_messages_come_again",),
    ("dialer_dies_while_it_asks_the_carrier", st.booleans()),
    ("dialer_dies_and_recovery_asks", st.booleans(), st.booleans(), WHILES),
    *2 * [("time_passes", WHILES)],
    ("event_comes", st.integers(0, 9), WORDS, st.booleans()),
    ("event_of_an_unknown_attempt_comes", WORDS),
    ("events_come_again_in_another_order",),
    ("callbacks_are_lost",),
    *[("trunks_go_down",), ("trunks_come_back",)],
    ("look_ups_get_replies_or_not", st.booleans()),
    ("redis_loses_its_memory", st.booleans()),
    *2 * [("somebody_acts", NUMBER, VERBS)],
    *2 * [("somebody_is_taken_out", st.integers(0, 11))],
    *2 * [("somebody_is_taken_out_between_claim_and_dial", st.integers(0, 11), WHILES)],
)


class Attempt(NamedTuple):
    pk: UUID
    call: int
    account: int
    trunk: int
    status: str


class Dialed(NamedTuple):
    """A call with the retries of its campaign."""

    campaign: UUID
    number: str
    status: str
    attempts_made: int
    end_reason: str
    retries: int


class Stored:
    """What is stored, by a few plain statements: it is asked for after each of a thousand steps."""

    def __init__(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT id, call_id, account_id, trunk_id, status FROM dialer_callattempt")
            self.attempts = [Attempt(*row) for row in cursor.fetchall()]
            cursor.execute("""
                SELECT call.id, campaign_id, number, call.status, attempts_made, end_reason, number_of_retries
                FROM campaigns_call AS call JOIN campaigns_campaign AS campaign ON campaign.id = call.campaign_id
            """)
            self.calls = {pk: Dialed(*values) for pk, *values in cursor.fetchall()}
            cursor.execute("SELECT id, status FROM campaigns_campaign")
            self.campaigns: dict[UUID, str] = dict(cursor.fetchall())
            cursor.execute("SELECT payload ->> 'status' FROM dialer_carrierevent WHERE error <> ''")
            self.failed_events = {status for (status,) in cursor.fetchall()}
        self.under_way = [attempt for attempt in self.attempts if attempt.status in CallAttempt.UNFINISHED]


class Dialer(RuleBasedStateMachine):
    def __init__(self, clock: Any, redis: Any, caplog: pytest.LogCaptureFixture) -> None:
        super().__init__()
        delete_rows()
        redis.flushdb()
        caplog.clear()
        clock.move_to(START)
        connect.cache_clear()
        self.redis, self.logged, self.records_seen = redis, caplog, 0
        self.rig = Rig(clock)
        self.campaigns: list[Campaign] = []
        self.taken_out: set[int] = set()
        self.script: dict[str, list[str]] = {}
        self.place = self.rig.carrier.place
        self.rig.carrier.place = self.place_watched  # type: ignore[method-assign]

    def place_watched(self, requests: Sequence[CallRequest]) -> dict[UUID, Reply]:
        """What must hold at the very moment at which the carrier is asked for calls."""
        now = timezone.now()
        for attempt in CallAttempt.objects.filter(pk__in=[request.attempt_id for request in requests]):
            campaign = attempt.campaign
            assert attempt.status == "placing", "the intent is committed before the carrier is asked"
            assert attempt.call_id not in self.taken_out
            assert campaign.status == "in-progress"
            assert campaign.send_at <= now < campaign.expires_at
            assert campaign.account.calling_hours.is_open(now)
        return dict(self.place(requests))

    @initialize(
        scripts=SCRIPTS,
        retries=st.tuples(st.integers(0, 3), st.integers(0, 2)),
        minutes=st.none() | st.sampled_from([5, 10, 60]),
        is_late=st.booleans(),
        replies=st.booleans(),
    )
    def set_up(
        self, scripts: list[list[str]], retries: tuple[int, int], minutes: int | None, is_late: bool, replies: bool
    ) -> None:
        """Five numbers over the first trunk, without an end; seven over the second, until its end comes.

        At 11:30 on a working day, or ten minutes before the calling hours close.
        """
        self.look_ups_get_replies_or_not(replies)
        rig = self.rig
        rig.clock.move_to(START + timedelta(hours=9, minutes=20) if is_late else START)
        rig.account.channels, rig.account.opens_at, rig.account.closes_at = CHANNELS, time(10, 30), time(21)
        rig.account.save()
        rig.trunk.channels = TRUNK_CHANNELS
        rig.trunk.save()
        # Equal settings are one carrier in this process, so its rings are all in one place.
        other = CallerIdFactory(account=rig.account)
        self.script = dict(zip(NUMBERS, scripts, strict=False))
        rig.carrier.script = self.script
        end_at = timezone.now() + timedelta(minutes=minutes) if minutes else None
        self.campaigns = [
            rig.campaign(NUMBERS[:5], retries=retries[0]),
            rig.campaign(
                NUMBERS[5:12], retries=retries[1], end_at=end_at, caller_id=other, caller_id_given=other.number
            ),
        ]
        reconciliation.rebuild()
        self.clock_ticks()

    @rule(step=STEPS)
    def step(self, step: tuple[Any, ...]) -> None:
        machines.take(self, step)

    # What the processes do ---------------------------------------------------------------------------------------

    def processes_work(self, what: str) -> None:
        getattr(self.rig, what)()

    def clock_ticks(self) -> None:
        schedule.start_due(timezone.now())
        self.rig.end_due()

    def dispatch_comes_first_after(self, seconds: int) -> None:
        """Before the tick that starts and ends campaigns."""
        self.time_passes(seconds)
        self.rig.dispatch()
        self.rig.dial()

    def somebody_acts_between_claim_and_dial(self, number: int, verb: str) -> None:
        self.rig.dispatch()
        self.somebody_acts(number, verb)
        self.rig.dial()

    def somebody_is_taken_out_between_claim_and_dial(self, which: int, seconds: int) -> None:
        self.time_passes(seconds)
        self.clock_ticks()
        self.rig.dispatch()
        self.take_out(which, Call.objects.filter(attempts__status="claimed"))
        self.rig.dial()

    def dial_messages_come_again(self) -> None:
        """Every dial message so far."""
        dialing.dial(list(CallAttempt.objects.values_list("pk", flat=True)))

    def dialer_dies_and_recovery_asks(self, rung: bool, replies: bool, seconds: int) -> None:
        self.dialer_dies_while_it_asks_the_carrier(rung)
        self.look_ups_get_replies_or_not(replies)
        self.time_passes(seconds)
        self.rig.recover()

    def dialer_dies_while_it_asks_the_carrier(self, rung: bool) -> None:
        self.rig.dispatch()

        def die(requests: Sequence[CallRequest]) -> Any:
            if rung:
                self.events_come_by_themselves(self.place_watched(requests))
            raise KeyboardInterrupt

        self.rig.carrier.place = die  # type: ignore[method-assign]
        with suppress(KeyboardInterrupt):
            self.rig.dial()
        self.rig.carrier.place = self.place_watched  # type: ignore[method-assign]

    def events_come_by_themselves(self, replies: dict[UUID, Reply]) -> None:
        for attempt_id, reply in replies.items():
            if isinstance(reply, Accepted):
                inbox.append("simulated", [(attempt_id, event) for event in reply.events])

    def all_goes_well_for_a_while(self, minutes: int, times: int) -> None:
        """So that retries of retries are reached, and calls that have been up for longer than any may be."""
        for _ in range(times):
            self.rig.later(minutes=minutes)
            self.rig.recover()
            self.rig.settle()
            self.all_holds()

    # What the world does -----------------------------------------------------------------------------------------

    def time_passes(self, seconds: int) -> None:
        self.rig.clock.shift(seconds)

    def event_comes(self, which: int, word: str, names_call: bool) -> None:
        """Early, late, repeated, contradictory or without sense, for any attempt so far."""
        ids = list(CallAttempt.objects.order_by("-pk").values_list("pk", flat=True)) or [uuid4()]
        attempt_id = ids[which % len(ids)]
        inbox.append("simulated", [(attempt_id, {"status": word, "ref": attempt_id.hex if names_call else ""})])

    def event_of_an_unknown_attempt_comes(self, word: str) -> None:
        inbox.append("simulated", [(uuid4(), {"status": word})])

    def events_come_again_in_another_order(self) -> None:
        events = CarrierEvent.objects.order_by("-id")[:10]
        inbox.append("simulated", [(event.attempt_id, event.payload or {}) for event in events])

    def callbacks_are_lost(self) -> None:
        CarrierEvent.objects.filter(handled_at=None).delete()

    def trunks_go_down(self) -> None:
        self.rig.carrier.script = {number: ["unavailable"] for number in self.script}

    def trunks_come_back(self) -> None:
        self.rig.carrier.script = self.script

    def look_ups_get_replies_or_not(self, replies: bool) -> None:
        self.rig.carrier.replies_to_look_ups = replies

    def redis_loses_its_memory(self, flushed: bool) -> None:
        if flushed:
            self.redis.flushdb()
        else:
            self.redis.script_flush()

    def somebody_acts(self, number: int, verb: str) -> None:
        with suppress(WrongState):
            getattr(lifecycle, verb)(self.campaigns[number], actor=ACTOR)

    def somebody_is_taken_out(self, which: int) -> None:
        self.take_out(which, Call.objects.exclude(status__in=Call.ENDED))

    def take_out(self, which: int, calls: "QuerySet[Call]") -> None:
        if not (found := calls.order_by("pk")):
            return
        call = found[which % len(found)]
        with suppress(WrongState):
            [told] = take_out(call.campaign, [Wanted(call_id=call.pk)], actor=ACTOR, now=timezone.now())
            assert told
            assert told.waiting + told.under_way == 1
            self.taken_out.add(call.pk)

    # What must hold after every step -----------------------------------------------------------------------------

    @invariant()
    def all_holds(self) -> None:
        stored = Stored()
        self.no_attempt_rings_twice_and_none_that_was_given_back_has_rung(stored)
        self.no_number_has_two_attempts_under_way(stored)
        self.calls_and_attempts_agree(stored)
        self.who_was_taken_out_is_canceled_or_was_reached(stored)
        self.a_campaign_waits_for_something_or_has_ended(stored)
        self.no_more_calls_are_up_than_there_are_channels(stored)
        self.nothing_broke(stored)
        self.leases_are_those_of_the_attempts_in_flight(stored)

    def no_attempt_rings_twice_and_none_that_was_given_back_has_rung(self, stored: "Stored") -> None:
        rings = Counter(ring.attempt_id for ring in self.rig.carrier.rings)
        assert all(count == 1 for count in rings.values())
        assert not [attempt for attempt in stored.attempts if attempt.status == "canceled" and attempt.pk in rings]

    def no_number_has_two_attempts_under_way(self, stored: "Stored") -> None:
        numbers = Counter((attempt.account, stored.calls[attempt.call].number) for attempt in stored.under_way)
        assert all(count == 1 for count in numbers.values()), numbers

    def calls_and_attempts_agree(self, stored: "Stored") -> None:
        for pk, call in stored.calls.items():
            statuses = [attempt.status for attempt in stored.attempts if attempt.call == pk]
            unfinished = [status for status in statuses if status in CallAttempt.UNFINISHED]
            counted = [status for status in statuses if status in OUTCOMES]
            assert len(unfinished) == (call.status == "in-progress"), (call.status, statuses)
            assert call.attempts_made == len(counted)
            assert len(counted) + len(unfinished) <= 1 + call.retries
            assert ("completed" in statuses) == (call.status == "completed")
            assert bool(call.end_reason) == (call.status in Call.ENDED or pk in self.taken_out)

    def who_was_taken_out_is_canceled_or_was_reached(self, stored: "Stored") -> None:
        for pk in self.taken_out:
            assert stored.calls[pk].status in {"in-progress", "completed", "canceled"}
        for pk, call in stored.calls.items():
            assert pk in self.taken_out or call.status != "canceled" or not call.attempts_made

    def a_campaign_waits_for_something_or_has_ended(self, stored: "Stored") -> None:
        for pk, status in stored.campaigns.items():
            waiting = {call.status for call in stored.calls.values() if call.campaign == pk} - set(Call.ENDED)
            if status in Campaign.OPEN:
                assert waiting
            else:
                assert waiting <= {"in-progress"}, "only calls that are up outlive their campaign"

    def no_more_calls_are_up_than_there_are_channels(self, stored: "Stored") -> None:
        assert len(stored.under_way) <= CHANNELS
        assert sum(attempt.trunk == self.rig.trunk.pk for attempt in stored.under_way) <= TRUNK_CHANNELS

    def nothing_broke(self, stored: "Stored") -> None:
        """A failed event is stored with its error, and a look-up waits for the next sweep: no test would see it."""
        assert stored.failed_events <= {"nonsense"}
        records = self.logged.records
        new, self.records_seen = records[self.records_seen :], len(records)
        assert [record.getMessage() for record in new if record.levelname == "ERROR"] == []

    def leases_are_those_of_the_attempts_in_flight(self, stored: "Stored") -> None:
        """Except between a flush and the next rebuilding: until then nothing is leased."""
        if not self.redis.exists(channels.COMPLETE):
            return
        held = set(self.redis.zrange(channels.Scope("account", self.rig.account.pk, 0).key, 0, -1))
        assert held == {attempt.pk.hex for attempt in stored.under_way}

    # And in the end ----------------------------------------------------------------------------------------------

    def teardown(self) -> None:
        if not self.campaigns:
            return
        self.rig.carrier.replies_to_look_ups = True
        self.rig.carrier.script = {}
        for campaign in Campaign.objects.filter(status="paused", expires_at__gt=timezone.now()):
            lifecycle.resume(campaign, actor=ACTOR)
        for _ in range(60):
            if not self.anything_is_open():
                break
            self.rig.later(minutes=31 if self.is_open(timezone.now()) else 60)
            self.rig.recover()
            self.rig.settle()
        self.all_holds()
        assert not self.anything_is_open(), [campaign.status for campaign in Campaign.objects.all()]
        self.rig.recover()
        assert not self.redis.zcard(channels.Scope("account", self.rig.account.pk, 0).key)
        self.histories_are_chains()

    def anything_is_open(self) -> bool:
        calls = Call.objects.exclude(status__in=Call.ENDED)
        return calls.exists() or Campaign.objects.filter(status__in=Campaign.OPEN).exists()

    def is_open(self, now: datetime) -> bool:
        return self.rig.account.calling_hours.is_open(now)

    def histories_are_chains(self) -> None:
        rows: list[tuple[Any, str]] = [(Campaign, "created"), (Call, "created"), (CallAttempt, "claimed")]
        for model, first in rows:
            moves: dict[Any, list[list[str]]] = defaultdict(list)
            history = model._meta.get_field("history").related_model.objects.order_by("id")
            for subject, *move in history.values_list("subject_id", "from_status", "to_status"):
                moves[subject].append(move)
            for pk, status in model.objects.values_list("pk", "status"):
                assert machines.chained(moves[pk], first) == status


def test_the_dialer_keeps_its_promises_whatever_happens(transactional_db, clock, redis, caplog):
    machines.run(lambda: Dialer(clock, redis, caplog))
