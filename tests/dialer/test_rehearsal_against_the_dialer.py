"""A rehearsal beside the dialer: 2,000 numbers, dialed by real dispatches and outcomes, with a clock that is moved.

The people of both are drawn from one model by different chance. The window of hours closes in between.
"""

import heapq
from datetime import datetime, time, timedelta
from itertools import count
from random import Random

from django.utils import timezone

from campaigns.models import Call, Campaign
from dialer import inbox, rehearsal
from dialer.inbox import Incoming
from dialer.rehearsal import Callees
from tests.conftest import START, Rig

NUMBERS = 2_000
SEED = 42
TICK = timedelta(seconds=10)
# From 11:30, when both begin, to the end of the hours at 11:36.
FIRST_DAY = timedelta(minutes=6)
# A channel that is free waits for the next tick: half of one, as each ringing time is chosen to end between two.
PEOPLE = Callees(
    rings={"completed": 12.0, "busy": 5.0, "no-answer": 35.0, "failed": 5.0}, overhead=TICK.total_seconds() / 2
)


class World:
    """The people at the other end of the simulated carrier."""

    def __init__(self, rig: Rig) -> None:
        self.rig, self.order, self.seen = rig, count(), 0
        self.up: list[tuple[datetime, int, Incoming]] = []
        self.attempts: dict[str, int] = {}

    def answer(self) -> None:
        """Draw what comes of each call that was placed since."""
        for ring in self.rig.carrier.rings[self.seen :]:
            attempt = self.attempts[ring.number] = self.attempts.get(ring.number, 0) + 1
            now = timezone.now()
            # By the number, so that the order of the claims, which is open, does not change who answers and how long.
            chance = Random(f"{SEED} {ring.number} {attempt}")
            drawn = PEOPLE.ring(now.astimezone(self.rig.account.zone).hour, attempt, chance)
            ref = ring.attempt_id.hex
            end = Incoming("simulated", ring.attempt_id, {"status": drawn.outcome, "ref": ref})
            heapq.heappush(self.up, (now + timedelta(seconds=drawn.seconds), next(self.order), end))
        self.seen = len(self.rig.carrier.rings)

    def hang_up(self) -> None:
        """Send the events of the calls that have ended by now."""
        ended = []
        while self.up and self.up[0][0] <= timezone.now():
            ended.append(heapq.heappop(self.up)[2])
        if ended:
            inbox.store(ended)
            self.rig.settle()

    def next_moment(self) -> datetime:
        """Return when something can happen: at the next tick, or, where nothing is up, with a retry or the opening."""
        now = timezone.now()
        if self.up:
            return now + TICK
        waiting = Call.objects.filter(status=Call.Status.RETRYING).order_by("next_attempt_at")
        due = waiting.values_list("next_attempt_at", flat=True).first()
        is_left = Call.objects.filter(status=Call.Status.CREATED).exists()
        return self.rig.account.calling_hours.next_open(max(now if is_left or not due else due, now + TICK))


def test_a_rehearsal_finishes_when_the_dialer_does(rig: Rig):
    rig.account.channels, rig.account.opens_at, rig.account.closes_at = 100, time(10, 30), time(11, 36)
    rig.account.save()
    numbers = [f"+9198100{n:05}" for n in range(NUMBERS)]
    rig.carrier.script = {number: ["is-up"] for number in numbers}
    campaign = rig.campaign(numbers, number_of_retries=1, retry_interval_mins=5, retry_on_status=["busy", "no-answer"])
    found = rehearsal.rehearse(rehearsal.of_campaign(campaign, START), PEOPLE)
    world = World(rig)
    while True:
        world.hang_up()
        rig.tick()
        world.answer()
        campaign.refresh_from_db()
        if campaign.status == Campaign.Status.COMPLETED:
            break
        rig.clock.move_to(world.next_moment())
    expected = found.forecast.finishes_at
    assert expected is not None
    assert campaign.ended_at is not None
    morning = datetime.combine(START.date() + timedelta(days=1), time(10, 30), rig.account.zone)
    assert morning + timedelta(minutes=5) < campaign.ended_at
    open_time = FIRST_DAY + (campaign.ended_at - morning)
    assert abs(campaign.ended_at - expected) < open_time * 0.03, (campaign.ended_at, expected)
    made = sum(found.attempts.values())
    assert abs(world.seen - made) < made * 0.05
