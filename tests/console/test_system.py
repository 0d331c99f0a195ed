"""System: for the administrators of the server."""

import pytest
from django.urls import reverse
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule, PeriodicTask
from redis.exceptions import ConnectionError as RedisAway

from accounts.audit_entry import AuditEntry
from console import server_figures
from core import liveness
from core.redis_client import prefixed
from dialer.trunk_check import Step
from tests.factories import AccountFactory, TrunkFactory, TrunkHealthFactory

pytestmark = pytest.mark.django_db

PAGE = reverse("admin:system")


def text(response) -> str:
    return " ".join(response.content.decode().split())


@pytest.mark.parametrize("role", ["viewer", "operator", "administrator"])
def test_it_is_nobody_else_s(person, role):
    trunk = TrunkFactory()
    client = person(role, AccountFactory())
    assert client.get(PAGE).status_code == 403
    assert client.post(reverse("admin:system_test_trunk", args=[trunk.pk])).status_code == 403


def test_problems_trunks_processes_and_tasks_are_shown(person, redis):
    TrunkHealthFactory(trunk=TrunkFactory(name="shut"), down_since=timezone.now(), last_error="no route")
    TrunkFactory(name="open")
    every = IntervalSchedule.objects.create(every=5, period="seconds")
    PeriodicTask.objects.create(name="A tick", task="campaigns.end_due", interval=every)
    liveness.count_worker("dial", "machine-7:42")
    page = text(person("administrator").get(PAGE))
    assert "the trunk shut takes no calls" in page
    assert "no route" in page
    assert "takes calls" in page
    assert "beat: no progress yet" in page
    assert "machine-7:42" in page
    assert "A tick" in page
    assert "every 5 seconds" in page
    for name in ("PostgreSQL", "memory of Redis", "free where this web process keeps its data"):
        assert name in page


def test_progress_is_shown_with_its_age(redis):
    liveness._noted_at.clear()
    liveness.note("dispatch")
    rows = {process.name: process for process in server_figures.processes()}
    assert rows["dispatch"].is_well
    assert not rows["control"].is_well
    assert rows["beat"].waiting is None
    assert rows["dial"].waiting == 0


def test_workers_that_have_ended_are_not_named(redis):
    liveness.count_worker("dial", "machine-7:42")
    now, _ = redis.time()
    redis.zadd(prefixed("workers:dial"), {"machine-7:41": now - liveness.WORKER_LIFETIME - 1})
    assert liveness.workers("dial") == ["machine-7:42"]


def test_the_page_opens_while_redis_is_away(person, monkeypatch):
    def away(*_: object, **__: object) -> None:
        raise RedisAway

    monkeypatch.setattr("console.server_figures.liveness.seconds_since", away)
    monkeypatch.setattr(server_figures, "redis_client", away)
    monkeypatch.setattr("console.server_figures.clock_offsets.read", away)
    page = text(person("administrator").get(PAGE))
    assert "Redis does not respond" in page
    assert "can&#x27;t be read" in page


def test_a_trunk_is_tested_and_the_steps_are_shown(person, monkeypatch):
    trunk = TrunkFactory(name="main")
    steps = [Step("address", True, "https://carrier.example"), Step("credentials", False, "the carrier says: 401")]
    monkeypatch.setattr("console.views.system.trunk_check.check", lambda tested: iter(steps if tested == trunk else ()))
    page = text(person("administrator").post(reverse("admin:system_test_trunk", args=[trunk.pk])))
    assert "<strong>ok</strong> address: https://carrier.example" in page
    assert "<strong>BAD</strong> credentials: the carrier says: 401" in page
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.verb, entry.object_name, entry.what) == ("meera", "ran", "main", "check_trunk")


def test_a_trunk_that_is_not_there_is_not_tested(person):
    assert person("administrator").post(reverse("admin:system_test_trunk", args=[1])).status_code == 404
