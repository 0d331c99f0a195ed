"""Django's settings for the plain Celery dialer: a database, whose connections are kept, and Redis."""

import os

from core import server_urls

_database = server_urls.database(os.environ["DATABASE_URL"])
DATABASES = {
    "default": _database | {"ENGINE": "django.db.backends.postgresql", "OPTIONS": {}, "CONN_HEALTH_CHECKS": False}
}
REDIS_URL = os.environ["REDIS_URL"]
USE_TZ = True
