"""A transaction may commit without waiting for the disk; the next one of the same connection waits again."""

import pytest
from django.db import connection, transaction

from core import lazy_commits


@pytest.mark.django_db(transaction=True)
def test_it_is_for_one_transaction():
    # The servers of tests have it off for everybody.
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit = on")
    with transaction.atomic():
        assert _synchronous_commit() == "on"
        lazy_commits.allow()
        assert _synchronous_commit() == "off"
    assert _synchronous_commit() == "on"
    connection.close()


def _synchronous_commit() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SHOW synchronous_commit")
        [[value]] = cursor.fetchall()
    return str(value)
