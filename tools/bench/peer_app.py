"""The Celery application of the peers, the empty task and the plain dialer, which nothing of the product can change.

Its settings and workers are fixed here, so that their rates are a measure for every version of the product: tasks are
acknowledged before they run, one is prefetched for each process, results are not kept, each task sends its events, and
connections to the database are kept. Everything else is Celery's default.
"""

import os
import sys

from celery import Celery

# Those that the product's own attempts go through in the Procfile at the time when the targets were set, as commands.
_WORKER = f"exec {sys.executable} -m celery --quiet --app tools.bench.peer_app worker --without-mingle --without-gossip"
WORKERS = {
    "peer-1": f"{_WORKER} --queues peer-1 --pool prefork --concurrency 2 --hostname peer-1@%h",
    "peer-2": f"{_WORKER} --queues peer-2 --pool prefork --concurrency 2 --hostname peer-2@%h",
    "peer-3": f"{_WORKER} --queues peer-3 --pool threads --concurrency 8 --hostname peer-3@%h",
}

# Not the current application: a process that imports this one to fill its queues may have tasks of the product as well.
app = Celery("bench", broker=os.environ.get("CELERY_BROKER_URL"), set_as_current=False)
app.conf.update(
    task_ignore_result=True,
    task_acks_late=False,
    worker_prefetch_multiplier=1,
    worker_send_task_events=True,
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
    db_reuse_max=1_000_000,
    timezone="UTC",
)
