"""A SIP gateway and its trunk, as tests play them: on the rows that the driver and the gateway talk through."""

from contextlib import ExitStack
from datetime import timedelta
from typing import Any
from unittest import mock
from uuid import uuid4

from django.test import Client
from django.utils import timezone

from campaigns import flow_interpreter
from campaigns.flow_interpreter import Action, Connect, Say
from sipgateway import beats, codes, legs, plans, records
from sipgateway.models import Gateway, SipCall
from sipgateway.plans import Plan
from sipgateway.records import Note
from tests.dialer.far_ends import TALK_SECONDS, FarCall, FarEnd, News, Reply

Status = SipCall.Status
REFUSALS = {Reply.NUMBER_REFUSED: 404, Reply.ACCOUNT_REFUSED: 403, Reply.NO_ROOM: codes.NOT_SENT}


class SipFarEnd(FarEnd):
    carrier = "sip"
    # What a gateway that died has heard is in the row, or nothing was heard.
    can_lose_replies = False
    connects = True

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self.gateway = uuid4()
        self._other: tuple[Plan, Connect] | None = None

    @classmethod
    def start(cls, client: Client, stack: ExitStack) -> "SipFarEnd":
        far_end = cls(client)
        stack.enter_context(mock.patch.object(records, "wake_gateways", far_end.look))
        # The clock of a test jumps by hours, over which the gateway is at work.
        stack.enter_context(mock.patch.object(beats, "DEAD_AFTER", timedelta(days=7)))
        return far_end

    def trunk(self) -> dict[str, Any]:
        now = timezone.now()
        moments = {"started_at": now, "at_work_since": now, "beat_at": now}
        Gateway.objects.create(pk=self.gateway, address="127.0.0.1:5060", **moments)
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

    def hear(self, call: FarCall) -> list[str]:
        *spoken, _ = flow_interpreter.start(self._plan(call).document)
        return [part.text for part in spoken if isinstance(part, Say)]

    def ring_other(self, call: FarCall) -> str:
        return self._go_on(call, flow_interpreter.start(self._plan(call).document))

    def end_other(self, call: FarCall, outcome: News) -> None:
        assert self._other is not None
        leg, connect = self._other
        self._note(leg.attempt_id, **_end(outcome))
        was_taken = outcome == News.COMPLETED
        self._go_on(call, flow_interpreter.connected(self._plan(call).document, connect.place, was_taken=was_taken))

    def _go_on(self, call: FarCall, actions: list[Action]) -> str:
        """Do what the gateway does when its conversation comes to a connect. Returns the number that it rings."""
        connect, plan = actions[-1], self._plan(call)
        if not isinstance(connect, Connect):
            return ""
        leg = legs.begin(plan, connect, self.gateway, timezone.now())
        if isinstance(leg, Plan):
            self._other = leg, connect
            return leg.number
        following = flow_interpreter.connected(
            plan.document, connect.place, was_taken=leg.was_taken, may_try_others=leg.may_try_others
        )
        return self._go_on(call, following)

    @staticmethod
    def _plan(call: FarCall) -> Plan:
        [plan] = plans.plans_of([SipCall.objects.get(pk=call.attempt_id)])
        assert isinstance(plan, Plan)
        return plan

    def end(self, call: FarCall, outcome: News) -> None:
        SipCall.objects.filter(pk=call.attempt_id).update(**_end(outcome))

    @staticmethod
    def _note(attempt_id: Any, **columns: Any) -> None:
        records.store([Note(attempt_id, columns)])


def _end(news: News) -> dict[str, Any]:
    now = timezone.now()
    answered = {"answered_at": now - timedelta(seconds=TALK_SECONDS)} if news == News.COMPLETED else {}
    return {"status": Status.ENDED, "outcome": news.value, "ended_at": now, **answered}
