"""What a person who signs in to the admin may see and do, by account."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import connection

from accounts.models import Account, Membership, Role

RANKS = {Role.VIEWER: 1, Role.OPERATOR: 2, Role.ADMINISTRATOR: 3}


@dataclass(frozen=True)
class Reach:
    """The roles of one person.

    Attributes:
        everywhere: the rank over all accounts, also those that are made later; 0 without one.
        by_account: the rank in single accounts, by their primary key.
    """

    everywhere: int
    by_account: Mapping[int, int]

    @property
    def is_over_the_server(self) -> bool:
        """Whether what belongs to no account is this person's: trunks, people, periodic tasks."""
        return self.everywhere >= RANKS[Role.ADMINISTRATOR]

    def may_anywhere(self, role: Role) -> bool:
        return max(self.everywhere, *self.by_account.values(), 0) >= RANKS[role]

    def accounts_with(self, role: Role) -> set[int] | None:
        """Return the accounts where the person has at least that role; None for all of them."""
        if self.everywhere >= RANKS[role]:
            return None
        return {account for account, rank in self.by_account.items() if rank >= RANKS[role]}


NOWHERE = Reach(0, {})
SUPERUSER = Reach(RANKS[Role.ADMINISTRATOR], {})


def reach_of(user: Any) -> Reach:
    """Return what the user may do: a superuser everything, anyone else what the memberships say."""
    if not (user.is_active and user.is_staff):
        return NOWHERE
    if user.is_superuser:
        return SUPERUSER
    ranks = {account: RANKS[Role(role)] for account, role in _memberships(user)}
    return Reach(ranks.pop(None, 0), {account: rank for account, rank in ranks.items() if account is not None})


def only_account_of(user: Any) -> Account | None:
    """Return the account of a person who is a member of one alone; None for anyone else."""
    rows = list(Membership.objects.filter(user=user).select_related("account")[:2])
    return rows[0].account if len(rows) == 1 else None


def _memberships(user: Any) -> list[tuple[int | None, str]]:
    with connection.cursor() as cursor:  # asked for each page of the admin
        cursor.execute("SELECT account_id, role FROM accounts_membership WHERE user_id = %s", [user.pk])
        return list(cursor.fetchall())
