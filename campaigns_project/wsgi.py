"""The web process: gunicorn serves `application`."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "campaigns_project.settings")

application = get_wsgi_application()
