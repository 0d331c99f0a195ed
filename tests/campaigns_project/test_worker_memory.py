"""A process of a worker that has taken more memory than it may is replaced, and no message is lost with it."""

import os
import time
from collections import Counter
from urllib.parse import urlsplit, urlunsplit

import pytest
from django.db import connection

from campaigns_project.celery import app
from tests.campaigns_project import recorded_task
from tools.local import process_groups
from tools.local.project import read_procfile, with_programs

MESSAGES = 12


@pytest.fixture
def worker(redis, transactional_db):
    """Return a function that starts the control worker of the Procfile, whose processes may take so much memory."""
    started = []

    def start(megabytes: int) -> None:
        database = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}")
        settings = {"WORKER_MAX_MEMORY_MB": str(megabytes), "CONTROL_CONCURRENCY": "2"}
        settings["DATABASE_URL"] = urlunsplit(database)
        command = f"{read_procfile()['control']} --include {recorded_task.__name__}"
        started.append(process_groups.spawn(command, with_programs(os.environ | settings)))

    yield start
    process_groups.stop(started)


def test_each_message_of_a_worker_above_its_limit_runs_once_and_in_a_process_of_its_own(worker, redis):
    for message in range(MESSAGES):
        app.send_task("tests.note", [message], queue="control")
    worker(megabytes=1)
    deadline = time.monotonic() + 120
    while redis.llen(recorded_task.RAN) < MESSAGES and time.monotonic() < deadline:
        time.sleep(0.05)
    ran = [line.split() for line in redis.lrange(recorded_task.RAN, 0, -1)]
    assert Counter(int(message) for message, _ in ran) == Counter(range(MESSAGES))
    assert len({pid for _, pid in ran}) == MESSAGES
