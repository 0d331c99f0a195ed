"""What happens to campaigns over a virtual clock: claims, ends and retries, one after the other.

The rules are those of the dialer, asked by their own functions: `gate.next_open` for the campaigns, `Rules` for the
numbers, `take_turns` for shares, `retry_policy` for retries, the limits of `channels`. Clock, carrier and store are
others. The gate is asked once in a virtual minute, as hours begin and end with one, and with every start where the
account has a daily limit.
"""

import heapq
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from random import Random

from accounts.models import Account
from campaigns.models import Campaign, Outcome
from dialer import channels, daily_limits, gate
from dialer.channels import Bucket, Scope
from dialer.rehearsal.callees import Callees
from dialer.rehearsal.phones import Lane, Person, due_of
from dialer.retry_policy import RetryPolicy, next_attempt_at
from dialer.turns import Ready, take_turns

HOUR = 3600
# Calls that must be possible at once where each takes several channels: fewer would fill them badly.
FEWEST_AT_ONCE = 5
# How long after its end a campaign is followed, to see how long it would have needed.
BEYOND = timedelta(days=30)
NEVER = float("inf")


@dataclass(eq=False)
class Staged:
    """A campaign of the rehearsal, with the people who have not been reached.

    Attributes:
        campaign: as the gate reads it; its end lies `BEYOND` the real one.
        ends_at: the real one.
        lanes: the people, by where they are.
    """

    campaign: Campaign
    ends_at: datetime
    lanes: list[Lane]
    up: int = 0
    turn: int = 0
    weight: int = 1
    stretch: float = 1.0
    shut_until: float = 0.0
    open_until: float = 0.0
    shut_by: str = ""

    def __post_init__(self) -> None:
        self.policy = RetryPolicy.of(self.campaign, timedelta(minutes=1))
        self.scopes = channels.scopes_of(self.campaign.account, self.campaign.caller_id)
        self.buckets = channels.buckets_of(self.campaign)

    def stand_for(self, every: int) -> None:
        """Let each person stand for so many: a call takes so many channels, or all of them for so much longer."""
        cap = min(scope.cap for scope in self.scopes)
        self.weight = every if every * FEWEST_AT_ONCE <= cap or every == 1 else cap
        self.stretch = every / self.weight


@dataclass(eq=False)
class Course:
    """What happened to one campaign. Times are seconds since 1970.

    Attributes:
        starts: attempts by hour. held: seconds of channels by hour. peak: the most channels at once, by hour.
        outcomes: attempts by outcome. first_tries: when each person was called first.
        ended: when the calls ended, in order, with how.
        left: people who were never reached, by the rule that kept them.
    """

    starts: Counter[int] = field(default_factory=Counter)
    held: Counter[int] = field(default_factory=Counter)
    peak: Counter[int] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    first_tries: list[float] = field(default_factory=list)
    ended: list[tuple[float, str]] = field(default_factory=list)
    left: Counter[str] = field(default_factory=Counter)
    left_numbers: dict[str, list[str]] = field(default_factory=dict)


class Simulation:
    """A rehearsal at work. One account, all of its campaigns that dial.

    every: how many people each of those stands for. Their calls take so many channels and starts of the pace.
    """

    def __init__(
        self, account: Account, staged: Sequence[Staged], callees: Callees, *, seed: int, now: datetime, every: int = 1
    ) -> None:
        self.account, self.staged, self.callees, self.every = account, staged, callees, every
        self.chance = Random(seed)  # noqa: S311
        self.now = now.timestamp()
        self.courses = [Course() for _ in staged]
        for one in staged:
            one.stand_for(every)
        # Calls that are up: when they end, a number for the order, the campaign, the person, the outcome, the lane.
        self.up: list[tuple[float, int, int, Person, str, Lane]] = []
        self.order = count()
        self.in_use: Counter[Scope] = Counter()
        # When the next start of a bucket would be on time, as in `channels.lua`.
        self.next_start: dict[Bucket, float] = {}
        self.has_daily_limit = daily_limits.has_limit(account)
        self.hours: dict[int, int] = {}

    def run(self) -> list[Course]:
        """Let it happen until nothing is left to call. Returns the course of each campaign, in their order."""
        while True:
            self._end_calls()
            moment = min(self._dispatch(), self.up[0][0] if self.up else NEVER)
            if moment == NEVER:
                break
            # A moment is never looked at twice: floats are not exact.
            self.now = max(moment, self.now + 0.001)
        for staged, course in zip(self.staged, self.courses, strict=True):
            _count_the_rest(staged, course)
        return self.courses

    # Dispatch --------------------------------------------------------------------------------------------------------

    def _dispatch(self) -> float:
        """Start what can be started now. Returns when to look again, if no call ends before."""
        while True:
            again, lanes, ready = NEVER, {}, []
            for place, staged in enumerate(self.staged):
                wait = self._wait(staged)
                if wait == NEVER:
                    continue  # a call has to end first
                lane = self._lane(staged)
                if lane is None:
                    again = min(again, self._next_due(staged))
                elif wait > 0:
                    again = min(again, self.now + wait)
                else:
                    lanes[place] = lane
                    ready.append(Ready(place, due_of(lane, self.now), staged.up))
            if not ready:
                return again
            for place in take_turns(ready, 1):
                if person := self._next_person(lanes[place]):
                    self._start(place, lanes[place], person)

    def _lane(self, staged: Staged) -> Lane | None:
        """Return a lane of the campaign that has somebody to call and is open, as the gate for it is; by turns."""
        lanes = staged.lanes
        for _ in lanes:
            staged.turn = (staged.turn + 1) % len(lanes)
            lane = lanes[staged.turn]
            if due_of(lane, self.now) and lane.is_open(self.now) and self._is_open(staged):
                return lane
        return None

    def _is_open(self, staged: Staged) -> bool:
        if self.now < staged.shut_until:
            return False
        if self.now < staged.open_until and not self.has_daily_limit:
            return True
        at = _clock(self.now)
        if self.has_daily_limit:
            self._turn_day(at)
        opens = gate.next_open(staged.campaign, at)
        if isinstance(opens, datetime):
            staged.shut_until, staged.open_until = opens.timestamp(), self.now - self.now % 60 + 60
        else:
            staged.shut_until, staged.shut_by = NEVER, opens.code
        return opens == at

    def _turn_day(self, at: datetime) -> None:
        """Begin to count the account's next day."""
        if at >= daily_limits.usage_of(self.account, at).until:
            self._use(daily_limits.Usage(*daily_limits.day_of(self.account, at), calls=0, seconds=0))

    def _use(self, usage: daily_limits.Usage) -> None:
        self.account.usage = usage  # type: ignore[attr-defined]

    def _wait(self, staged: Staged) -> float:
        """Return the seconds until channels and pace allow a start; NEVER while all channels are up."""
        for scope in staged.scopes:
            if self.in_use[scope] + staged.weight > scope.cap:
                return NEVER
        on_time = [
            self.next_start.get(bucket, 0.0) - (bucket.burst - 1) * bucket.interval_us / 1e6
            for bucket in staged.buckets
        ]
        return max(on_time) - self.now

    def _next_due(self, staged: Staged) -> float:
        """Return when somebody of the campaign can be called next."""
        earliest = min((_next_of(lane, self.now) for lane in staged.lanes), default=NEVER)
        return NEVER if earliest == NEVER else max(earliest, staged.shut_until)

    def _next_person(self, lane: Lane) -> Person | None:
        """Return who is called next: first tries and retries by chance, as where claims begin with either."""
        while due_of(lane, self.now):
            has_retry = bool(lane.later) and lane.later[0][0] <= self.now
            if has_retry and (not lane.fresh or self.chance.random() < 0.5):
                person = heapq.heappop(lane.later)[2]
            else:
                person = lane.fresh.pop()
            allowed = max(person.not_before, person.phone.free_at, lane.limited_until(person.phone, self.now))
            if allowed <= self.now:
                return person
            heapq.heappush(lane.later, (allowed, next(self.order), person))
        return None

    def _start(self, place: int, lane: Lane, person: Person) -> None:
        staged, course, hour = self.staged[place], self.courses[place], int(self.now // HOUR)
        person.attempts += 1
        if person.attempts == 1:
            course.first_tries.append(self.now)
        ring = self.callees.ring(self._hour_of_day(), person.attempts, self.chance)
        ends = self.now + (ring.seconds + self.callees.overhead) * staged.stretch
        lane.note(person.phone, self.now, ring.outcome, ends)
        heapq.heappush(self.up, (ends, next(self.order), place, person, ring.outcome, lane))
        staged.up += 1
        for scope in staged.scopes:
            self.in_use[scope] += staged.weight
        for bucket in staged.buckets:
            on_time = max(self.next_start.get(bucket, 0.0), self.now)
            self.next_start[bucket] = on_time + bucket.interval_us / 1e6 * self.every
        course.starts[hour] += 1
        course.outcomes[ring.outcome] += 1
        course.peak[hour] = max(course.peak[hour], staged.up * staged.weight)
        _add_held(course.held, self.now, ends, staged.weight)
        if self.has_daily_limit:
            used = daily_limits.usage_of(self.account, _clock(self.now))
            talked = round(ring.talk) * self.every
            self._use(replace(used, calls=used.calls + self.every, seconds=used.seconds + talked))

    def _hour_of_day(self) -> int:
        """Return the hour on the account's clocks. They differ from each other by quarters of an hour."""
        quarter = int(self.now // 900)
        if quarter not in self.hours:
            self.hours[quarter] = _clock(self.now).astimezone(self.account.zone).hour
        return self.hours[quarter]

    # Ends ------------------------------------------------------------------------------------------------------------

    def _end_calls(self) -> None:
        while self.up and self.up[0][0] <= self.now:
            ended, _, place, person, outcome, lane = heapq.heappop(self.up)
            staged = self.staged[place]
            staged.up -= 1
            for scope in staged.scopes:
                self.in_use[scope] -= staged.weight
            again = None
            if outcome != Outcome.COMPLETED:
                at = _clock(ended - self.callees.overhead)
                again = next_attempt_at(outcome, person.attempts, staged.policy, at)
            if again is None:
                self.courses[place].ended.append((ended, outcome))
            else:
                heapq.heappush(lane.later, (again.timestamp(), next(self.order), person))


def _clock(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)


def _next_of(lane: Lane, now: float) -> float:
    """Return when somebody in the lane can be called next."""
    if lane.fresh:
        due = now
    elif lane.later:
        due = max(lane.later[0][0], now)
    else:
        return NEVER
    return max(due, lane.shut_until)


def _add_held(held: Counter[int], since: float, until: float, channels_held: int) -> None:
    hour = int(since // HOUR)
    while since < until:
        end = min(until, float((hour + 1) * HOUR))
        held[hour] += round((end - since) * channels_held)
        since, hour = end, hour + 1


def _count_the_rest(staged: Staged, course: Course) -> None:
    """Count who was never reached, by the rule that kept them."""
    for lane in staged.lanes:
        code = "no-common-hours" if lane.rules.has_hours() else staged.shut_by or "past-its-end"
        rest = [*lane.fresh, *(person for _, _, person in lane.later)]
        if rest:
            course.left[code] += len(rest)
            shown = course.left_numbers.setdefault(code, [])
            shown += [person.phone.number for person in rest[: max(0, 20 - len(shown))]]
