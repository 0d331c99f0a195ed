"""Each queue has one name: for its route, its process, its worker, and how long it may be silent."""

import re
from pathlib import Path

from django.conf import settings

from campaigns_project.celery import app
from core import liveness

PROCFILE = Path(settings.BASE_DIR, "Procfile").read_text()
QUEUES = set(settings.MAX_SILENCE_SECONDS) - {liveness.BEAT, liveness.EVENTS, liveness.RECOVERY}


def test_each_queue_has_one_process_and_one_worker_of_its_name():
    workers = re.findall(r"^(\w+): .* worker --queues (\S+) .*--hostname (\w+)@%h", PROCFILE, re.MULTILINE)
    assert len(workers) == PROCFILE.count(" worker ")
    assert {queue for _, queue, _ in workers} == QUEUES
    assert all(process == queue == hostname for process, queue, hostname in workers)


def test_every_queue_is_routed_to_and_every_task_that_is_routed_exists():
    app.loader.import_default_modules()
    routed = {route["queue"] for route in settings.CELERY_TASK_ROUTES.values()}
    assert routed | {settings.CELERY_TASK_DEFAULT_QUEUE} == QUEUES
    assert set(settings.CELERY_TASK_ROUTES) <= set(app.tasks)


def test_beat_is_a_process_by_its_name():
    assert re.search(rf"^{liveness.BEAT}: .* beat ", PROCFILE, re.MULTILINE)
