"""How the wire spells states and outcomes. The domain knows `in-progress`; only here it is `InProgress`."""

from collections.abc import Iterable

from campaigns.models import Campaign


def state(status: str) -> str:
    """`in-progress` as `InProgress`: the spelling of REST answers."""
    return "".join(part.capitalize() for part in status.split("-"))


def folded(word: str) -> str:
    """A state or outcome without case, blanks, hyphens and underscores; `cancelled` as `canceled`."""
    plain = "".join(character for character in word.casefold() if character.isalnum())
    return plain.replace("cancelled", "canceled")


def parse_words(text: str, known: Iterable[str]) -> tuple[list[str], list[str]]:
    """The comma-separated words of a filter: those known, in the domain's spelling, and those that are not."""
    by_folded = {folded(word): word for word in known}
    words = [word.strip() for word in text.split(",") if word.strip()]
    return (
        [by_folded[folded(word)] for word in words if folded(word) in by_folded],
        [word for word in words if folded(word) not in by_folded],
    )


CAMPAIGN_STATES = [status.value for status in Campaign.Status]
