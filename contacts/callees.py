"""What accounts know of the people behind numbers, as far as rules for calls ask: their time zone and their consent."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date

from django.db import connection

from contacts import consent


@dataclass(frozen=True)
class Callee:
    """What a contact says of the person. consent_scope: "" where no consent is recorded."""

    time_zone: str = ""
    consent_date: date | None = None
    consent_scope: str = ""

    def consents_to(self, scope: str, on: date) -> bool:
        """Tell whether consent to such calls has been given by that day."""
        return consent.covers(self.consent_scope, scope) and self.consent_date is not None and self.consent_date <= on


UNKNOWN = Callee()


def of(time_zone: str | None, consent_date: date | None, consent_scope: str | None) -> Callee:
    """Return what these columns of JOINED say. Most contacts say nothing, so that nothing is made for them."""
    if time_zone or consent_date:
        return Callee(time_zone or "", consent_date, consent_scope or "")
    return UNKNOWN


def known(numbers: Collection[tuple[int, str]]) -> dict[tuple[int, str], Callee]:
    """Return what is known of these numbers, each with the id of its account. One query; none for no numbers."""
    if not numbers:
        return {}
    account_ids, wanted = zip(*numbers, strict=True)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT contact.account_id, contact.number, contact.time_zone, contact.consent_date, contact.consent_scope
            FROM unnest(%s::bigint[], %s::text[]) AS wanted(account_id, number)
            JOIN contacts_contact AS contact USING (account_id, number)
            """,
            [list(account_ids), list(wanted)],
        )
        return {(account_id, number): Callee(*columns) for account_id, number, *columns in cursor.fetchall()}


# Joins what an account knows of a number: those of a row `due`. OFFSET 0 keeps it at one look-up for each.
JOINED = """LEFT JOIN LATERAL (
    SELECT time_zone, consent_date, consent_scope FROM contacts_contact
    WHERE account_id = due.account_id AND number = due.number OFFSET 0
) AS callee ON true"""
