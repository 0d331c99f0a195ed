"""With REDIS_PREFIX every key and queue begins with it, so that two systems share a Redis."""

import os
import subprocess
import sys

from core.redis_client import prefixed
from tools.local.project import PROJECT

# In a process of its own: a part of the names is made when the modules are loaded.
WRITES = """
import uuid

import django

django.setup()
from core import broker_queues, clock_offsets, clocks, liveness, places, task_queue
from core.redis_client import redis_client
from dialer import channels, messages, redis_owner, repair_counts, restores

clocks.follows_database = False
liveness.note(liveness.BEAT)
messages.enqueue_settle()
places.take("reports/1", 1)
channels.client().set(channels.COMPLETE, 1)
channels.client().zadd(channels.Scope("account", 1, 1).key, {"holder": 1})
channels.client().set(channels.Bucket("account", 1, 60).key, 1)
repair_counts.add({"adopted": 1})
redis_owner.take("a/b/c")
restores.note([uuid.uuid4()], clocks.last_known_now())
assert broker_queues.waiting("control") == 1
print("\\n".join(redis_client().keys("*")))
"""


def test_every_key_and_queue_begins_with_the_prefix(redis):
    environment = os.environ | {"REDIS_PREFIX": "staging:", "DJANGO_SETTINGS_MODULE": "campaigns_project.settings"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", WRITES], env=environment, cwd=PROJECT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    keys = done.stdout.split()
    assert len(keys) >= 9
    assert [key for key in keys if not key.startswith("staging:")] == []


def test_without_one_the_keys_stay_as_they_are():
    assert prefixed("channels:complete") == "channels:complete"
