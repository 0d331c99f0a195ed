"""The settings as another start of the server would judge them."""

import os
import runpy
from pathlib import Path
from typing import Any
from unittest.mock import patch

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

FILE = Path(settings.BASE_DIR, "campaigns_project", "settings.py")


def read(**values: str) -> dict[str, Any]:
    """Return the settings where these variables are set. Raises ImproperlyConfigured."""
    with patch.dict(os.environ, values):
        return runpy.run_path(str(FILE))


def judged(**values: str) -> str:
    """Return what is said of them; "" where nothing is wrong."""
    try:
        read(**values)
    except ImproperlyConfigured as error:
        return str(error)
    return ""
