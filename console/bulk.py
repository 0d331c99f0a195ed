"""A verb for many campaigns: what it would do, asked first, and what it did, told in one message."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from accounts.audit import Actor
from campaigns import progress
from campaigns.lifecycle import Verb
from campaigns.models import Call, Campaign

# Campaigns of one use: each is a lock, of which PostgreSQL has some thousands for all transactions together.
MOST = 1_000
# Refusals that a message spells out.
MOST_REFUSALS = 10


@dataclass(frozen=True)
class Asked:
    """What a verb would do to one campaign. refusal: why not; "" where it would."""

    campaign: Campaign
    left: int
    up: int
    refusal: str


@dataclass(frozen=True)
class Question:
    """What a verb would do, as a page asks it."""

    verb: Verb
    willing: list[Asked]
    refusing: list[Asked]

    @property
    def left(self) -> int:
        return sum(one.left for one in self.willing)

    @property
    def up(self) -> int:
        return sum(one.up for one in self.willing)

    @property
    def consequence(self) -> str:
        """Say what becomes of the calls."""
        waiting, up = self.left - self.up, _calls(self.up, "is up and finishes", "are up and finish")
        if self.verb.name == "pause":
            return f"{_calls(waiting, 'waits', 'wait')} until the campaigns are resumed; {up}."
        if self.verb.name == "resume":
            return f"{_calls(waiting, 'is', 'are')} left to make."
        if self.verb.name == "archive":
            return self.verb.consequence
        return f"{self.verb.consequence} {_calls(waiting, 'ends', 'end')}; {up}."


def ask(verb: Verb, campaigns: Sequence[Campaign], now: datetime) -> Question:
    """Tell what the verb would do, in one query."""
    come = progress.of(campaign.pk for campaign in campaigns)
    asked = [
        Asked(
            campaign,
            left=come[campaign.pk].total - come[campaign.pk].ended,
            up=come[campaign.pk].count(Call.Status.IN_PROGRESS),
            refusal=verb.refusal(campaign, now),
        )
        for campaign in campaigns
    ]
    return Question(verb, [one for one in asked if not one.refusal], [one for one in asked if one.refusal])


def act(verb: Verb, campaigns: Sequence[Campaign], *, actor: Actor, now: datetime) -> tuple[int, str]:
    """Do it to those that allow it, in one transaction. Returns how many that were, and the message that tells."""
    outcome = verb.apply(campaigns, actor=actor, now=now)
    done = len(outcome.done)
    told = [f"{done:,} campaign{'' if done == 1 else 's'} {verb.past}."] if done or not outcome.refusals else []
    told += [f"“{campaign.name}”: {refusal}." for campaign, refusal in outcome.refusals[:MOST_REFUSALS]]
    if len(outcome.refusals) > MOST_REFUSALS:
        told.append(f"{len(outcome.refusals) - MOST_REFUSALS:,} more refused.")
    return done, " ".join(told)


def _calls(count: int, one: str, more: str) -> str:
    return f"{count:,} call {one}" if count == 1 else f"{count:,} calls {more}"
