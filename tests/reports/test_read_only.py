"""Reports only read: all of them work in a transaction that PostgreSQL lets write nothing."""

import pytest
from django.db import InternalError, connection, transaction

from campaigns import progress
from campaigns.models import Campaign
from reports import call_details, csv_report, stats
from tests.factories import CallAttemptFactory


@pytest.fixture
def read_only(transactional_db):
    """A campaign with one answered call, and a transaction that can't write."""
    campaign = CallAttemptFactory(completed=True).campaign
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION READ ONLY")
        yield campaign


def test_the_transaction_refuses_to_write(read_only):
    with pytest.raises(InternalError, match="read-only"), transaction.atomic():
        Campaign.objects.update(name="")


def test_all_that_a_report_shows_can_be_read(read_only):
    counts = progress.of([read_only.pk]).get(read_only.pk, progress.Progress())
    assert set(stats.stats(read_only, counts)) == set(stats.KEYS)
    assert stats.summary(counts, 0)["call_scheduled"] == counts.total
    assert call_details.attempts_of(read_only, ["completed"]).count() == 1
    assert b"".join(csv_report.stream(read_only)).count(b"\n") == 2
