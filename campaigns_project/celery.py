"""The Celery application. Tasks are doorbells: each loads what it needs from PostgreSQL and calls one function."""

import gc
import os
from typing import Any

from celery import Celery
from celery.signals import celeryd_after_setup, setup_logging, task_prerun

from campaigns_project import watchdog  # noqa: F401 -- its signal handlers watch this worker
from core import liveness  # noqa: F401 -- its signal handlers note the progress of beat and the workers

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "campaigns_project.settings")

app = Celery("trunkline")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@task_prerun.connect
def _keep_live_connections(**_: Any) -> None:
    """What Django does before each request: a connection that is too old or dead is replaced, any other kept.

    By itself Celery closes it around every task (see CELERY_DB_REUSE_MAX), and most tasks are shorter than connecting.
    """
    from django.db import close_old_connections

    close_old_connections()


@celeryd_after_setup.connect
def collect_garbage_seldom(**_: Any) -> None:
    """A batch makes thousands of objects and no cycles. By default Python looks for those every 700, in all it has.

    That took a tenth of a worker's time. What has been imported is left out, and stays shared by the pool's processes.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


@setup_logging.connect
def _keep_django_logging(**_: Any) -> None:
    """Workers log the way the web process does; without a receiver Celery would set up handlers of its own."""
    from logging.config import dictConfig

    from django.conf import settings

    dictConfig(settings.LOGGING)
