"""The Celery application. Tasks are doorbells: each loads what it needs from PostgreSQL and calls one function."""

import os
from typing import Any

from celery import Celery
from celery.signals import setup_logging

from campaigns_project import watchdog  # noqa: F401 -- its signal handlers watch this worker
from dialer import liveness  # noqa: F401 -- its signal handlers note the progress of beat and the workers

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "campaigns_project.settings")

app = Celery("trunkline")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@setup_logging.connect
def _keep_django_logging(**_: Any) -> None:
    """Workers log the way the web process does; without a receiver Celery would set up handlers of its own."""
    from logging.config import dictConfig

    from django.conf import settings

    dictConfig(settings.LOGGING)
