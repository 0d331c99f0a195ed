#!/usr/bin/env python
"""Trunkline's command line: `python manage.py help` lists what it can do."""

import os
import sys

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "campaigns_project.settings")
    from campaigns_project import startup

    startup.require_settings()
    execute_from_command_line(sys.argv)
