from django.apps import AppConfig


class CampaignsProjectConfig(AppConfig):
    """An app for its management command and its templates; it has no models."""

    name = "campaigns_project"
    verbose_name = "Trunkline"
