"""The console's menu: its entries in their order, for whom each is, and which pages belong to it."""

from collections.abc import Iterator
from typing import NamedTuple

from accounts.memberships import Reach
from accounts.models import Role


class Entry(NamedTuple):
    """A line of the menu.

    Attributes:
        text: what stands there.
        page: the name of its page within the admin.
        role: who sees it: people with this role in any account.
        is_of_the_server: whether only administrators of all accounts see it.
        within: beginnings of the names of other pages at which the entry is marked as the present one.
    """

    text: str
    page: str
    role: Role = Role.VIEWER
    is_of_the_server: bool = False
    within: tuple[str, ...] = ()

    def is_for(self, reach: Reach) -> bool:
        return reach.is_over_the_server if self.is_of_the_server else reach.may_anywhere(self.role)

    def contains(self, page: str) -> bool:
        return page == self.page or page.startswith(self.within)


ENTRIES = (
    Entry("Now", "now", within=("now", "stop_calling", "resume_calling")),
    Entry("Campaigns", "campaigns", within=("campaign", "call_again")),
    Entry("New campaign", "new_campaign", role=Role.OPERATOR, within=("new_campaign", "upload_for_campaign")),
    Entry("Find a number", "find_number"),
    Entry("Do not call", "do_not_call", within=("do_not_call",)),
    Entry("Reports", "reports"),
    Entry("Set up", "set_up", within=("set_up", "accounts_account", "accounts_apikey", "contacts_contactlist")),
    Entry("People and audit", "people", within=("auth_user", "accounts_auditentry")),
    Entry(
        "System",
        "system",
        is_of_the_server=True,
        within=("system", "engine_room", "accounts_trunk", "django_celery_beat"),
    ),
)


def entries_for(reach: Reach) -> Iterator[Entry]:
    """Yield the entries that the person may open."""
    return (entry for entry in ENTRIES if entry.is_for(reach))
