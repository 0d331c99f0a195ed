"""What a worker loads: not the pages, nor the API (docs/decisions/0076)."""

import os
import subprocess
import sys
from typing import Any

from django.contrib import admin
from django.contrib.admin.sites import AdminSite
from django.core import checks

from campaigns_project import admin_config
from tools.local.project import PROJECT

# As a worker does, up to its tasks.
WORKER = """
import sys
from campaigns_project.celery import app
app.loader.import_default_modules()
assert "dialer.dispatch" in app.tasks
print(*sys.modules)
"""
OF_PAGES = {
    "campaigns_project.urls",
    "campaigns.admin",
    "console.views",
    "rest_framework.views",
    "drf_spectacular.views",
}


def test_a_worker_loads_no_page():
    ran = subprocess.run(
        [sys.executable, "-c", WORKER], cwd=PROJECT, env=os.environ, capture_output=True, text=True, check=True
    )
    assert sys.modules.keys() >= OF_PAGES, "or the test could not fail"
    assert OF_PAGES.isdisjoint(ran.stdout.split())


def test_checks_see_the_pages_whatever_comes_first(monkeypatch):
    discovered = []
    monkeypatch.setattr(admin, "autodiscover", lambda: discovered.append(True))
    monkeypatch.setattr(AdminSite, "check", lambda site, apps: [checks.Warning("seen")] if discovered else [])
    registered: set[Any] = checks.registry.registry.registered_checks
    assert admin_config.check_pages in registered
    assert checks.Warning("seen") in admin_config.check_pages(app_configs=None)
