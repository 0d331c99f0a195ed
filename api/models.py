"""What the API itself has to store: the responses to requests that may be sent again."""

from typing import ClassVar

from django.db import models

from accounts.models import Account


class IdempotentRequest(models.Model):
    """A request with an `Idempotency-Key`, and its response.

    Only `api.http.idempotency` reads and writes it, and `api.http.old_responses` deletes it.
    """

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=255)
    request_digest = models.CharField(max_length=64)
    # Null only inside the transaction of the first request: no other transaction sees a row without its response.
    status = models.PositiveSmallIntegerField(null=True)
    response = models.TextField(null=True)
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
