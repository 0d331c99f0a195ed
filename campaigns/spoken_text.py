"""The text that a campaign reads instead of running a flow: its `@@Header` variables, and its conversion to a flow."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from campaigns.models import Campaign
from contacts.address_book import TEXT_COLUMNS
from core import names

MARK = "@@"
LONGEST = 4000  # characters that a flow can say in one step, by flow.schema.json
# A menu accepts any of these keys; the report says which one was pressed.
KEYS = "0123456789*#"
# Characters of an unknown variable that an error shows: of a word, and where there is none.
_SHOWN_OF_WORD = 100
_SHOWN = 20


class UnknownColumn(ValueError):
    """The text names a column that its list does not have.

    Attributes:
        name: as it is in the text.
        longer_than: a column that the name begins with, in the same word; "" where there is none.
    """

    def __init__(self, name: str, longer_than: str = "") -> None:
        super().__init__(name)
        self.name = name
        self.longer_than = longer_than


def check(text: str, columns: Collection[str]) -> None:
    """Raise UnknownColumn for the first variable in the text that is not one of the columns."""
    fill(text, dict.fromkeys(columns, ""))


def fill(text: str, values: Mapping[str, str]) -> str:
    """Return the text with a value in the place of each `@@Header`. An `@@` in a value is text like any other.

    A header is written as a person sees it in the list: `core.names` says what counts. Capitals count where two headers
    differ in nothing else. It must end where a word ends: `@@Fees` does not name `Fee`. Where several headers match,
    the longest counts.

    Raises:
        UnknownColumn: a variable has no value.
    """
    columns = _Columns(values)
    filled = []
    at = 0
    while (mark := text.find(MARK, at)) >= 0:
        filled.append(text[at:mark])
        column, at = columns.named(text, mark + len(MARK))
        filled.append(values[column])
    return "".join([*filled, text[at:]])


class _Columns:
    """Find columns in a text."""

    def __init__(self, columns: Collection[str]) -> None:
        self._by_name: dict[str, list[str]] = {}
        for column in columns:
            self._by_name.setdefault(names.caseless(column), []).append(column)
        # A file may write these in either way, too.
        for column in TEXT_COLUMNS:
            if column in columns:
                for sign in " -":
                    self._by_name.setdefault(column.replace("_", sign), [column])
        self._by_name.pop("", None)
        self._lengths = set(map(len, self._by_name))
        self._longest = max(self._lengths, default=0)

    def named(self, text: str, start: int) -> tuple[str, int]:
        """Return the column that is named from a place of the text on, and where its name ends."""
        found: tuple[list[str], int] | None = None
        longer_than, within = "", start
        for end in self._ends(text, start):
            columns = self._by_name.get(names.caseless(text[start:end]), [])
            if columns and names.goes_on(text, end):
                longer_than, within = columns[0], end
            elif columns:
                found = columns, end
        if found is None:
            raise UnknownColumn(_shown(text, start, within), longer_than)
        columns, end = found
        written = names.exact(text[start:end])
        spelled_so = columns if len(columns) == 1 else [name for name in columns if names.exact(name) == written]
        if not spelled_so:
            raise UnknownColumn(text[start:end])
        return spelled_so[0], end

    def _ends(self, text: str, start: int) -> Iterator[int]:
        """Yield where a name may end that begins at a place of the text: where it is as long as that of a column."""
        length = 0
        after_blank = False
        for end, character in enumerate(text[start:], start + 1):
            if not character.isspace():
                length += len(names.caseless(character))
                after_blank = after_blank and names.is_invisible(character)
            elif not length:
                return  # a name does not begin with a blank
            elif not after_blank:
                length += 1
                after_blank = True
            if length > self._longest:
                return
            if length in self._lengths and not after_blank:
                yield end


def _shown(text: str, start: int, end: int) -> str:
    """Return what is at a place of the text up to the end of the word at `end`."""
    longest = end + _SHOWN_OF_WORD
    while end < min(longest, len(text)) and names.goes_on(text, end):
        end += 1
    return text[start : end if end > start else start + _SHOWN]


def document(campaign: Campaign, variables: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the flow document of a campaign that reads a text.

    A greeting is read once. A menu then waits for one key, and is repeated as often as the campaign says.

    Args:
        campaign: has a text.
        variables: of one of its calls, where the campaign is dynamic.
    """
    say = {"say": fill(campaign.text, variables or {})}
    if campaign.flow_type == Campaign.FlowType.GREETING:
        return {"steps": [say], "machine": [say]}
    hang_up = [{"hangup": True}]
    gather = {
        "prompt": [say],
        "digits": 1,
        "attempts": 1 + (campaign.repeat_menu_attempts or 0),
        "branches": dict.fromkeys(KEYS, hang_up),
        "otherwise": hang_up,
    }
    return {"steps": [{"gather": gather}], "machine": [say]}
