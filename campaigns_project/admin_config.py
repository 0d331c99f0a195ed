"""Puts our site in the place of Django's, and imports its pages only where pages are shown.

Django's own configuration imports the pages of all apps at the start of every process, and with them the console, the
API and the libraries that these are built on. Workers show no page: `campaigns_project.urls` imports them.
"""

from typing import Any

from django.contrib import admin
from django.contrib.admin.apps import SimpleAdminConfig
from django.contrib.admin.checks import check_admin_app, check_dependencies
from django.core import checks


class TrunklineAdminConfig(SimpleAdminConfig):
    default_site = "campaigns_project.admin_site.Site"

    def ready(self) -> None:
        checks.register(check_dependencies, checks.Tags.admin)
        checks.register(check_pages, checks.Tags.admin)


def check_pages(**given: Any) -> list[Any]:
    """Check all pages of the admin. Checks come in any order: that of the URLs may be the last one."""
    admin.autodiscover()
    return list(check_admin_app(**given))
