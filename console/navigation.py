"""The console's pages in the order of its menu."""

from typing import NamedTuple


class Entry(NamedTuple):
    """A line of the menu: its text, and the name of its page within the admin."""

    text: str
    page: str


ENTRIES = (
    Entry("Now", "now"),
    Entry("Campaigns", "campaigns_campaign_changelist"),
    Entry("Find a number", "find_number"),
    Entry("Set up", "index"),
)
