"""The Django project: settings, the Celery application, URLs, periodic tasks, health and metrics."""

from campaigns_project import garbage  # noqa: F401 -- before anything that makes objects
from campaigns_project.celery import app as celery_app

__all__ = ["celery_app"]
