"""How the wire spells states and outcomes. The domain knows `in-progress`; only here it is `InProgress`."""

from collections.abc import Iterable


def state(status: str) -> str:
    """Spell a status as REST responses do: `in-progress` as `InProgress`."""
    return "".join(part.capitalize() for part in status.split("-"))


def folded(word: str) -> str:
    """Return a word without case, blanks, hyphens and underscores; `cancelled` becomes `canceled`."""
    plain = "".join(character for character in word.casefold() if character.isalnum())
    return plain.replace("cancelled", "canceled")


def parse_words(text: str, known: Iterable[str]) -> tuple[list[str], list[str]]:
    """Parse the comma-separated words of a filter.

    Returns:
        The known words, in the domain's spelling, and the unknown ones, as given.
    """
    by_folded = {folded(word): word for word in known}
    words = [word.strip() for word in text.split(",") if word.strip()]
    return (
        [by_folded[folded(word)] for word in words if folded(word) in by_folded],
        [word for word in words if folded(word) not in by_folded],
    )
