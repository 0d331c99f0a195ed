"""The Django project: settings, the Celery application, the addresses, and the embedded servers."""

from campaigns_project.celery import app as celery_app

__all__ = ["celery_app"]
