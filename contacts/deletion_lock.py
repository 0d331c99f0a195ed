"""The lock between code that makes calls of an account's contacts and code that deletes one of them.

A deletion takes the contact out of the campaigns that it sees. Calls that another transaction is just making are not
seen by it, and that transaction does not see the deletion: somebody who is gone would be called. So calls are made
under the lock, shared, and a contact is deleted under it alone. It is an advisory lock of PostgreSQL, held to the end
of the transaction. A deletion waits for one slice of calls at the most.

Take it before the lock of a campaign.
"""

from django.db import connection

# Locks of accounts: a number of our own beside the account's id.
LOCK = 0x636F6E74


def hold_shared(account_id: int) -> None:
    """Let no contact of the account be deleted before the end of the transaction; those that are being are gone."""
    _lock("SELECT pg_advisory_xact_lock_shared(%s, (%s %% 2147483647)::int)", account_id)


def hold(account_id: int) -> None:
    """Wait for the calls that are being made of the account's contacts: later statements see them."""
    _lock("SELECT pg_advisory_xact_lock(%s, (%s %% 2147483647)::int)", account_id)


def _lock(statement: str, account_id: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, [LOCK, account_id])
