"""A connection is checked at most once a second, and after every error."""

import time

import pytest
from django.db import connection, connections
from django.db.backends.postgresql import base as postgresql

from campaigns_project.postgresql import base


def test_a_connection_is_not_checked_again_within_a_second(transactional_db, monkeypatch):
    now, asked = [1000.0], []
    is_usable = postgresql.DatabaseWrapper.is_usable

    def asking(wrapper):
        asked.append(wrapper)
        return is_usable(wrapper)

    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(postgresql.DatabaseWrapper, "is_usable", asking)
    connection.close()
    connection.ensure_connection()
    assert connection.is_usable()
    assert not asked, "it has only just connected"
    now[0] += base.ASSUMED_ALIVE_SECONDS
    assert connection.is_usable()
    assert connection.is_usable()
    assert len(asked) == 1


def test_after_an_error_a_dead_connection_is_noticed_at_once(transactional_db):
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        [dead] = cursor.fetchone()
    other = connections.create_connection("default")
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [dead])
    other.close()
    with pytest.raises(Exception, match=r"terminat|closed"), connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    connection.close_if_unusable_or_obsolete()
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        assert cursor.fetchone() == (1,)
