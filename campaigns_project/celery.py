"""The Celery application. A message holds ids only: its task loads what it needs from PostgreSQL."""

import os
from typing import Any

from celery import Celery
from celery.signals import celeryd_after_setup, setup_logging, task_prerun

from campaigns_project import (
    garbage,
    own_redis,  # noqa: F401 -- its signal handlers keep workers from another system's Redis
    startup,
    watchdog,  # noqa: F401 -- its signal handlers watch this worker
)
from core import liveness  # noqa: F401 -- its signal handlers record the progress of beat and the workers

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "campaigns_project.settings")
# Django's checks are of the code, and load that of all pages. `manage.py prepare` makes them, before workers start.
os.environ.setdefault("CELERY_SKIP_CHECKS", "true")

app = Celery("trunkline")


@app.on_configure.connect
def _require_settings(**_: Any) -> None:
    """Stop before anything reads a setting that makes no sense: each worker, beat and Flower."""
    startup.require_settings()


app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@celeryd_after_setup.connect
def _require_servers(**_: Any) -> None:
    startup.require_servers()


@task_prerun.connect
def _close_old_connections(**_: Any) -> None:
    """Do what Django does before each request: close a database connection that is too old or dead, keep any other.

    Celery itself closes it around every task (see CELERY_DB_REUSE_MAX), and most tasks are shorter than connecting.
    """
    from django.db import close_old_connections

    close_old_connections()


@celeryd_after_setup.connect
def _leave_out_what_is_loaded(**_: Any) -> None:
    garbage.leave_out_what_is_loaded()


@setup_logging.connect
def _keep_django_logging(**_: Any) -> None:
    """Log as the web process does. Without a receiver of this signal, Celery sets up handlers of its own."""
    from logging.config import dictConfig

    from django.conf import settings

    dictConfig(settings.LOGGING)
