"""The phones of a rehearsal: what the rules ask of each, and what has come of the calls to it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from accounts.calling_rules import CONVERSATION, Rules
from campaigns.models import Outcome
from contacts.zones import Place
from dialer.past_calls import PastCall


@dataclass(slots=True, eq=False)
class Phone:
    """A number. Times are seconds since 1970.

    Attributes:
        free_at: when the attempt ends that is under way for it.
        attempts, conversations: when it was called and when its conversations ended, kept where the rules count them.
    """

    number: str
    free_at: float = 0.0
    attempts: list[float] = field(default_factory=list)
    conversations: list[float] = field(default_factory=list)

    @classmethod
    def after(cls, number: str, past: Iterable[PastCall]) -> "Phone":
        """Return the phone of a number that was called before, the oldest call first."""
        phone = cls(number)
        for call in past:
            phone.attempts.append(call.placed_at.timestamp())
            phone.free_at = max(phone.free_at, call.ended_at.timestamp())
            if call.was_answered:
                phone.conversations.append(call.ended_at.timestamp())
        return phone


@dataclass(slots=True, eq=False)
class Person:
    """A call of a campaign. not_before: what the gate for numbers has said of it. attempts: those that were made."""

    phone: Phone
    not_before: float = 0.0
    attempts: int = 0


@dataclass(eq=False)
class Lane:
    """The people of a campaign who are at one place, so that the same rules hold for them.

    Attributes:
        fresh: who waits for a first try, the first last. later: a heap of (due, number, person).
        shut_until: before this moment the hours are shut. open_until: until then they need not be asked again.
    """

    place: Place
    rules: Rules
    fresh: list[Person]
    later: list[tuple[float, int, Person]] = field(default_factory=list)
    shut_until: float = 0.0
    open_until: float = 0.0

    def is_open(self, at: float) -> bool:
        """Tell whether the recipients' hours are open, asked once in a minute: hours begin and end with one."""
        if at < self.open_until:
            return True
        if at < self.shut_until:
            return False
        opens = self.rules.next_open(self.place, datetime.fromtimestamp(at, UTC))
        self.shut_until = opens.timestamp() if opens else float("inf")
        if self.shut_until <= at:
            self.open_until = at - at % 60 + 60
        return self.shut_until <= at

    def limited_until(self, phone: Phone, at: float) -> float:
        """Return the moment from which on caps, quiet times and the gap allow another call to this phone."""
        allowed = at
        for cap in self.rules.caps:
            past = phone.attempts if cap.counts == "attempts" else phone.conversations
            if len(past) >= cap.most:
                allowed = max(allowed, past[-cap.most] + cap.within.total_seconds())
        if phone.conversations and (quiet := self.rules.quiet_after.get(CONVERSATION)):
            allowed = max(allowed, phone.conversations[-1] + quiet.total_seconds())
        if phone.attempts and self.rules.gap:
            allowed = max(allowed, phone.free_at + self.rules.gap.total_seconds())
        return allowed

    @property
    def counts_the_past(self) -> bool:
        return bool(self.rules.caps or self.rules.quiet_after or self.rules.gap)

    def note(self, phone: Phone, begun: float, outcome: str, ended: float) -> None:
        """Keep what the rules count."""
        phone.free_at = ended
        if self.counts_the_past:
            phone.attempts.append(begun)
            if outcome == Outcome.COMPLETED:
                phone.conversations.append(ended)


def due_of(lane: Lane, at: float) -> int:
    """Count the people of a lane who can be called now; of those who wait for a retry, one at the most."""
    return len(lane.fresh) + (1 if lane.later and lane.later[0][0] <= at else 0)
