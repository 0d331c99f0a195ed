"""A call that is found by its number is believed only where it can't be another attempt's."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from dialer import carrier_refs, carriers, inbox, look_ups
from dialer.carriers import exotel
from dialer.carriers.base import Event
from dialer.models import CallAttempt
from tests.conftest import NUMBERS
from tests.factories import AccountFactory, CallerIdFactory, FlowFactory, TrunkFactory

A = NUMBERS[0]


class Neighbourhood:
    """Two accounts on one carrier account, which lists calls by number as Exotel does, and calls one number."""

    def __init__(self, rig, monkeypatch, number, trunk=None):
        self.rig = rig
        self.listed: list[dict[str, Any]] = []
        self.account = AccountFactory(starts_per_minute=10_000_000)
        caller_id = CallerIdFactory(account=self.account, number=number, trunk=trunk or rig.trunk)
        self.campaign_of_other = {
            "account": self.account,
            "caller_id": caller_id,
            "caller_id_given": number,
            "flow": FlowFactory(account=self.account),
        }
        for carrier in {carriers.carrier_of(rig.trunk), carriers.carrier_of(caller_id.trunk)}:
            monkeypatch.setattr(carrier, "look_up", self.look_up)

    def look_up(self, placed):
        return {attempt.attempt_id: self._of(attempt) for attempt in placed}

    def _of(self, placed):
        if placed.carrier_ref:
            [call] = [call for call in self.listed if call["Sid"] == placed.carrier_ref]
            return exotel._one(200, {"Call": call}, placed)
        return exotel._one_of(200, {"Calls": self.listed}, placed)

    def dial(self, own, other):
        """Both accounts dial; the words are those of the simulated carrier. Returns their attempts."""
        self.rig.carrier.script = {A: [own, other, "completed"]}
        mine = self.rig.campaign([A])
        self.rig.tick()
        account, self.rig.account = self.rig.account, self.account
        columns = {name: value for name, value in self.campaign_of_other.items() if name != "account"}
        theirs = self.rig.campaign([A], **columns)
        self.rig.account = account
        self.rig.tick()
        return CallAttempt.objects.get(campaign=mine), CallAttempt.objects.get(campaign=theirs)

    def has(self, attempt, sid, status="in-progress", caller_id=None):
        """The carrier lists a call."""
        created = timezone.now().astimezone(exotel.ZONE).strftime(exotel.DATE_FORMAT)
        shown = caller_id or attempt.campaign.caller_id.number
        self.listed.append({"Sid": sid, "From": A, "To": shown, "Status": status, "DateCreated": created})

    def later(self, seconds):
        self.rig.clock.shift(timedelta(seconds=seconds))
        self.rig.recover()


@pytest.fixture
def of_one_caller_id(rig, monkeypatch):
    return Neighbourhood(rig, monkeypatch, rig.caller_id.number)


@pytest.fixture
def of_two_caller_ids(rig, monkeypatch):
    return Neighbourhood(rig, monkeypatch, "+918099999999")


def statuses(*attempts):
    for attempt in attempts:
        attempt.refresh_from_db()
    return [attempt.status for attempt in attempts]


@pytest.mark.parametrize("status", ["in-progress", "completed", "busy"])
def test_of_two_attempts_in_doubt_neither_is_given_the_one_call(of_one_caller_id, status):
    """A never rang. It was booked as completed, and B, which rang, was given back and rung again."""
    own, other = of_one_caller_id.dial("lost-before-ring", "lost-after-ring")
    of_one_caller_id.has(other, "R", status)
    for _ in range(10):
        of_one_caller_id.later(31)
        of_one_caller_id.rig.tick()
    assert statuses(own, other) == ["unknown", "unknown"]
    assert of_one_caller_id.rig.rings() == [A]
    of_one_caller_id.later(look_ups.longest_call().total_seconds())
    assert statuses(own, other) == ["failed", "failed"]


@pytest.mark.parametrize("neighbourhood", ["of_one_caller_id", "of_two_caller_ids"])
def test_two_attempts_that_never_rang_do_not_wait_for_each_other(request, neighbourhood):
    """Each waited for the other for as long as a call may last, and held a channel."""
    both = request.getfixturevalue(neighbourhood)
    own, other = both.dial("lost-before-ring", "lost-before-ring")
    both.later(31)
    assert statuses(own, other) == ["canceled", "canceled"]


def test_two_attempts_in_doubt_over_two_trunks_of_one_carrier_account(rig, monkeypatch):
    both = Neighbourhood(rig, monkeypatch, rig.caller_id.number, trunk=TrunkFactory(api_key="another key"))
    carriers.carrier_of(both.campaign_of_other["caller_id"].trunk).script = {A: ["lost-after-ring"]}  # type: ignore[attr-defined]
    own, other = both.dial("lost-before-ring", "never asked")
    assert own.carrier_account == other.carrier_account
    both.has(other, "R")
    both.later(31)
    assert statuses(own, other) == ["unknown", "unknown"]


def test_attempts_of_two_carrier_accounts_are_not_in_each_others_way(rig, monkeypatch):
    both = Neighbourhood(rig, monkeypatch, rig.caller_id.number, trunk=TrunkFactory(account_sid="another"))
    carriers.carrier_of(both.campaign_of_other["caller_id"].trunk).script = {A: ["lost-after-ring"]}  # type: ignore[attr-defined]
    own, _ = both.dial("lost-after-ring", "never asked")
    both.has(own, "R")
    own.refresh_from_db()
    both.later(31)
    assert statuses(own) == ["in-progress"]


def test_an_event_ends_the_doubt(of_one_caller_id):
    own, other = of_one_caller_id.dial("lost-before-ring", "lost-after-ring")
    of_one_caller_id.has(other, "R")
    of_one_caller_id.later(31)
    inbox.append("simulated", [(other.pk, {"status": "busy", "ref": "R"})])
    of_one_caller_id.rig.settle()
    of_one_caller_id.later(1)
    assert statuses(own, other) == ["canceled", "busy"]


def test_calls_of_two_caller_ids_are_told_apart(of_two_caller_ids):
    own, other = of_two_caller_ids.dial("lost-before-ring", "lost-after-ring")
    of_two_caller_ids.has(other, "R")
    of_two_caller_ids.later(31)
    assert statuses(own, other) == ["unknown", "in-progress"]
    of_two_caller_ids.later(31)
    assert statuses(own, other) == ["unknown", "in-progress"]
    of_two_caller_ids.listed[0]["Status"] = "busy"
    of_two_caller_ids.later(61)
    assert statuses(own, other)[1] == "busy"
    of_two_caller_ids.later(1)
    assert statuses(own) == ["canceled"]


def test_both_of_two_caller_ids_are_given_their_own(of_two_caller_ids):
    own, other = of_two_caller_ids.dial("lost-after-ring", "lost-after-ring")
    of_two_caller_ids.has(other, "R")
    of_two_caller_ids.has(own, "Q")
    of_two_caller_ids.later(31)
    assert statuses(own, other) == ["in-progress", "in-progress"]
    assert (own.carrier_ref, other.carrier_ref) == ("Q", "R")


def test_a_list_that_shows_no_caller_id_tells_no_calls_apart(of_two_caller_ids):
    own, other = of_two_caller_ids.dial("lost-before-ring", "lost-after-ring")
    of_two_caller_ids.has(other, "R", caller_id="XXXX")
    of_two_caller_ids.later(31)
    assert statuses(own, other) == ["unknown", "unknown"]


def test_an_attempt_that_was_spent_without_ever_being_found_still_counts(of_one_caller_id):
    own, other = of_one_caller_id.dial("lost-before-ring", "lost-after-ring")
    of_one_caller_id.has(other, "R", "completed")
    CallAttempt.objects.filter(pk=other.pk).update(status="failed", ended_at=timezone.now())
    of_one_caller_id.later(31)
    assert statuses(own) == ["unknown"]


@pytest.mark.parametrize("end", [{"status": "canceled"}, {"status": "failed", "http_status": 400}])
def test_an_attempt_that_never_rang_does_not_count(of_one_caller_id, end):
    own, other = of_one_caller_id.dial("lost-after-ring", "lost-before-ring")
    of_one_caller_id.has(own, "R")
    CallAttempt.objects.filter(pk=other.pk).update(ended_at=timezone.now(), **end)
    of_one_caller_id.later(31)
    assert statuses(own) == ["in-progress"]


def test_an_attempt_that_begins_while_the_carrier_is_asked_counts(of_one_caller_id, monkeypatch):
    own, other = of_one_caller_id.dial("lost-before-ring", "lost-after-ring")
    CallAttempt.objects.filter(pk=other.pk).update(status="claimed", placing_at=None, claimed_at=timezone.now())
    look_up = of_one_caller_id.look_up

    def asked(placed):
        found = look_up(placed)
        CallAttempt.objects.filter(pk=other.pk).update(status="placing", placing_at=timezone.now())
        return found

    monkeypatch.setattr(of_one_caller_id.rig.carrier, "look_up", asked)
    of_one_caller_id.has(other, "R")
    of_one_caller_id.rig.clock.shift(9)
    of_one_caller_id.rig.recover()
    of_one_caller_id.rig.clock.shift(0)
    assert statuses(own) == ["unknown"]
    assert own.carrier_ref == ""


def test_an_end_by_a_guess_yields_to_an_event_that_came_while_the_carrier_was_asked(rig, monkeypatch):
    rig.carrier.script = {A: ["lost-after-ring"]}
    rig.campaign([A])
    rig.tick()
    attempt = CallAttempt.objects.get()

    def asked(placed):
        inbox.append("simulated", [(attempt.pk, {"status": "in-progress", "ref": "certain"})])
        rig.settle()
        return {attempt.pk: Event("busy", carrier_ref="guess", is_guess=True)}

    monkeypatch.setattr(rig.carrier, "look_up", asked)
    rig.clock.shift(31)
    rig.recover()
    assert statuses(attempt) == ["in-progress"]
    assert attempt.carrier_ref == "certain"


def test_the_id_of_an_older_call_that_is_listed_again_is_not_passed_over(of_one_caller_id):
    """It was given to this call too. Passed over, the number would be rung a second time."""
    own, other = of_one_caller_id.dial("lost-after-ring", "lost-after-ring")
    old = timezone.now() - timedelta(minutes=25)
    CallAttempt.objects.filter(pk=other.pk).update(
        status="completed", carrier_ref="R", claimed_at=old, placing_at=old, ended_at=timezone.now()
    )
    of_one_caller_id.has(own, "R")
    of_one_caller_id.later(31)
    assert statuses(own, other) == ["unknown", "completed"]
    assert own.ref_is_repeated


def test_an_id_that_is_listed_twice_decides_nothing(of_one_caller_id):
    own, other = of_one_caller_id.dial("lost-after-ring", "lost-after-ring")
    CallAttempt.objects.filter(pk=other.pk).update(status="completed", carrier_ref="R", ended_at=timezone.now())
    of_one_caller_id.has(other, "R", "completed")
    of_one_caller_id.has(own, "R")
    of_one_caller_id.later(31)
    assert statuses(own) == ["unknown"]
    assert of_one_caller_id.rig.rings() == [A, A]


@pytest.mark.parametrize("when", ["while the carrier is asked", "just before the reply is applied"])
def test_the_id_of_another_that_becomes_known_meanwhile_is_not_repeated(of_one_caller_id, monkeypatch, when):
    """Marked as repeated, it would have held its channel for as long as a call may last."""
    own, other = of_one_caller_id.dial("lost-before-ring", "lost-after-ring")
    of_one_caller_id.has(other, "R")
    CallAttempt.objects.filter(pk=other.pk).update(status="in-progress", carrier_ref="S", heard_at=timezone.now())

    def becomes_known():
        CallAttempt.objects.filter(pk=other.pk).update(carrier_ref="R")

    if when == "while the carrier is asked":
        look_up = of_one_caller_id.look_up

        def asked(placed):
            found = look_up(placed)
            becomes_known()
            return found

        monkeypatch.setattr(of_one_caller_id.rig.carrier, "look_up", asked)
    else:
        is_taken = carrier_refs.is_taken

        def apply(*args):
            becomes_known()
            return is_taken(*args)

        monkeypatch.setattr(carrier_refs, "is_taken", apply)
    of_one_caller_id.rig.clock.shift(timedelta(seconds=9))
    of_one_caller_id.rig.recover()
    assert statuses(own) == ["unknown"]
    assert not own.ref_is_repeated
    monkeypatch.undo()
