"""What "Stop calling" has paused, so that the same campaigns can be resumed together."""

from typing import ClassVar

from django.db import models

from campaigns.models import Campaign


class CallingStop(models.Model):
    """One use of "Stop calling".

    Attributes:
        at: the moment at which its campaigns were paused; their histories have the same one.
    """

    at = models.DateTimeField()
    by = models.CharField(max_length=255, help_text="Who did it.")

    class Meta:
        indexes: ClassVar = [models.Index(fields=["-at"], name="calling_stop_listed")]

    def __str__(self) -> str:
        return f"stop of {self.at:%Y-%m-%d %H:%M:%S} UTC by {self.by}"


class StoppedCampaign(models.Model):
    stop = models.ForeignKey(CallingStop, on_delete=models.CASCADE, related_name="stopped")
    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="+")

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["stop", "campaign"], name="campaign_is_stopped_once_by_a_stop"),
        ]

    def __str__(self) -> str:
        return f"{self.campaign_id} by {self.stop_id}"
