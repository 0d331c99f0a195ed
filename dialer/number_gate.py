"""The gate for numbers: may these people be rung at this moment, where the gate of their campaigns is open?

Asked for a batch at a time, when calls are claimed and again just before each is placed, for whatever rings a phone. A
constant number of statements, however many numbers there are; where accounts ask nothing of numbers, as few as none.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Generic, NamedTuple, Protocol, TypeVar
from uuid import UUID

from accounts.models import Account, CallerId
from campaigns import removal
from campaigns.call_states import DO_NOT_CALL
from contacts import destinations, do_not_call
from dialer.gate import Never, NotBefore

# When a number is asked about again that must not be dialed until something changes.
ASKED_AGAIN = timedelta(minutes=10)

Key = TypeVar("Key", bound=Hashable)


class Judged(Protocol):
    """What is read of a campaign: a model instance, or a row of dispatch."""

    @property
    def pk(self) -> UUID: ...
    @property
    def account(self) -> Account: ...
    @property
    def caller_id(self) -> CallerId: ...


class Ring(NamedTuple, Generic[Key]):
    """A phone that is about to ring.

    Attributes:
        key: of the caller's, by which the verdict is found.
        ended_by: the rule that took the call out of its campaign since it was claimed, or "".
    """

    key: Key
    campaign: Judged
    number: str
    ended_by: str = ""


Shut = NotBefore | Never


def check(rings: Sequence[Ring[Key]], now: datetime) -> dict[Key, Shut]:
    """Return why some of these phones must not ring now, by their keys. The others may."""
    shut: dict[Key, Shut] = {}
    for judge in (_ended, _not_called, _listed):
        shut |= judge([ring for ring in rings if ring.key not in shut])
    return shut


def _by_account(rings: Iterable[Ring[Key]]) -> dict[Account, list[Ring[Key]]]:
    of_account: dict[Account, list[Ring[Key]]] = defaultdict(list)
    for ring in rings:
        of_account[ring.campaign.account].append(ring)
    return of_account


def _ended(rings: Sequence[Ring[Key]]) -> dict[Key, Shut]:
    """Judge by what has ended calls while they were under way: no phone of theirs rings after it."""
    return {ring.key: Never(ring.ended_by, removal.REASONS[ring.ended_by]) for ring in rings if ring.ended_by}


def _not_called(rings: Sequence[Ring[Key]]) -> dict[Key, Shut]:
    """Judge by where the accounts call: their settings may have changed since the numbers came in.

    Makes a query only where a number is not of the countries that the campaigns themselves tell.
    """
    found: dict[Key, Shut] = {}
    for account, of_one in _by_account(rings).items():
        known = destinations.of(account, {ring.campaign.caller_id.number for ring in of_one})
        doubtful = [ring for ring in of_one if known.why_not(ring.number)]
        called = destinations.of_account(account) if doubtful else known
        for ring in doubtful:
            if why := called.why_not(ring.number):
                found[ring.key] = Never("not-called", why)
    return found


def _listed(rings: Sequence[Ring[Key]]) -> dict[Key, Shut]:
    found: dict[Key, Shut] = {}
    for account, of_one in _by_account(rings).items():
        entries = do_not_call.listed(account.pk, {ring.number for ring in of_one})
        for ring in of_one:
            if entry := entries.get(ring.number):
                found[ring.key] = Never(DO_NOT_CALL, entry.reason)
    return found
