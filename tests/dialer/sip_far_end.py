"""A SIP gateway and its trunk, as tests play them: on the rows that the driver and the gateway talk through."""

from contextlib import ExitStack
from datetime import timedelta
from typing import Any
from unittest import mock
from uuid import uuid4

from django.test import Client
from django.utils import timezone

from sipgateway import codes, records
from sipgateway.models import Gateway, SipCall
from sipgateway.records import Note
from tests.dialer.far_ends import TALK_SECONDS, FarCall, FarEnd, News, Reply

Status = SipCall.Status
REFUSALS = {Reply.NUMBER_REFUSED: 404, Reply.ACCOUNT_REFUSED: 403, Reply.NO_ROOM: codes.NOT_SENT}


class SipFarEnd(FarEnd):
    carrier = "sip"
    # What a gateway that died has heard is in the row, or nothing was heard.
    can_lose_replies = False

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self.gateway = uuid4()

    @classmethod
    def start(cls, client: Client, stack: ExitStack) -> "SipFarEnd":
        far_end = cls(client)
        stack.enter_context(mock.patch.object(records, "wake_gateways", far_end.look))
        # The clock of a test jumps by hours, over which the gateway is at work.
        stack.enter_context(mock.patch.object(records, "DEAD_AFTER", timedelta(days=7)))
        return far_end

    def trunk(self) -> dict[str, Any]:
        now = timezone.now()
        Gateway.objects.create(pk=self.gateway, address="127.0.0.1:5060", started_at=now, beat_at=now)
        return {"carrier": "sip", "base_url": "sip:trunk.example"}

    def look(self) -> None:
        """Do what a gateway does that is woken up."""
        for row in records.claim(self.gateway, 100, timezone.now()):
            if code := REFUSALS.get(self.reply):
                meaning = codes.meaning_of(code, has_rung=False)
                self._note(row.pk, status=Status.ENDED, outcome=meaning.outcome, code=code, ended_at=timezone.now())
            else:
                call = FarCall(row.pk.hex, row.pk, row.number, row.caller_id, row.ring_timeout)
                self.calls.append(call)
                self._note(row.pk, status=Status.RINGING, ringing_at=timezone.now())
        for attempt_id in records.to_hang_up(self.gateway):
            next(call for call in self.calls if call.attempt_id == attempt_id).is_hung_up = True

    def tell(self, call: FarCall, news: News, keys: str = "") -> None:
        match news:
            case News.RINGING:
                self._note(call.attempt_id, status=Status.RINGING, ringing_at=timezone.now())
            case News.ANSWERED:
                self._note(call.attempt_id, status=Status.TALKING, answered_at=timezone.now())
            case _:
                self._note(call.attempt_id, **_end(news))

    def press(self, call: FarCall, keys: str) -> None:
        self._note(call.attempt_id, digits=keys)

    def end(self, call: FarCall, outcome: News) -> None:
        SipCall.objects.filter(pk=call.attempt_id).update(**_end(outcome))

    @staticmethod
    def _note(attempt_id: Any, **columns: Any) -> None:
        records.store([Note(attempt_id, columns)])


def _end(news: News) -> dict[str, Any]:
    now = timezone.now()
    answered = {"answered_at": now - timedelta(seconds=TALK_SECONDS)} if news == News.COMPLETED else {}
    return {"status": Status.ENDED, "outcome": news.value, "ended_at": now, **answered}
