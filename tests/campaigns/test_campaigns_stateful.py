"""Campaigns move as the table in docs/developer/states.md says, whatever people ask for and the clock does."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from django.db import connection
from django.utils import timezone
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from campaigns import lifecycle, schedule
from campaigns.lifecycle import LONGEST
from campaigns.models import Call, Campaign
from core.errors import InvalidRequest, WrongState
from dialer import reconciliation
from dialer.carriers import connect
from tests import machines
from tests.conftest import NUMBERS, START, Rig
from tests.database import delete_rows
from tests.factories import ACTOR

pytestmark = [pytest.mark.django_db(transaction=True), machines.TIME_LIMIT]

ENDED = {"completed", "failed", "canceled", "deleted", "archived"}
# Seconds: about a tick, a minute, an hour, a day, and longer than any campaign lasts.
WHILES = st.sampled_from([1, 59, 60, 3599, 3600, 86_400, 86_401, 31 * 86_400])
DELAYS = st.sampled_from([0, 0, 1, 60, 3600, 86_400])
LENGTHS = st.none() | st.sampled_from([1, 60, 60, 3600, 86_400, 40 * 86_400])
MOST = 3
WHICH = st.integers(0, MOST - 1)
STEPS = machines.steps(
    ("create", DELAYS, LENGTHS),
    *((verb, WHICH) for verb in ("pause", "resume", "complete", "archive", "delete", "change_callbacks")),
    ("change_schedule", WHICH, DELAYS, LENGTHS),
    ("end_before_the_start_is_refused", WHICH, st.sampled_from([0, 1, 3600])),
    *2 * [("time_passes", WHILES)],
    *2 * [("start_due",), ("end_due",)],
    ("everybody_is_called",),
)


@dataclass
class Life:
    """What the model knows of a campaign. `row` is as it was at its creation, like that of a page opened long ago."""

    row: Campaign
    send_at: datetime
    end_at: datetime | None
    status: str = "created"
    has_started: bool = False

    @property
    def expires_at(self) -> datetime:
        return self.end_at or self.send_at + LONGEST

    @property
    def may_be_changed(self) -> bool:
        return self.status in {"created", "paused"} and not self.has_started


class Fact(NamedTuple):
    """What the database knows of a campaign."""

    status: str
    expires_at: datetime
    has_started: bool
    has_ended: bool
    history: list[tuple[str, str]]
    has_open_calls: bool
    has_attempts: bool


_FACTS = """
    SELECT id, status, expires_at, started_at IS NOT NULL, ended_at IS NOT NULL,
        ARRAY(
            SELECT ARRAY[from_status, to_status] FROM campaigns_campaignhistory
            WHERE subject_id = campaign.id ORDER BY id
        ),
        EXISTS (SELECT FROM campaigns_call WHERE campaign_id = campaign.id AND status <> ALL (%s)),
        EXISTS (
            SELECT FROM dialer_callattempt AS attempt JOIN campaigns_call AS call ON call.id = attempt.call_id
            WHERE call.campaign_id = campaign.id
        )
    FROM campaigns_campaign AS campaign WHERE id = ANY(%s)
"""


def facts(campaigns: list[UUID]) -> dict[UUID, Fact]:
    """Return what is stored of the campaigns, in one statement: it is asked for after each of thousands of steps."""
    with connection.cursor() as cursor:
        cursor.execute(_FACTS, [list(map(str, Call.ENDED)), campaigns])
        return {pk: Fact(*values) for pk, *values in cursor.fetchall()}


class Campaigns(RuleBasedStateMachine):
    def __init__(self, clock: Any, redis: Any) -> None:
        super().__init__()
        delete_rows()
        redis.flushdb()
        clock.move_to(START)
        connect.cache_clear()
        reconciliation.rebuild()
        self.rig = Rig(clock)
        self.known: list[Life] = []

    @initialize(delay=DELAYS, length=LENGTHS)
    def first(self, delay: int, length: int | None) -> None:
        self.create(delay, length)

    @rule(step=STEPS)
    def step(self, step: tuple[Any, ...]) -> None:
        machines.take(self, step)

    def create(self, delay: int, length: int | None) -> None:
        if len(self.known) == MOST:
            return
        send_at = timezone.now() + timedelta(seconds=delay)
        end_at = send_at + timedelta(seconds=length) if length else None
        # Numbers of its own: an account rings a number once at a time, and no campaign is to wait for another here.
        numbers = NUMBERS[2 * len(self.known) :][:2]
        self.known.append(Life(self.rig.campaign(numbers, send_at=send_at, end_at=end_at), send_at, end_at))

    def life(self, which: int) -> Life:
        return self.known[which % len(self.known)]

    # People ------------------------------------------------------------------------------------------------------

    def pause(self, which: int) -> None:
        life = self.life(which)
        self.act(life, lifecycle.pause, {"created": "paused", "in-progress": "paused"})

    def resume(self, which: int) -> None:
        life = self.life(which)
        now = timezone.now()
        waits = not life.has_started and life.send_at > now
        ways = {} if life.expires_at <= now else {"paused": "created" if waits else "in-progress"}
        self.act(life, lifecycle.resume, ways)
        life.has_started |= life.status == "in-progress"

    def complete(self, which: int) -> None:
        life = self.life(which)
        self.act(life, lifecycle.complete, {"paused": "completed"})

    def archive(self, which: int) -> None:
        life = self.life(which)
        self.act(life, lifecycle.archive, dict.fromkeys(("completed", "failed", "canceled"), "archived"))

    def delete(self, which: int) -> None:
        life = self.life(which)
        self.act(life, lifecycle.delete, {"created": "deleted", "paused": "deleted"} if life.may_be_changed else {})

    def act(self, life: Life, verb: Any, ways: dict[str, str]) -> None:
        """Assert that the verb moves the campaign as `ways` says, and is refused where that has no way."""
        if life.status in ways:
            life.status = ways[life.status]
            assert verb(life.row, actor=ACTOR).status == life.status
        else:
            with pytest.raises(WrongState):
                verb(life.row, actor=ACTOR)

    def change_schedule(self, which: int, delay: int, length: int | None) -> None:
        life = self.life(which)
        now = timezone.now()
        send_at = now + timedelta(seconds=delay)
        end_at = send_at + timedelta(seconds=length) if length else None
        if life.may_be_changed:
            lifecycle.change(life.row, now=now, send_at=send_at, end_at=end_at, actor=ACTOR)
            life.send_at, life.end_at = send_at, end_at
        else:
            with pytest.raises(WrongState):
                lifecycle.change(life.row, now=now, send_at=send_at, end_at=end_at, actor=ACTOR)

    def end_before_the_start_is_refused(self, which: int, before: int) -> None:
        life = self.life(which)
        end_at = timezone.now() - timedelta(seconds=before)
        with pytest.raises(InvalidRequest):
            lifecycle.change(life.row, now=timezone.now(), send_at=timezone.now(), end_at=end_at, actor=ACTOR)

    def change_callbacks(self, which: int) -> None:
        life = self.life(which)
        if life.status in ENDED:
            with pytest.raises(WrongState):
                lifecycle.change_callbacks(life.row, status_callback="https://client.example/told", actor=ACTOR)
        else:
            lifecycle.change_callbacks(life.row, status_callback="https://client.example/told", actor=ACTOR)

    # The clock and the dialer ------------------------------------------------------------------------------------

    def time_passes(self, seconds: int) -> None:
        self.rig.clock.shift(seconds)

    def start_due(self) -> None:
        now = timezone.now()
        schedule.start_due(now)
        for life in self.known:
            if life.status == "created" and life.send_at <= now < life.expires_at:
                life.status, life.has_started = "in-progress", True

    def end_due(self) -> None:
        now = timezone.now()
        self.rig.end_due()
        for life in self.known:
            if life.status not in ENDED and life.expires_at <= now:
                # No campaign that is still open has called anybody: `everybody_is_called` ends those that have.
                life.status = "canceled" if life.status == "paused" else "failed"

    def everybody_is_called(self) -> None:
        self.rig.dispatch()
        self.rig.dial()
        self.rig.settle()
        for life in self.known:
            if life.status == "in-progress" and timezone.now() < life.expires_at:
                life.status = "completed"

    # What must hold after every step -----------------------------------------------------------------------------

    @invariant()
    def all_is_as_the_model_says(self) -> None:
        found = facts([life.row.pk for life in self.known])
        for life in self.known:
            fact = found[life.row.pk]
            self.campaign_is_where_the_table_says(life, fact)
            assert machines.chained(fact.history, "created") == life.status
            assert life.status not in ENDED or not fact.has_open_calls, "a call waits in a campaign that has ended"
            assert life.has_started or not fact.has_attempts, "somebody is called in a campaign that never started"

    def campaign_is_where_the_table_says(self, life: Life, fact: Fact) -> None:
        assert fact.status == life.status
        assert fact.expires_at == life.expires_at
        assert fact.has_ended == (life.status in ENDED)
        assert fact.has_started == life.has_started


def test_campaigns_go_the_ways_of_the_table_and_no_other(transactional_db, clock, redis):
    machines.run(lambda: Campaigns(clock, redis), times=4)
