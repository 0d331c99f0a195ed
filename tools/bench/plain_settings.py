"""Django's settings for the plain Celery dialer: a database, whose connections are kept, and Redis."""

import environ

env = environ.Env()
DATABASES = {"default": env.db_url("DATABASE_URL") | {"CONN_MAX_AGE": 600}}
REDIS_URL = env.str("REDIS_URL")
USE_TZ = True
