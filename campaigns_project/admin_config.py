"""Puts our site in the place of Django's, before any app registers its pages."""

from django.contrib.admin.apps import AdminConfig


class TrunklineAdminConfig(AdminConfig):
    default_site = "campaigns_project.admin_site.Site"
