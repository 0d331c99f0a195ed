"""The settings as another start of the server would judge them."""

import os
import runpy
from pathlib import Path
from typing import Any
from unittest.mock import patch

import structlog
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

FILE = Path(settings.BASE_DIR, "campaigns_project", "settings.py")


def read(**values: str) -> dict[str, Any]:
    """Return the settings where these variables are set. Raises ImproperlyConfigured."""
    logs = structlog.get_config()
    try:
        with patch.dict(os.environ, values):
            return runpy.run_path(str(FILE))
    finally:
        # The settings configure the logs of the whole process: loggers that were used before would be captured no more.
        structlog.configure(**logs)


def judged(**values: str) -> str:
    """Return what is said of them; "" where nothing is wrong."""
    try:
        read(**values)
    except ImproperlyConfigured as error:
        return str(error)
    return ""
