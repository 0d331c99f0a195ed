"""What the API itself has to remember: the answers to requests that may come again."""

from typing import ClassVar

from django.db import models

from accounts.models import Account


class IdempotentRequest(models.Model):
    """A request with an `Idempotency-Key`, and its answer. See `api.idempotency`, which alone reads and writes it."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=255)
    request_digest = models.CharField(max_length=64)
    # Null only inside the transaction of the first request: nobody else ever sees a row without its answer.
    status = models.PositiveSmallIntegerField(null=True)
    answer = models.TextField(null=True)
    created_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["account", "key"], name="idempotency_key_is_unique_in_its_account"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["created_at"], name="idempotent_request_by_age"),  # the purge
        ]

    def __str__(self) -> str:
        return self.key
