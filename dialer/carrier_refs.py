"""Whose call a carrier's id names, when more than one attempt is given it.

Whose news an event is, the token of its address decides alone. An id only serves to ask for a call later, and to hang
it up. It comes with a reply or an event, which name the attempt for certain, or from a look-up by number, a guess.

- An id that was guessed yields to one that is certain: the attempt that guessed is in doubt again.
- An id that two attempts have for certain, or that shows another number's call, is *repeated*: the carrier has used it
  twice. It is refused as news, since nobody can tell which of the calls it shows. No attempt that has it is asked for
  by it any more, nor hung up: events at their own addresses end them, or the longest possible call. The later attempts
  are marked, and the first one keeps the id in the unique index, where the next one meets it.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import structlog
from django.db import connection, transaction

from accounts.models import CarrierAccount
from core.state_machine import Move
from dialer import attempt_states, repair_counts
from dialer.models import CallAttempt

log = structlog.get_logger(__name__)

Status = CallAttempt.Status


class Clash(NamedTuple):
    """An id that is given to an attempt, and another attempt that has it already, or is given it at the same time."""

    attempt_id: UUID
    ref: str
    other: UUID
    is_guess: bool


def known(account: CarrierAccount, refs: Collection[str]) -> set[str]:
    """Return those of the ids at the account that attempts have. Asked in two parts, as there are two indexes."""
    attempts = CallAttempt.objects.filter(carrier_account=account, carrier_ref__in=refs)
    first = attempts.filter(ref_is_repeated=False).exclude(carrier_ref="")
    again = attempts.filter(ref_is_repeated=True)
    return {*first.values_list("carrier_ref", flat=True), *again.values_list("carrier_ref", flat=True)}


def make_way(given: Mapping[UUID, str], now: datetime) -> set[UUID]:
    """Prepare for storing ids that replies or events bring, within the transaction that stores them.

    Takes them from attempts that guessed them, and marks attempts whose id another one has already.

    Args:
        given: the carrier's id by attempt.

    Returns:
        The attempts that were marked. Their ids are stored, except where they have another one for certain.
    """
    clashes = _clashes(given) if given else []
    if not clashes:
        return set()
    if guesses := {clash.other for clash in clashes if clash.is_guess}:
        _take_back(guesses, now)
    certain = [clash for clash in clashes if not clash.is_guess]
    return _mark(certain) if certain else set()


def refuse(attempt_id: UUID, ref: str) -> None:
    """Note that what the carrier has under the id is not this attempt's call: it has used the id again."""
    _count([attempt_id])
    CallAttempt.objects.filter(pk=attempt_id, carrier_ref__in=["", ref], status__in=CallAttempt.UNFINISHED).update(
        carrier_ref=ref, ref_is_guess=False, ref_is_repeated=True
    )


def is_taken(attempt_id: UUID, ref: str, listed_since: datetime) -> bool:
    """Tell whether another attempt has an id that a look-up by number has found for this one: then it decides nothing.

    A guess of the other is left alone, as this is one too. So is the id of an attempt at the same number that is listed
    itself: the call that was found is that one's, whose id became known meanwhile. The next look-up passes it over.

    Args:
        listed_since: since when calls are in the list in which the call was found.
    """
    clashes = _clashes({attempt_id: ref})
    certain = {clash.other: clash for clash in clashes if not clash.is_guess}
    if certain:
        own = CallAttempt.objects.filter(pk=attempt_id).values("callee")
        listed = CallAttempt.objects.filter(pk__in=certain.keys(), callee__in=own, placing_at__gte=listed_since)
        for other in listed.values_list("pk", flat=True):
            del certain[other]
    if certain:
        _mark(list(certain.values()))
    return bool(clashes)


def repeated_among(account: CarrierAccount, attempts: Iterable[CallAttempt]) -> set[UUID]:
    """Return those of the account's attempts whose id is repeated, by what is stored now."""
    by_ref = {attempt.pk: attempt.carrier_ref for attempt in attempts if attempt.carrier_ref}
    again = CallAttempt.objects.filter(
        carrier_account=account, carrier_ref__in=set(by_ref.values()), ref_is_repeated=True
    )
    refs = set(again.values_list("carrier_ref", flat=True))
    return {pk for pk, ref in by_ref.items() if ref in refs}


def held_by_others(given: Mapping[UUID, str]) -> set[UUID]:
    """Return the attempts whose ids another attempt has too: no call may be hung up by such an id."""
    return {clash.attempt_id for clash in _clashes(given)}


def _clashes(given: Mapping[UUID, str]) -> list[Clash]:
    """Find the other attempts of the same carrier accounts with these ids, by the two indexes that cover them."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH given AS MATERIALIZED (
                SELECT own.id, own.carrier_account_id AS account, news.ref
                FROM unnest(%s::uuid[], %s::text[]) AS news(id, ref) JOIN dialer_callattempt AS own ON own.id = news.id
                WHERE news.ref <> ''
            )
            SELECT given.id, given.ref, other.id, other.ref_is_guess FROM given JOIN dialer_callattempt AS other
                ON other.carrier_account_id = given.account AND other.carrier_ref = given.ref
                AND other.carrier_ref <> '' AND NOT other.ref_is_repeated AND other.id <> given.id
            UNION ALL
            SELECT given.id, given.ref, other.id, false FROM given JOIN dialer_callattempt AS other
                ON other.carrier_account_id = given.account AND other.carrier_ref = given.ref
                AND other.ref_is_repeated AND other.id <> given.id
            UNION ALL
            SELECT given.id, given.ref, other.id, false FROM given JOIN given AS other
                ON other.account = given.account AND other.ref = given.ref AND other.id < given.id
            """,
            [list(given), list(given.values())],
        )
        return [Clash(*row) for row in cursor.fetchall()]


def _take_back(guesses: Collection[UUID], now: datetime) -> None:
    log.warning("call_was_anothers", attempts=[pk.hex for pk in guesses])
    moves = [Move(pk, Status.UNKNOWN, "its call turned out to be another attempt's") for pk in guesses]
    attempt_states.move(moves, at=now)
    CallAttempt.objects.filter(pk__in=guesses).update(carrier_ref="", ref_is_guess=False)


def _mark(clashes: Sequence[Clash]) -> set[UUID]:
    given = {clash.attempt_id: clash.ref for clash in clashes}
    _count(list(given))
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE dialer_callattempt AS attempt
            SET carrier_ref = news.ref, ref_is_repeated = true, ref_is_guess = false
            FROM unnest(%s::uuid[], %s::text[]) AS news(id, ref)
            WHERE attempt.id = news.id
                AND (attempt.carrier_ref IN ('', news.ref) OR attempt.ref_is_guess)
            """,
            [list(given), list(given.values())],
        )
    return set(given)


def _count(attempt_ids: Sequence[UUID]) -> None:
    log.error("carrier_id_repeated", attempts=[pk.hex for pk in attempt_ids])
    transaction.on_commit(lambda: repair_counts.add({repair_counts.REPEATED_IDS: len(attempt_ids)}))
