"""The web process: gunicorn serves `application`."""

import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application

from core import statement_time

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "campaigns_project.settings")

statement_time.limit(settings.DATABASES["default"], settings.WEB_STATEMENT_SECONDS)
application = get_wsgi_application()
