"""The report of a campaign that is deleted, kept as a file where the storage `reports` is set.

A storage is Django's: a folder, or with django-storages a bucket. A file is written in one go, from a temporary file on
this machine, so that a slow storage holds up no statement of the database.
"""

import tempfile

from django.conf import settings
from django.core.files import File
from django.core.files.storage import storages

from campaigns.models import Campaign
from core.redis_client import prefixed, redis_client
from reports import csv_report

ALIAS = "reports"
# A storage that fails or hangs is asked again for the same report only after so many seconds.
TRY_AGAIN_SECONDS = 3600


class NotKept(Exception):
    """The report can't be stored, so the campaign must not be deleted. The message is for the operator."""


def are_kept() -> bool:
    return ALIAS in settings.STORAGES


def keep(campaign: Campaign) -> str:
    """Write the report into the storage. Asks a storage, so not inside a transaction.

    A process that dies afterwards, before the campaign is deleted, writes it again: under the same name, or, where the
    storage never overwrites, under another one beside it.

    Returns:
        The name of the file; "" where another process has begun to delete the campaign, so that rows may be missing.

    Args:
        campaign: as `csv_report.stream` takes it.

    Raises:
        NotKept
    """
    name = f"{campaign.account.sid}/{campaign.ended_at:%Y-%m-%d}-{csv_report.file_name(campaign.pk)}"
    try:
        with tempfile.TemporaryFile() as file:
            for piece in csv_report.stream(campaign):
                file.write(piece)
            if not Campaign.objects.filter(pk=campaign.pk, is_purging=False).exists():
                return ""
            file.seek(0)
            return storages[ALIAS].save(name, File(file, name))
    except Exception as error:
        # Storages raise errors of their own libraries. None of them may cost the report.
        raise NotKept(f"{name} could not be stored: {type(error).__name__}: {error}") from error


def may_try(campaign: Campaign) -> bool:
    """Tell whether it is time to try, and note that it is tried: also where the process dies of it."""
    return bool(redis_client().set(_key(campaign), 1, nx=True, ex=TRY_AGAIN_SECONDS))


def forget_tries(campaign: Campaign) -> None:
    redis_client().delete(_key(campaign))


def _key(campaign: Campaign) -> str:
    return prefixed(f"report-not-kept:{campaign.pk.hex}")
