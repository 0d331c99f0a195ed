#!/usr/bin/env python
"""Trunkline's command line: `python manage.py help` lists what it can do."""

import os
import sys

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "campaigns_project.settings")
    from campaigns_project import startup

    startup.require_settings()
    startup.run_command(sys.argv)
