"""Statements of web requests are bounded in time; a report lasts as long as its client reads."""

import re
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.db.backends.postgresql.psycopg_any import errors

from api.http import errors as api_errors
from core import server_urls, statement_time


@pytest.fixture
def _limited(db):
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = '50ms'")


def test_the_limit_goes_to_new_connections_and_the_operators_own_wins():
    database: dict[str, Any] = {"OPTIONS": {"options": f"{server_urls.SESSION} -c statement_timeout=5s"}}
    statement_time.limit(database, 20)
    assert re.findall(r"statement_timeout=(\w+)", database["OPTIONS"]["options"]) == ["0", "20s", "5s"]
    assert "-c max_parallel_workers_per_gather=0" in database["OPTIONS"]["options"]


@pytest.mark.usefixtures("_limited")
def test_a_statement_may_last_within_unlimited():
    with statement_time.unlimited(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(0.1)")


@pytest.mark.usefixtures("_limited")
def test_a_request_that_takes_too_long_is_told_so():
    with pytest.raises(OperationalError) as stopped, connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(60)")
    assert isinstance(stopped.value.__cause__, errors.QueryCanceled)
    assert api_errors._describe(stopped.value)[0] == 503


def test_another_fault_of_the_database_is_one_of_the_server():
    assert api_errors._describe(OperationalError("away"))[0] == 0
