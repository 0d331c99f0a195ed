"""Whom of a campaign to call again: how many each choice has, for a form of ticks."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Count, Q, Sum

from campaigns.called_again import UNTRIED, WHO, Selection
from campaigns.models import Call, Campaign, Outcome
from console import key_meanings
from dialer.hour_tally import MORE_KEYS
from dialer.models import HourTally

# Kinds of keys that can be ticked, the most frequent first.
MOST_KEYS = 12
WORDS = {
    Outcome.NO_ANSWER.value: "no answer",
    Outcome.BUSY.value: "busy",
    Outcome.FAILED.value: "failed",
    UNTRIED: "never tried",
}
PRESSED = "pressed-"


@dataclass(frozen=True)
class Tick:
    """A choice of the form: its name there, the words beside it, and how many people it has."""

    name: str
    text: str
    count: int
    is_ticked: bool


def ticks(campaign: Campaign, ticked: Sequence[str]) -> list[Tick]:
    """Return the choices that have anybody, in two queries. The flow must be loaded."""
    counted = {**_not_reached(campaign), **_pressed(campaign)}
    meanings = key_meanings.of_campaign(campaign)
    return [Tick(name, _text(name, meanings), count, name in ticked) for name, count in counted.items() if count]


def selection(ticked: Sequence[str]) -> Selection:
    """Read what was ticked; what is no choice is left out."""
    pressed = [name.removeprefix(PRESSED) for name in ticked if name.startswith(PRESSED)]
    keys = [one for one in pressed if one and set(one) <= set("0123456789*#")]
    return Selection(tuple(word for word in WHO if word in ticked), tuple(dict.fromkeys(keys)))


def _not_reached(campaign: Campaign) -> dict[str, int]:
    has_ended = Q(status__in=[Call.Status.FAILED, Call.Status.CANCELED])
    ended = Call.objects.filter(campaign=campaign)
    counted = ended.aggregate(
        **{
            word.replace("-", "_"): Count("pk", filter=has_ended & Q(attempts_made__gt=0, last_outcome=word))
            for word in WHO
            if word != UNTRIED
        },
        untried=Count("pk", filter=has_ended & Q(attempts_made=0)),
    )
    return {word: counted[word.replace("-", "_")] for word in WHO}


def _pressed(campaign: Campaign) -> dict[str, int]:
    reached = HourTally.objects.filter(campaign_id=campaign.pk, outcome=Outcome.COMPLETED)
    pressed = reached.exclude(digits__in=["", MORE_KEYS]).values_list("digits")
    most = pressed.annotate(count=Sum("attempts")).order_by("-count", "digits")[:MOST_KEYS]
    return {f"{PRESSED}{keys}": count for keys, count in most}


def _text(name: str, meanings: dict[str, str]) -> str:
    if not name.startswith(PRESSED):
        return WORDS[name]
    keys = name.removeprefix(PRESSED)
    return f"pressed {keys}: {meanings[keys]}" if meanings.get(keys) else f"pressed {keys}"
