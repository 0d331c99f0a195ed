"""The web process: gunicorn serves `application`."""

import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.urls import get_resolver

from campaigns_project import path_prefix
from core import statement_time

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "campaigns_project.settings")

statement_time.limit(settings.DATABASES["default"], settings.WEB_STATEMENT_SECONDS)
application = path_prefix.below(get_wsgi_application(), settings.SCRIPT_NAME)
# Or the first request would wait for the code of all pages.
_ = get_resolver().url_patterns
