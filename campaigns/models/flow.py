"""The flow that an answered call runs."""

from typing import ClassVar

from django.core.validators import RegexValidator
from django.db import models

from accounts.models import Account
from campaigns.flow_schema import validate_flow


class Flow(models.Model):
    """What an answered call does, under the id that is the last segment of a campaign's flow address."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="flows")
    flow_id = models.CharField(
        "flow ID",
        max_length=64,
        validators=[RegexValidator(r"\A[A-Za-z0-9_-]+\Z", "Use letters, digits, dash and underscore only.")],
    )
    document = models.JSONField(help_text="Validated against campaigns/flow.schema.json.")

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["account", "flow_id"], name="flow_id_is_unique_in_its_account"),
        ]

    def __str__(self) -> str:
        return self.flow_id

    def clean(self) -> None:
        validate_flow(self.document)
