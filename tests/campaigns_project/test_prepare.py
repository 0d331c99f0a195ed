"""`manage.py prepare` does all that a start needs, in its order."""

import pytest
from django.core.management import call_command
from django_celery_beat.models import PeriodicTask

from campaigns_project.management.commands import prepare
from campaigns_project.periodic_tasks import TICKS


@pytest.mark.django_db
def test_it_migrates_adds_the_ticks_and_collects_the_static_files(settings, tmp_path, monkeypatch):
    steps = []

    def step(name, **options):
        steps.append(name)
        call_command(name, **options)

    monkeypatch.setattr(prepare, "call_command", step)
    settings.STATIC_ROOT = tmp_path
    call_command("prepare", verbosity=0)
    assert steps == ["migrate", "sync_periodic_tasks", "collectstatic"]
    assert set(PeriodicTask.objects.values_list("name", flat=True)) == {name for name, *_ in TICKS}
    assert (tmp_path / "admin" / "css" / "base.css").exists()
